//! What an audited run drew, and which of it can be why runs differ.

use std::path::Path;

use envbox_lockfiles::base::fs::read;
use envbox_sandbox::Source;
use serde::{Deserialize, Serialize};

use crate::ops::verify::VerifyError;
use crate::ops::verify::report::Cause;

/// Something that a run drew from a source of nondeterminism.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Drawn {
    /// The source's name, as `envbox audit` has it.
    pub source: String,
    /// What was called, and with what.
    pub what: String,
    /// How often.
    pub count: u64,
    /// Whose doing it was: `code`, `program`, `import` or `start`.
    pub origin: String,
    /// The program, by its path inside.
    pub program: String,
    /// Whether the sandbox answers the same each time.
    pub held: bool,
    /// By what, or why not.
    pub by: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// The line of the step's own code that led there first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<Line>,
}

/// A line of Python.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The file; relative to the project if it is in there.
    pub file: String,
    /// The line.
    pub line: u32,
    /// The function; `<module>` outside of any.
    pub function: String,
}

impl Line {
    /// Says whether the file is one of the project.
    pub fn is_in_project(&self) -> bool {
        !self.file.starts_with('/') && !self.file.starts_with('<')
    }
}

#[derive(Deserialize)]
struct AuditWire {
    sources: Vec<SourceWire>,
}

#[derive(Deserialize)]
struct SourceWire {
    source: String,
    draws: Vec<DrawWire>,
}

#[derive(Deserialize)]
struct DrawWire {
    origin: String,
    program: String,
    what: String,
    count: u64,
    held: String,
    by: String,
    remedy: Option<String>,
    first: Option<Line>,
}

/// Reads the document of an audit.
pub(super) fn read_audit(file: &Path) -> Result<Vec<Drawn>, VerifyError> {
    let bytes = read(file)?;
    let audit: AuditWire = serde_json::from_slice(&bytes).map_err(|error| VerifyError::Result {
        file: file.to_path_buf(),
        reason: error.to_string(),
    })?;
    let sources = audit.sources.into_iter();
    let drawn = sources.flat_map(|SourceWire { source, draws }| {
        draws.into_iter().map(move |draw| Drawn {
            source: source.clone(),
            what: draw.what,
            count: draw.count,
            origin: draw.origin,
            program: draw.program,
            held: draw.held == "held",
            by: draw.by,
            remedy: draw.remedy,
            line: draw.first,
        })
    });
    Ok(drawn.collect())
}

/// What differs by itself from run to run, likeliest first: what a program reads for its value goes
/// before what it looks at in passing.
const BY_ITSELF: [Source; 14] = [
    Source::WallClock,
    Source::Randomness,
    Source::Network,
    Source::MonotonicClock,
    Source::Counter,
    Source::ProcessorClock,
    Source::Threads,
    Source::Scheduling,
    Source::Usage,
    Source::Machine,
    Source::ProcessFacts,
    Source::Device,
    Source::Wait,
    Source::FileStatus,
];

/// Returns those draws that can be why runs differ, likeliest first: of sources that are not held,
/// through which what differs can be seen. `outputs` are the paths that the step wrote.
pub(super) fn suspects(drawn: &[Drawn], cause: Option<&Cause>, outputs: &[&str]) -> Vec<Drawn> {
    let sources: Vec<Source> = match cause {
        Some(Cause::Threads) => vec![Source::Threads, Source::Scheduling],
        Some(Cause::Varied { variations }) => {
            let sources = variations.iter().flat_map(|one| one.row().sources);
            sources.copied().collect()
        }
        Some(Cause::Itself) | None => BY_ITSELF.to_vec(),
    };
    let rank = |draw: &Drawn| {
        let source = sources
            .iter()
            .position(|source| source.name() == draw.source)?;
        let files = draw.source == Source::FileStatus.name();
        // Whoever starts and imports looks at files without making anything of it.
        if files && !is_own(draw) {
            return None;
        }
        let doubt = if files { doubt(&draw.what, outputs) } else { 0 };
        Some((!is_own(draw), doubt, source, draw.origin == "program"))
    };
    let open = drawn.iter().filter(|draw| !draw.held);
    let mut ranked: Vec<_> = open.filter_map(|draw| Some((rank(draw)?, draw))).collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    // What imports draw says little where the step's own code did the same, and so do looks at where
    // the step is where there were others. A file that it wrote may be what it looked at later.
    let least = ranked
        .first()
        .map(|((import, doubt, ..), _)| (*import, *doubt));
    let likely = ranked.into_iter().filter(|((import, doubt, ..), _)| {
        least.is_some_and(|(first, least)| *import == first && (*doubt < 2 || least == 2))
    });
    likely.map(|(_, draw)| draw.clone()).collect()
}

/// Says how little the status of a path is likely to matter: that of what the step was given does,
/// whoever writes a file has its status told, and shells look at where they are.
fn doubt(path: &str, outputs: &[&str]) -> u8 {
    match path.strip_prefix("/project/") {
        Some(path) if outputs.contains(&path) => 1,
        Some(_) => 0,
        None => 2,
    }
}

/// Says whether the step itself did it.
pub(super) fn is_own(draw: &Drawn) -> bool {
    draw.origin == "code" || draw.origin == "program"
}

/// Says whether people want to know of it: what the step itself did, and the seeds that modules draw
/// when they are imported, which are what the step draws from later.
pub(super) fn is_told(draw: &Drawn) -> bool {
    let seeds = draw.origin == "import" && draw.source == Source::Randomness.name();
    is_own(draw) || (seeds && draw.line.as_ref().is_some_and(Line::is_in_project))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::verify::Variation;

    fn drawn(source: Source, what: &str, origin: &str, held: bool) -> Drawn {
        Drawn {
            source: source.name().to_owned(),
            what: what.to_owned(),
            count: 1,
            origin: origin.to_owned(),
            program: "/usr/bin/python3".to_owned(),
            held,
            by: String::new(),
            remedy: None,
            line: None,
        }
    }

    #[test]
    fn what_can_be_the_cause_goes_by_what_was_varied() {
        let all = [
            drawn(Source::FileStatus, "/project/out", "code", false),
            drawn(Source::FileStatus, "/project/data", "code", false),
            drawn(Source::FileStatus, "/project/train.py", "start", false),
            drawn(Source::Threads, "clone", "import", false),
            drawn(Source::Randomness, "getrandom", "code", true),
            drawn(Source::WallClock, "time", "code", false),
        ];
        let named = |cause: Option<Cause>, all: &[Drawn]| {
            let suspects = suspects(all, cause.as_ref(), &["out"]);
            let names = suspects.iter().map(|one| one.what.clone());
            names.collect::<Vec<_>>().join(" ")
        };
        let varied = |variation| {
            let variations = vec![variation];
            Some(Cause::Varied { variations })
        };
        assert_eq!(
            named(varied(Variation::Times), &all),
            "/project/data /project/out"
        );
        assert_eq!(named(varied(Variation::Locale), &all), "");
        assert_eq!(
            named(Some(Cause::Itself), &all),
            "time /project/data /project/out"
        );
        assert_eq!(named(Some(Cause::Threads), &all), "clone");
        // What imports do counts where nothing else can be blamed.
        assert_eq!(named(Some(Cause::Itself), &all[2..5]), "clone");
    }
}
