//! Which interpreter, before anything is asked of a registry.

use crate::base::{DebianName, Platform};
use crate::lock::{LockedDebian, LockedInterpreter};
use crate::manifest::{Interpreter, InterpreterSource, Manifest, PythonVersion};
use crate::resolve::interpreter::standalone::{Release, releases};
use crate::resolve::interpreter::{InterpreterError, Offers};

/// The suites whose Python is known, oldest first. A suite never changes the minor version.
const SUITES: [(&str, (u8, u8)); 2] = [("bookworm", (3, 11)), ("trixie", (3, 13))];

/// The suite of an environment that asks for none.
const DEFAULT_SUITE: &str = "trixie";

/// What the base and the interpreter will be made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The Debian suite of the base.
    pub suite: String,
    /// The interpreter, if one is asked for.
    pub interpreter: Option<Planned>,
}

/// An interpreter as planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Planned {
    /// The suite's own.
    Debian {
        /// Its package.
        package: DebianName,
        /// The version asked for.
        version: PythonVersion,
    },
    /// A standalone one.
    Standalone(Release),
}

/// Chooses suite and interpreter for `manifest`.
///
/// # Errors
/// Returns [`InterpreterError`] when nobody, or not who is asked, offers the version.
pub fn plan(manifest: &Manifest) -> Result<Plan, InterpreterError> {
    let asked = manifest.environment.python.as_ref();
    let Some(python) = asked.filter(|_| !is_from_conda(manifest)) else {
        return Ok(Plan {
            suite: suite_or_default(manifest),
            interpreter: None,
        });
    };
    let platforms = &manifest.environment.platforms;
    match (python.from, debian(manifest, python)) {
        (None | Some(InterpreterSource::Debian), Some(plan)) => Ok(plan),
        (Some(InterpreterSource::Debian), None) => Err(InterpreterError::NotOfferedBy {
            version: python.version,
            from: InterpreterSource::Debian,
            platforms: platforms.clone(),
            offers: offers(python.version, platforms)?,
        }),
        // A channel's was told from the others above.
        (None | Some(InterpreterSource::Standalone | InterpreterSource::Conda), _) => {
            standalone(manifest, python)
        }
    }
}

/// Says whether the interpreter, if there is one, is a channel's package.
pub fn is_from_conda(manifest: &Manifest) -> bool {
    let python = manifest.environment.python.as_ref();
    let from = python.and_then(|python| python.from);
    manifest.conda.is_some() && matches!(from, None | Some(InterpreterSource::Conda))
}

/// Chooses a standalone interpreter for `manifest`, whatever the suites have.
///
/// # Errors
/// As [`plan`].
pub fn plan_standalone(manifest: &Manifest) -> Result<Plan, InterpreterError> {
    match &manifest.environment.python {
        Some(python) if !is_from_conda(manifest) => standalone(manifest, python),
        _ => plan(manifest),
    }
}

/// Plans the suite's own Python, if a suite has the minor version.
fn debian(manifest: &Manifest, python: &Interpreter) -> Option<Plan> {
    let PythonVersion { major, minor, .. } = python.version;
    let suite = match &manifest.debian.suite {
        None => SUITES.iter().find(|(_, has)| *has == (major, minor))?.0,
        Some(suite) => match SUITES.iter().find(|(known, _)| known == suite) {
            Some((_, has)) if *has != (major, minor) => return None,
            // Of an unknown suite only its package list can say what it has, so it is believed
            // to have what is asked of it by name.
            None if python.from.is_none() => return None,
            _ => suite,
        },
    };
    let package = format!("python{major}.{minor}");
    Some(Plan {
        suite: suite.to_owned(),
        interpreter: Some(Planned::Debian {
            package: package.parse().ok()?,
            version: python.version,
        }),
    })
}

