//! `envbox mirror`, and locks that outlive their registries.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::debs;
use crate::http::{Server, nobody};
use crate::registry::Registry;
use crate::support::{User, World};
use crate::tools::Tools;

const MANIFEST: &str = "[environment]\nname = \"iris\"\npython = \"3.11\"\n\
    [python]\nrequirements = [\"app\"]\n[debian]\nsecurity = false\n";

/// The base, the interpreter and the wheel.
const ARTIFACTS: usize = 19;

/// A project with a lock, and its registries.
fn locked(user: User, wheels: &[(&str, &str, &[&str])]) -> (Registry, World) {
    let registry = Registry::new("", wheels);
    let world = World::new(user);
    registry.configure(&world);
    world.write("envbox.toml", MANIFEST);
    succeed(&world, &["lock"]);
    (registry, world)
}

/// Returns what a command that must go well printed, and what it said.
fn succeed(world: &World, arguments: &[&str]) -> (String, String) {
    let run = world.run(arguments);
    assert_eq!(run.code(), Some(0), "{arguments:?}: {}", run.stderr());
    (run.stdout(), run.stderr())
}

/// Mirrors the lock into a directory beside the project; returns the report.
fn mirror(world: &World) -> Value {
    let (report, _) = succeed(world, &["mirror", "--to", "../home/mirror/", "--json"]);
    serde_json::from_str(&report).unwrap()
}

fn directory(world: &World) -> PathBuf {
    world.path().join("home/mirror")
}

fn forget(world: &World) {
    fs::remove_dir_all(world.path().join("home/.cache/envbox")).unwrap();
}

/// Options that make the lock's registries lie where nobody answers.
fn gone() -> Vec<String> {
    let nobody = nobody();
    let options = ["pypi", "debian", "debian-snapshot"].map(|name| {
        let url = format!("{name}={nobody}/{name}");
        ["--registry".to_owned(), url]
    });
    options.into_iter().flatten().collect()
}

fn with<'a>(arguments: &[&'a str], options: &'a [String]) -> Vec<&'a str> {
    let options = options.iter().map(String::as_str);
    arguments.iter().copied().chain(options).collect()
}

/// Returns what is below a directory: files with their bytes, links with their targets.
fn everything(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![directory.to_path_buf()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_symlink() {
                let target = fs::read_link(&path).unwrap();
                assert!(target.is_relative() && path.exists(), "{}", path.display());
                found.insert(path, target.into_os_string().into_encoded_bytes());
            } else if path.is_dir() {
                open.push(path);
            } else {
                found.insert(path.clone(), fs::read(&path).unwrap());
            }
        }
    }
    found
}

#[test]
fn a_lock_outlives_its_registries() {
    for user in User::ALL {
        let (registry, world) = locked(user, &[("app", "1", &[])]);
        let report = mirror(&world);
        assert_eq!(report["artifacts"], ARTIFACTS);
        assert_eq!(report["suites"][0]["mirrored"], true, "{report}");
        forget(&world);
        drop(registry);
        let gone = gone();
        let lost = world.run(&with(&["fetch"], &gone));
        assert_eq!(lost.code(), Some(13), "{}", lost.stderr());
        let fetch = ["fetch", "--mirror", "dir:../home/mirror"];
        succeed(&world, &with(&fetch, &gone));

        // The same behind a server of files.
        let server = Server::start();
        let root = directory(&world);
        for file in everything(&root).into_keys().filter(|file| file.is_file()) {
            let path = format!("/{}", file.strip_prefix(&root).unwrap().display());
            server.file(&path, &fs::read(&file).unwrap());
        }
        forget(&world);
        let url = server.url();
        succeed(&world, &with(&["fetch", "--mirror", &url], &gone));
        assert_eq!(server.requests().len(), ARTIFACTS);
        // The user's configuration says it as well.
        let configured = format!("mirror = \"{url}\"\n");
        world.write_home(".config/envbox/config.toml", &configured);
        forget(&world);
        succeed(&world, &with(&["fetch"], &gone));
        assert_eq!(server.requests().len(), 2 * ARTIFACTS);
    }
}

