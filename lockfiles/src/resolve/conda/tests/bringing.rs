//! Which Python distributions packages bring.

use std::collections::BTreeMap;

use crate::base::{CondaName, PythonName};
use crate::net::block_on_large_stack;
use crate::net::tests::http::{Answer, Server};
use crate::resolve::conda::tests::making::{Form, Package, serve_channel};
use crate::resolve::conda::tests::{Case, report};
use crate::resolve::conda::{CondaError, distributions};

fn python() -> Package {
    Package::new("python", "3.12.4")
}

/// Returns the pins of each package that brings some, as `package: pins`.
fn brought(case: &Case, named: &[(&str, &[&str])]) -> Result<Vec<String>, CondaError> {
    let named: BTreeMap<CondaName, Vec<PythonName>> = named
        .iter()
        .map(|(package, names)| {
            let names = names.iter().map(|name| name.parse().unwrap()).collect();
            (package.parse().unwrap(), names)
        })
        .collect();
    block_on_large_stack(|| async {
        let session = case.open()?;
        let packages = session.resolve(4, case.task()).await?;
        let found = distributions(&case.context, &session, &packages, &named).await?;
        let shown = packages
            .iter()
            .zip(found)
            .filter(|(_, all)| !all.is_empty());
        let shown = shown.map(|(package, all)| {
            let pins: Vec<_> = all
                .iter()
                .map(|one| format!("{}=={}", one.name, one.version))
                .collect();
            format!("{}: {}", package.name, pins.join(" "))
        });
        Ok(shown.collect())
    })
}

#[test]
fn its_own_files_say_what_a_package_brings() {
    let packages = [
        python(),
        Package::python("py-torch", "2.0"),
        // Another name than the package's, and several.
        Package::new("pytorch", "2.1")
            .depends(&["python"])
            .file(
                "lib/python3.12/site-packages/torch-2.1.0+cpu.dist-info/METADATA",
                "",
            )
            .file(
                "lib/python3.12/site-packages/functorch-2.1.0.dist-info/METADATA",
                "",
            )
            .file(
                "lib/python3.12/site-packages/torch-2.1.0+cpu.dist-info/RECORD",
                "",
            ),
        // An egg, and one that is a file.
        Package::new("eggs", "1")
            .depends(&["python"])
            .file(
                "lib/python3.12/site-packages/Eggs-1.0-py3.12.egg-info/PKG-INFO",
                "",
            )
            .file("lib/python3.12/site-packages/spam-0.5-py3.12.egg-info", ""),
        // Modules and no metadata: its own name. No modules: nothing.
        Package::new("bare_modules", "2024a")
            .depends(&["python"])
            .file("site-packages/x.py", ""),
        Package::new("meta", "1").depends(&["python", "pytorch"]),
        // Not a user of Python: nobody looks.
        Package::new("data", "1").file("site-packages/data-1.dist-info/METADATA", ""),
    ];
    let case =
        Case::new(&["py-torch", "meta", "eggs", "bare_modules", "data"]).channel("own", &packages);
    let expected = [
        "bare_modules: bare-modules==2024",
        "eggs: eggs==1.0 spam==0.5",
        "py-torch: py-torch==2.0",
        "pytorch: functorch==2.1.0 torch==2.1.0+cpu",
    ];
    assert_eq!(brought(&case, &[]).unwrap(), expected);
    // The manifest goes before: also to say that it is nothing.
    let named: [(&str, &[&str]); 2] = [("meta", &["whole"]), ("eggs", &[])];
    assert_eq!(
        brought(&case, &named).unwrap(),
        [
            "bare_modules: bare-modules==2024",
            "meta: whole==1",
            "py-torch: py-torch==2.0",
            "pytorch: functorch==2.1.0 torch==2.1.0+cpu",
        ]
    );
}

#[test]
fn a_package_is_looked_into_once_and_only_where_needed() {
    // Incompressible, and larger than what is fetched of a package's end.
    let noise: String = (0..200_000_u64)
        .map(|n| char::from(b'!' + (n.wrapping_mul(6_364_136_223_846_793_005) >> 57) as u8 % 90))
        .collect();
    let large = Package::python("large", "1").file("site-packages/large.bin", &noise);
    let packages = [python(), large.clone()];
    let server = Server::start();
    serve_channel(&server, "own", &packages, Form::Plain);
    let case = Case::new(&["large"]).channel_at("own", &format!("{}/own", server.url()));
    for _ in 0..2 {
        assert_eq!(brought(&case, &[]).unwrap(), ["large: large==1"]);
    }
    let path = format!("/own/{}", large.path());
    assert_eq!(server.count(&path), 1);
    let asked = server
        .requests()
        .into_iter()
        .find(|request| request.path == path)
        .unwrap();
    assert!(
        asked.headers["range"].starts_with("bytes=-"),
        "only its end was fetched"
    );
}

#[test]
fn a_package_that_cannot_be_read_is_named() {
    for answer in [
        Answer::Status(404, vec![]),
        Answer::Bytes(b"no archive".to_vec()),
        Answer::HangUp,
    ] {
        let package = Package::python("a", "1");
        let server = Server::start();
        serve_channel(&server, "own", &[python(), package.clone()], Form::Plain);
        server.answers(&format!("/own/{}", package.path()), vec![answer]);
        let case = Case::new(&["a"]).channel_at("own", &format!("{}/own", server.url()));
        let error = brought(&case, &[]).unwrap_err();
        let report = report(&error);
        let start = "Integrity error: failed to read the package `noarch/a-1-h0_0.conda`";
        assert!(report.starts_with(start), "{report}");
        // Unless the manifest says it.
        assert_eq!(brought(&case, &[("a", &["a"])]).unwrap(), ["a: a==1"]);
    }
}
