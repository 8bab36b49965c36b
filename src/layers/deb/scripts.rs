//! What the maintainer scripts of a package would do on a first installation.
//!
//! A script is taken for known when every statement that a first installation reaches is without
//! effect in a tree that nobody will upgrade or boot, or is done by envbox in another way. That is
//! judged statement by statement: conditions on the script's arguments are decided, everything else
//! is assumed to happen.

use envbox_lockfiles::base::DebianName;

use crate::layers::LayerError;
use crate::layers::deb::allowed::is_allowed;
use crate::layers::deb::alternatives::{Alternative, Link};
use crate::layers::deb::control::Control;
use crate::layers::deb::shell::{literal_words, starts_with_word, statements};

/// Sections that debhelper adds, by the program that adds them, when nothing in them matters: they
/// start daemons, register documentation, compile Python, care for upgrades.
const HELPERS: &[&str] = &[
    "dh_icons",
    "dh_installcatalogs",
    "dh_installdeb",
    "dh_installdebconf",
    "dh_installdocs",
    "dh_installemacsen",
    "dh_installinfo",
    "dh_installinit",
    "dh_installmenu",
    "dh_installmime",
    "dh_installsystemd",
    "dh_installsystemduser",
    "dh_installsysusers",
    "dh_installtmpfiles",
    "dh_installudev",
    "dh_installxmlcatalogs",
    "dh_makeshlibs",
    "dh_python3",
    "dh_systemd_enable",
    "dh_systemd_start",
    "dh_ucf",
    "dh_usrlocal",
];

/// Commands whose effects a tree does not need, or gets in another way.
const COMMANDS: &[&str] = &[
    ":",
    ".",
    "db_capb",
    "db_purge",
    "db_stop",
    "db_version",
    "deb-systemd-helper",
    "deb-systemd-invoke",
    "dpkg-maintscript-helper",
    "dpkg-trigger",
    "echo",
    "exit",
    "fi",
    "invoke-rc.d",
    "ldconfig",
    "printf",
    "py3compile",
    "return",
    "set",
    "systemctl",
    "systemd-tmpfiles",
    "true",
    "update-menus",
    "update-rc.d",
];

/// Commands that only look at something.
const QUESTIONS: &[&str] = &["[", "test", "which", "command", "dpkg", "type"];

/// Returns the alternatives that the scripts of `package` offer.
///
/// # Errors
/// Returns [`LayerError::MaintainerScript`] when they do more that is not known.
pub(super) fn read(
    package: &DebianName,
    control: &Control,
) -> Result<Vec<Alternative>, LayerError> {
    let mut alternatives = Vec::new();
    let mut unknown = Vec::new();
    for (script, argument) in [("preinst", "install"), ("postinst", "configure")] {
        let Some(bytes) = control.file(script) else {
            continue;
        };
        let judged = judge(&String::from_utf8_lossy(bytes), argument);
        alternatives.extend(judged.alternatives);
        if let Some(statement) = judged.unknown
            && !is_allowed(package)
        {
            unknown.push(format!("{script} (`{statement}`)"));
        }
    }
    if unknown.is_empty() {
        return Ok(alternatives);
    }
    Err(LayerError::MaintainerScript {
        package: package.to_string(),
        scripts: unknown,
    })
}

/// What a script does.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Judged {
    /// Alternatives that it offers.
    pub alternatives: Vec<Alternative>,
    /// The first statement that is not known.
    pub unknown: Option<String>,
}

/// Reads a script that is called with `argument` and nothing else of meaning.
pub(super) fn judge(script: &str, argument: &str) -> Judged {
    let mut judge = Judge {
        statements: statements(&without_helpers(script)),
        position: 0,
        argument,
        judged: Judged::default(),
    };
    while judge.position < judge.statements.len() {
        judge.block(true, &[]);
    }
    judge.judged
}

/// Leaves out the sections that debhelper added and that do not matter.
fn without_helpers(script: &str) -> String {
    let mut text = String::new();
    let mut inside = false;
    for line in script.lines() {
        let helper = line.trim().strip_prefix("# Automatically added by ");
        let helper = helper.and_then(|helper| helper.split('/').next());
        inside |= helper.is_some_and(|helper| HELPERS.contains(&helper));
        if !inside {
            text.push_str(line);
            text.push('\n');
        }
        inside &= line.trim() != "# End automatically added section";
    }
    text
}

