//! Points, rectangles and affine maps that know their space.

use serde::{Deserialize, Serialize};
use std::marker::PhantomData;
use std::ops::Mul;

/// Pixels of the upright frame, origin at the top-left corner; pixel (i, j) is centred at (i + ½, j + ½).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum InFrame {}
/// Pixels of a crop fed to a network, same convention as [`InFrame`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum InCrop {}

/// A point in space `S`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point<S> {
    /// Rightwards.
    pub x: f32,
    /// Downwards.
    pub y: f32,
    #[serde(skip)]
    space: PhantomData<S>,
}

impl<S> Point<S> {
    /// A point.
    pub const fn new(x: f32, y: f32) -> Self {
        Point { x, y, space: PhantomData }
    }

    /// Euclidean distance to `other`.
    #[must_use]
    pub fn distance(&self, other: &Self) -> f32 {
        (self.x - other.x).hypot(self.y - other.y)
    }

    /// Whether both coordinates are finite numbers.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        self.x.is_finite() && self.y.is_finite()
    }
}

/// An axis-aligned rectangle, half-open: `x0 <= x < x1`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rect<S> {
    /// Left edge.
    pub x0: f32,
    /// Top edge.
    pub y0: f32,
    /// Right edge.
    pub x1: f32,
    /// Bottom edge.
    pub y1: f32,
    #[serde(skip)]
    space: PhantomData<S>,
}

impl<S> Rect<S> {
    /// A rectangle from its edges.
    pub const fn new(x0: f32, y0: f32, x1: f32, y1: f32) -> Self {
        Rect { x0, y0, x1, y1, space: PhantomData }
    }

    /// Width, at least 0.
    #[must_use]
    pub fn width(&self) -> f32 {
        (self.x1 - self.x0).max(0.0)
    }

    /// Height, at least 0.
    #[must_use]
    pub fn height(&self) -> f32 {
        (self.y1 - self.y0).max(0.0)
    }

    /// Area, at least 0.
    #[must_use]
    pub fn area(&self) -> f32 {
        self.width() * self.height()
    }

    /// The longer side.
    #[must_use]
    pub fn size(&self) -> f32 {
        self.width().max(self.height())
    }

    /// Centre.
    #[must_use]
    pub fn centre(&self) -> Point<S> {
        Point::new((self.x0 + self.x1) / 2.0, (self.y0 + self.y1) / 2.0)
    }

    /// Whether all edges are finite and the area is positive.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        [self.x0, self.y0, self.x1, self.y1].iter().all(|v| v.is_finite()) && self.area() > 0.0
    }

    /// Intersection over union, 0..=1.
    #[must_use]
    pub fn iou(&self, other: &Self) -> f32 {
        let inter = self.intersection(other).area();
        let union = self.area() + other.area() - inter;
        if union > 0.0 { inter / union } else { 0.0 }
    }

    /// The common part (of area 0 if there is none).
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Rect::new(self.x0.max(other.x0), self.y0.max(other.y0), self.x1.min(other.x1), self.y1.min(other.y1))
    }

    /// The smallest rectangle that holds both.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Rect::new(self.x0.min(other.x0), self.y0.min(other.y0), self.x1.max(other.x1), self.y1.max(other.y1))
    }

    /// Grown on each side by a fraction of its own width and height.
    #[must_use]
    pub fn grown(&self, left: f32, top: f32, right: f32, bottom: f32) -> Self {
        let (w, h) = (self.width(), self.height());
        Rect::new(self.x0 - left * w, self.y0 - top * h, self.x1 + right * w, self.y1 + bottom * h)
    }

    /// Linear interpolation: `u = 0` gives `self`, `u = 1` gives `other`.
    #[must_use]
    pub fn lerp(&self, other: &Self, u: f32) -> Self {
        let f = |a: f32, b: f32| a + (b - a) * u;
        Rect::new(f(self.x0, other.x0), f(self.y0, other.y0), f(self.x1, other.x1), f(self.y1, other.y1))
    }

    /// Smallest pixel rectangle that covers this one, clamped to a picture of `width` × `height`;
    /// `None` if nothing is left.
    #[must_use]
    pub fn to_pixels(&self, width: usize, height: usize) -> Option<PixelRect> {
        if !self.is_valid() {
            return None;
        }
        let lo = |v: f32, n: usize| (v.floor().max(0.0) as usize).min(n);
        let hi = |v: f32, n: usize| (v.ceil().max(0.0) as usize).min(n);
        let (x0, x1) = (lo(self.x0, width), hi(self.x1, width));
        let (y0, y1) = (lo(self.y0, height), hi(self.y1, height));
        (x1 > x0 && y1 > y0).then_some(PixelRect { x: x0, y: y0, width: x1 - x0, height: y1 - y0 })
    }
}

/// Whole pixels of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PixelRect {
    /// Left column.
    pub x: usize,
    /// Top row.
    pub y: usize,
    /// Columns, at least 1.
    pub width: usize,
    /// Rows, at least 1.
    pub height: usize,
}

impl PixelRect {
    /// Grown outwards so that every edge is a multiple of `step`, clamped to `width` × `height`.
    #[must_use]
    pub fn aligned(&self, step: usize, width: usize, height: usize) -> Self {
        let x0 = self.x / step * step;
        let y0 = self.y / step * step;
        let x1 = (self.x + self.width).div_ceil(step) * step;
        let y1 = (self.y + self.height).div_ceil(step) * step;
        PixelRect { x: x0, y: y0, width: x1.min(width) - x0, height: y1.min(height) - y0 }
    }

