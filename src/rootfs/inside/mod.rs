//! Our own package in a rootfs with Python: the import hook.
//!
//! What the libraries do by themselves is fixed by variables (`ops::run`); what only a call in
//! their own process can set or read back is done by this package when a step imports them. It is
//! a package like the others, so that its bytecode is compiled once for each interpreter, and its
//! source is part of the key of every rootfs.

use std::fmt::Write as _;
use std::path::Path;

use envbox_lockfiles::base::Digest;
use envbox_lockfiles::manifest::InterpreterSource;

use crate::layers::{EntryPath, LayerError, Limits, PythonTarget, TreeBuilder};
use crate::store::{TreeKey, TreeManifest};

/// What messages call it.
pub(super) const NAME: &str = "envbox";

/// Below a directory that Python looks for modules in. `.pth` files are read at every start,
/// whatever the command line says, but for `-S`.
const FILES: [(&str, &str); 9] = [
    ("envbox.pth", "import _envbox\n"),
    ("_envbox/__init__.py", include_str!("_envbox/__init__.py")),
    ("_envbox/blas.py", include_str!("_envbox/blas.py")),
    ("_envbox/channel.py", include_str!("_envbox/channel.py")),
    ("_envbox/glibc.py", include_str!("_envbox/glibc.py")),
    ("_envbox/gpu.py", include_str!("_envbox/gpu.py")),
    ("_envbox/libraries.py", include_str!("_envbox/libraries.py")),
    ("_envbox/onednn.py", include_str!("_envbox/onednn.py")),
    ("_envbox/timing.py", include_str!("_envbox/timing.py")),
];

/// Returns where the store has the tree for an interpreter.
pub(super) fn key(python: PythonTarget, from: InterpreterSource) -> TreeKey {
    let mut text = String::from("envbox inside\n");
    for place in places(python, from) {
        text.push_str(&place);
        text.push('\n');
    }
    for (path, content) in FILES {
        let digest = Digest::of(content.as_bytes());
        writeln!(text, "{path}\t{digest}").expect("writing to a String cannot fail");
    }
    TreeKey::Package(Digest::of(text.as_bytes()))
}

/// Writes the tree into the empty `directory`.
pub(super) fn unpack(
    python: PythonTarget,
    from: InterpreterSource,
    directory: &Path,
) -> Result<TreeManifest, LayerError> {
    let mut tree = TreeBuilder::new(directory, Limits::default())?;
    for place in places(python, from) {
        for (path, content) in FILES {
            let path = EntryPath::known(&format!("{place}/{path}"));
            tree.file(&path, 0o644, content.as_bytes())?;
        }
    }
    tree.finish()
}

/// Where the environment's Python looks, and the same interpreter called by its own path.
fn places(python: PythonTarget, from: InterpreterSource) -> Vec<String> {
    let PythonTarget { major, minor } = python;
    let mut places = vec![python.site_packages()];
    match from {
        InterpreterSource::Debian => places.push(format!("usr/lib/python{major}/dist-packages")),
        InterpreterSource::Standalone => places.push(format!(
            "opt/python/lib/python{major}.{minor}/site-packages"
        )),
        // It lies in the environment itself.
        InterpreterSource::Conda => {}
    }
    places
}
