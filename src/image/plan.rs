//! Which file goes into which layer.
//!
//! A package's layer holds what the package brought and what was compiled of it, as far as the
//! rootfs has it unchanged: it is the same in every environment with that package. Everything else
//! (what installing writes, links between packages, modes of directories that several packages
//! have) is the last layer. So the layers put on each other are the rootfs, whatever the packages
//! are (`tests::layers_make_the_rootfs`).
//!
//! There is one layer for each package, Debian's by source package, while there are no more than
//! the budget. Else the largest have their own, and what remains of Debian's and of all others is
//! put together: small files that change cost little to move again.

use std::collections::{BTreeMap, BTreeSet};

use envbox_lockfiles::base::Digest;

use crate::image::{Codec, ImageError};
use crate::layers::{module_of, parent};
use crate::rootfs::{Ecosystem, PackageTree};
use crate::store::{EntryKind, TreeEntry, TreeManifest};

/// The version of the rules by which a layer's tar stream is made of its entries. Raise it
/// whenever the stream of the same entries changes.
const RULES: u32 = 1;

/// Docker refuses an image of more than 125 layers, and the user's own come on top.
pub const MAX_LAYERS: usize = 100;

/// How many layers an image has unless its maker says otherwise: leaves others room for theirs.
pub const DEFAULT_LAYERS: usize = 60;

/// Two for what is put together, and the last.
const LEAST_LAYERS: usize = 3;

/// The user and group of steps, and the directories that are theirs.
pub(super) const STEP: u32 = 1000;
const STEP_OWNS: [&[u8]; 2] = [b"home/envbox", b"project"];

/// One layer to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct LayerPlan {
    /// The packages in it as `name=version`, for those who look at the image.
    pub(super) packages: Vec<String>,
    /// What is in it.
    pub(super) entries: TreeManifest,
}

impl LayerPlan {
    /// Returns what the layer's bytes depend on.
    pub(super) fn key(&self, codec: Codec) -> Digest {
        let rules = format!("envbox layer {RULES}\n{}\n", codec.id());
        Digest::of((rules + &self.entries.to_text()).as_bytes())
    }

    /// Returns how much there is to read.
    pub(super) fn bytes(&self) -> u64 {
        let kinds = self.entries.entries.values().map(|entry| &entry.kind);
        kinds
            .map(|kind| match kind {
                EntryKind::File { size, .. } => *size,
                _ => 0,
            })
            .sum()
    }

    /// Returns the user that a path belongs to.
    pub(super) fn owner(path: &[u8]) -> u32 {
        if STEP_OWNS.contains(&path) { STEP } else { 0 }
    }
}

/// Shares out a rootfs to layers, lowest first.
///
/// # Errors
/// Returns [`ImageError::Layers`] for a budget that no image can have.
pub(super) fn plan(
    rootfs: &TreeManifest,
    packages: &[PackageTree],
    budget: usize,
) -> Result<Vec<LayerPlan>, ImageError> {
    if budget == 1 {
        return Ok(vec![LayerPlan {
            packages: packages.iter().map(label).collect(),
            entries: without_root(rootfs),
        }]);
    }
    if !(LEAST_LAYERS..=MAX_LAYERS).contains(&budget) {
        return Err(ImageError::Layers { asked: budget });
    }
    let compiled = compiled(rootfs, packages);
    let mut layers: Vec<LayerPlan> = groups(packages, budget - 1)
        .iter()
        .map(|group| layer(rootfs, packages, &compiled, group))
        .filter(|layer| !layer.entries.entries.is_empty())
        .collect();
    layers.push(last(rootfs, &layers));
    Ok(layers)
}

