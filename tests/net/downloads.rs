//! Downloads kept between checks in the store that `ENVBOX_STORE` names, so that a registry is
//! asked once for each file.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::World;

/// The store of a world, below its root.
const STORE: &str = "home/.cache/envbox";

/// The blobs of a store.
const BLOBS: &str = "blobs/sha256";

/// Puts the kept downloads into a world's store.
pub fn share(world: &World) {
    if let Some(kept) = kept() {
        make_store(world.command(&["store", "du"]));
        bring(&kept.join(BLOBS), &world.path().join(STORE).join(BLOBS));
    }
}

/// Keeps a world's downloads.
pub fn keep(world: &World) {
    if let Some(kept) = kept() {
        // By whoever runs the tests, to whom the place belongs.
        let mut command = Command::new(env!("CARGO_BIN_EXE_envbox"));
        command.args(["store", "du", "--store"]).arg(&kept);
        make_store(command);
        bring(&world.path().join(STORE).join(BLOBS), &kept.join(BLOBS));
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the caller says where downloads are kept"
)]
fn kept() -> Option<PathBuf> {
    std::env::var_os("ENVBOX_STORE").map(PathBuf::from)
}

/// Nothing but envbox makes a store: what has blobs and was not made by it is refused later.
fn make_store(mut command: Command) {
    let made = command.output().unwrap();
    assert!(made.status.success(), "{made:?}");
}

/// Brings what is not there yet, as one more name of the file where the two places share a file
/// system: gigabytes are not kept twice, and nobody may write to them, whoever they belong to.
fn bring(from: &Path, to: &Path) {
    if !from.is_dir() {
        return;
    }
    create(to);
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            bring(&entry.path(), &target);
        } else if !target.exists() && fs::hard_link(entry.path(), &target).is_err() {
            let part = to.join(format!(".part-{}", entry.file_name().display()));
            fs::copy(entry.path(), &part).unwrap();
            inherit(&part);
            fs::rename(&part, &target).unwrap();
        }
    }
}

fn create(directory: &Path) {
    if !directory.is_dir() {
        create(directory.parent().unwrap());
        fs::create_dir(directory).unwrap();
        inherit(directory);
    }
}

fn inherit(path: &Path) {
    let owner = fs::metadata(path.parent().unwrap()).unwrap();
    chown(path, Some(owner.uid()), Some(owner.gid())).unwrap();
}
