//! Time and frame numbers as types of their own.

use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;

/// Picture number in presentation order, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FrameIndex(pub u64);

/// Instant in ticks of its stream's [`TimeBase`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

/// Seconds per tick, as a fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TimeBase {
    /// Numerator.
    pub num: NonZeroU32,
    /// Denominator.
    pub den: NonZeroU32,
}

impl TimeBase {
    /// A time base, or `None` if either part is not in 1..=u32::MAX.
    #[must_use]
    pub fn new(num: i64, den: i64) -> Option<Self> {
        let part = |v: i64| u32::try_from(v).ok().and_then(NonZeroU32::new);
        Some(TimeBase { num: part(num)?, den: part(den)? })
    }

    /// Seconds of an instant; for display and for matching streams, not for arithmetic on ticks.
    #[must_use]
    pub fn seconds(self, t: Timestamp) -> f64 {
        t.0 as f64 * f64::from(self.num.get()) / f64::from(self.den.get())
    }

    /// The tick nearest to `seconds`.
    #[must_use]
    pub fn tick(self, seconds: f64) -> Timestamp {
        Timestamp((seconds * f64::from(self.den.get()) / f64::from(self.num.get())).round() as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_and_seconds_agree() {
        let tb = TimeBase::new(1001, 30000).unwrap();
        assert!((tb.seconds(Timestamp(30)) - 1.001).abs() < 1e-12);
        assert_eq!(tb.tick(1.001), Timestamp(30));
        assert!(TimeBase::new(0, 25).is_none());
        assert!(TimeBase::new(1, -25).is_none());
    }
}