struct Judge<'a> {
    statements: Vec<String>,
    position: usize,
    argument: &'a str,
    judged: Judged,
}

impl Judge<'_> {
    fn next(&mut self) -> Option<String> {
        let statement = self.statements.get(self.position)?.clone();
        self.position += 1;
        Some(statement)
    }

    /// Has the rest of the last statement read as one of its own.
    fn put_back(&mut self, rest: &str) {
        self.position -= 1;
        self.statements[self.position] = rest.trim().to_owned();
    }

    fn unknown(&mut self, statement: &str) {
        let first: String = statement.chars().take(80).collect();
        self.judged.unknown.get_or_insert(first);
    }

    /// Reads statements up to one of `ends`, which it returns. Those of a branch that is not
    /// taken are not `live`.
    fn block(&mut self, live: bool, ends: &[&str]) -> Option<String> {
        while let Some(statement) = self.next() {
            let first = statement.split_whitespace().next().unwrap_or_default();
            if ends.contains(&first) {
                return Some(statement);
            }
            match first {
                "if" => self.condition(live, statement[2..].trim()),
                "case" => self.case(live, &statement),
                // Read as statements, it could open or close blocks.
                _ if statement.contains("<<") => self.unknown(&statement),
                _ if live => self.command(&statement),
                _ => {}
            }
        }
        None
    }

    /// Reads `if` after its first condition, to its `fi`.
    fn condition(&mut self, live: bool, first: &str) {
        let mut test = first.to_owned();
        let mut open = live;
        loop {
            while let Some(more) = self.next().filter(|next| next != "then") {
                test = format!("{test} ; {more}");
            }
            let truth = self.truth(&test);
            if truth.is_none() && open && !is_question(&test) {
                self.unknown(&test);
            }
            let end = self.block(open && truth != Some(false), &["elif", "else", "fi"]);
            open &= truth != Some(true);
            match end.as_deref() {
                Some("else") => {
                    self.block(open, &["fi"]);
                    return;
                }
                Some(elif) if elif.starts_with("elif") => test = elif[4..].trim().to_owned(),
                _ => return,
            }
        }
    }

    /// Reads `case` to its `esac`.
    fn case(&mut self, live: bool, statement: &str) {
        let (subject, first) = statement[4..].split_once(" in").unwrap_or_default();
        let subject = subject.trim();
        let decided = matches!(subject, "$1" | "\"$1\"" | "\"${1}\"" | "${1}");
        if live && !decided {
            self.unknown(statement);
        }
        if !first.trim().is_empty() {
            self.put_back(first);
        }
        let mut taken = false;
        while let Some(label) = self.next() {
            if label == "esac" {
                return;
            }
            let Some((patterns, rest)) = label.split_once(')') else {
                continue;
            };
            let patterns = patterns.trim_start_matches('(');
            let matches = patterns.split('|').map(str::trim).any(|pattern| {
                pattern == "*" || pattern.trim_matches(['"', '\'']) == self.argument
            });
            let reached = live && (!decided || (matches && !taken));
            taken |= matches;
            let rest = rest.trim();
            if !rest.is_empty() {
                self.put_back(rest);
            }
            if self.block(reached, &[";;", "esac"]).as_deref() == Some("esac") {
                return;
            }
        }
    }

    /// Judges one statement that is reached.
    fn command(&mut self, statement: &str) {
        let mut skipped = false;
        for (joint, part) in parts(statement) {
            // After a test that is false, what `&&` joins to it is not reached.
            skipped = joint == Joint::And && skipped;
            if skipped {
                continue;
            }
            let part = without_redirections(part);
            let first = part.split_whitespace().next().unwrap_or_default();
            if is_question(&part) {
                skipped = self.truth(&part) == Some(false);
            } else if first == "update-alternatives" {
                match alternatives(&part) {
                    Some(found) => self.judged.alternatives.extend(found),
                    None => self.unknown(statement),
                }
            } else if !is_harmless(&part) {
                self.unknown(statement);
            }
        }
    }

    /// Decides a condition; `None` when it depends on more than the arguments.
    fn truth(&self, test: &str) -> Option<bool> {
        let mut any = Some(false);
        for alternative in test.split("||") {
            let mut all = Some(true);
            for atom in alternative.split("&&").flat_map(|part| part.split(" -a ")) {
                all = match (all, self.atom(atom)) {
                    (Some(false), _) | (_, Some(false)) => Some(false),
                    (Some(true), Some(true)) => Some(true),
                    _ => None,
                };
            }
            any = match (any, all) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            };
        }
        any
    }

    fn atom(&self, atom: &str) -> Option<bool> {
        if atom.contains(" -o ") {
            return None;
        }
        let words: Vec<String> = atom
            .split_whitespace()
            .filter(|word| !matches!(*word, "[" | "]" | "test"))
            .map(|word| word.replace(['"', '\''], ""))
            .collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let value = |word: &str| match word {
            "$1" | "${1}" => Some(self.argument.to_owned()),
            "x$1" => Some(format!("x{}", self.argument)),
            // The version that was configured last; there is none.
            "$2" | "${2}" | "${2:-}" => Some(String::new()),
            "x$2" => Some("x".to_owned()),
            other if other.contains(['$', '`']) => None,
            other => Some(other.to_owned()),
        };
        match words.as_slice() {
            [left, "=" | "==", right] => Some(value(left)? == value(right)?),
            [left, "!=", right] => Some(value(left)? != value(right)?),
            ["-n", word] => Some(!value(word)?.is_empty()),
            ["-z", word] => Some(value(word)?.is_empty()),
            [word @ ("$1" | "$2")] => Some(!value(word)?.is_empty()),
            _ => None,
        }
    }
}

