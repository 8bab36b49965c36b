//! `envbox add` and `remove` of conda packages, groups that have some, and what `diff` says of them.

use std::fs;

use serde_json::Value;

use crate::channel::Recipe;
use crate::conda::{interpreter, libfoo, wheel_of};
use crate::conda_locked::Locked;
use crate::support::User;

fn tool(version: &str) -> Recipe {
    let program = format!("#!/bin/sh\necho tool {version} with \"$(foo)\"\n");
    Recipe::new("tool", version, "h_0")
        .needs(&["libfoo"])
        .script("bin/tool", &program)
}

fn manifest(case: &Locked) -> String {
    fs::read_to_string(case.world.project().join("envbox.toml")).unwrap()
}

fn packages(case: &Locked) -> Vec<String> {
    let packages = case.lockfile().conda.packages;
    packages.iter().map(|one| one.name.to_string()).collect()
}

/// Returns the packages in the image of the environment with these groups, a layer's names apart from
/// another's.
fn layers(case: &Locked, groups: &[&str]) -> Vec<String> {
    let words = [&["build", "--frozen", "--json"], groups].concat();
    let (printed, _) = case.succeeds(&words);
    let document: Value = serde_json::from_str(&printed).unwrap();
    let layers = document["images"][0]["layers"].as_array().unwrap().iter();
    layers.map(|layer| layer["packages"].to_string()).collect()
}

#[test]
fn conda_packages_are_added_with_a_lower_bound_and_removed() {
    let rest = "dependencies = [\"libfoo\"] # needed\n";
    let recipes = [libfoo(), tool("2.1"), tool("3.0")];
    let case = Locked::new(User::Unprivileged, &recipes, &[], rest);
    case.succeeds(&["lock"]);
    let before = manifest(&case);
    let (told, _) = case.succeeds(&["add", "--conda", "tool"]);
    assert!(told.starts_with("added `tool >=3.0` to "), "{told}");
    let with = rest.replace("\"libfoo\"", "\"libfoo\", \"tool >=3.0\"");
    assert_eq!(manifest(&case), before.replace(rest, &with));
    case.succeeds(&["lock", "--check"]);
    let (printed, _) = case.succeeds(&["run", "--frozen", "--", "tool"]);
    assert_eq!(printed, "tool 3.0 with prefix /opt/env foo\n");
    // Another version of it goes in its place.
    case.succeeds(&["add", "--conda", "tool 2.*"]);
    let (printed, _) = case.succeeds(&["run", "--frozen", "--", "tool"]);
    assert_eq!(printed, "tool 2.1 with prefix /opt/env foo\n");
    for (words, reason) in [
        (["add", "--conda", "nothing"], "nothing"),
        (["add", "--conda", "tool >4"], "tool"),
        (["remove", "--conda", "nothing"], "`nothing` is not in"),
    ] {
        let (text, lock) = (manifest(&case), case.lockfile());
        let refused = case.world.run(&words);
        assert_eq!(refused.code(), Some(10), "{}", refused.stderr());
        assert!(refused.stderr().contains(reason), "{}", refused.stderr());
        assert_eq!((manifest(&case), case.lockfile()), (text, lock));
    }
    case.succeeds(&["remove", "--conda", "tool"]);
    assert_eq!(manifest(&case), before);
    assert_eq!(packages(&case), ["libfoo"]);
    let gone = case.world.run(&["run", "--frozen", "--", "tool"]);
    assert_eq!(gone.code(), Some(127), "{}", gone.stderr());
}

