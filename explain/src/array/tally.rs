//! What is counted while two arrays are read in step.

use crate::array::Scalar;
use crate::base::{Difference, Numbers};

/// Parts of an array whose differing elements are counted on their own.
const PARTS: usize = 32;

/// What is counted while two arrays are read in step.
#[derive(Debug)]
pub(crate) struct Tally {
    numbers: Numbers,
    first: Option<(u64, Scalar, Scalar)>,
    max_at: u64,
    /// Buckets of distances, by the position of their highest bit.
    ulps: [u64; 64],
}

impl Tally {
    /// Returns the tally of an array of so many elements.
    pub(crate) fn new(elements: u64) -> Self {
        Self {
            numbers: Numbers {
                elements,
                parts: vec![0; PARTS.min(usize::try_from(elements).unwrap_or(PARTS)).max(1)],
                ..Numbers::default()
            },
            first: None,
            max_at: 0,
            ulps: [0; 64],
        }
    }

    /// Counts an element that differs.
    pub(crate) fn differ(&mut self, at: u64, old: Scalar, new: Scalar) {
        self.numbers.differing += 1;
        let parts = self.numbers.parts.len() as u128;
        let part = u128::from(at) * parts / u128::from(self.numbers.elements.max(1));
        if let Some(part) = self
            .numbers
            .parts
            .get_mut(usize::try_from(part).unwrap_or(0))
        {
            *part += 1;
        }
        self.distance(at, &old, &new);
        if self.first.is_none() {
            self.first = Some((at, old, new));
        }
    }

    fn distance(&mut self, at: u64, old: &Scalar, new: &Scalar) {
        match (old, new) {
            (Scalar::Float(float, old), Scalar::Float(other, new)) if float == other => {
                let (from, to) = (float.value(*old), float.value(*new));
                if from.is_nan() && to.is_nan() {
                    self.numbers.nan_payloads += 1;
                } else if !from.is_finite() || !to.is_finite() {
                    self.numbers.not_finite += 1;
                } else {
                    self.absolute(at, (from - to).abs());
                    self.ulp(float.ulps(*old, *new));
                }
            }
            (Scalar::Complex(float, re_old, im_old), Scalar::Complex(other, re_new, im_new))
                if float == other =>
            {
                let re = float.value(*re_old) - float.value(*re_new);
                let im = float.value(*im_old) - float.value(*im_new);
                let distance = re.hypot(im);
                if distance.is_finite() {
                    self.absolute(at, distance);
                    let ulps = float.ulps(*re_old, *re_new);
                    self.ulp(ulps.max(float.ulps(*im_old, *im_new)));
                } else {
                    self.numbers.not_finite += 1;
                }
            }
            (Scalar::Int(old), Scalar::Int(new)) => self.absolute(at, old.abs_diff(*new) as f64),
            (Scalar::Time(old, unit), Scalar::Time(new, other)) if unit == other => {
                self.absolute(at, old.abs_diff(*new) as f64);
            }
            _ => {
                if let (Some(old), Some(new)) = (old.number(), new.number()) {
                    if old.is_finite() && new.is_finite() {
                        self.absolute(at, (old - new).abs());
                    } else {
                        self.numbers.not_finite += 1;
                    }
                }
            }
        }
    }

    fn absolute(&mut self, at: u64, distance: f64) {
        // Two finite numbers of opposite sign may lie further apart than the largest one.
        let distance = distance.min(f64::MAX);
        if self.numbers.max_abs.is_none_or(|max| distance > max) {
            self.numbers.max_abs = Some(distance);
            self.max_at = at;
        }
    }

    fn ulp(&mut self, distance: u64) {
        self.numbers.max_ulp = Some(self.numbers.max_ulp.unwrap_or(0).max(distance));
        match distance.checked_ilog2() {
            Some(bucket) => self.ulps[bucket as usize] += 1,
            None => self.numbers.zero_signs += 1,
        }
    }

    /// Returns the difference at a place; none when nothing differs. `index` makes an element's
    /// number its index.
    pub(crate) fn finish(
        mut self,
        at: &str,
        index: impl Fn(u64) -> Vec<u64>,
    ) -> Option<Difference> {
        let (first, old, new) = self.first?;
        let numbers = &mut self.numbers;
        numbers.first = index(first);
        numbers.max_at = numbers.max_abs.map(|_| index(self.max_at));
        numbers.share = numbers.differing as f64 / numbers.elements.max(1) as f64;
        let used = self
            .ulps
            .iter()
            .rposition(|count| *count > 0)
            .map_or(0, |last| last + 1);
        numbers.ulps = self.ulps[..used].to_vec();
        let place: Vec<String> = numbers.first.iter().map(u64::to_string).collect();
        let place = if place.is_empty() {
            String::new()
        } else {
            format!("[{}]", place.join(", "))
        };
        let mut difference =
            Difference::new(&format!("{at}{place}"), old.to_string(), new.to_string());
        if numbers.nan_payloads == numbers.differing {
            difference.note = Some("only the bits of NaN differ".to_owned());
        } else if numbers.zero_signs == numbers.differing {
            difference.note = Some("only the sign of zeros differs".to_owned());
        }
        difference.numbers = Some(self.numbers);
        Some(difference)
    }
}
