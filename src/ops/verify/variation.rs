//! What of the host is varied: a table.

use std::ffi::{OsStr, OsString};

use envbox_sandbox::Source;
use serde::{Serialize, Serializer};

/// Something of the host that a step must not depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Variation {
    /// Where the project is.
    Path,
    /// In which order the names of the project were created.
    Order,
    /// When the project's files were changed last.
    Times,
    /// The umask of who starts envbox.
    Umask,
    /// The locale of who starts envbox.
    Locale,
    /// The time zone of who starts envbox.
    TimeZone,
    /// Home directory and names of who starts envbox.
    Home,
    /// Other variables of who starts envbox.
    Environment,
    /// By which path the store is reached.
    Store,
    /// How many processors envbox may use.
    Processors,
    /// How busy the host is.
    Load,
    /// How urgent the process is.
    Priority,
    /// The second in which the run starts.
    Second,
    /// The date, as envbox itself sees it.
    Date,
    /// The host's name.
    HostName,
    /// Who starts envbox.
    User,
}

/// What a host must have so that something can be varied on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    /// Nothing.
    Nothing,
    /// The caller is root.
    Root,
    /// There is a second processor.
    Processors,
    /// `faketime` is installed.
    FakeTime,
}

impl Needs {
    /// Says what is missing, for people.
    pub(super) fn missing(self) -> &'static str {
        match self {
            Self::Nothing => "it is not wanted",
            Self::Root => "only root can",
            Self::Processors => "there is one processor",
            Self::FakeTime => "`faketime` is not installed",
        }
    }
}

/// A row of the table.
pub(super) struct Row {
    pub(super) variation: Variation,
    /// What it is called.
    pub(super) name: &'static str,
    /// What is done.
    pub(super) what: &'static str,
    /// What it takes.
    pub(super) needs: Needs,
    /// The sources of nondeterminism through which a step could see it, likeliest first.
    pub(super) sources: &'static [Source],
}

/// Everything that is varied. Those that need nothing of the host come first.
pub(super) const TABLE: [Row; 16] = [
    Row {
        variation: Variation::Path,
        name: "path",
        what: "the project is in a deeper directory, with spaces and letters beyond ASCII",
        needs: Needs::Nothing,
        sources: &[Source::ProcessFacts, Source::FileStatus],
    },
    Row {
        variation: Variation::Order,
        name: "order",
        what: "the project's files are created in the reverse order",
        needs: Needs::Nothing,
        sources: &[Source::DirectoryOrder, Source::FileStatus],
    },
    Row {
        variation: Variation::Times,
        name: "times",
        what: "the project's files were last changed on another day",
        needs: Needs::Nothing,
        sources: &[Source::FileStatus],
    },
    Row {
        variation: Variation::Umask,
        name: "umask",
        what: "umask 0077 instead of 0022",
        needs: Needs::Nothing,
        sources: &[Source::FileStatus],
    },
    Row {
        variation: Variation::Locale,
        name: "locale",
        what: "a Turkish locale",
        needs: Needs::Nothing,
        sources: &[],
    },
    Row {
        variation: Variation::TimeZone,
        name: "time-zone",
        what: "a time zone 14 hours ahead",
        needs: Needs::Nothing,
        sources: &[],
    },
    Row {
        variation: Variation::Home,
        name: "home",
        what: "another home directory and user name in the environment",
        needs: Needs::Nothing,
        sources: &[Source::Outside],
    },
    Row {
        variation: Variation::Environment,
        name: "environment",
        what: "variables that interpreters and numeric libraries read, and four kilobytes more",
        needs: Needs::Nothing,
        sources: &[Source::ProcessFacts],
    },
    Row {
        variation: Variation::Store,
        name: "store",
        what: "the store is reached by another path",
        needs: Needs::Nothing,
        sources: &[Source::ProcessFacts],
    },
    Row {
        variation: Variation::Load,
        name: "load",
        what: "another process keeps a processor busy",
        needs: Needs::Nothing,
        sources: &[
            Source::Threads,
            Source::Usage,
            Source::Scheduling,
            Source::ProcessorClock,
            Source::MonotonicClock,
            Source::WallClock,
            Source::Wait,
        ],
    },
    Row {
        variation: Variation::Priority,
        name: "priority",
        what: "nicer by 5",
        needs: Needs::Nothing,
        sources: &[
            Source::Threads,
            Source::ProcessFacts,
            Source::Scheduling,
            Source::Usage,
        ],
    },
    Row {
        variation: Variation::Second,
        name: "second",
        what: "starts at least a second after the run before",
        needs: Needs::Nothing,
        sources: &[
            Source::WallClock,
            Source::FileStatus,
            Source::MonotonicClock,
        ],
    },
    Row {
        variation: Variation::Processors,
        name: "processors",
        what: "envbox may use the last processor alone",
        needs: Needs::Processors,
        sources: &[
            Source::Threads,
            Source::Scheduling,
            Source::Usage,
            Source::ProcessorClock,
            Source::Machine,
        ],
    },
    Row {
        variation: Variation::Date,
        name: "date",
        what: "envbox itself sees a date 400 days later",
        needs: Needs::FakeTime,
        sources: &[Source::WallClock, Source::FileStatus],
    },
    Row {
        variation: Variation::HostName,
        name: "host-name",
        what: "another name of the host",
        needs: Needs::Root,
        sources: &[Source::Machine, Source::ProcessFacts],
    },
    Row {
        variation: Variation::User,
        name: "user",
        what: "started by an ordinary user, from directories of that user's",
        needs: Needs::Root,
        sources: &[Source::FileStatus, Source::ProcessFacts],
    },
];

