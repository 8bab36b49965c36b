use super::*;
use crate::lock::{Asker, Ecosystem, Graph, Way};

fn asked_by(mut wheel: LockedWheel, askers: &[&str]) -> LockedWheel {
    wheel.required_by = askers.iter().map(|&name| name.to_owned()).collect();
    wheel
}

/// app -> library -> core, other -> core, and core <-> ring.
fn lock() -> Lockfile {
    let pure =
        |name: &str, askers: &[&str]| asked_by(wheel(name, "1", "py3-none-any", &[AMD64]), askers);
    let mut libc = package("libc6", "2.36", AMD64);
    libc.required_by = vec![
        "base".to_owned(),
        "manifest".to_owned(),
        "python3".to_owned(),
    ];
    let mut python = package("python3", "3.11", AMD64);
    python.required_by = vec!["interpreter".to_owned()];
    Lockfile {
        python: vec![
            pure("app", &["manifest"]),
            pure("core", &["library", "other", "ring"]),
            pure("library", &["app"]),
            pure("other", &["manifest"]),
            pure("ring", &["core"]),
        ],
        debian: LockedDebian {
            packages: vec![libc, python],
            ..plain().debian
        },
        ..plain()
    }
}

fn place(graph: &Graph<'_>, name: &str) -> usize {
    let found = graph.nodes.iter().position(|node| node.name == name);
    found.unwrap()
}

fn told(graph: &Graph<'_>, way: &Way) -> String {
    let names = way.packages.iter().map(|&place| graph.nodes[place].name);
    let asker = way.asker.to_string();
    let names: Vec<_> = [asker.as_str()].into_iter().chain(names).collect();
    names.join(" ")
}

#[test]
fn each_that_asks_for_a_package_is_a_way_to_it() {
    let lock = lock();
    let graph = Graph::of(&lock, AMD64);
    for (name, ways) in [
        ("app", &["manifest app"][..]),
        ("library", &["manifest app library"]),
        // `ring` asks for it as well, but is there because of it alone.
        (
            "core",
            &["manifest other core", "manifest app library core"],
        ),
        ("ring", &["manifest other core ring"]),
        (
            "libc6",
            &["manifest libc6", "base libc6", "interpreter python3 libc6"],
        ),
    ] {
        let place = place(&graph, name);
        let found = graph.ways(place);
        let found: Vec<_> = found.iter().map(|way| told(&graph, way)).collect();
        assert_eq!(found, ways, "{name}");
    }
}

#[test]
fn every_artifact_of_a_platform_is_in_its_graph() {
    for lock in [plain(), full(), on_image(), conda(), grouped(), lock()] {
        let mut found: Vec<_> = Vec::new();
        for &platform in &lock.request.platforms {
            let graph = Graph::of(&lock, platform);
            found.extend(graph.nodes.iter().flat_map(|node| node.artifacts.clone()));
        }
        for artifact in lock.artifacts() {
            assert!(found.contains(&artifact), "{}", artifact.file);
        }
    }
}

#[test]
fn a_wheel_called_base_is_no_base() {
    let mut lock = lock();
    lock.python[1] = asked_by(wheel("base", "1", "py3-none-any", &[AMD64]), &["app"]);
    lock.python[2] = asked_by(wheel("core", "1", "py3-none-any", &[AMD64]), &["base"]);
    let graph = Graph::of(&lock, AMD64);
    let core = &graph.nodes[place(&graph, "core")];
    assert!(core.asked_by.is_empty());
    let asker = &graph.nodes[core.required_by[0]];
    assert_eq!((asker.name, asker.ecosystem), ("base", Ecosystem::Python));
    let nodes = graph.nodes.iter();
    let mut roots = nodes.filter(|node| node.asked_by.contains(&Asker::Base));
    assert_eq!(roots.next().unwrap().name, "libc6");
    assert!(roots.next().is_none());
}