#[test]
fn an_image_is_built_of_a_mirror_alone() {
    for user in User::ALL {
        let world = World::new(user);
        let manifest = "[environment]\nname = \"data\"\n[debian]\nsuite = \"bookworm\"\n";
        let deb = debs::deb_of("data", &[("usr/share/data/a", 0o644, "a")]);
        let registry = debs::install_packages(&world, manifest, None, &[("data", deb)]);
        let build = |options: &[&str]| {
            let arguments = [&["build", "--frozen", "--json"], options].concat();
            let (report, _) = succeed(&world, &arguments);
            let report: Value = serde_json::from_str(&report).unwrap();
            report["digest"].to_string()
        };
        let before = build(&["--registry", &registry]);
        let options = [
            "--registry",
            &registry,
            "--registry",
            "debian-snapshot=/nowhere",
        ];
        let (printed, said) = succeed(
            &world,
            &[&["mirror", "--to", "dir:../home/mirror"], &options[..]].concat(),
        );
        // That registry has packages and nothing that says which.
        assert!(printed.contains("bookworm of 2026-01-01T00:00:00Z: packages alone\n"));
        assert!(said.contains("`envbox lock` cannot resolve from it"));
        forget(&world);
        fs::remove_dir_all(world.path().join("registry")).unwrap();
        let after = build(&["--offline", "--mirror", "../home/mirror"]);
        assert_eq!(before, after);
    }
}

#[test]
fn a_mirror_resolves_to_the_same_lock() {
    let (registry, world) = locked(
        User::Unprivileged,
        &[("app", "1", &["part>=2"]), ("part", "2", &[])],
    );
    let lock = fs::read(world.project().join("envbox.lock")).unwrap();
    mirror(&world);
    forget(&world);
    fs::remove_file(world.project().join("envbox.lock")).unwrap();
    drop(registry);
    let mut options = gone();
    for name in ["pypi", "debian"] {
        let place = directory(&world).join("registries").join(name);
        options.extend([
            "--registry".to_owned(),
            format!("{name}={}", place.display()),
        ]);
    }
    succeed(&world, &with(&["lock", "--offline"], &options));
    assert_eq!(fs::read(world.project().join("envbox.lock")).unwrap(), lock);
    // And packages lie where those registries have them.
    succeed(&world, &with(&["fetch", "--offline"], &options));

    // The same state is found by its time.
    fs::remove_file(world.project().join("envbox.lock")).unwrap();
    forget(&world);
    let dated = format!("{MANIFEST}snapshot = \"20260101T000000Z\"\n");
    world.write("envbox.toml", &dated);
    let place = directory(&world).join("registries/debian-snapshot");
    options.extend([
        "--registry".to_owned(),
        format!("debian-snapshot={}", place.display()),
    ]);
    succeed(&world, &with(&["lock"], &options));
    forget(&world);
    succeed(&world, &with(&["fetch"], &options));
}

#[test]
fn pages_say_what_installers_ask() {
    let (_registry, world) = locked(User::Current, &[("app", "1", &[])]);
    mirror(&world);
    let pypi = directory(&world).join("registries/pypi");
    let metadata = "app/app-1-py3-none-any.whl.metadata";
    let metadata = envbox::base::Digest::of(&fs::read(pypi.join(metadata)).unwrap()).hex();
    let wheel = fs::read(pypi.join("app/app-1-py3-none-any.whl")).unwrap();
    let wheel = envbox::base::Digest::of(&wheel).hex();
    let head = "<!DOCTYPE html>\n<html>\n<head><meta name=\"pypi:repository-version\" \
                content=\"1.0\"></head>\n<body>\n";
    assert_eq!(
        fs::read_to_string(pypi.join("index.html")).unwrap(),
        format!("{head}<a href=\"app/\">app</a><br>\n</body>\n</html>\n")
    );
    assert_eq!(
        fs::read_to_string(pypi.join("app/index.html")).unwrap(),
        format!(
            "{head}<a href=\"app-1-py3-none-any.whl#sha256={wheel}\" \
             data-core-metadata=\"sha256={metadata}\" \
             data-dist-info-metadata=\"sha256={metadata}\">app-1-py3-none-any.whl</a><br>\n\
             </body>\n</html>\n"
        )
    );
}