#[derive(PartialEq, Eq)]
enum Joint {
    First,
    And,
    Or,
}

/// Splits a statement at `&&` and `||`.
fn parts(statement: &str) -> Vec<(Joint, &str)> {
    let mut parts = Vec::new();
    for (number, alternative) in statement.split("||").enumerate() {
        for (place, part) in alternative.split("&&").enumerate() {
            let joint = match (number, place) {
                (0, 0) => Joint::First,
                (_, 0) => Joint::Or,
                _ => Joint::And,
            };
            parts.push((joint, part.trim()));
        }
    }
    parts
}

fn without_redirections(part: &str) -> String {
    let is_silence = |word: &&str| {
        matches!(
            *word,
            ">/dev/null" | "2>/dev/null" | "1>/dev/null" | "2>&1" | ">&2" | "1>&2" | "/dev/null"
        )
    };
    let spaced = part.replace("> /dev/null", ">/dev/null");
    let words: Vec<&str> = spaced
        .split_whitespace()
        .filter(|word| !is_silence(word))
        .collect();
    words.join(" ")
}

/// Says whether a condition only looks at something.
fn is_question(test: &str) -> bool {
    let looks = |part: &str| {
        let part = part.trim().trim_start_matches("! ").trim();
        let question = QUESTIONS.iter().any(|word| starts_with_word(part, word));
        let foreign = starts_with_word(part, "dpkg") && !part.contains("--compare-versions");
        question && !foreign && !part.contains("$(")
    };
    test.split("||").all(|part| part.split("&&").all(looks))
}

/// Says whether a statement has no effect that a tree needs.
fn is_harmless(part: &str) -> bool {
    let runs_another = part.contains(['|', '`', '>']) && !is_message(part);
    if runs_another || part.contains("$(") {
        return false;
    }
    let first = part.split_whitespace().next().unwrap_or_default();
    if first == "." {
        return part.contains("/usr/share/debconf/confmodule");
    }
    COMMANDS.contains(&first) || (is_assignment(first) && !part.contains(' '))
}

/// Says whether a statement prints a text, in which anything may stand.
fn is_message(part: &str) -> bool {
    starts_with_word(part, "echo") && !part.contains('>') && !part.replace("\\`", "").contains('`')
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    })
}

/// Reads an `update-alternatives` command; `None` when its words are not all plain.
fn alternatives(command: &str) -> Option<Vec<Alternative>> {
    let words = literal_words(command)?;
    let mut words = words.iter().map(String::as_str).skip(1);
    let mut found: Vec<Alternative> = Vec::new();
    while let Some(word) = words.next() {
        match word {
            "--quiet" | "--force" => {}
            "--auto" | "--remove" | "--remove-all" => return Some(Vec::new()),
            "--install" => {
                let master = Link::of(words.next()?, words.next()?, words.next()?)?;
                found.push(Alternative {
                    priority: words.next()?.parse().ok()?,
                    master,
                    slaves: Vec::new(),
                });
            }
            "--slave" => {
                let link = Link::of(words.next()?, words.next()?, words.next()?)?;
                found.last_mut()?.slaves.push(link);
            }
            _ => return None,
        }
    }
    Some(found)
}