/// What is other in every run without anything being done about it.
pub const ALWAYS: &str = "process numbers of the host, inode numbers, addresses and random bytes \
                          of envbox's own process, real time";

impl Variation {
    pub(super) fn row(self) -> &'static Row {
        let row = TABLE.iter().find(|row| row.variation == self);
        row.expect("every variation has a row (`tests::every_variation_has_one_row`)")
    }

    /// Returns what it is called.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// Returns what is done, in a few words.
    pub fn what(self) -> &'static str {
        self.row().what
    }

    /// Returns the one of that name.
    pub fn named(name: &str) -> Option<Self> {
        let row = TABLE.iter().find(|row| row.name == name);
        row.map(|row| row.variation)
    }

    /// Returns the names of all.
    pub fn names() -> impl Iterator<Item = &'static str> {
        TABLE.iter().map(|row| row.name)
    }
}

impl Serialize for Variation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// How many processors the table's processes have is read from here by libraries that would split
/// their work differently.
const THREADS: &str = "3";

/// Returns the variables that a variation sets; a path is put after what ends with `/`.
pub(super) fn variables(variation: Variation) -> Vec<(OsString, OsString)> {
    let text: &[(&str, &str)] = match variation {
        Variation::Locale => &[
            ("LANG", "tr_TR.UTF-8"),
            ("LC_ALL", "tr_TR.UTF-8"),
            ("LANGUAGE", "tr"),
        ],
        Variation::TimeZone => &[("TZ", "Pacific/Kiritimati")],
        Variation::Home => &[
            ("HOME", "/nonexistent/home of another"),
            ("USER", "somebody"),
            ("LOGNAME", "somebody"),
            ("SHELL", "/bin/false"),
            ("XDG_CACHE_HOME", "/nonexistent/cache"),
            ("XDG_CONFIG_HOME", "/nonexistent/config"),
            ("XDG_DATA_HOME", "/nonexistent/data"),
        ],
        Variation::Environment => &[
            ("PYTHONHASHSEED", "12345"),
            ("PYTHONPATH", "/nonexistent/python"),
            ("PYTHONOPTIMIZE", "1"),
            ("SOURCE_DATE_EPOCH", "1"),
            ("OMP_NUM_THREADS", THREADS),
            ("OPENBLAS_NUM_THREADS", THREADS),
            ("MKL_NUM_THREADS", THREADS),
            ("OPENBLAS_CORETYPE", "Prescott"),
            ("MKL_CBWR", "COMPATIBLE"),
            ("ONEDNN_MAX_CPU_ISA", "SSE41"),
            ("ATEN_CPU_CAPABILITY", "default"),
            ("NPY_DISABLE_CPU_FEATURES", "AVX2"),
            ("CUDA_VISIBLE_DEVICES", "7"),
            ("TERM", "dumb"),
            ("COLUMNS", "41"),
            ("TMPDIR", "/nonexistent/tmp"),
            ("CI", "1"),
        ],
        _ => &[],
    };
    let mut variables: Vec<_> = text
        .iter()
        .map(|(name, value)| ((*name).into(), (*value).into()))
        .collect();
    if variation == Variation::Environment {
        // Moves whatever is on a stack that starts below it.
        variables.push(("ENVBOX_VERIFY_JUNK".into(), "junk ".repeat(820).into()));
    }
    variables
}

/// Returns the names of variables that a variation sets and that the step gets by the user's own
/// wish: those are left as they are.
pub(super) fn wanted(variation: Variation, passed: &[OsString]) -> Vec<&OsStr> {
    let set = variables(variation);
    let is_set = |name: &&OsString| set.iter().any(|(found, _)| found == *name);
    passed.iter().filter(is_set).map(AsRef::as_ref).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variation_has_one_row() {
        use Variation::{
            Date, Environment, Home, HostName, Load, Locale, Order, Path, Priority, Processors,
            Second, Store, TimeZone, Times, Umask, User,
        };
        let all = [
            Path,
            Order,
            Times,
            Umask,
            Locale,
            TimeZone,
            Home,
            Environment,
            Store,
            Processors,
            Load,
            Priority,
            Second,
            Date,
            HostName,
            User,
        ];
        let mut named: Vec<_> = Variation::names().filter_map(Variation::named).collect();
        named.sort();
        assert_eq!(named, all);
    }

    #[test]
    fn what_the_user_passes_on_is_left_alone() {
        let passed = ["TZ".into(), "LANG".into()];
        assert_eq!(wanted(Variation::TimeZone, &passed), ["TZ"]);
        assert_eq!(wanted(Variation::Home, &passed), [""; 0]);
    }
}