/// Returns the packages of each layer but the last, as indices, lowest layer first.
fn groups(packages: &[PackageTree], budget: usize) -> Vec<Vec<usize>> {
    let mut sources: BTreeMap<(Ecosystem, &str), Vec<usize>> = BTreeMap::new();
    for (index, package) in packages.iter().enumerate() {
        if package.ecosystem != Ecosystem::Envbox {
            let source = (package.ecosystem, package.source.as_str());
            sources.entry(source).or_default().push(index);
        }
    }
    if sources.len() <= budget {
        return sources.into_values().collect();
    }
    let size = |group: &[usize]| -> u64 { group.iter().map(|&one| packages[one].size).sum() };
    let mut by_size: Vec<_> = sources.keys().copied().collect();
    by_size.sort_by_key(|source| (std::cmp::Reverse(size(&sources[source])), *source));
    let own: BTreeSet<_> = by_size.into_iter().take(budget - 2).collect();
    let mut groups: BTreeMap<(Ecosystem, Option<&str>), Vec<usize>> = BTreeMap::new();
    for (source, members) in sources {
        let is_own = own.contains(&source);
        let ecosystem = match source.0 {
            // One for the two: there are no more layers than two for what is put together.
            Ecosystem::Conda if !is_own => Ecosystem::Python,
            other => other,
        };
        // What is put together lies below: it was merged in another order than by name anyway.
        let key = (ecosystem, is_own.then_some(source.1));
        groups.entry(key).or_default().extend(members);
    }
    groups.into_values().collect()
}

fn label(package: &PackageTree) -> String {
    match package.version.is_empty() {
        true => package.name.clone(),
        false => format!("{}={}", package.name, package.version),
    }
}

/// Returns, for each package, the bytecode in the rootfs that was compiled of its modules.
fn compiled<'a>(rootfs: &'a TreeManifest, packages: &[PackageTree]) -> Vec<Vec<&'a [u8]>> {
    let mut compiled = vec![Vec::new(); packages.len()];
    for path in rootfs.entries.keys() {
        let Some(module) = module_of(path) else {
            continue;
        };
        let has = |path: &[u8], package: &PackageTree| {
            let entry = rootfs.entries.get(path);
            entry.is_some() && package.manifest.entries.get(path) == entry
        };
        let shipped = packages.iter().any(|package| has(path, package));
        let owner = packages.iter().position(|package| has(&module, package));
        if let Some(owner) = owner.filter(|_| !shipped) {
            compiled[owner].push(path.as_slice());
        }
    }
    compiled
}

fn layer(
    rootfs: &TreeManifest,
    packages: &[PackageTree],
    compiled: &[Vec<&[u8]>],
    group: &[usize],
) -> LayerPlan {
    let mut layer = LayerPlan::default();
    let mut entries = BTreeMap::new();
    for &index in group {
        let package = &packages[index];
        layer.packages.push(label(package));
        for (path, entry) in &package.manifest.entries {
            let Some(there) = rootfs.entries.get(path).filter(|_| !path.is_empty()) else {
                continue;
            };
            let directories =
                entry.kind == EntryKind::Directory && there.kind == EntryKind::Directory;
            if directories {
                let known: &mut TreeEntry = entries.entry(path.clone()).or_insert(entry.clone());
                known.mode |= entry.mode;
            } else if entry == there {
                entries.insert(path.clone(), entry.clone());
            }
        }
        for &path in &compiled[index] {
            with_parents(&mut entries, rootfs, path);
        }
    }
    layer.entries = TreeManifest { entries };
    layer
}

/// Returns the layer of everything that `layers` on each other do not have, or not so.
fn last(rootfs: &TreeManifest, layers: &[LayerPlan]) -> LayerPlan {
    let mut below: BTreeMap<&[u8], &TreeEntry> = BTreeMap::new();
    for layer in layers {
        for (path, entry) in &layer.entries.entries {
            below.insert(path, entry);
        }
    }
    let mut entries = BTreeMap::new();
    for (path, entry) in &rootfs.entries {
        let theirs = LayerPlan::owner(path) != 0;
        if !path.is_empty() && (theirs || below.get(path.as_slice()) != Some(&entry)) {
            with_parents(&mut entries, rootfs, path);
        }
    }
    LayerPlan {
        packages: vec!["envbox".to_owned()],
        entries: TreeManifest { entries },
    }
}

