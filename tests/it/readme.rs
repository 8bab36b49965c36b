//! What the README says is what the checks run.

use std::fs;
use std::path::Path;

/// Returns the lines of the README's shell blocks.
fn commands() -> Vec<String> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let mut commands = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        match line {
            "```sh" => inside = true,
            "```" => inside = false,
            line if inside && !line.trim().is_empty() => commands.push(line.to_owned()),
            _ => {}
        }
    }
    commands
}

#[test]
fn every_command_of_the_readme_is_run_by_ci() {
    let script = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(".ci/run")).unwrap();
    let commands = commands();
    assert!(commands.len() >= 2, "the README has its two commands");
    for command in commands {
        assert!(
            script.contains(&command),
            "`.ci/run` does not run `{command}`"
        );
    }
}
