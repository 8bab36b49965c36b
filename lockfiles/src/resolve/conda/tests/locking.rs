//! Records to locked packages.

use serde_json::{Value, json};

use crate::base::{Digest, Platform};
use crate::lock::Origin;
use crate::net::tests::http::Server;
use crate::resolve::conda::merged;
use crate::resolve::conda::tests::Case;
use crate::resolve::conda::tests::making::{Form, Package, serve_channel, write_channel};

#[test]
fn a_package_is_known_by_its_channel_and_file() {
    let package = Package::new("a", "1!2.0_1").build("py312h1_0");
    let packages = Case::new(&["a"])
        .channel("own", std::slice::from_ref(&package))
        .resolve()
        .unwrap();
    let [a] = packages.as_slice() else {
        panic!("{packages:?} is one package");
    };
    assert_eq!(a.artifact.origin, Origin::Registry("own".parse().unwrap()));
    assert_eq!(a.artifact.file, "linux-64/a-1!2.0_1-py312h1_0.conda");
    assert_eq!(
        (a.version.as_str(), a.build.as_str()),
        ("1!2.0_1", "py312h1_0")
    );
    let bytes = package.bytes();
    assert_eq!(a.artifact.size, bytes.len() as u64);
    assert_eq!(a.artifact.digest, Digest::of(&bytes));
}

#[test]
fn what_a_channel_leaves_out_is_computed() {
    let whole = Package::new("a", "1");
    let bytes = whole.bytes();
    for (key, other) in [("sha256", "size"), ("size", "sha256"), ("sha256", "md5")] {
        let package = whole.clone().set(key, Value::Null).set(other, Value::Null);
        let local = Case::new(&["a"]).channel("own", std::slice::from_ref(&package));
        let server = Server::start();
        serve_channel(&server, "own", std::slice::from_ref(&package), Form::Plain);
        let url = format!("{}/own", server.url());
        for case in [local, Case::new(&["a"]).channel_at("own", &url)] {
            let artifact = case.resolve().unwrap().remove(0).artifact;
            assert_eq!(
                (artifact.size, artifact.digest),
                (bytes.len() as u64, Digest::of(&bytes))
            );
        }
        assert_eq!(server.count(&format!("/own/{}", package.path())), 1);
    }
}

#[test]
fn what_the_old_lock_knows_is_not_fetched_again() {
    let package = Package::new("a", "1").set("sha256", Value::Null);
    let server = Server::start();
    serve_channel(&server, "own", std::slice::from_ref(&package), Form::Plain);
    let mut case = Case::new(&["a"]).channel_at("own", &format!("{}/own", server.url()));
    case.lock();
    case.lock();
    assert_eq!(server.count(&format!("/own/{}", package.path())), 1);
}

#[test]
fn a_channel_that_lies_is_found_out_when_it_has_to_be_looked_at() {
    let package = Package::new("a", "1")
        .set("sha256", Value::Null)
        .set("size", json!(7));
    let report = Case::new(&["a"]).channel("own", &[package]).report();
    assert!(
        report.starts_with("Integrity error: `linux-64/a-1-h0_0.conda` has the size "),
        "{report}"
    );
    assert!(report.contains(", not 7 as its channel says"), "{report}");
    assert!(
        report.contains("hint: the channel serves another file than it lists"),
        "{report}"
    );
}

#[test]
fn a_cycle_of_dependencies_is_no_problem() {
    let packages = [
        Package::new("a", "1").depends(&["b"]),
        Package::new("b", "1").depends(&["c", "b >=1"]),
        Package::new("c", "1").depends(&["a"]),
    ];
    let packages = Case::new(&["a"])
        .channel("own", &packages)
        .resolve()
        .unwrap();
    let required_by: Vec<_> = packages.iter().map(|p| p.required_by.join(" ")).collect();
    assert_eq!(required_by, ["c manifest", "a", "b"]);
}

#[test]
fn platforms_share_what_is_for_all() {
    let packages = [
        Package::new("a", "1").noarch().depends(&["b"]),
        Package::new("b", "1"),
        Package::new("b", "1").subdir("linux-aarch64"),
    ];
    let mut case = Case::new(&["a"]).channel("own", &packages);
    let mut all = Vec::new();
    for platform in Platform::ALL {
        case.platform = platform;
        all.push((platform, case.declared.clone(), case.resolve().unwrap()));
    }
    let conda = merged(all);
    let shown: Vec<_> = conda
        .packages
        .iter()
        .map(|p| (p.artifact.file.as_str(), p.platforms.as_slice()))
        .collect();
    let (amd64, arm64) = ([Platform::LinuxAmd64], [Platform::LinuxArm64]);
    assert_eq!(
        shown,
        [
            ("noarch/a-1-h0_0.conda", &Platform::ALL[..]),
            ("linux-64/b-1-h0_0.conda", &amd64[..]),
            ("linux-aarch64/b-1-h0_0.conda", &arm64[..]),
        ]
    );
    assert_eq!(conda.virtual_packages[0].platforms, Platform::ALL);
}

#[test]
fn a_package_by_its_url_is_locked_with_it() {
    let package = Package::new("a", "1").depends(&["b"]);
    let server = Server::start();
    serve_channel(
        &server,
        "elsewhere",
        std::slice::from_ref(&package),
        Form::Plain,
    );
    let url = format!("{}/elsewhere/{}", server.url(), package.path());
    let packages = Case::new(&[&url]).channel("own", &[]).resolve().unwrap();
    assert_eq!(packages[0].artifact.origin, Origin::Url(url));
    assert_eq!(packages[0].artifact.file, package.path());
    assert_eq!(packages[0].artifact.digest, Digest::of(&package.bytes()));
}

#[test]
fn a_package_by_a_path_has_no_place_in_a_lock() {
    let directory = tempfile::tempdir().unwrap();
    let package = Package::new("a", "1");
    write_channel(directory.path(), std::slice::from_ref(&package));
    let file = directory.path().join(package.path());
    let url = url::Url::from_file_path(&file).unwrap();
    let report = Case::new(&[url.as_str()]).channel("own", &[]).report();
    assert!(report.starts_with("User error: `file:///"), "{report}");
    assert!(
        report.contains("hint: make its directory a channel"),
        "{report}"
    );
}
