//! The packages of a lockfile, as a tree.

use std::collections::{BTreeMap, BTreeSet};

use envbox::lock::{Asker, Ecosystem};
use envbox::ops::tree::{PackageReport, TreeReport};

use crate::render::size;

/// Returns the tree: below who asks for something, what that asks for. A package is taken apart
/// once, and marked where it stands again.
pub(crate) fn text(report: &TreeReport, depth: Option<usize>) -> String {
    let packages = report.packages.iter();
    let mut drawing = Drawing {
        packages: packages
            .map(|package| (package.id.as_str(), package))
            .collect(),
        depth: depth.unwrap_or(usize::MAX),
        drawn: BTreeSet::new(),
        text: String::new(),
    };
    let total = report.packages.iter().map(|package| package.size).sum();
    drawing.text += &format!(
        "{} for {}: {} packages, {}\n",
        report.name,
        report.platform,
        report.packages.len(),
        size(total)
    );
    let packages = report.packages.iter();
    let askers: BTreeSet<&Asker> = packages.flat_map(|package| &package.asked_by).collect();
    for asker in askers {
        let asked = report.packages.iter();
        let asked: Vec<&str> = asked
            .filter(|package| package.asked_by.contains(asker))
            .map(|package| package.id.as_str())
            .collect();
        drawing.text += &format!("{asker}\n");
        drawing.branches(&asked, "", 1);
    }
    drawing.text
}

struct Drawing<'a> {
    packages: BTreeMap<&'a str, &'a PackageReport>,
    depth: usize,
    drawn: BTreeSet<&'a str>,
    text: String,
}

impl<'a> Drawing<'a> {
    fn branches(&mut self, ids: &[&'a str], indent: &str, level: usize) {
        for (position, id) in ids.iter().enumerate() {
            let is_last = position + 1 == ids.len();
            let (fork, stem) = match is_last {
                true => ("└── ", "    "),
                false => ("├── ", "│   "),
            };
            self.package(
                id,
                &format!("{indent}{fork}"),
                &format!("{indent}{stem}"),
                level,
            );
        }
    }

    fn package(&mut self, id: &str, first: &str, indent: &str, level: usize) {
        let Some((&id, &package)) = self.packages.get_key_value(id) else {
            return;
        };
        let PackageReport { name, version, .. } = package;
        self.text += &format!("{first}{name} {version}");
        if package.ecosystem != Ecosystem::Python {
            self.text += &format!(" ({})", package.ecosystem);
        }
        let asks = !package.requires.is_empty();
        let is_drawn = self.drawn.contains(id);
        if asks && is_drawn {
            self.text += " (*)";
        }
        self.text += "\n";
        if asks && !is_drawn && level < self.depth {
            self.drawn.insert(id);
            let requires: Vec<&str> = package.requires.iter().map(String::as_str).collect();
            self.branches(&requires, indent, level + 1);
        }
    }
}
