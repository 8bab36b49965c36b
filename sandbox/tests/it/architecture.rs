//! Holds the order of the modules: imports point to the left.

use std::fs;
use std::path::Path;

const ORDER: [&str; 4] = ["sys", "init", "host", "sandbox"];

#[test]
fn imports_point_to_the_left() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (place, module) in ORDER.iter().enumerate() {
        for entry in fs::read_dir(source.join(module)).unwrap() {
            let path = entry.unwrap().path();
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
