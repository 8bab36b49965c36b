//! Holds the order of the modules (imports point to the left), and the README to its word.

use std::fs;
use std::path::{Path, PathBuf};

const ORDER: [&str; 6] = ["sys", "init", "answer", "host", "sandbox", "gpu"];

#[test]
fn imports_point_to_the_left() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (place, module) in ORDER.iter().enumerate() {
        for path in files(&source.join(module)) {
            let text = fs::read_to_string(&path).unwrap();
            for right in &ORDER[place + 1..] {
                let import = format!("crate::{right}::");
                assert!(
                    !text.contains(&import),
                    "{}: {module} -> {right}",
                    path.display()
                );
            }
        }
    }
}

/// The last column of the table of sources names tests; each is somewhere in the repository.
#[test]
fn every_row_of_the_table_has_its_test() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(package.join("README.md")).unwrap();
    let section = text
        .split("\n## Sources of nondeterminism\n")
        .nth(1)
        .unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows: Vec<&str> = section
        .lines()
        .filter(|line| line.starts_with("| "))
        .collect();
    assert!(rows.len() > 30);
    let places = ["src", "tests", "../src", "../tests"].map(|place| files(&package.join(place)));
    let sources: String = places
        .iter()
        .flatten()
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    // The first is the head.
    for row in &rows[1..] {
        let tests = row.trim_end_matches('|').rsplit('|').next().unwrap();
        let names: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty() || tests.contains("none:"), "{row}");
        for name in names {
            assert!(sources.contains(&format!("fn {name}()")), "{name}: {row}");
        }
    }
}

/// The Rust files of a directory and below it.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}