#[test]
fn locks_share_a_mirror_and_a_second_run_changes_nothing() {
    let (mut registry, world) = locked(User::Unprivileged, &[("app", "1", &[])]);
    let first = mirror(&world);
    assert_eq!(first["added"]["shadowed"].as_array().unwrap().len(), 0);
    let before = everything(&directory(&world));
    let again = mirror(&world);
    assert_eq!(again["added"]["files"], 0, "{again}");
    assert_eq!(everything(&directory(&world)), before);
    registry.add_wheel("app", "2", &[]);
    let old = fs::read(world.project().join("envbox.lock")).unwrap();
    succeed(&world, &["lock", "--upgrade"]);
    let second = mirror(&world);
    // The wheel and what it says about itself.
    assert_eq!(second["added"]["files"], 2, "{second}");
    let after = everything(&directory(&world));
    for (path, bytes) in before {
        let is_page = path.file_name().is_some_and(|name| name == "index.html");
        assert!(
            is_page || after.get(&path) == Some(&bytes),
            "{}",
            path.display()
        );
    }
    drop(registry);
    let gone = gone();
    for lock in [fs::read(world.project().join("envbox.lock")).unwrap(), old] {
        world.write("envbox.lock", std::str::from_utf8(&lock).unwrap());
        forget(&world);
        succeed(
            &world,
            &with(&["fetch", "--mirror", "../home/mirror"], &gone),
        );
    }
}

#[test]
fn damage_is_named_and_repaired() {
    for user in User::ALL {
        let (_registry, world) = locked(user, &[("app", "1", &[])]);
        mirror(&world);
        let blob =
            fs::canonicalize(directory(&world).join("registries/pypi/app/app-1-py3-none-any.whl"));
        let blob = blob.unwrap();
        let whole = fs::read(&blob).unwrap();
        let mut flipped = whole.clone();
        flipped[5] ^= 1;
        let shorter = whole[..whole.len() - 1].to_vec();
        for bytes in [flipped, shorter] {
            fs::write(&blob, &bytes).unwrap();
            let kept = world.path().join("home/.cache/envbox");
            let aside = world.path().join("home/aside");
            fs::rename(&kept, &aside).unwrap();
            let run = world.run(&["fetch", "--mirror", "../home/mirror"]);
            assert_eq!(run.code(), Some(14), "{}", run.stderr());
            let said = run.stderr();
            let file = blob.display().to_string();
            let file = file.split_once("/home/").unwrap().1;
            assert!(
                said.contains(&format!("[ROOT]/home/{file}`, the mirror's copy of")),
                "{said}"
            );
            assert!(
                said.contains("run `envbox mirror` with this lockfile again"),
                "{said}"
            );
            for (path, found) in everything(&kept) {
                assert_ne!(found, bytes, "{}", path.display());
            }
            fs::remove_dir_all(&kept).unwrap();
            fs::rename(&aside, &kept).unwrap();
            let report = mirror(&world);
            assert_eq!(
                report["added"]["repaired"].as_array().unwrap().len(),
                1,
                "{report}"
            );
            assert_eq!(fs::read(&blob).unwrap(), whole);
        }
    }
}