/// Plans the newest standalone Python that all platforms have.
fn standalone(manifest: &Manifest, python: &Interpreter) -> Result<Plan, InterpreterError> {
    let platforms = &manifest.environment.platforms;
    let all = releases(platforms)?;
    let fitting = all.into_iter().filter(|release| {
        let (major, minor, patch) = release.version;
        let asked = python.version;
        (major, minor) == (asked.major, asked.minor)
            && asked.patch.is_none_or(|asked| asked == patch)
    });
    match fitting.max_by_key(|release| release.version) {
        Some(release) => Ok(Plan {
            suite: suite_or_default(manifest),
            interpreter: Some(Planned::Standalone(release)),
        }),
        None => {
            let (version, platforms) = (python.version, platforms.clone());
            let offers = offers(version, &platforms)?;
            Err(match python.from {
                None => InterpreterError::NotOffered {
                    version,
                    platforms,
                    offers,
                },
                Some(from) => InterpreterError::NotOfferedBy {
                    version,
                    from,
                    platforms,
                    offers,
                },
            })
        }
    }
}

fn suite_or_default(manifest: &Manifest) -> String {
    let suite = manifest.debian.suite.as_deref();
    suite.unwrap_or(DEFAULT_SUITE).to_owned()
}

/// Lists what there is around `version`.
fn offers(version: PythonVersion, platforms: &[Platform]) -> Result<Offers, InterpreterError> {
    let mut all: Vec<_> = releases(platforms)?;
    all.sort_by_key(|release| release.version);
    let minor = |release: &Release| (release.version.0, release.version.1);
    let same_minor = |release: &Release| minor(release) == (version.major, version.minor);
    if all.iter().any(same_minor) {
        all.retain(same_minor);
    } else {
        all.reverse();
        all.dedup_by_key(|release| minor(release));
        all.reverse();
    }
    let debian = SUITES
        .iter()
        .map(|(suite, (major, minor))| ((*suite).to_owned(), format!("{major}.{minor}")));
    Ok(Offers {
        debian: debian.collect(),
        standalone: all.iter().map(Release::version_text).collect(),
    })
}

/// Returns the whole Python version of the locked `package`: the upstream part of its version.
///
/// # Errors
/// Returns [`InterpreterError::DebianVersion`] when there is none, and
/// [`InterpreterError::Differs`] when platforms have different ones.
pub fn debian_version(
    locked: &LockedDebian,
    package: &DebianName,
    suite: &str,
) -> Result<String, InterpreterError> {
    let mut versions = locked
        .packages
        .iter()
        .filter(|locked| locked.name == *package);
    let invalid = |found: &str| InterpreterError::DebianVersion {
        package: package.to_string(),
        found: found.to_owned(),
    };
    let first = versions.next().ok_or_else(|| invalid(""))?;
    let first = upstream(&first.version).ok_or_else(|| invalid(&first.version))?;
    for other in versions {
        let second = upstream(&other.version).ok_or_else(|| invalid(&other.version))?;
        if second != first {
            return Err(InterpreterError::Differs {
                suite: suite.to_owned(),
                first,
                second,
            });
        }
    }
    Ok(first)
}

/// Returns the `X.Y.Z` that a Debian version begins with, after the version epoch.
fn upstream(version: &str) -> Option<String> {
    let version = version.split_once(':').map_or(version, |(_, rest)| rest);
    let end = version.find(|c: char| !c.is_ascii_digit() && c != '.');
    let upstream = version[..end.unwrap_or(version.len())].trim_end_matches('.');
    (upstream.split('.').count() == 3).then(|| upstream.to_owned())
}

