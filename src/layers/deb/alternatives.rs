//! Alternatives that packages offer (update-alternatives(1)).
//!
//! Kept in the tree of the package that offers them, one file a package, until all packages are
//! together and one of those that offer the same name can be chosen. One line an alternative,
//! fields parted by tabs: priority, then link, name and path, for the master and for each slave.

use crate::layers::path::EntryPath;

/// Where the files lie.
pub const DIRECTORY: &str = "var/lib/envbox/alternatives";

/// One link of an alternative.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The path that users name: `usr/bin/awk`.
    pub link: String,
    /// Its name in `/etc/alternatives`: `awk`.
    pub name: String,
    /// What it leads to: `usr/bin/mawk`.
    pub path: String,
}

/// One offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alternative {
    /// Of several offers of a name, the one with the highest priority is taken.
    pub priority: i32,
    /// The link that is chosen by priority.
    pub master: Link,
    /// Links that go with it.
    pub slaves: Vec<Link>,
}

impl Link {
    /// Reads three words of a command; `None` when they are not plain absolute paths and a name.
    pub(super) fn of(link: &str, name: &str, path: &str) -> Option<Self> {
        let relative = |path: &str| {
            let parsed = EntryPath::parse(path.strip_prefix('/')?.as_bytes());
            parsed.ok().flatten().map(|path| path.display())
        };
        let plain_name = !name.is_empty() && !name.contains('/') && name != "." && name != "..";
        Some(Self {
            link: relative(link)?,
            name: plain_name.then(|| name.to_owned())?,
            path: relative(path)?,
        })
    }
}

/// Returns the text that `parse` reads.
pub(super) fn to_text(alternatives: &[Alternative]) -> String {
    let mut text = String::new();
    for alternative in alternatives {
        text.push_str(&alternative.priority.to_string());
        for link in std::iter::once(&alternative.master).chain(&alternative.slaves) {
            for field in [&link.link, &link.name, &link.path] {
                text.push('\t');
                text.push_str(field);
            }
        }
        text.push('\n');
    }
    text
}

/// Reads a package's file; `None` when envbox did not write it.
pub fn parse(text: &str) -> Option<Vec<Alternative>> {
    let parse_line = |line: &str| {
        let mut fields = line.split('\t');
        let priority = fields.next()?.parse().ok()?;
        let fields: Vec<&str> = fields.collect();
        let mut links = Vec::new();
        for fields in fields.chunks(3) {
            let [link, name, path] = fields else {
                return None;
            };
            links.push(Link {
                link: (*link).to_owned(),
                name: (*name).to_owned(),
                path: (*path).to_owned(),
            });
        }
        let slaves = links.split_off(1.min(links.len()));
        Some(Alternative {
            priority,
            master: links.pop()?,
            slaves,
        })
    };
    text.lines().map(parse_line).collect()
}
