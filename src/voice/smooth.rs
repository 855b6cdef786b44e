//! Looking ahead by a few frames, and smoothing kernels.

use std::collections::VecDeque;
use std::f64::consts::TAU;

/// Hands out each item together with up to `reach` neighbours on both sides.
pub struct Lookaround<T> {
    items: VecDeque<T>,
    reach: usize,
    centre: usize,
}

/// One item and its neighbours.
pub struct View<'a, T> {
    items: &'a VecDeque<T>,
    centre: usize,
}

impl<'a, T> View<'a, T> {
    /// The item itself.
    #[must_use]
    pub fn centre(&self) -> &'a T {
        &self.items[self.centre]
    }

    /// The neighbour `offset` frames later (earlier if negative), or the nearest item there is.
    #[must_use]
    pub fn clamped(&self, offset: isize) -> &'a T {
        let i = self.centre.saturating_add_signed(offset).min(self.items.len() - 1);
        &self.items[i]
    }

    /// All items up to `reach` before and after, the item itself among them.
    pub fn around(&self, reach: usize) -> impl Iterator<Item = &'a T> + use<'a, T> {
        let end = (self.centre + reach + 1).min(self.items.len());
        self.items.range(self.centre.saturating_sub(reach)..end)
    }

    /// Weighted mean of `value` under a symmetric kernel of odd length; missing neighbours are left out.
    #[must_use]
    pub fn mean(&self, kernel: &[f64], value: impl Fn(&T) -> f64) -> f64 {
        let (sum, weight) = self.weigh(kernel).fold((0.0, 0.0), |a, (w, t)| (a.0 + w * value(t), a.1 + w));
        sum / weight
    }

    /// Pairs of weight and neighbour under a symmetric kernel of odd length.
    pub fn weigh<'k>(&self, kernel: &'k [f64]) -> impl Iterator<Item = (f64, &'a T)> + 'k
    where
        'a: 'k,
    {
        let half = (kernel.len() / 2) as isize;
        let (items, centre) = (self.items, self.centre);
        let get = move |k: usize| centre.checked_add_signed(k as isize - half).and_then(|i| items.get(i));
        kernel.iter().enumerate().filter_map(move |(k, w)| Some((*w, get(k)?)))
    }
}

impl<T> Lookaround<T> {
    /// Looks `reach` frames ahead and back.
    #[must_use]
    pub fn new(reach: usize) -> Self {
        Lookaround { items: VecDeque::with_capacity(2 * reach + 2), reach, centre: 0 }
    }

    /// Feeds an item; `see` gets the item `reach` frames earlier.
    pub fn push(&mut self, item: T, mut see: impl FnMut(View<'_, T>)) {
        self.items.push_back(item);
        if self.items.len() > self.centre + self.reach {
            see(View { items: &self.items, centre: self.centre });
            self.advance();
        }
    }

    /// Hands out the items still held back.
    pub fn finish(&mut self, mut see: impl FnMut(View<'_, T>)) {
        while self.centre < self.items.len() {
            see(View { items: &self.items, centre: self.centre });
            self.advance();
        }
    }

    fn advance(&mut self) {
        self.centre += 1;
        if self.centre > self.reach {
            self.items.pop_front();
            self.centre -= 1;
        }
    }
}

/// Hann kernel of odd length `taps`, without zero ends, of unit sum.
#[must_use]
pub fn hann(taps: usize) -> Vec<f64> {
    let raw: Vec<f64> = (1..=taps).map(|i| 0.5 - 0.5 * (TAU * i as f64 / (taps + 1) as f64).cos()).collect();
    let sum: f64 = raw.iter().sum();
    raw.iter().map(|v| v / sum).collect()
}

/// Gaussian kernel of 2·`half` + 1 taps with standard deviation `sd` taps.
#[must_use]
pub fn gaussian(half: usize, sd: f64) -> Vec<f64> {
    (0..=2 * half).map(|i| (-0.5 * ((i as f64 - half as f64) / sd).powi(2)).exp()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_seen_once_in_order() {
        for n in [0_usize, 1, 3, 10] {
            let mut seen = Vec::new();
            let mut look = Lookaround::new(2);
            for i in 0..n {
                look.push(i, |v| seen.push((*v.centre(), *v.clamped(-2), *v.clamped(2))));
            }
            look.finish(|v| seen.push((*v.centre(), *v.clamped(-2), *v.clamped(2))));
            assert_eq!(seen.iter().map(|s| s.0).collect::<Vec<_>>(), (0..n).collect::<Vec<_>>());
            assert!(seen.iter().all(|s| s.1 == s.0.saturating_sub(2) && s.2 == (s.0 + 2).min(n - 1)), "{seen:?}");
        }
    }

    #[test]
    fn means_ignore_what_is_missing() {
        let mut look = Lookaround::new(3);
        let mut out = Vec::new();
        for _ in 0..5 {
            look.push(2.0, |v| out.push(v.mean(&hann(7), |x| *x)));
        }
        look.finish(|v| out.push(v.mean(&hann(7), |x| *x)));
        assert!(out.len() == 5 && out.iter().all(|v| (v - 2.0_f64).abs() < 1e-12));
    }
}