/// Adds an entry of the rootfs and the directories it lies in: some programs do not make them, or
/// not with the right mode.
fn with_parents(entries: &mut BTreeMap<Vec<u8>, TreeEntry>, rootfs: &TreeManifest, path: &[u8]) {
    let mut path = Some(path);
    while let Some(one) = path.filter(|path| !entries.contains_key(*path)) {
        if let Some(entry) = rootfs.entries.get(one) {
            entries.insert(one.to_vec(), entry.clone());
        }
        path = parent(one);
    }
}

fn without_root(rootfs: &TreeManifest) -> TreeManifest {
    let mut entries = rootfs.entries.clone();
    entries.remove(&b""[..]);
    TreeManifest { entries }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use proptest::prelude::*;

    use super::*;

    fn file(text: &str) -> TreeEntry {
        TreeEntry {
            mode: 0o644,
            kind: EntryKind::File {
                size: text.len() as u64,
                digest: Digest::of(text.as_bytes()),
            },
        }
    }

    fn directory(mode: u32) -> TreeEntry {
        TreeEntry {
            mode,
            kind: EntryKind::Directory,
        }
    }

    fn tree(files: &[(&str, &str)]) -> TreeManifest {
        let mut manifest = TreeManifest::default();
        manifest.entries.insert(Vec::new(), directory(0o755));
        for (path, text) in files {
            let mut above = parent(path.as_bytes());
            while let Some(path) = above {
                manifest.entries.insert(path.to_vec(), directory(0o755));
                above = parent(path);
            }
            manifest
                .entries
                .insert(path.as_bytes().to_vec(), file(text));
        }
        manifest
    }

    fn package(name: &str, ecosystem: Ecosystem, files: &[(&str, &str)]) -> PackageTree {
        PackageTree {
            name: name.into(),
            version: "1".into(),
            ecosystem,
            source: name.into(),
            size: files.iter().map(|(_, text)| text.len() as u64).sum(),
            artifact: None,
            path: PathBuf::new(),
            manifest: tree(files),
        }
    }

    /// Puts layers on each other as a runtime does.
    fn stack(layers: &[LayerPlan]) -> TreeManifest {
        let mut stack = TreeManifest::default();
        stack.entries.insert(Vec::new(), directory(0o755));
        for layer in layers {
            let entries = &layer.entries.entries;
            for path in entries.keys() {
                let above = parent(path);
                assert!(above.is_none_or(|above| entries.contains_key(above)));
            }
            stack.entries.extend(entries.clone());
        }
        stack
    }

    fn names(layers: &[LayerPlan]) -> Vec<String> {
        layers
            .iter()
            .map(|layer| layer.packages.join(" "))
            .collect()
    }

    #[test]
    fn bytecode_goes_with_its_module() {
        let module = ("lib/m/a.py", "a");
        let packages = [
            package("base", Ecosystem::Debian, &[("lib/base", "base")]),
            package("m", Ecosystem::Python, &[module]),
        ];
        let pyc = "lib/m/__pycache__/a.cpython-311.pyc";
        let rootfs = tree(&[("lib/base", "base"), module, (pyc, "code"), ("etc/x", "x")]);
        let layers = plan(&rootfs, &packages, DEFAULT_LAYERS).unwrap();
        assert_eq!(names(&layers), ["base=1", "m=1", "envbox"]);
        let has =
            |layer: usize, path: &str| layers[layer].entries.entries.contains_key(path.as_bytes());
        assert!(has(1, pyc) && has(1, "lib/m/__pycache__") && !has(2, pyc));
        assert!(has(2, "etc/x") && has(2, "etc") && !has(2, "lib"));
        assert_eq!(stack(&layers), rootfs);
    }

    #[test]
    fn a_layer_is_the_same_in_every_environment() {
        let shared = package("shared", Ecosystem::Python, &[("lib/shared/a.py", "a")]);
        let one = package("one", Ecosystem::Python, &[("lib/one", "1")]);
        let layers = |packages: &[PackageTree], files: &[(&str, &str)]| {
            plan(&tree(files), packages, DEFAULT_LAYERS).unwrap()
        };
        let alone = layers(std::slice::from_ref(&shared), &[("lib/shared/a.py", "a")]);
        let both = layers(
            &[one, shared],
            &[("lib/one", "1"), ("lib/shared/a.py", "a"), ("etc/x", "x")],
        );
        assert_eq!(alone[0], both[1]);
        assert_eq!(alone[0].key(Codec::Zstd), both[1].key(Codec::Zstd));
        assert_ne!(alone[0].key(Codec::Zstd), both[1].key(Codec::Gzip));
    }

    #[test]
    fn beyond_the_budget_the_smallest_are_put_together() {
        let mut packages = Vec::new();
        let mut files = Vec::new();
        let contents: Vec<(String, String)> = (0..8)
            .map(|n| (format!("lib/p{n}"), "x".repeat(n + 1)))
            .collect();
        for (n, (path, text)) in contents.iter().enumerate() {
            let ecosystem = [Ecosystem::Debian, Ecosystem::Python][n % 2];
            let file = (path.as_str(), text.as_str());
            packages.push(package(&format!("p{n}"), ecosystem, &[file]));
            files.push(file);
        }
        let rootfs = tree(&files);
        let layers = plan(&rootfs, &packages, 5).unwrap();
        assert_eq!(
            names(&layers),
            ["p0=1 p2=1 p4=1", "p6=1", "p1=1 p3=1 p5=1", "p7=1", "envbox"]
        );
        assert_eq!(stack(&layers), rootfs);
        let single = plan(&rootfs, &packages, 1).unwrap();
        assert_eq!(single.len(), 1);
        assert_eq!(stack(&single), rootfs);
        for asked in [0, 2, 101] {
            assert!(plan(&rootfs, &packages, asked).is_err());
        }
    }

    fn some_tree() -> impl Strategy<Value = TreeManifest> {
        let path = prop::collection::vec("[ab]", 1..4).prop_map(|parts| parts.join("/"));
        let entry = (0..4usize, any::<bool>());
        prop::collection::btree_map(path, entry, 0..8).prop_map(|entries| {
            let mut manifest = tree(&[]);
            for (path, (text, link)) in entries {
                // A directory where another path goes through.
                let below = manifest
                    .entries
                    .keys()
                    .any(|known| known.starts_with(format!("{path}/").as_bytes()));
                let mut above = Vec::new();
                let mut next = parent(path.as_bytes());
                while let Some(path) = next {
                    above.push(path.to_vec());
                    next = parent(path);
                }
                let blocked = above.iter().any(|path| {
                    let entry = manifest.entries.get(path);
                    entry.is_some_and(|entry| entry.kind != EntryKind::Directory)
                });
                if below || blocked {
                    continue;
                }
                let mode = [0o755, 0o700, 0o1777, 0o555][text];
                for path in above {
                    manifest.entries.entry(path).or_insert(directory(mode));
                }
                let entry = match link {
                    true => TreeEntry {
                        mode: 0,
                        kind: EntryKind::Symlink {
                            target: PathBuf::from(["a", "b", "c", "d"][text]),
                        },
                    },
                    false => file(["1", "2", "3", "4"][text]),
                };
                manifest.entries.insert(path.into_bytes(), entry);
            }
            manifest
        })
    }

    proptest! {
        #[test]
        fn layers_make_the_rootfs(
            rootfs in some_tree(),
            packages in prop::collection::vec((some_tree(), 0..3usize), 0..6),
            budget in 3usize..8,
        ) {
            let packages: Vec<PackageTree> = packages
                .into_iter()
                .enumerate()
                .map(|(n, (manifest, ecosystem))| PackageTree {
                    ecosystem: [Ecosystem::Debian, Ecosystem::Conda, Ecosystem::Python][ecosystem],
                    manifest,
                    ..package(&format!("p{n}"), Ecosystem::Debian, &[])
                })
                .collect();
            let layers = plan(&rootfs, &packages, budget).unwrap();
            prop_assert!(layers.len() <= budget);
            prop_assert_eq!(stack(&layers), rootfs);
        }
    }
}
