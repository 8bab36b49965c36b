//! Channels over HTTP, in every form, and without a network.

use crate::base::Network;
use crate::net::tests::http::Server;
use crate::resolve::conda::tests::Case;
use crate::resolve::conda::tests::making::{Form, Package, serve_channel};

fn packages() -> Vec<Package> {
    vec![
        Package::new("a", "1").depends(&["b"]),
        Package::new("b", "1"),
        Package::new("unused", "1"),
    ]
}

#[test]
fn every_form_of_a_channel_gives_the_same() {
    let local = Case::new(&["a"])
        .channel("own", &packages())
        .resolve()
        .unwrap();
    for form in [Form::Plain, Form::Zst, Form::Sharded] {
        let server = Server::start();
        serve_channel(&server, "own", &packages(), form);
        let mut case = Case::new(&["a"]).channel_at("own", &format!("{}/own", server.url()));
        assert_eq!(case.resolve().unwrap(), local, "{form:?}");
        let paths: Vec<_> = server.requests().into_iter().map(|r| r.path).collect();
        let got = |end: &str| paths.iter().filter(|path| path.ends_with(end)).count();
        match form {
            // Only what is needed comes.
            Form::Sharded => assert_eq!(
                paths
                    .iter()
                    .filter(|path| path.contains("/shards/"))
                    .count(),
                2
            ),
            Form::Zst => assert!(got("linux-64/repodata.json.zst") > 0),
            Form::Plain => assert!(got("linux-64/repodata.json") > 0),
        }
        // What was asked once is there without a network.
        let before = server.requests().len();
        case.context.network = Network::Offline;
        assert_eq!(case.resolve().unwrap(), local, "{form:?} offline");
        assert_eq!(server.requests().len(), before);
        case.conda.dependencies = vec!["a <1".to_owned()];
        let report = case.report();
        assert!(
            report.starts_with("User error: no set of packages"),
            "{report}"
        );
    }
}

#[test]
fn without_a_network_and_a_cache_it_is_told() {
    let server = Server::start();
    serve_channel(&server, "own", &packages(), Form::Plain);
    let mut case = Case::new(&["a"]).channel_at("own", &format!("{}/own", server.url()));
    case.context.network = Network::Offline;
    insta::assert_snapshot!(case.report(), @"
    Network error: what the channel `own` lists for noarch is not in the cache, and the network is disabled
    hint: run once without `--offline`
    ");
    assert!(server.requests().is_empty());
    // A channel on this machine needs none.
    let mut case = Case::new(&["a"]).channel("own", &packages());
    case.context.network = Network::Offline;
    assert_eq!(case.pins().len(), 2);
}

#[test]
fn a_mirror_gives_the_same_lock() {
    let own = Server::start();
    serve_channel(&own, "own", &packages(), Form::Plain);
    let mirror = Server::start();
    serve_channel(&mirror, "copies/own", &packages(), Form::Zst);
    let mut case = Case::new(&["own::a"]).channel_at("own", &format!("{}/own", own.url()));
    let first = case.resolve().unwrap();
    let place = format!("{}/copies/own", mirror.url());
    case.context
        .registries
        .insert("own".parse().unwrap(), place);
    let asked = own.requests().len();
    assert_eq!(case.resolve().unwrap(), first);
    assert_eq!(own.requests().len(), asked);
}
