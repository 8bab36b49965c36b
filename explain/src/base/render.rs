//! An explanation as lines of text.

use crate::base::{Difference, Explanation, Numbers};

impl Explanation {
    /// Returns the lines that tell it to somebody who reads.
    #[must_use]
    pub fn render(&self) -> Vec<String> {
        if self.same {
            return vec![format!("{}: the same", self.kind)];
        }
        let only = if self.metadata_only {
            ", only in what carries no value"
        } else {
            ""
        };
        let mut lines = vec![format!("{}: different{only}", self.kind)];
        for difference in &self.differences {
            lines.extend(
                difference
                    .render()
                    .into_iter()
                    .map(|line| format!("  {line}")),
            );
        }
        if self.more > 0 {
            lines.push(format!("  … and {} more differences", self.more));
        }
        lines
    }
}

impl Difference {
    /// Returns the lines that tell it.
    #[must_use]
    pub fn render(&self) -> Vec<String> {
        let at = if self.at.is_empty() {
            "whole"
        } else {
            &self.at
        };
        let mut lines = vec![format!("{at}: {} -> {}", self.old, self.new)];
        let numbers = self.numbers.as_ref().map(Numbers::render);
        lines.extend(
            numbers
                .filter(|line| !line.is_empty())
                .map(|line| format!("  {line}")),
        );
        if let Some(note) = &self.note {
            lines.push(format!("  {note}"));
        }
        lines
    }
}

impl Numbers {
    /// Returns the line that tells them; empty when there is nothing to tell.
    #[must_use]
    pub fn render(&self) -> String {
        let percent = self.share * 100.0;
        let mut parts = Vec::new();
        if self.elements != 1 {
            let (differing, elements) = (self.differing, self.elements);
            parts.push(format!(
                "{differing} of {elements} elements differ ({percent:.3} %)"
            ));
        }
        // A distance of nothing is that of a zero's sign, or too small for 64 bits.
        if let Some(max_abs) = self.max_abs.filter(|distance| *distance > 0.0) {
            // The first one stands at the place already.
            let at = self.max_at.as_ref().filter(|at| **at != self.first);
            let at = at.map(|at| index(at)).unwrap_or_default();
            let most = if self.differing == 1 {
                "by"
            } else {
                "at most by"
            };
            parts.push(format!("{most} {}{at}", short(max_abs)));
        }
        if let Some(max_ulp) = self.max_ulp.filter(|distance| *distance > 0) {
            parts.push(format!("{max_ulp} ulp"));
        }
        for (count, what) in [
            (self.not_finite, "finite on one side only"),
            (self.nan_payloads, "NaN with other bits"),
            (self.zero_signs, "zero with another sign"),
        ] {
            if count > 0 {
                parts.push(format!("{count} {what}"));
            }
        }
        parts.join(", ")
    }
}

/// Returns a number with four digits that count.
fn short(number: f64) -> String {
    let rounded = format!("{number:.3e}");
    let (digits, exponent) = rounded.split_once('e').unwrap_or((&rounded, "0"));
    match (exponent.parse(), rounded.parse::<f64>()) {
        (Ok(-3..=5), Ok(value)) => value.to_string(),
        _ if digits.contains('.') => {
            let digits = digits.trim_end_matches('0').trim_end_matches('.');
            format!("{digits}e{exponent}")
        }
        _ => rounded,
    }
}

fn index(index: &[u64]) -> String {
    if index.is_empty() {
        return String::new();
    }
    let numbers: Vec<String> = index.iter().map(u64::to_string).collect();
    format!(" at [{}]", numbers.join(", "))
}

#[cfg(test)]
mod tests {
    use crate::base::render::short;

    #[test]
    fn distances_are_told_with_few_digits() {
        for (number, told) in [
            (0.25, "0.25"),
            (3.0, "3"),
            (1.000_000_000_000_000_9e-3, "0.001"),
            (4.816_055e-5, "4.816e-5"),
            (1e-9, "1e-9"),
            (123_456.0, "123500"),
            (1.5e300, "1.5e300"),
            (f64::MAX, "1.798e308"),
        ] {
            assert_eq!(short(number), told);
        }
    }
}
