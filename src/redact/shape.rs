//! Shapes that hold a whole head, with a soft edge outside them.

use crate::geom::{InFrame, PixelRect, Point, Rect};
use crate::image::Matte;

/// Exponent of the superellipse of a head: rounder than a box, fuller than an ellipse.
const POWER: f32 = 2.6;
/// Width of the soft edge, in units of the shape's radius.
const EDGE: f32 = 0.14;

/// A region to cover.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    centre: Point<InFrame>,
    rx: f32,
    ry: f32,
    /// Below the head: shoulders down to the bottom of the picture.
    bust: Option<Bust>,
    /// A plain rectangle instead of a head.
    boxed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Bust {
    neck_y: f32,
    neck_half: f32,
    shoulder_y: f32,
    shoulder_half: f32,
}

impl Shape {
    /// The whole head of a face box (brows to chin): hair, ears and chin included. `doubt` ≥ 0 grows it, for places
    /// that are only predicted: 1 doubles the margin.
    #[must_use]
    pub fn head(face: &Rect<InFrame>, doubt: f32) -> Self {
        let (w, h) = (face.width(), face.height());
        let side = w.max(h * 0.75); // a turned head is narrower than it is long; its cover must not be
        let grow = 1.0 + doubt.max(0.0) * 0.5;
        let c = face.centre();
        Shape {
            centre: Point::new(c.x, c.y - 0.10 * h),
            rx: 0.82 * side * grow,
            ry: 0.88 * h.max(w) * grow,
            bust: None,
            boxed: false,
        }
    }

    /// The whole head of a face that is turned away, or of which only a box is known: ear, jaw and the back of the head
    /// lie on a side that nobody can tell.
    #[must_use]
    pub fn turned_head(face: &Rect<InFrame>, doubt: f32) -> Self {
        let shape = Self::head(face, doubt);
        Shape { rx: 1.35 * shape.rx, ry: 1.1 * shape.ry, ..shape }
    }

    /// A head with all its hair, for what is averaged and not painted over: the edge may be generous.
    #[must_use]
    pub fn whole_head(face: &Rect<InFrame>) -> Self {
        let shape = Self::head(face, 0.0);
        let up = 0.14 * face.height();
        Shape {
            centre: Point::new(shape.centre.x, shape.centre.y - up),
            rx: 1.2 * shape.rx,
            ry: 1.22 * shape.ry,
            ..shape
        }
    }

    /// The face alone: brows to chin, without hair and ears.
    #[must_use]
    pub fn face(face: &Rect<InFrame>) -> Self {
        let c = face.centre();
        Shape { centre: c, rx: 0.52 * face.width(), ry: 0.55 * face.height(), bust: None, boxed: false }
    }

    /// Head and shoulders, down to the bottom of the picture.
    #[must_use]
    pub fn bust(face: &Rect<InFrame>) -> Self {
        let (w, h) = (face.width(), face.height());
        let mut shape = Self::head(face, 0.25);
        shape.bust = Some(Bust {
            neck_y: face.y1 - 0.15 * h,
            neck_half: 0.62 * w,
            shoulder_y: face.y1 + 0.75 * h,
            shoulder_half: 1.75 * w,
        });
        shape
    }

    /// A plain rectangle.
    #[must_use]
    pub fn rect(rect: &Rect<InFrame>) -> Self {
        Shape { centre: rect.centre(), rx: rect.width() / 2.0, ry: rect.height() / 2.0, bust: None, boxed: true }
    }

    /// Everything that may be touched; the bust reaches down without end.
    #[must_use]
    pub fn bounds(&self) -> Rect<InFrame> {
        let (rx, ry) = (self.rx * (1.0 + EDGE), self.ry * (1.0 + EDGE));
        let c = self.centre;
        let head = Rect::new(c.x - rx, c.y - ry, c.x + rx, c.y + ry);
        match self.bust {
            None => head,
            Some(b) => {
                let half = b.shoulder_half * (1.0 + EDGE);
                head.union(&Rect::new(c.x - half, b.neck_y, c.x + half, 1e6))
            }
        }
    }

    /// Alpha of the pixels of `rect`.
    #[must_use]
    pub fn matte(&self, rect: PixelRect) -> Matte {
        let mut matte = Matte::filled(rect.width, rect.height, 0.0);
        for y in 0..rect.height {
            for x in 0..rect.width {
                let p = Point::new((rect.x + x) as f32 + 0.5, (rect.y + y) as f32 + 0.5);
                matte.data[y * rect.width + x] = self.alpha(p);
            }
        }
        matte
    }

    /// Alpha at a point: 1 in the shape, falling to 0 over the edge outside it.
    #[must_use]
    pub fn alpha(&self, p: Point<InFrame>) -> f32 {
        let dx = (p.x - self.centre.x).abs() / self.rx.max(1e-3);
        let dy = (p.y - self.centre.y).abs() / self.ry.max(1e-3);
        let distance = if self.boxed { dx.max(dy) } else { (dx.powf(POWER) + dy.powf(POWER)).powf(1.0 / POWER) };
        let head = fall(distance);
        match self.bust {
            Some(b) if p.y >= b.neck_y => {
                let u = ((p.y - b.neck_y) / (b.shoulder_y - b.neck_y)).clamp(0.0, 1.0);
                let u = u * u * (3.0 - 2.0 * u);
                let half = b.neck_half + (b.shoulder_half - b.neck_half) * u;
                head.max(fall((p.x - self.centre.x).abs() / half))
            }
            _ => head,
        }
    }
}

fn fall(distance: f32) -> f32 {
    let u = ((1.0 + EDGE - distance) / EDGE).clamp(0.0, 1.0);
    u * u * (3.0 - 2.0 * u)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_holds_its_face_box() {
        let face = Rect::new(100.0, 100.0, 160.0, 180.0);
        let head = Shape::head(&face, 0.0);
        for (x, y) in [(101.0, 101.0), (159.0, 101.0), (101.0, 179.0), (159.0, 179.0), (130.0, 140.0)] {
            assert!(head.alpha(Point::new(x, y)) > 0.99, "{x} {y}: {}", head.alpha(Point::new(x, y)));
        }
        assert_eq!(head.alpha(Point::new(300.0, 140.0)), 0.0);
        assert!(Shape::head(&face, 1.0).bounds().area() > 1.8 * head.bounds().area());
        // A profile: the ear is a face width from the middle of what a detector takes for the face.
        assert!(Shape::turned_head(&face, 0.0).alpha(Point::new(72.0, 150.0)) > 0.99);
        assert!(head.alpha(Point::new(72.0, 150.0)) < 0.5);
    }

    #[test]
    fn a_bust_reaches_the_bottom() {
        let bust = Shape::bust(&Rect::new(100.0, 100.0, 160.0, 180.0));
        assert_eq!(bust.alpha(Point::new(130.0, 2000.0)), 1.0);
        assert_eq!(bust.alpha(Point::new(500.0, 2000.0)), 0.0);
    }
}