#[test]
fn a_mirror_that_does_not_answer_is_passed_by() {
    let (_registry, world) = locked(User::Unprivileged, &[("app", "1", &[])]);
    for mirror in [nobody(), "/nowhere".to_owned()] {
        forget(&world);
        let (_, said) = succeed(&world, &["fetch", "--mirror", &mirror]);
        assert_eq!(said.matches("the mirror").count(), 1, "{said}");
    }
}

#[test]
fn a_directory_of_something_else_is_left_alone() {
    let (_registry, world) = locked(User::Unprivileged, &[("app", "1", &[])]);
    world.write("results/model", "mine");
    let run = world.run(&["mirror", "--to", "dir:results"]);
    insta::assert_snapshot!(run.whole(), @r#"
    exit: 10
    -- stdout
    -- stderr
    error: `[ROOT]/project/results` is not empty and no mirror

    hint: name a mirror, or a directory that is empty or not there
    "#);
    assert_eq!(
        fs::read_dir(world.project().join("results"))
            .unwrap()
            .count(),
        1
    );
    mirror(&world);
    fs::write(directory(&world).join("version"), "2\n").unwrap();
    let run = world.run(&["mirror", "--to", "dir:../home/mirror"]);
    insta::assert_snapshot!(run.whole(), @r#"
    exit: 10
    -- stdout
    -- stderr
    error: the mirror `[ROOT]/project/../home/mirror` has version `2`, this envbox writes `1`

    hint: use the envbox that made it, or another directory
    "#);
    let run = world.run(&["mirror", "--to", "https://mirror.test/a"]);
    insta::assert_snapshot!(run.whole(), @r#"
    exit: 10
    -- stdout
    -- stderr
    error: `https://mirror.test/a/` is behind a server, and is written to where its files are

    hint: run `envbox mirror --to dir:PATH` on the server, or copy the directory there
    "#);
    let run = world.run(&["mirror", "--to", "ftp://mirror.test/a"]);
    insta::assert_snapshot!(run.whole(), @r#"
    exit: 10
    -- stdout
    -- stderr
    error: `ftp://mirror.test/a` is no directory, no URL of one and no repository of images

    hint: write `dir:PATH`, `https://mirror.example/envbox` or `registry.example/team/mirror`
    "#);
}

#[test]
fn a_mirror_that_cannot_be_written_is_named() {
    let (_registry, world) = locked(User::Unprivileged, &[("app", "1", &[])]);
    let place = world.path().join("locked");
    fs::create_dir(&place).unwrap();
    fs::set_permissions(&place, fs::Permissions::from_mode(0o555)).unwrap();
    let run = world.run(&["mirror", "--to", "dir:../locked"]);
    insta::assert_snapshot!(run.whole(), @r#"
    exit: 12
    -- stdout
    -- stderr
    error: failed to write `[ROOT]/project/../locked/version`
    caused by: Permission denied (os error 13)

    hint: make the directory writable, or name another
    "#);
}

#[test]
fn a_full_mirror_says_so_and_goes_on_when_there_is_space() {
    let run = Tools::new(User::Current).with_mounts(
        "mkdir $root/small; mount -t tmpfs -o size=1m none $root/small
        mirror=\"$root/envbox mirror --to $root/small --registry debian=$root/registry --registry debian-snapshot=/nowhere\"
        $mirror; echo $?; find $root/small -type f | sed s,.*small/,,
        mount -o remount,size=200m $root/small
        $mirror > out; echo $?; find $root/small -type f | wc -l",
    );
    assert_eq!(run.stdout(), "12\nversion\n0\n3\n", "{}", run.stderr());
    // The name of the blob is the digest of this machine's tools.
    let said = run.stderr();
    let (blob, rest) = said.split_once("`\n").unwrap();
    assert!(
        blob.starts_with("error: failed to write `[ROOT]/small/blobs/sha256/"),
        "{said}"
    );
    let expected = "caused by: No space left on device (os error 28)\n\n\
                    hint: free some space and run the command again: it goes on where it ended\n";
    assert!(rest.starts_with(expected), "{said}");
}
