//! What a new resolution keeps of the old one.

use std::collections::BTreeSet;

use crate::resolve::Upgrade;
use crate::resolve::conda::tests::Case;
use crate::resolve::conda::tests::making::{Package, write_channel};

fn old() -> Vec<Package> {
    vec![
        Package::new("a", "1").depends(&["b"]),
        Package::new("b", "1"),
        Package::new("c", "1"),
    ]
}

fn new() -> Vec<Package> {
    let mut all = old();
    all.push(Package::new("a", "2").depends(&["b"]));
    all.push(Package::new("b", "2"));
    all.push(Package::new("c", "2"));
    all
}

/// A lock of the old packages, and the channel as it is now.
fn locked(dependencies: &[&str]) -> Case {
    let mut case = Case::new(dependencies).channel("own", &old());
    case.lock();
    write_channel(case.channels[0].path(), &new());
    case
}

#[test]
fn what_fits_stays() {
    let mut case = locked(&["a"]);
    assert_eq!(case.pins(), ["a 1 h0_0", "b 1 h0_0"]);
    // A new dependency moves nothing else.
    case.conda.dependencies.push("c".to_owned());
    assert_eq!(case.pins(), ["a 1 h0_0", "b 1 h0_0", "c 2 h0_0"]);
    // What does not fit any more moves alone.
    case.conda.dependencies.push("b >=2".to_owned());
    assert_eq!(case.pins(), ["a 1 h0_0", "b 2 h0_0", "c 2 h0_0"]);
}

#[test]
fn what_may_move_moves() {
    let mut case = locked(&["a", "c"]);
    case.upgrade = Upgrade::Packages(BTreeSet::from(["B".to_owned()]));
    assert_eq!(case.pins(), ["a 1 h0_0", "b 2 h0_0", "c 1 h0_0"]);
    case.upgrade = Upgrade::All;
    assert_eq!(case.pins(), ["a 2 h0_0", "b 2 h0_0", "c 2 h0_0"]);
}

#[test]
fn what_a_channel_lost_is_chosen_anew() {
    let case = locked(&["a"]);
    let rest: Vec<_> = new()
        .into_iter()
        .filter(|p| p.file_name() != "a-1-h0_0.conda")
        .collect();
    write_channel(case.channels[0].path(), &rest);
    assert_eq!(case.pins(), ["a 2 h0_0", "b 1 h0_0"]);
}
