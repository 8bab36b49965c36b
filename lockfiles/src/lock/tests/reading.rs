use std::path::Path;

use proptest::prelude::*;

use crate::base::Explain as _;
use crate::lock::tests::{conda, full, parse, plain, text};
use crate::lock::{LockError, Lockfile};

/// The error with its causes and hints, each on a line.
fn rendered(error: &LockError) -> String {
    let mut lines = vec![error.to_string()];
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        lines.push(format!("caused by: {}", error.to_string().trim_end()));
        cause = error.source();
    }
    lines.extend(error.hints().iter().map(|hint| format!("hint: {hint}")));
    lines.join("\n")
}

/// Replaces `from`, which must be there, in the text of `lock`.
fn tampered(lock: &Lockfile, from: &str, to: &str) -> LockError {
    let good = text(lock);
    assert!(good.contains(from), "{from} is not in the lock");
    parse(&good.replacen(from, to, 1)).expect_err(to)
}

#[test]
fn every_tampering_has_its_own_error() {
    for (from, to, expected) in [
        ("version = 1\n", "version = 5\n", "format version 5"),
        ("version = 1\n", "version = 0\n", "there never was"),
        ("version = 1\n", "version = -1\n", "failed to parse"),
        ("size = ", "size = 9", "edited by hand"),
        (
            "digest = \"sha256:",
            "digest = \"sha256:0",
            "failed to parse",
        ),
        ("manifest = \"sha256:", "manifest  = \"sha256:", "line 4 of"),
        (
            "name = \"dash\"",
            "name  = \"dash\"",
            "is not as `envbox lock`",
        ),
        ("[request]", "\n[request]", "line 6 of"),
        ("[request]", "<<<<<<< ours\n[request]", "(line 6)"),
        ("[request]", "=======\n[request]", "merge conflict"),
        ("[request]", "[request", "failed to parse"),
        ("no-build", "no-biuld", "failed to parse"),
        ("\n", "\r\n", "the line endings of Windows"),
    ] {
        let error = tampered(&plain(), from, to).to_string();
        assert!(error.contains(expected), "{to}: {error}");
        assert!(error.contains("envbox.lock"), "{error}");
    }
    let error = Lockfile::parse(b"\xff", Path::new("envbox.lock")).unwrap_err();
    assert!(matches!(error, LockError::Encoding { .. }));
}

#[test]
fn an_entry_that_contradicts_itself_is_refused() {
    for (from, to, expected) in [
        (
            "version = \"2.1.3\"",
            "version = \"2.1.4\"",
            "is a file of numpy 2.1.3",
        ),
        ("name = \"own\"", "name = \"other\"", "is a file of own"),
        ("numpy-2.1.3-cp312", "numpy-2.1.3", "is no wheel file name"),
        ("file = \"pool/", "file = \"../pool/", "is no relative path"),
        ("file = \"pool/", "file = \"/pool/", "is no relative path"),
        (
            "file = \"pool/",
            "file = \"pool/\\u0000",
            "is no relative path",
        ),
        ("file = \"pool/", "file = \"pool\\\\", "is no relative path"),
        (
            "url = \"https:",
            "url = \"file:",
            "no `http` or `https` URL",
        ),
        ("url = ", "registry = \"pypi\"\nurl = ", "exactly one of"),
        (
            "platforms = [\"linux/arm64\"]",
            "platforms = []",
            "for no platform",
        ),
        (
            "architecture = \"arm64\"",
            "architecture = \"riscv64\"",
            "architecture `riscv64`",
        ),
        (
            "platform = \"linux/amd64\"",
            "platform = \"linux/arm64\"",
            "one archive for each",
        ),
        ("path = \"/opt", "path = \"opt", "is no absolute path"),
        ("path = \"/opt", "path = \"/../opt", "is no absolute path"),
        (
            "\nfrom = \"standalone\"",
            "\nfrom = \"debian\"",
            "one archive for each",
        ),
    ] {
        let LockError::Entry { source, .. } = tampered(&full(), from, to) else {
            panic!("{to} is a problem of its entry");
        };
        assert!(source.problem.contains(expected), "{to}: {source}");
    }
    let foreign = "required-by = [\"base\"]\n";
    let error = tampered(
        &plain(),
        foreign,
        "platforms = [\"linux/arm64\"]\nrequired-by = []\n",
    );
    let LockError::Entry { source, .. } = error else {
        panic!("{error} is a problem of its entry");
    };
    assert!(
        source.problem.contains("not a platform of this lock"),
        "{source}"
    );
}

