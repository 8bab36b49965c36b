//! Virtual packages, and what else decides which of several candidates is taken.

use std::path::{Path, PathBuf};

use crate::manifest::{ChannelPriority, PythonVersion};
use crate::resolve::conda::tests::Case;
use crate::resolve::conda::tests::making::Package;

fn tiny() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/conda/tiny-channel")
}

fn case(dependencies: &[&str]) -> Case {
    Case::new(dependencies).channel_at("tiny", tiny().to_str().unwrap())
}

#[test]
fn only_what_is_declared_decides() {
    let old = ["gpulib 1.0 cpu_0", "libfoo 1.0 h1_0"];
    assert_eq!(case(&["gpulib"]).pins(), old);
    let cuda = case(&["gpulib"]).declare("__cuda=12.4");
    assert_eq!(cuda.pins(), ["gpulib 1.0 cuda12_200", "libfoo 1.0 h1_0"]);
    let older = case(&["gpulib"]).declare("__cuda=11.8");
    assert_eq!(older.pins(), old);
    let newer = case(&["mytool"]).declare("__glibc=2.39");
    assert_eq!(
        newer.pins(),
        [
            "gpulib 1.0 cpu_0",
            "libfoo 2.0 h2_0",
            "mytool 0.4 pyhd_0",
            "python 3.12.4 h0_0",
        ]
    );
}

#[test]
fn what_is_not_declared_is_told_with_what_it_takes() {
    let mut bare = case(&["mytool"]);
    bare.declared.clear();
    let report = bare.report();
    assert!(
        report.contains("__glibc >=2.17, for which no candidates were found"),
        "{report}"
    );
    assert!(
        report.contains("hint: declare in `virtual-packages`"),
        "{report}"
    );
    let report = case(&["gpulib * cuda*"]).report();
    assert!(report.contains("__cuda >=12"), "{report}");
}

#[test]
fn packages_uploaded_later_are_not_there() {
    let mut case = case(&["mytool"]);
    case.conda.exclude_newer = Some("2020-01-01T00:00:00Z".parse().unwrap());
    let report = case.report();
    assert!(
        report.contains("uploaded after the cutoff date"),
        "{report}"
    );
    assert!(
        report.contains("hint: choose a later `exclude-newer`"),
        "{report}"
    );
    case.conda.exclude_newer = Some("2024-01-01T00:00:00Z".parse().unwrap());
    assert_eq!(case.pins().len(), 4);
}

#[test]
fn the_python_of_the_manifest_is_one_of_the_dependencies() {
    let version = |patch| PythonVersion {
        major: 3,
        minor: 11,
        patch,
    };
    let mut case = case(&["mytool"]);
    for patch in [None, Some(9)] {
        case.python = Some(version(patch));
        let packages = case.resolve().unwrap();
        let python = packages
            .iter()
            .find(|p| p.name.as_str() == "python")
            .unwrap();
        assert_eq!(python.version, "3.11.9");
        assert_eq!(python.required_by, ["interpreter", "mytool"]);
    }
    case.python = Some(version(Some(2)));
    let report = case.report();
    assert!(report.contains("python ==3.11.2"), "{report}");
}

#[test]
fn constraints_hold_for_what_is_there_and_bring_nothing() {
    let packages = [
        Package::new("a", "1").depends(&["b"]),
        Package::new("b", "1"),
        Package::new("b", "2"),
        Package::new("c", "1"),
    ];
    let mut case = Case::new(&["a"]).channel("own", &packages);
    case.conda.constraints = vec!["b <2".to_owned(), "c >=1".to_owned()];
    assert_eq!(case.pins(), ["a 1 h0_0", "b 1 h0_0"]);
}

#[test]
fn channels_are_asked_in_their_order() {
    let first = [Package::new("a", "1").depends(&["b"])];
    let second = [
        Package::new("a", "2").depends(&["b"]),
        Package::new("b", "1"),
        Package::new("old", "1").depends(&["a >=2"]),
    ];
    let case = |dependencies: &[&str], priority| {
        Case::new(dependencies)
            .channel("first", &first)
            .channel("second", &second)
            .priority(priority)
    };
    use ChannelPriority::{Disabled, Flexible, Strict};
    for (priority, expected) in [
        (Strict, "a 1 h0_0"),
        (Flexible, "a 1 h0_0"),
        (Disabled, "a 2 h0_0"),
    ] {
        assert_eq!(
            case(&["a"], priority).pins(),
            [expected, "b 1 h0_0"],
            "{priority:?}"
        );
    }
    // Only the strict one forbids what the first channel has in another version.
    assert_eq!(case(&["old"], Flexible).pins()[0], "a 2 h0_0");
    let report = case(&["old"], Strict).report();
    assert!(
        report.contains("strict channel priority not using this option from: `second`"),
        "{report}"
    );
    assert!(
        report.contains("hint: write `channel-priority = \"flexible\"`"),
        "{report}"
    );
    // A MatchSpec may name the channel, wherever it lies.
    assert_eq!(case(&["second::a"], Flexible).pins()[0], "a 2 h0_0");
    let packages = case(&["second::a"], Flexible).resolve().unwrap();
    let crate::lock::Origin::Registry(name) = &packages[0].artifact.origin else {
        panic!("a channel is a registry");
    };
    assert_eq!(name.as_str(), "second");
}

#[test]
fn a_matchspec_says_all_that_one_can() {
    let packages = [
        Package::new("a", "1.0").build("cpu_0"),
        Package::new("a", "1.1")
            .build("cuda_0")
            .set("license", serde_json::json!("MIT")),
        Package::new("a", "2.0")
            .build("cpu_1")
            .set("build_number", serde_json::json!(1)),
        Package::new("a", "3.0").build("cpu_0").noarch(),
    ];
    for (spec, version) in [
        ("a", "3.0"),
        ("a <3", "2.0"),
        ("a 1.*", "1.1"),
        ("a =1", "1.1"),
        ("a ==1.0", "1.0"),
        ("a !=3.0,<2.5", "2.0"),
        ("a >=1,<2|==3.0", "3.0"),
        ("a * cuda*", "1.1"),
        ("a[build='cuda*']", "1.1"),
        ("a[version='>=1',build_number=1]", "2.0"),
        ("a[subdir=linux-64]", "2.0"),
        ("a[license=MIT]", "1.1"),
        ("own::a[version='<2']", "1.1"),
    ] {
        let found = Case::new(&[spec]).channel("own", &packages).pins();
        assert!(
            found[0].starts_with(&format!("a {version} ")),
            "{spec}: {found:?}"
        );
    }
}
