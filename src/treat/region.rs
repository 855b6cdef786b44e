//! Regions of the cast that are no faces: a jacket, a tattoo, a sign, a screen.

use crate::Result;
use crate::geom::{InFrame, Rect};
use crate::image::Frame;
use crate::plan::{Cast, Effect, Plan, PlanTrack, parse_timecode};
use crate::redact::{self, Cover, Shape, Touched};

/// First frame of a followed track, its first and its last box.
type Held = (u64, Rect<InFrame>, Rect<InFrame>);

/// One region with its times in seconds.
#[derive(Debug, Clone, PartialEq)]
pub struct RegionPlan {
    effect: Effect,
    follow: Option<(u32, [f32; 4])>,
    /// Box of the followed face in its first and last frame, held before and after if the cast names times.
    held: Option<Held>,
    fixed: Option<[f32; 4]>,
    from: f64,
    to: f64,
}

impl RegionPlan {
    /// All regions of a cast.
    ///
    /// # Errors
    /// `Plan` if the plan is damaged.
    pub fn of(cast: &Cast, plan: &Plan) -> Result<Vec<Self>> {
        let time = |t: &Option<toml::Spanned<String>>, default: f64| {
            t.as_ref().and_then(|t| parse_timecode(t.get_ref())).unwrap_or(default)
        };
        cast.regions
            .iter()
            .map(|r| {
                let timed = r.from.is_some() || r.to.is_some();
                let followed = r.follow.as_ref().filter(|_| timed).and_then(|f| plan.track(*f.track.get_ref()));
                Ok(RegionPlan {
                    effect: r.effect,
                    follow: r.follow.as_ref().map(|f| (*f.track.get_ref(), f.rect)),
                    held: followed.map(ends).transpose()?.flatten(),
                    fixed: r.rect,
                    from: time(&r.from, 0.0),
                    to: time(&r.to, f64::INFINITY),
                })
            })
            .collect()
    }

    /// Applies the region at `seconds`, in frame `index`. `face` gives the box of a track in this frame.
    pub fn apply(
        &self,
        frame: &mut Frame,
        (index, seconds): (u64, f64),
        face: impl Fn(u32) -> Option<Rect<InFrame>>,
    ) -> Option<Touched> {
        if !(self.from..self.to).contains(&seconds) {
            return None;
        }
        let rect = if let Some((track, [x0, y0, x1, y1])) = self.follow {
            // A lost face does not lay bare what was to be hidden at this time: its nearest place is held.
            let nearest = self.held.map(|(first, start, end)| if index < first { start } else { end });
            let f = face(track).or(nearest)?;
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

/// First frame of a track with its boxes in the first and the last frame.
fn ends(track: &PlanTrack) -> Result<Option<Held>> {
    let rect = |frame: u64| Ok(track.samples(frame, frame + 1)?.first().map(|s| s.1.rect));
    let (first, last) = (rect(track.first.0)?, rect(track.end.0.saturating_sub(1))?);
    Ok(first.zip(last).map(|(a, b)| (track.first.0, a, b)))
}
