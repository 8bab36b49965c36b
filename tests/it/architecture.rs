//! The order of the modules: imports point to the left only.

use std::fs;
use std::path::{Path, PathBuf};

/// A crate's folder of modules, and the modules from left to right.
const CRATES: [(&str, &[&str]); 4] = [
    ("explain/src", &["base", "array", "pickle", "formats"]),
    (
        "lockfiles/src",
        &["base", "net", "manifest", "lock", "resolve", "foreign"],
    ),
    ("sandbox/src", &["sys", "init", "host", "sandbox", "gpu"]),
    (
        "src",
        &[
            "store",
            "snapshot",
            "fetch",
            "data",
            "layers",
            "rootfs",
            "image",
            "registry",
            "mirror",
            "attest",
            "record",
            "standards",
            "engines",
            "ops",
        ],
    ),
];

/// Where `unsafe` may stand.
const UNSAFE_ALLOWED: [&str; 3] = [
    "sandbox/src/sys/",
    "sandbox/inside/",
    "src/ops/run/tests/guest.rs",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut open = vec![directory.to_path_buf()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    assert!(!files.is_empty(), "no sources in {}", directory.display());
    files
}

/// Returns the modules of the own crate that a line imports.
fn imports(line: &str) -> Vec<&str> {
    line.match_indices("crate::")
        .map(|(at, found)| {
            let rest = &line[at + found.len()..];
            rest.split(|c: char| !c.is_ascii_lowercase() && c != '_')
                .next()
                .unwrap_or_default()
        })
        .filter(|name| !name.is_empty())
        .collect()
}

#[test]
fn imports_point_left() {
    let mut wrong = Vec::new();
    for (folder, order) in CRATES {
        for (position, module) in order.iter().enumerate() {
            let directory = root().join(folder).join(module);
            for file in sources(&directory) {
                for (number, line) in fs::read_to_string(&file).unwrap().lines().enumerate() {
                    for import in imports(line) {
                        let right = order.iter().position(|name| *name == import);
                        if right.is_some_and(|right| right > position) {
                            wrong.push(format!(
                                "{}:{}: {module} -> {import}",
                                file.display(),
                                number + 1
                            ));
                        }
                    }
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "imports that point right:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn unsafe_stays_where_it_is_allowed() {
    let mut wrong = Vec::new();
    for folder in [
        "explain/src",
        "lockfiles/src",
        "sandbox/src",
        "sandbox/inside",
        "src",
    ] {
        for file in sources(&root().join(folder)) {
            let shown = file.strip_prefix(root()).unwrap().display().to_string();
            let text = fs::read_to_string(&file).unwrap();
            let has = text.lines().any(|line| {
                let code = line.split("//").next().unwrap_or_default();
                code.contains("unsafe {")
                    || code.contains("unsafe fn")
                    || code.contains("unsafe impl")
            });
            if has
                && !UNSAFE_ALLOWED
                    .iter()
                    .any(|allowed| shown.starts_with(allowed))
            {
                wrong.push(shown);
            }
        }
    }
    assert!(wrong.is_empty(), "unsafe outside of its place: {wrong:?}");
}

#[test]
fn every_module_says_what_it_is_for() {
    for (folder, order) in CRATES {
        for module in order {
            let file = root().join(folder).join(module).join("mod.rs");
            let text = fs::read_to_string(&file).unwrap();
            assert!(
                text.starts_with("//!"),
                "{} has no module documentation",
                file.display()
            );
        }
    }
}

#[test]
fn no_source_names_a_registry_host() {
    // Spelt in parts, or this file would name them.
    let hosts = [
        ["pypi", "org"].join("."),
        ["deb.debian", "org"].join("."),
        ["pythonhosted", "org"].join("."),
    ];
    let mut files = Vec::new();
    for folder in ["explain", "lockfiles", "sandbox", "src", "tests"] {
        files.extend(sources(&root().join(folder)));
    }
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        for host in &hosts {
            assert!(!text.contains(host), "{} names {host}", file.display());
        }
    }
}

/// A promise that nobody checks is worth less than none.
#[test]
fn every_invariant_names_tests_that_exist() {
    let files = sources(&root());
    let files = files
        .iter()
        .filter(|file| !file.starts_with(root().join("target")));
    let texts: Vec<(PathBuf, String)> = files
        .map(|file| (file.clone(), fs::read_to_string(file).unwrap()))
        .collect();
    let mut wrong = Vec::new();
    let mut checked = 0;
    for (file, text) in &texts {
        let lines = text.lines().filter_map(|line| line.strip_prefix("//!"));
        let doc: String = lines.map(|line| format!("{} ", line.trim())).collect();
        for invariant in doc.split("**Invariant:**").skip(1) {
            checked += 1;
            // The tests are named at its end, in brackets.
            let named = invariant.rsplit_once('(').map_or("", |(_, named)| named);
            let names: Vec<&str> = named.split('`').skip(1).step_by(2).collect();
            let exists = |name: &&str| {
                let last = name.rsplit("::").next().unwrap_or(name);
                let [function, module] = [format!("fn {last}("), format!("mod {last};")];
                let inline = format!("mod {last} {{");
                name.ends_with(".rs") && root().join(name).exists()
                    || texts.iter().any(|(_, text)| {
                        [&function, &module, &inline]
                            .iter()
                            .any(|form| text.contains(*form))
                    })
            };
            if names.is_empty() || !names.iter().all(exists) {
                wrong.push(format!("{}: {}", file.display(), invariant.trim()));
            }
        }
    }
    assert!(checked > 10);
    assert!(
        wrong.is_empty(),
        "not held by a test:\n{}",
        wrong.join("\n")
    );
}