#[test]
fn a_conda_entry_that_contradicts_itself_is_refused() {
    for (from, to, expected) in [
        (
            "linux-64/numpy-1.26.4",
            "linux-64/numpy-1.26.5",
            "is no file of it",
        ),
        ("linux-64/numpy-", "linux-64/scipy-", "is no file of it"),
        (
            "numpy-1.26.4-py312h1_0.conda",
            "numpy-1.26.4-py312h1_0.whl",
            "is no file of it",
        ),
        (
            "linux-64/numpy-",
            "linux-aarch64/numpy-",
            "subdir `linux-aarch64`",
        ),
        (
            "linux-64/numpy-",
            "../linux-64/numpy-",
            "subdir `../linux-64`",
        ),
        (
            "noarch/several-",
            "../noarch/several-",
            "subdir `../noarch`",
        ),
        ("noarch/several-", "several-", "is in no subdir"),
        (
            "\"numpy==1.26.4\"",
            "\"numpy=1.26.4\"",
            "no Python distribution",
        ),
        (
            "\"numpy==1.26.4\"",
            "\"NumPy==1.26.4\"",
            "no Python distribution",
        ),
        ("\"numpy==1.26.4\"", "\"numpy==\"", "no Python distribution"),
        (
            "url = \"https:",
            "url = \"file:",
            "no `http` or `https` URL",
        ),
    ] {
        let LockError::Entry { source, .. } = tampered(&conda(), from, to) else {
            panic!("{to} is a problem of its entry");
        };
        assert!(source.problem.contains(expected), "{to}: {source}");
    }
    for (from, to, expected) in [
        (
            "name = \"__glibc\"",
            "name = \"__a\"",
            "[[conda.virtual-package]]",
        ),
        (
            "name = \"PROJ_DATA\"",
            "name = \"Q\"",
            "[[conda.activation]]",
        ),
        (
            "    \"interpreter\",\n",
            "    \"z\",\n",
            "`required-by` of a conda package",
        ),
        (
            "    \"one==1.26.4\",\n",
            "    \"z==1\",\n",
            "`python` of a conda package",
        ),
        (
            "    \"__archspec=x86_64_v3\",\n",
            "    \"__z=1\",\n",
            "`virtual-packages`",
        ),
    ] {
        let LockError::Unsorted { source, .. } = tampered(&conda(), from, to) else {
            panic!("{to} is out of order");
        };
        assert!(source.to_string().contains(expected), "{to}: {source}");
    }
}

#[test]
fn what_is_out_of_order_or_twice_is_named() {
    for (from, to, expected) in [
        (
            "name = \"dash\"",
            "name = \"zash\"",
            "`libc6` of [[debian.package]] is not in its place",
        ),
        (
            "    \"numpy\",\n",
            "    \"zod\",\n",
            "`pandas>=2` of `requirements` is not",
        ),
        (
            "    \"numpy\",\n",
            "    \"pandas>=2\",\n",
            "`pandas>=2` stands twice in `requirements`",
        ),
        (
            "[\"base\"]",
            "[\"dash\", \"base\"]",
            "`base` of `required-by` of a package is not",
        ),
        (
            "[\"manifest\"]",
            "[\"a\", \"a\"]",
            "`a` stands twice in `required-by` of a wheel",
        ),
    ] {
        let LockError::Unsorted { source, .. } = tampered(&plain(), from, to) else {
            panic!("{to} is out of order");
        };
        assert!(source.to_string().contains(expected), "{to}: {source}");
    }
    let mut twice = text(&plain());
    let (start, end) = (twice.find("[[python]]"), twice.find("[[debian.suite]]"));
    let entries = twice[start.unwrap()..end.unwrap()].to_owned();
    twice.insert_str(start.unwrap(), &entries);
    assert!(matches!(parse(&twice), Err(LockError::Unsorted { .. })));
}

#[test]
fn errors_read_well() {
    let newer = tampered(&plain(), "version = 1\n", "version = 9\n");
    insta::assert_snapshot!(rendered(&newer), @"
    `envbox.lock` has format version 9, and this envbox reads up to 4
    hint: update envbox
    ");
    let edited = tampered(&plain(), "dash_0.5.12-2", "dash_0.5.12-3");
    insta::assert_snapshot!(rendered(&edited), @"
    `envbox.lock` was edited by hand or merged line by line: what it says does not match its `digest` line
    hint: run `envbox lock` to write it anew, or restore it from version control
    ");
    let unknown = tampered(&plain(), "no-build", "no-biuld");
    insta::assert_snapshot!(rendered(&unknown), @r#"
    failed to parse `envbox.lock`
    caused by: TOML parse error at line 20, column 1
       |
    20 | no-biuld = true
       | ^^^^^^^^
    unknown field `no-biuld`, expected one of `name`, `platforms`, `python`, `python-from`, `requirements`, `constraints`, `overrides`, `exclude-newer`, `prerelease`, `extra-indexes`, `find-links`, `no-build`, `suite`, `snapshot`, `security`, `packages`, `base`, `conda`, `gpu`, `groups`
    hint: run `envbox lock` to write it anew, or restore it from version control
    "#);
    let twice = tampered(&plain(), "    \"numpy\",\n", "    \"pandas>=2\",\n");
    insta::assert_snapshot!(rendered(&twice), @"
    `envbox.lock` has entries out of order or twice
    caused by: `pandas>=2` stands twice in `requirements`
    hint: run `envbox lock` to write it anew, or restore it from version control
    ");
    let merged = tampered(&plain(), "[request]", "<<<<<<< ours\n[request]");
    insta::assert_snapshot!(rendered(&merged), @"
    `envbox.lock` has unresolved merge conflict markers (line 6)
    hint: take either side whole, then run `envbox lock` to bring it up to date
    ");
    let converted = tampered(&plain(), "\n", "\r\n");
    insta::assert_snapshot!(rendered(&converted), @"
    `envbox.lock` has the line endings of Windows
    hint: write `envbox.lock -text` in `.gitattributes` and check the file out again
    ");
    let missing = Lockfile::read(Path::new("/nowhere/envbox.lock")).unwrap_err();
    insta::assert_snapshot!(rendered(&missing), @"
    there is no lockfile `/nowhere/envbox.lock`
    hint: run `envbox lock` to make it
    ");
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        prop_assert!(Lockfile::parse(&bytes, Path::new("envbox.lock")).is_err());
    }

    #[test]
    fn no_changed_byte_goes_unseen(at in any::<proptest::sample::Index>(), byte in any::<u8>()) {
        for good in [full().to_bytes(), conda().to_bytes()] {
            let mut bytes = good.clone();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let read = Lockfile::parse(&bytes, Path::new("envbox.lock"));
            prop_assert_eq!(read.is_ok(), bytes == good);
        }
    }
}