/// Returns the locked interpreter of the suite, once its version is known to be `found`.
///
/// # Errors
/// Returns [`InterpreterError::OtherPatch`] when another patch release was asked for.
pub fn locked_debian(
    version: PythonVersion,
    found: String,
    suite: &str,
    platforms: &[Platform],
) -> Result<LockedInterpreter, InterpreterError> {
    if version.patch.is_some() && found != version.to_string() {
        return Err(InterpreterError::OtherPatch {
            version,
            suite: suite.to_owned(),
            found,
            offers: offers(version, platforms)?,
        });
    }
    Ok(LockedInterpreter {
        from: InterpreterSource::Debian,
        version: found,
        path: format!("/usr/bin/python{}.{}", version.major, version.minor),
        archives: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Explain as _;

    fn manifest(python: &str, from: Option<InterpreterSource>, suite: Option<&str>) -> Manifest {
        let mut numbers = python.split('.').map(|number| number.parse().unwrap());
        let version = PythonVersion {
            major: numbers.next().unwrap(),
            minor: numbers.next().unwrap(),
            patch: numbers.next(),
        };
        crate::resolve::tests::manifest(
            Some(Interpreter { version, from }),
            suite,
            &[Platform::LinuxAmd64, Platform::LinuxArm64],
        )
    }

    #[test]
    fn the_python_version_chooses_the_suite() {
        use InterpreterSource::{Debian, Standalone};
        for (python, from, suite, expected) in [
            ("3.11", None, None, ("bookworm", "python3.11")),
            ("3.13", None, None, ("trixie", "python3.13")),
            ("3.13", Some(Debian), None, ("trixie", "python3.13")),
            ("3.11", None, Some("bookworm"), ("bookworm", "python3.11")),
            ("3.14", Some(Debian), Some("forky"), ("forky", "python3.14")),
            ("3.12.3", None, None, ("trixie", "3.12.3")),
            ("3.12.3", None, Some("bookworm"), ("bookworm", "3.12.3")),
            ("3.11", None, Some("trixie"), ("trixie", "3.11.")),
            ("3.11", Some(Standalone), None, ("trixie", "3.11.")),
            ("3.14", None, Some("forky"), ("forky", "3.14.")),
        ] {
            let plan = plan(&manifest(python, from, suite)).unwrap();
            let interpreter = match plan.interpreter.unwrap() {
                Planned::Debian { package, .. } => package.to_string(),
                Planned::Standalone(release) => release.version_text(),
            };
            let found = (plan.suite.as_str(), interpreter.as_str());
            let fits = found.0 == expected.0 && found.1.starts_with(expected.1);
            assert!(fits, "{python} {from:?} {suite:?}: {found:?}");
        }
    }

    #[test]
    fn what_nobody_offers_is_told_with_what_there_is() {
        let error = plan(&manifest("3.12.99", None, None)).unwrap_err();
        let text = error.to_string();
        let start = "nobody offers Python 3.12.99 for linux/amd64 and linux/arm64; \
                     there is, from debian: 3.11 (`bookworm`), 3.13 (`trixie`); from standalone: 3.12.";
        assert!(text.starts_with(start), "{text}");
        assert!(text.contains("3.12.3, "), "{text}");
        let error = plan(&manifest("2.7", None, None)).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("3.8.20, 3.9."), "{text}");
        let from = Some(InterpreterSource::Debian);
        let error = plan(&manifest("3.12.3", from, None)).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("debian does not offer Python 3.12.3")
        );
        let hint = "set `python = { version = \"3.12.3\", from = \"standalone\" }`";
        assert_eq!(error.hints(), [hint]);
    }

    #[test]
    fn versions_of_debian_hold_those_of_python() {
        for (debian, python) in [
            ("3.11.2-6+deb12u6", Some("3.11.2")),
            ("3.13.5-2", Some("3.13.5")),
            ("1:3.12.0~rc1-1", Some("3.12.0")),
            ("3.11.2+dfsg-1", Some("3.11.2")),
            ("3.11-1", None),
            ("x", None),
        ] {
            assert_eq!(upstream(debian).as_deref(), python, "{debian}");
        }
    }

    #[test]
    fn another_patch_release_is_told() {
        let version = PythonVersion {
            major: 3,
            minor: 11,
            patch: Some(9),
        };
        let platforms = [Platform::LinuxAmd64];
        let error = locked_debian(version, "3.11.2".to_owned(), "bookworm", &platforms);
        let error = error.unwrap_err();
        let text = error.to_string();
        let start = "the Debian suite `bookworm` has Python 3.11.2, not 3.11.9; there is";
        assert!(text.starts_with(start), "{text}");
        assert!(error.hints()[0].contains("standalone"));
        let same = locked_debian(version, "3.11.9".to_owned(), "bookworm", &platforms);
        assert_eq!(same.unwrap().path, "/usr/bin/python3.11");
    }
}
