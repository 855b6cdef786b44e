//! Regions of the cast that are no faces: a jacket, a tattoo, a sign, a screen.

use crate::geom::{InFrame, Rect};
use crate::image::Frame;
use crate::plan::{Cast, Effect, parse_timecode};
use crate::redact::{self, Cover, Shape, Touched};

/// One region with its times in seconds.
#[derive(Debug, Clone, PartialEq)]
pub struct RegionPlan {
    effect: Effect,
    follow: Option<(u32, [f32; 4])>,
    fixed: Option<[f32; 4]>,
    from: f64,
    to: f64,
}

impl RegionPlan {
    /// All regions of a cast.
    #[must_use]
    pub fn of(cast: &Cast) -> Vec<Self> {
        let time = |t: &Option<toml::Spanned<String>>, default: f64| {
            t.as_ref().and_then(|t| parse_timecode(t.get_ref())).unwrap_or(default)
        };
        cast.regions
            .iter()
            .map(|r| RegionPlan {
                effect: r.effect,
                follow: r.follow.as_ref().map(|f| (*f.track.get_ref(), f.rect)),
                fixed: r.rect,
                from: time(&r.from, 0.0),
                to: time(&r.to, f64::INFINITY),
            })
            .collect()
    }

    /// Applies the region at `seconds`. `face` gives the box of a track in this frame.
    pub fn apply(
        &self,
        frame: &mut Frame,
        seconds: f64,
        face: impl Fn(u32) -> Option<Rect<InFrame>>,
    ) -> Option<Touched> {
        if !(self.from..self.to).contains(&seconds) {
            return None;
        }
        let rect = if let Some((track, [x0, y0, x1, y1])) = self.follow {
            let f = face(track)?;
            let (w, h) = (f.width(), f.height());
            Rect::new(f.x0 + x0 * w, f.y0 + y0 * h, f.x0 + x1 * w, f.y0 + y1 * h)
        } else {
            let [x0, y0, x1, y1] = self.fixed?;
            let (w, h) = (frame.width as f32, frame.height as f32);
            Rect::new(x0 * w, y0 * h, x1 * w, y1 * h)
        };
        let shape = Shape::rect(&rect);
        let cell = rect.width().min(rect.height());
        match self.effect {
            Effect::Blur => redact::cover(frame, &shape, Cover::Blur, cell),
            Effect::Mosaic => redact::cover(frame, &shape, Cover::Mosaic, cell),
            Effect::Solid => redact::cover(frame, &shape, Cover::Solid, cell),
            Effect::Recolour => redact::recolour(frame, &shape, cell / 5.0),
        }
    }
}
