use super::*;
use crate::lock::Groups;

fn named(names: &[&str]) -> Groups {
    Groups::Named(names.iter().map(|name| name.parse().unwrap()).collect())
}

fn names(lock: &Lockfile) -> Vec<&str> {
    let wheels = lock.python.iter().map(|wheel| wheel.name.as_str());
    let packages = lock.debian.packages.iter();
    wheels
        .chain(packages.map(|package| package.name.as_str()))
        .collect()
}

#[test]
fn a_group_brings_what_it_asks_for_and_no_more() {
    let lock = grouped();
    let base = ["dash", "libc6"];
    for (groups, expected) in [
        (Groups::None, &["numpy", "dash", "libc6"][..]),
        (named(&["empty"]), &["numpy", "dash", "libc6"]),
        (
            named(&["dev"]),
            &["numpy", "pandas", "six", "dash", "git", "libc6"],
        ),
        (
            Groups::All,
            &["numpy", "pandas", "six", "dash", "git", "libc6"],
        ),
    ] {
        let selected = lock.select(&groups).unwrap();
        assert_eq!(names(&selected), expected, "{groups:?}");
        assert!(base.iter().all(|name| names(&selected).contains(name)));
    }
}

#[test]
fn what_is_not_chosen_leaves_no_trace() {
    let selected = grouped().select(&Groups::None).unwrap();
    let mut without = plain();
    without.request.requirements = vec!["numpy".to_owned()];
    without.python.truncate(1);
    assert_eq!(selected, without);
    assert_eq!(selected.to_bytes(), without.to_bytes());
}

#[test]
fn what_is_chosen_is_as_if_it_were_asked_for_always() {
    let selected = grouped().select(&named(&["dev"])).unwrap();
    let request = &selected.request;
    assert_eq!(request.requirements, ["numpy", "numpy<3", "pandas>=2"]);
    assert_eq!(request.packages, ["git".parse().unwrap()]);
    assert!(request.groups.is_empty());
    assert_eq!(parse(&text(&selected)).unwrap(), selected);
    assert_eq!(selected, grouped().select(&Groups::All).unwrap());
}

#[test]
fn only_what_is_asked_for_always_keeps_what_was_built() {
    let mut lock = grouped();
    lock.built.push(crate::lock::BuiltImage {
        platform: AMD64,
        image_id: Digest::of(b"config"),
    });
    assert_eq!(lock.select(&Groups::None).unwrap().built, lock.built);
    assert!(lock.select(&named(&["dev"])).unwrap().built.is_empty());
}

#[test]
fn wheels_keep_the_conda_packages_that_they_may_import() {
    let mut lock = conda();
    let brings = lock.conda.packages.iter();
    let brings = brings.filter(|package| !package.python.is_empty());
    let brings: Vec<_> = brings.map(|package| package.name.clone()).collect();
    let group = GroupRequest {
        conda: lock
            .request
            .conda
            .as_mut()
            .unwrap()
            .dependencies
            .split_off(0),
        ..GroupRequest::default()
    };
    lock.request.groups = BTreeMap::from([("dev".parse().unwrap(), group)]);
    let kept = |lock: &Lockfile| {
        let selected = lock.select(&Groups::None).unwrap();
        let packages = selected.conda.packages.into_iter();
        packages.map(|package| package.name).collect::<Vec<_>>()
    };
    assert!(!lock.python.is_empty());
    assert!(brings.iter().all(|name| kept(&lock).contains(name)));
    lock.python.clear();
    lock.request.requirements.clear();
    assert!(!brings.iter().any(|name| kept(&lock).contains(name)));
}

#[test]
fn a_group_that_there_is_not_is_named() {
    let error = grouped().select(&named(&["dev", "tests"])).unwrap_err();
    assert_eq!(error.to_string(), "the manifest has no group `tests`");
    assert_eq!(
        crate::base::Explain::hints(&error),
        ["it has `dev`, `empty`"]
    );
    assert!(plain().select(&named(&["dev"])).is_err());
    assert_eq!(plain().select(&Groups::All).unwrap(), plain());
}
