//! Which root filesystem answers which question, so that it is worked out once.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use envbox_lockfiles::base::Digest;
use envbox_lockfiles::base::fs::create_dir_all;

use crate::store::{Store, Tree, TreeKey};

/// Names one program and what it is asked: whatever changes in either, the question is another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question(Digest);

impl Question {
    /// Returns the question that this program asks about `subjects`. Nothing when the program
    /// cannot be told from an older or newer one.
    pub fn new(subjects: &[&str]) -> Option<Self> {
        // A program that was replaced is another file; the link leads to the one that runs.
        let program = fs::metadata("/proc/self/exe").ok()?;
        let mut text = format!("{} {} {} ", program.dev(), program.ino(), program.len());
        text += &format!("{} {}", program.ctime(), program.ctime_nsec());
        for subject in subjects {
            text += &format!("\n{} {subject}", subject.len());
        }
        Some(Self(Digest::of(text.as_bytes())))
    }
}

impl Store {
    /// Returns the tree that answered `question` before, which is in use from here on, and what was
    /// noted with it. Whatever is in the way of that, there is no answer, and no store is made.
    pub fn answer(directory: &Path, question: &Question) -> Option<(Tree, Digest)> {
        let text = fs::read_to_string(place(directory, question)).ok()?;
        // Not written in one step, so it may end early: then a digest is too short.
        let (tree, note) = text.split_once('\n')?;
        let key = TreeKey::Rootfs(tree.parse().ok()?);
        let store = Self::open(directory).ok()?;
        let tree = store.find_tree(key).ok()??;
        Some((tree, note.parse().ok()?))
    }

    /// Keeps the root filesystem that answers `question`, with a note. It can be found out again:
    /// what goes wrong here is nobody's concern.
    pub fn keep_answer(&self, question: &Question, tree: &Tree, note: Digest) {
        let path = place(self.directory(), question);
        let text = format!("{}\n{note}", tree.key().digest());
        drop(create_dir_all(&self.path("answers")).map(|()| fs::write(path, text)));
    }
}

fn place(directory: &Path, question: &Question) -> std::path::PathBuf {
    directory.join("answers").join(question.0.hex())
}
