//! What of an image a tree cannot hold.

use crate::layers::oci::reader::{Member, MemberKind};
use crate::layers::path::EntryPath;

/// The set-user-id and set-group-id bits.
const SET_ID: u32 = 0o6000;

/// The attribute that gives a program privileges.
const CAPABILITY: &str = "security.capability";

/// How many paths a sentence names.
const NAMED: usize = 3;

/// What was left out of a tree. Of files that a later layer replaces as well.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Notes {
    /// Devices and pipes below `/dev`.
    pub devices: Vec<String>,
    /// Files that would give who runs them another user's or group's rights.
    pub set_id: Vec<String>,
    /// Files with capabilities.
    pub capabilities: Vec<String>,
    /// How many members have other extended attributes.
    pub attributes: usize,
}

impl Notes {
    /// Returns them as sentences.
    pub fn sentences(&self) -> Vec<String> {
        let lists = [
            (&self.devices, "devices are left to the sandbox"),
            (
                &self.set_id,
                "set-user-id and set-group-id bits are dropped",
            ),
            (&self.capabilities, "capabilities of files are dropped"),
        ];
        let mut sentences: Vec<String> = lists
            .into_iter()
            .filter(|(paths, _)| !paths.is_empty())
            .map(|(paths, what)| format!("{what}: {}", named(paths)))
            .collect();
        if self.attributes > 0 {
            let attributes = self.attributes;
            sentences.push(format!(
                "extended attributes of {attributes} files are dropped"
            ));
        }
        sentences
    }

    pub(super) fn device(&mut self, path: &EntryPath) {
        self.devices.push(path.display());
    }

    pub(super) fn member(&mut self, path: &EntryPath, member: &Member) {
        if member.kind == MemberKind::File && member.mode & SET_ID != 0 {
            self.set_id.push(path.display());
        }
        if member.attributes.iter().any(|name| name == CAPABILITY) {
            self.capabilities.push(path.display());
        } else if !member.attributes.is_empty() {
            self.attributes += 1;
        }
    }
}

fn named(paths: &[String]) -> String {
    let shown: Vec<String> = paths
        .iter()
        .take(NAMED)
        .map(|path| format!("`/{path}`"))
        .collect();
    match paths.len().saturating_sub(NAMED) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
