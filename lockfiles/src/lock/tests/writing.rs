use std::fs;
use std::path::Path;

use crate::base::{Digest, Platform};
use crate::lock::tests::any::any_lock;
use crate::lock::tests::gpu::gpu;
use crate::lock::tests::{built, conda, full, grouped, on_image, parse, plain, text};
use crate::lock::{BuiltImage, ChangeKind, Lockfile, Request, diff};
use crate::manifest::Manifest;

use proptest::prelude::*;

const COMPAT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/compat");

#[test]
fn what_is_written_is_read_back() {
    for lock in [
        plain(),
        full(),
        on_image(),
        conda(),
        grouped(),
        built(),
        gpu(),
    ] {
        assert_eq!(parse(&text(&lock)).unwrap(), lock);
    }
}

#[test]
fn the_written_form_is_stable() {
    for (lock, file) in [
        (plain(), "v1/plain.lock"),
        (full(), "v1/full.lock"),
        (on_image(), "v2/image.lock"),
        (conda(), "v3/conda.lock"),
        (built(), "v3/built.lock"),
        (grouped(), "v3/groups.lock"),
        (gpu(), "v4/gpu.lock"),
    ] {
        let golden = fs::read_to_string(Path::new(COMPAT).join(file)).unwrap();
        assert_eq!(text(&lock), golden, "{file}");
    }
}

#[test]
fn locks_of_every_version_are_readable() {
    let mut read = 0;
    for version in fs::read_dir(COMPAT).unwrap() {
        for lock in fs::read_dir(version.unwrap().path()).unwrap() {
            let file = lock.unwrap().path();
            Lockfile::read(&file).unwrap();
            read += 1;
        }
    }
    assert!(read >= 4, "the locks of versions 1 to 4 are there");
}

#[test]
fn the_seal_is_the_digest_of_all_other_lines() {
    let lock = full();
    let text = text(&lock);
    let (seals, others): (Vec<_>, Vec<_>) = text
        .split_inclusive('\n')
        .partition(|line| line.starts_with("digest = "));
    let expected = format!("digest = \"{}\"\n", Digest::of(others.concat().as_bytes()));
    assert_eq!(seals, [expected]);
    assert_eq!(lock.digest(), Digest::of(others.concat().as_bytes()));
}

#[test]
fn what_was_built_does_not_change_what_is_locked() {
    let mut lock = plain();
    let digest = lock.digest();
    lock.built.push(BuiltImage {
        platform: Platform::LinuxAmd64,
        image_id: Digest::of(b"config"),
    });
    assert_eq!(lock.digest(), digest);
    let text = text(&lock);
    let table = format!(
        "\n[[built]]\nplatform = \"linux/amd64\"\nimage-id = \"{}\"\n",
        Digest::of(b"config")
    );
    assert!(text.starts_with("# ") && text.contains("version = 2") && text.ends_with(&table));
    assert_eq!(parse(&text).unwrap(), lock);
    // The seal is over all of it.
    let edited = text.replace("linux/amd64\"\nimage", "linux/arm64\"\nimage");
    assert!(parse(&edited).is_err());
}

#[test]
fn the_manifest_line_is_the_digest_of_the_request() {
    let lock = full();
    let text = text(&lock);
    let (_, rest) = text.split_once("[request]\n").unwrap();
    let (request, _) = rest.split_once("\n\n").unwrap();
    let digest = Digest::of(format!("{request}\n").as_bytes());
    assert!(text.contains(&format!("manifest = \"{digest}\"\n")));
    assert_eq!(lock.request.digest(), digest);
}