#[test]
fn conda_packages_of_a_group_are_there_with_the_group() {
    let rest = "dependencies = [\"libfoo\"]\n[groups.dev]\nconda = [\"tool <3\"]\n";
    let other = Recipe::new("other", "1.0", "0").script("bin/other", "#!/bin/sh\necho other\n");
    let recipes = [libfoo(), tool("2.1"), tool("3.0"), other];
    let case = Locked::new(User::Unprivileged, &recipes, &[], rest);
    case.succeeds(&["lock"]);
    assert_eq!(packages(&case), ["libfoo", "tool"]);
    let without = case.world.run(&["run", "--frozen", "--", "tool"]);
    assert_eq!(without.code(), Some(127), "{}", without.stderr());
    for options in [&["--group", "dev"][..], &["--all-groups"]] {
        let words = [&["run", "--frozen"], options, &["--", "tool"]].concat();
        let (printed, _) = case.succeeds(&words);
        assert_eq!(printed, "tool 2.1 with prefix /opt/env foo\n");
    }
    let with = layers(&case, &["--group", "dev"]);
    assert!(with.contains(&"[\"tool=2.1\"]".to_owned()), "{with:?}");
    assert!(!layers(&case, &[]).join(" ").contains("tool"));
    // A group that is not there yet is made; it stays, empty, when all of it is removed.
    let before = manifest(&case);
    case.succeeds(&["add", "--conda", "--group", "docs", "other"]);
    let text = manifest(&case);
    assert!(
        text.contains("[groups.docs]\nconda = [\"other >=1.0\"]\n"),
        "{text}"
    );
    let words = ["run", "--frozen", "--group", "docs", "--", "other"];
    assert_eq!(case.succeeds(&words).0, "other\n");
    case.succeeds(&["remove", "--conda", "--group", "docs", "other"]);
    assert_eq!(packages(&case), ["libfoo", "tool"]);
    let emptied = format!("{before}\n[groups.docs]\nconda = []\n");
    assert_eq!(manifest(&case), emptied);
}

#[test]
fn a_difference_names_the_licences_of_what_is_unpacked() {
    let recipes = [
        interpreter(),
        libfoo(),
        tool("2.1").licence("BSD-3-Clause"),
        tool("3.0").licence("Apache-2.0"),
    ];
    let app = wheel_of("app", &[("app.py", "1appl\n")], "License-Expression: ISC\n");
    let rest = "dependencies = [\"python\", \"tool <3\"]\n";
    let case = Locked::new(User::Unprivileged, &recipes, &[("app", app)], rest);
    let lock = |text: &str| {
        let old = manifest(&case);
        case.world.write("envbox.toml", &old.replace(rest, text));
        case.succeeds(&["lock"]);
    };
    case.succeeds(&["lock"]);
    fs::copy(
        case.world.project().join("envbox.lock"),
        case.world.project().join("old.lock"),
    )
    .unwrap();
    case.succeeds(&["run", "--frozen", "--", "tool"]);
    lock("dependencies = [\"python\", \"tool >=3\"]\n[python]\nrequirements = [\"app\"]\n");
    let difference = || {
        let (told, _) = case.succeeds(&["diff", "old.lock", "envbox.lock"]);
        let lines = told.lines().filter(|line| line.starts_with(['~', '+']));
        // Sizes of what is packed are the compressor's.
        let without_sizes = |line: &str| {
            let parts = line
                .split(", ")
                .filter(|part| !part.contains("B)") && !part.ends_with('B'));
            parts.collect::<Vec<_>>().join(", ")
        };
        lines.map(without_sizes).collect::<Vec<_>>().join("\n")
    };
    // What was not unpacked does not say it yet.
    assert_eq!(
        difference(),
        "~ tool 2.1 h_0 -> 3.0 h_0 (conda, BSD-3-Clause -> unknown)\n+ app 1.0 (python"
    );
    case.succeeds(&["run", "--frozen", "--", "tool"]);
    assert_eq!(
        difference(),
        "~ tool 2.1 h_0 -> 3.0 h_0 (conda, BSD-3-Clause -> Apache-2.0)\n+ app 1.0 (python, ISC)"
    );
    let (printed, _) = case.succeeds(&["diff", "--json", "old.lock", "envbox.lock"]);
    let document: Value = serde_json::from_str(&printed).unwrap();
    let changes = document["changes"].as_array().unwrap();
    let tool = changes
        .iter()
        .find(|change| change["name"] == "tool")
        .unwrap();
    assert_eq!(tool["old_files"][0]["licence"], "BSD-3-Clause");
    assert_eq!(tool["new_files"][0]["licence"], "Apache-2.0");
}
