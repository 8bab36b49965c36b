//! The layer that lets an image hold by itself what needs no namespaces: envbox, and the policy.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;

use envbox_lockfiles::base::fs::{create_dir_all, write_atomic};
use envbox_lockfiles::base::{Digest, FsError};

use crate::image::ImageError;
use crate::image::plan::LayerPlan;
use crate::layers::parent;
use crate::store::{EntryKind, TreeEntry, TreeManifest};

/// Where an image has the program.
const PROGRAM: &str = "usr/lib/envbox/envbox";

/// Where the program looks for the policy.
const POLICY: &str = "etc/envbox/policy.json";

/// Where the step and the program tell each other what libraries hold, whoever the step is.
const CHANNEL: (&str, u32) = ("run/envbox", 0o1777);

/// What an image is started with; the command follows.
pub const ENTRYPOINT: [&str; 3] = ["/usr/lib/envbox/envbox", "inside", "--"];

/// What holds the policy in a container.
#[derive(Debug, Clone, Copy)]
pub struct Supervisor<'a> {
    /// envbox's own program, which must run in the image.
    pub program: &'a Path,
    /// The bytes of the policy.
    pub policy: &'a [u8],
}

/// Writes the layer's files below the empty `directory`, and plans the layer.
pub(super) fn plan(supervisor: Supervisor<'_>, directory: &Path) -> Result<LayerPlan, ImageError> {
    let mut entries = BTreeMap::new();
    let mut add = |path: &str, mode: u32, kind: EntryKind| {
        let mut above = parent(path.as_bytes());
        while let Some(path) = above {
            let kind = EntryKind::Directory;
            entries
                .entry(path.to_vec())
                .or_insert(TreeEntry { mode: 0o755, kind });
            above = parent(path);
        }
        entries.insert(path.as_bytes().to_vec(), TreeEntry { mode, kind });
    };
    let program = directory.join(PROGRAM);
    for path in [&program, &directory.join(POLICY)] {
        create_dir_all(path.parent().expect("these are not the root"))?;
    }
    fs::copy(supervisor.program, &program).map_err(FsError::at("write", &program))?;
    let read = File::open(&program).and_then(Digest::of_reader);
    let (digest, size) = read.map_err(FsError::at("read", &program))?;
    add(PROGRAM, 0o755, EntryKind::File { size, digest });
    write_atomic(&directory.join(POLICY), supervisor.policy)?;
    let (digest, size) = (
        Digest::of(supervisor.policy),
        supervisor.policy.len() as u64,
    );
    add(POLICY, 0o644, EntryKind::File { size, digest });
    add(CHANNEL.0, CHANNEL.1, EntryKind::Directory);
    Ok(LayerPlan {
        packages: vec![concat!("envbox=", env!("CARGO_PKG_VERSION")).to_owned()],
        entries: TreeManifest { entries },
    })
}