#[test]
fn a_lock_is_replaced_in_one_step() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("envbox.lock");
    for lock in [plain(), full()] {
        lock.write(&file).unwrap();
        assert_eq!(Lockfile::read(&file).unwrap(), lock);
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn images_are_those_that_were_asked_for() {
    let whole = text(&on_image());
    let other = Digest::of(b"other").to_string();
    let asked = Digest::of(b"index").to_string();
    for (found, replaced) in [
        (
            format!("digest = \"{asked}\""),
            format!("digest = \"{other}\""),
        ),
        (
            "repository = \"library/debian\"".to_owned(),
            "repository = \"debian\"".to_owned(),
        ),
        (
            "linux/arm64\"\nmanifest".to_owned(),
            "linux/amd64\"\nmanifest".to_owned(),
        ),
        ("glibc = \"2.36\"".to_owned(), "glibc = \"2\"".to_owned()),
        (
            "glibc = \"2.36\"".to_owned(),
            "glibc = \"02.36\"".to_owned(),
        ),
    ] {
        assert!(whole.contains(&found), "{found}");
        let changed = whole.replacen(&found, &replaced, 1);
        assert!(parse(&changed).is_err(), "{replaced}");
    }
    let (without, _) = whole.split_once("\n[base]\n").unwrap();
    let error = parse(without).unwrap_err();
    let text = std::error::Error::source(&error).unwrap().to_string();
    assert!(text.contains("an image to stand on"), "{text}");
    let mut other = on_image();
    other.base.as_mut().unwrap().images[0].manifest = Digest::of(b"other");
    let changes = diff(&on_image(), &other);
    assert_eq!(changes[0].ecosystem, "base");
    assert_eq!(changes[0].kind(), ChangeKind::Updated);
}

#[test]
fn conda_packages_are_compared_by_build_too() {
    let mut other = conda();
    let numpy = &mut other.conda.packages[1];
    numpy.build = "py312h1_1".to_owned();
    let changes = diff(&conda(), &other);
    let [change] = changes.as_slice() else {
        panic!("{changes:?} is one change");
    };
    assert_eq!((change.ecosystem, change.name.as_str()), ("conda", "numpy"));
    assert_eq!(change.kind(), ChangeKind::Updated);
    assert_eq!(change.after, ["1.26.4 py312h1_1"]);
}

#[test]
fn a_conda_request_has_what_decides_and_no_place() {
    let parse = |text: &str| {
        let head = "[environment]\nname = \"iris\"\n";
        let manifest = Manifest::parse(&format!("{head}{text}"), Path::new("envbox.toml"));
        Request::of(&manifest.unwrap()).conda.unwrap()
    };
    let request = parse(
        r#"
        [python]
        exclude-newer = "2026-11-01"
        [conda]
        channels = [{ name = "lab", url = "https://lab.example/x" }, "conda-forge"]
        dependencies = ["b", "a", "b"]
        virtual-packages = { __cuda = "12.4" }
        python-names = { pytorch = "torch", some-meta = [], several = ["two", "One"] }
        [sandbox]
        cpu-baseline = "x86-64-v2"
        "#,
    );
    let names: Vec<_> = request.channels.iter().map(|name| name.as_str()).collect();
    assert_eq!(names, ["lab", "conda-forge"]);
    assert_eq!(request.dependencies, ["a", "b"]);
    assert_eq!(
        request.virtual_packages,
        ["__archspec=x86_64_v2", "__cuda=12.4"]
    );
    assert_eq!(
        request.python_names,
        ["pytorch=torch", "several=one,two", "some-meta="]
    );
    assert_eq!(
        request.exclude_newer.unwrap().to_string(),
        "2026-11-01T00:00:00Z"
    );
    let own = parse(
        "[python]\nexclude-newer = \"2026-11-01\"\n[conda]\nchannels = [\"x\"]\n\
         exclude-newer = \"2026-10-01\"\nvirtual-packages = { __archspec = \"zen4\" }\n",
    );
    assert_eq!(own.virtual_packages, ["__archspec=zen4"]);
    assert_eq!(
        own.exclude_newer.unwrap().to_string(),
        "2026-10-01T00:00:00Z"
    );
}

#[test]
fn only_what_needs_a_version_raises_it() {
    for (lock, version) in [
        (plain(), 1),
        (on_image(), 2),
        (conda(), 3),
        (grouped(), 3),
        (gpu(), 4),
    ] {
        assert!(text(&lock).contains(&format!("\nversion = {version}\n")));
    }
    let mut asks = plain();
    asks.request.conda = conda().request.conda;
    assert!(text(&asks).contains("\nversion = 3\n"));
}

#[test]
fn a_diff_names_what_moved() {
    let old = plain();
    let mut new = plain();
    new.interpreter.as_mut().unwrap().version = "3.11.9".to_owned();
    new.python[0].version = "2.2.0".to_owned();
    new.python[1].artifact.digest = Digest::of(b"other");
    let gone = new.debian.packages.pop().unwrap();
    let changes = diff(&old, &new);
    let found: Vec<_> = changes
        .iter()
        .map(|change| (change.ecosystem, change.name.as_str(), change.kind()))
        .collect();
    assert_eq!(
        found,
        [
            ("debian", gone.name.as_str(), ChangeKind::Removed),
            ("interpreter", "python", ChangeKind::Updated),
            ("python", "numpy", ChangeKind::Updated),
            ("python", "pandas", ChangeKind::Replaced),
        ]
    );
    assert_eq!(changes[2].before, ["2.1.3"]);
    assert_eq!(changes[2].after, ["2.2.0"]);
    assert_eq!(diff(&new, &old)[0].kind(), ChangeKind::Added);
    assert_eq!(diff(&old, &old), []);
}

proptest! {
    #[test]
    fn bytes_and_value_are_a_bijection(lock in any_lock()) {
        let bytes = lock.to_bytes();
        let read = Lockfile::parse(&bytes, Path::new("envbox.lock")).unwrap();
        prop_assert_eq!(&read, &lock);
        prop_assert_eq!(read.to_bytes(), bytes);
    }

    #[test]
    fn any_text_survives_the_round_trip(texts in proptest::collection::btree_set(
        prop_oneof!["\\PC*", "[\\x00-\\x1f\\x7f-\\x9f\"'\\\\]*"], 0..4,
    )) {
        let mut lock = plain();
        lock.request.requirements = texts.into_iter().collect();
        prop_assert_eq!(parse(&text(&lock)).unwrap(), lock);
    }

    #[test]
    fn order_of_making_does_not_show(lock in any_lock()) {
        let mut turned = lock.clone();
        turned.python.reverse();
        turned.debian.packages.reverse();
        turned.conda.packages.reverse();
        turned.conda.virtual_packages.reverse();
        turned.conda.activation.reverse();
        turned.debian.suites.reverse();
        for wheel in &mut turned.python {
            wheel.required_by.reverse();
        }
        turned.sort();
        prop_assert_eq!(turned, lock);
    }
}

#[test]
fn the_example_manifests_ask_what_their_locks_answer() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let mut read = 0;
    for project in fs::read_dir(golden).unwrap() {
        let project = project.unwrap().path();
        let (manifest, _) = Manifest::from_project(&project).unwrap();
        let request = Request::of(&manifest);
        let file = project.join("envbox.lock");
        assert_eq!(
            Lockfile::read(&file).unwrap().request,
            request,
            "{project:?}"
        );
        let line = format!("manifest = \"{}\"\n", request.digest());
        assert!(
            fs::read_to_string(&file).unwrap().contains(&line),
            "{project:?}"
        );
        read += 1;
    }
    assert!(read >= 5, "the examples are there");
}
