//! From two runs that differ to what makes them differ, by further runs.

use crate::ops::verify::report::Cause;
use crate::ops::verify::runner::Ran;
use crate::ops::verify::{Variation, VerifyError};

/// How often a run of which nothing is varied is repeated before what was varied is blamed.
const REPEATS: usize = 2;

/// How many runs with one processor must be alike before threads are blamed.
const ALONE: usize = 3;

/// Makes runs and compares them with the first one.
pub(super) trait Runs {
    /// Makes a run and says whether it differs from the first.
    fn differs(&mut self, varied: &[Variation]) -> Result<bool, VerifyError>;

    /// Makes a run whose step sees one processor.
    fn alone(&mut self) -> Result<Ran, VerifyError>;

    /// Says whether two runs differ.
    fn are_different(&self, one: &Ran, other: &Ran) -> bool;

    /// Returns how many processors the step usually sees.
    fn cpus(&self) -> u32;
}

/// Finds why a run with `varied` differed from the first.
pub(super) fn diagnose(runs: &mut impl Runs, varied: &[Variation]) -> Result<Cause, VerifyError> {
    for _ in 0..REPEATS {
        if runs.differs(&[])? {
            return by_itself(runs);
        }
    }
    if !varied.is_empty() {
        let least = least(runs, varied.to_vec())?;
        // What happens by chance does not happen when it is asked to.
        if runs.differs(&least)? && !runs.differs(&[])? {
            return Ok(Cause::Varied { variations: least });
        }
    }
    by_itself(runs)
}

fn by_itself(runs: &mut impl Runs) -> Result<Cause, VerifyError> {
    if runs.cpus() == 1 {
        return Ok(Cause::Itself);
    }
    let first = runs.alone()?;
    for _ in 1..ALONE {
        let again = runs.alone()?;
        if runs.are_different(&first, &again) {
            return Ok(Cause::Itself);
        }
    }
    Ok(Cause::Threads)
}

/// Returns the variations without any of which runs do not differ: a half that is enough, and a
/// half of that, and where both halves are needed, one after the other that can be left out.
fn least(runs: &mut impl Runs, mut varied: Vec<Variation>) -> Result<Vec<Variation>, VerifyError> {
    while varied.len() > 1 {
        let (one, other) = varied.split_at(varied.len() / 2);
        let (one, other) = (one.to_vec(), other.to_vec());
        if runs.differs(&one)? {
            varied = one;
        } else if runs.differs(&other)? {
            varied = other;
        } else {
            return all_needed(runs, varied);
        }
    }
    Ok(varied)
}

fn all_needed(
    runs: &mut impl Runs,
    mut varied: Vec<Variation>,
) -> Result<Vec<Variation>, VerifyError> {
    for variation in varied.clone() {
        let without: Vec<Variation> = varied
            .iter()
            .copied()
            .filter(|one| *one != variation)
            .collect();
        if runs.differs(&without)? {
            varied = without;
        }
    }
    Ok(varied)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;
    use std::time::Duration;

    use envbox_lockfiles::base::Digest;

    use super::*;
    use crate::ops::verify::capture::Captured;
    use crate::ops::verify::outcome::Outcome;
    use crate::ops::verify::runner::Plan;

    /// A step that is simulated.
    struct Step<F> {
        differs: F,
        /// What runs with one processor leave.
        alone: Vec<u8>,
        cpus: u32,
        made: usize,
    }

    impl<F: FnMut(&[Variation]) -> bool> Runs for Step<F> {
        fn differs(&mut self, varied: &[Variation]) -> Result<bool, VerifyError> {
            self.made += 1;
            Ok((self.differs)(varied))
        }

        fn alone(&mut self) -> Result<Ran, VerifyError> {
            self.made += 1;
            let printed = vec![self.alone.remove(0)];
            let captured = Captured {
                digest: Digest::of(&printed),
                size: 1,
                head: printed,
            };
            Ok(Ran {
                plan: Plan::default(),
                number: 0,
                outcome: Outcome {
                    outputs: BTreeMap::new(),
                },
                directory: PathBuf::new(),
                stdout: captured.clone(),
                stderr: captured,
                record: None,
                drawn: Vec::new(),
                wall: Duration::ZERO,
            })
        }

        fn are_different(&self, one: &Ran, other: &Ran) -> bool {
            one.stdout != other.stdout
        }

        fn cpus(&self) -> u32 {
            self.cpus
        }
    }

    const ALL: [Variation; 6] = [
        Variation::Path,
        Variation::Order,
        Variation::Times,
        Variation::Umask,
        Variation::Load,
        Variation::User,
    ];

    fn diagnosed(
        differs: impl FnMut(&[Variation]) -> bool,
        cpus: u32,
        alone: &[u8],
    ) -> (Cause, usize) {
        let mut step = Step {
            differs,
            alone: alone.to_vec(),
            cpus,
            made: 0,
        };
        let cause = diagnose(&mut step, &ALL).unwrap();
        (cause, step.made)
    }

    #[test]
    fn the_one_variation_that_matters_is_found() {
        for culprit in ALL {
            let (cause, made) = diagnosed(|varied| varied.contains(&culprit), 1, &[]);
            let variations = vec![culprit];
            assert_eq!(cause, Cause::Varied { variations });
            assert!(made <= 10, "{made}");
        }
    }

    #[test]
    fn two_that_matter_together_are_found() {
        let both = [Variation::Order, Variation::User];
        let differs = |varied: &[Variation]| both.iter().all(|one| varied.contains(one));
        let (cause, _) = diagnosed(differs, 1, &[]);
        let variations = both.to_vec();
        assert_eq!(cause, Cause::Varied { variations });
    }

    #[test]
    fn what_differs_by_itself_is_a_race_if_one_processor_ends_it() {
        assert_eq!(diagnosed(|_| true, 1, &[]).0, Cause::Itself);
        assert_eq!(diagnosed(|_| true, 2, &[1, 1, 1]).0, Cause::Threads);
        assert_eq!(diagnosed(|_| true, 2, &[1, 1, 2]).0, Cause::Itself);
    }

    #[test]
    fn what_happened_by_chance_is_not_put_on_a_variation() {
        let (mut runs, chance) = (0, 4);
        let differs = |_: &[Variation]| {
            runs += 1;
            runs == chance
        };
        assert_eq!(diagnosed(differs, 1, &[]).0, Cause::Itself);
    }
}