    /// As a real rectangle.
    #[must_use]
    pub fn to_rect<S>(&self) -> Rect<S> {
        Rect::new(self.x as f32, self.y as f32, (self.x + self.width) as f32, (self.y + self.height) as f32)
    }
}

/// An affine map from space `From` to space `To`; named `to_from_from`, so that chains read right to left.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Affine<To, From> {
    /// Rows of the 2 × 3 matrix.
    pub m: [[f32; 3]; 2],
    spaces: PhantomData<(To, From)>,
}

impl<To, From> Affine<To, From> {
    /// From the rows of a 2 × 3 matrix.
    pub const fn new(m: [[f32; 3]; 2]) -> Self {
        Affine { m, spaces: PhantomData }
    }

    /// The image of a point.
    #[must_use]
    pub fn apply(&self, p: Point<From>) -> Point<To> {
        let [a, b] = self.m;
        Point::new(a[0] * p.x + a[1] * p.y + a[2], b[0] * p.x + b[1] * p.y + b[2])
    }

    /// The inverse map; `None` if the map is singular.
    #[must_use]
    pub fn inverse(&self) -> Option<Affine<From, To>> {
        let [[a, b, c], [d, e, f]] = self.m;
        let det = a * e - b * d;
        if !det.is_finite() || det.abs() < 1e-12 {
            return None;
        }
        let (ia, ib, id, ie) = (e / det, -b / det, -d / det, a / det);
        Some(Affine::new([[ia, ib, -(ia * c + ib * f)], [id, ie, -(id * c + ie * f)]]))
    }

    /// Uniform scale of the map (square root of its determinant).
    #[must_use]
    pub fn scale(&self) -> f32 {
        let [[a, b, _], [d, e, _]] = self.m;
        (a * e - b * d).abs().sqrt()
    }

    /// Least-squares similarity (rotation, uniform scale, translation) that maps `from` to `to`;
    /// `None` for fewer than two distinct points.
    ///
    /// Umeyama, *Least-squares estimation of transformation parameters between two point patterns*,
    /// PAMI 13(4), 1991, written out for two dimensions without reflection.
    #[must_use]
    pub fn similarity(to: &[Point<To>], from: &[Point<From>]) -> Option<Self> {
        let n = to.len().min(from.len());
        if n < 2 {
            return None;
        }
        let inv = 1.0 / n as f32;
        let (mut tx, mut ty, mut fx, mut fy) = (0.0, 0.0, 0.0, 0.0);
        for (t, f) in to.iter().zip(from) {
            tx += t.x * inv;
            ty += t.y * inv;
            fx += f.x * inv;
            fy += f.y * inv;
        }
        let (mut dot, mut cross, mut var) = (0.0, 0.0, 0.0);
        for (t, f) in to.iter().zip(from) {
            let (ax, ay, bx, by) = (f.x - fx, f.y - fy, t.x - tx, t.y - ty);
            dot += ax * bx + ay * by;
            cross += ax * by - ay * bx;
            var += ax * ax + ay * ay;
        }
        if !(var.is_finite() && var > 1e-12) {
            return None;
        }
        let (c, s) = (dot / var, cross / var);
        Some(Affine::new([[c, -s, tx - c * fx + s * fy], [s, c, ty - s * fx - c * fy]]))
    }
}

impl<A, B, C> Mul<Affine<B, C>> for Affine<A, B> {
    type Output = Affine<A, C>;

    fn mul(self, rhs: Affine<B, C>) -> Affine<A, C> {
        let (p, q) = (self.m, rhs.m);
        let cell = |i: usize, j: usize| p[i][0] * q[0][j] + p[i][1] * q[1][j] + if j == 2 { p[i][2] } else { 0.0 };
        Affine::new([[cell(0, 0), cell(0, 1), cell(0, 2)], [cell(1, 0), cell(1, 1), cell(1, 2)]])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similarity_recovers_a_known_map() {
        let (c, s) = (1.5 * 0.3_f32.cos(), 1.5 * 0.3_f32.sin());
        let truth: Affine<InCrop, InFrame> = Affine::new([[c, -s, 7.0], [s, c, -3.0]]);
        let from = [Point::new(0.0, 0.0), Point::new(4.0, 1.0), Point::new(-2.0, 5.0)];
        let to = from.map(|p| truth.apply(p));
        let found = Affine::similarity(&to, &from).unwrap();
        for (a, b) in found.m.iter().flatten().zip(truth.m.iter().flatten()) {
            assert!((a - b).abs() < 1e-4);
        }
        let back = found.inverse().unwrap() * found;
        let p = back.apply(Point::<InFrame>::new(3.0, 4.0));
        assert!((p.x - 3.0).abs() < 1e-4 && (p.y - 4.0).abs() < 1e-4);
    }

    #[test]
    fn rectangles_clip_to_whole_pixels() {
        let r: Rect<InFrame> = Rect::new(-3.2, 1.4, 5.1, 9.0);
        assert_eq!(r.to_pixels(4, 8), Some(PixelRect { x: 0, y: 1, width: 4, height: 7 }));
        assert_eq!(Rect::<InFrame>::new(f32::NAN, 0.0, 1.0, 1.0).to_pixels(4, 4), None);
        assert_eq!(Rect::<InFrame>::new(9.0, 0.0, 12.0, 1.0).to_pixels(4, 4), None);
    }

    #[test]
    fn iou_of_halves() {
        let a: Rect<InFrame> = Rect::new(0.0, 0.0, 2.0, 2.0);
        let b = Rect::new(1.0, 0.0, 3.0, 2.0);
        assert!((a.iou(&b) - 1.0 / 3.0).abs() < 1e-6);
    }
}
