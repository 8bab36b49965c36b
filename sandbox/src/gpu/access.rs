//! May the caller open a node from inside a sandbox?

use std::path::PathBuf;

use rustix::process::{getegid, geteuid, getgroups};
use serde::Serialize;

use super::fs::HostFs;
use super::nodes::{Node, NodeState};

/// Who starts the sandbox, as the kernel sees the step then.
///
/// The sandbox maps one user and one group. Groups beyond these stay with the step of an ordinary
/// caller, unnamed, and open what they opened before; root's are dropped when it enters the
/// sandbox, and root keeps what its user and its first group give it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    uid: u32,
    groups: Vec<u32>,
}

/// A node that the caller may not open both ways.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error(
    "`{}` (mode {mode:04o}, group {}) does not open for this user",
    node.display(),
    group.as_ref().map_or_else(|| gid.to_string(), |name| format!("`{name}`"))
)]
pub struct Forbidden {
    /// The node.
    pub node: PathBuf,
    /// Its permissions.
    pub mode: u32,
    /// Its group.
    pub gid: u32,
    /// The name of its group, if the host has one for it.
    pub group: Option<String>,
}

impl Caller {
    /// Returns who runs this process.
    pub fn current() -> Caller {
        let groups = match geteuid().is_root() {
            true => Vec::new(),
            false => getgroups().unwrap_or_default(),
        };
        Caller::new(
            geteuid().as_raw(),
            getegid().as_raw(),
            groups.into_iter().map(|group| group.as_raw()),
        )
    }

    /// Returns a caller with a user, a group and the groups that stay with it.
    pub fn new(uid: u32, gid: u32, others: impl IntoIterator<Item = u32>) -> Caller {
        Caller {
            uid,
            groups: [gid].into_iter().chain(others).collect(),
        }
    }

    /// Checks a node, as the kernel does: the owner's bits count for the owner alone.
    pub(super) fn opens(&self, fs: &HostFs, node: &Node) -> Result<(), Forbidden> {
        const BOTH_WAYS: u32 = 0o6;
        let NodeState::Present { mode, uid, gid, .. } = node.state else {
            return Ok(());
        };
        let bits = if uid == self.uid {
            mode >> 6
        } else if self.groups.contains(&gid) {
            mode >> 3
        } else {
            mode
        };
        if bits & BOTH_WAYS == BOTH_WAYS {
            return Ok(());
        }
        Err(Forbidden {
            node: node.path.clone(),
            mode,
            gid,
            group: group_name(&fs.text("/etc/group").unwrap_or_default(), gid),
        })
    }
}

impl Forbidden {
    /// Returns what to do about it.
    pub fn remedy(&self) -> String {
        const GROUP: u32 = 0o060;
        match (&self.group, self.mode & GROUP == GROUP) {
            (Some(group), true) => format!(
                "add this user to the group `{group}` and log in again: \
                 the sandbox keeps the groups of an ordinary user"
            ),
            (None, true) => format!(
                "run envbox as a user of the group {}, or change the group of the node",
                self.gid
            ),
            _ => format!(
                "have the driver make `{}` with a mode that lets this user in",
                self.node.display()
            ),
        }
    }
}

/// Finds the name of a group in the text of `/etc/group`.
fn group_name(text: &str, gid: u32) -> Option<String> {
    let gid = gid.to_string();
    let line = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == gid).then(|| name.to_owned())
    };
    text.lines().find_map(line)
}
