//! Channels that fail, each in its own way.

use serde_json::json;

use crate::net::tests::http::{Answer, Server, nobody};
use crate::resolve::conda::tests::Case;
use crate::resolve::conda::tests::making::{Package, repodata};

fn served(answer: Answer) -> (Server, Case) {
    let server = Server::start();
    server.answers("/own/noarch/repodata.json", vec![answer]);
    let url = format!("{}/own", server.url());
    (server, Case::new(&["a"]).channel_at("own", &url))
}

fn reported(answer: Answer) -> String {
    let (server, case) = served(answer);
    case.report().replace(&server.url(), "SERVER")
}

#[test]
fn a_channel_that_is_not_there_is_named() {
    let (server, case) = served(Answer::Status(404, vec![]));
    insta::assert_snapshot!(case.report().replace(&server.url(), "SERVER"), @r#"
    Network error: the channel `own` does not exist: it has no `noarch/repodata.json`
    caused by: HTTP status client error (404 Status) for url (SERVER/own/noarch/repodata.json)
    hint: check the spelling, and say where it lies with `{ name = "…", url = "…" }` or in the user's configuration
    "#);
    let case = Case::new(&["a"]).channel_at("own", "/nowhere/own");
    insta::assert_snapshot!(case.report(), @r#"
    User error: the channel `own` is at `/nowhere/own/`, which is no directory
    hint: check the spelling, and say where it lies with `{ name = "…", url = "…" }` or in the user's configuration
    "#);
    let empty = Case::new(&["a"]).channel_of("own", |_| {});
    insta::assert_snapshot!(empty.report(), @r#"
    Network error: the channel `own` does not exist: it has no `noarch/repodata.json`
    caused by: failed to open file `CHANNEL0/noarch/repodata.json`: No such file or directory (os error 2)
    hint: check the spelling, and say where it lies with `{ name = "…", url = "…" }` or in the user's configuration
    "#);
}

#[test]
fn a_channel_that_does_not_answer_is_named() {
    insta::assert_snapshot!(reported(Answer::Status(403, vec![])), @"
    Network error: the channel `own` answered 403
    caused by: HTTP status client error (403 Status) for url (SERVER/own/noarch/repodata.json)
    hint: add its host and your credentials to `~/.netrc`
    ");
    let place = nobody();
    let report = Case::new(&["a"]).channel_at("own", &place).report();
    assert!(
        report.starts_with("Network error: the channel `own` could not be reached"),
        "{report}"
    );
}

#[test]
fn what_breaks_off_or_makes_no_sense_is_told() {
    let text = repodata("noarch", &[Package::new("a", "1").noarch()]);
    let half = text.as_bytes()[..text.len() / 2].to_vec();
    insta::assert_snapshot!(reported(Answer::Bytes(half.clone())), @"
    Network error: what the channel `own` lists for noarch cannot be read
    caused by: failed to parse repodata.json
    caused by: EOF while parsing a string at line 1 column 149
    hint: the channel is at fault: try again later, or use a mirror
    ");
    insta::assert_snapshot!(reported(Answer::Bytes(b"<html>".to_vec())), @"
    Network error: what the channel `own` lists for noarch cannot be read
    caused by: failed to parse repodata.json
    caused by: expected value at line 1 column 1
    hint: the channel is at fault: try again later, or use a mirror
    ");
    let local = Case::new(&["a"]).channel_of("own", |directory| {
        std::fs::create_dir(directory.join("noarch")).unwrap();
        std::fs::write(directory.join("noarch/repodata.json"), half).unwrap();
    });
    insta::assert_snapshot!(local.report(), @"
    Network error: what the channel `own` lists for noarch cannot be read
    caused by: failed to parse repodata.json
    caused by: EOF while parsing a string at line 1 column 149
    hint: the channel is at fault: try again later, or use a mirror
    ");
}

#[test]
fn a_package_that_nobody_has_is_told() {
    let case = Case::new(&["nump"]).channel("own", &[Package::new("numpy", "1")]);
    insta::assert_snapshot!(case.report(), @"
    User error: no set of packages fulfils the conda dependencies on linux/amd64
    caused by: No candidates were found for nump *.
    hint: check the spelling of what was not found, and whether it is in one of `own`
    ");
}

#[test]
fn a_version_that_nobody_has_is_told_with_those_that_there_are() {
    let packages = ["1.9", "1.10", "1.26.4"].map(|version| Package::new("numpy", version));
    let case = Case::new(&["numpy >=2"]).channel("own", &packages);
    let report = case.report();
    let hint = "hint: of `numpy` there is: 1.26.4, 1.10, 1.9\n";
    assert!(report.ends_with(hint), "{report}");
}

#[test]
fn packages_that_exclude_each_other_are_told() {
    let packages = [
        Package::new("a", "1").depends(&["c <2"]),
        Package::new("b", "1").depends(&["c >=2"]),
        Package::new("c", "1"),
        Package::new("c", "2"),
    ];
    let case = Case::new(&["a", "b"]).channel("own", &packages);
    insta::assert_snapshot!(case.report(), @"
    User error: no set of packages fulfils the conda dependencies on linux/amd64
    caused by: The following packages are incompatible
    ├─ b * can be installed with any of the following options:
    │  └─ b 1 would require
    │     └─ c >=2, which can be installed with any of the following options:
    │        └─ c 2
    └─ a * cannot be installed because there are no viable options:
       └─ a 1 would require
          └─ c <2, which cannot be installed because there are no viable options:
             └─ c 1, which conflicts with the versions reported above.
    ");
}

#[test]
fn a_file_under_another_name_is_refused() {
    let package = Package::new("a", "1").set("version", json!("2"));
    let case = Case::new(&["a"]).channel("own", &[package]);
    insta::assert_snapshot!(case.report(), @"
    Integrity error: the channel lists `a-1-h0_0.conda` as a file of a 2 h0_0
    hint: the channel is at fault: try again later, or use a mirror
    ");
}

#[test]
fn a_password_in_a_place_is_never_shown() {
    let place = nobody().replace("http://", "http://me:secret@");
    let report = Case::new(&["a"]).channel_at("own", &place).report();
    assert!(!report.contains("secret"), "{report}");
}
