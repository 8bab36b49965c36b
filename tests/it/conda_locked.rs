//! Environments that are locked from a channel of conda packages.

use std::fs;

use envbox::lock::Lockfile;
use envbox::store::Object;
use serde_json::Value;

use crate::channel::{Channel, Recipe};
use crate::conda::{interpreter, libfoo, mytool, scripted, wheel_of};
use crate::http::Server;
use crate::registry::Registry;
use crate::support::{User, World};

/// A project that is locked from a channel.
pub struct Locked {
    pub world: World,
    channel: Server,
    _debian: Registry,
}

impl Locked {
    pub fn new(user: User, recipes: &[Recipe], wheels: &[(&str, Vec<u8>)], rest: &str) -> Self {
        Self::of(user, recipes, wheels, rest, None)
    }

    /// Makes one whose channel wants to see `private` as `Authorization`.
    fn of(
        user: User,
        recipes: &[Recipe],
        wheels: &[(&str, Vec<u8>)],
        rest: &str,
        private: Option<&'static str>,
    ) -> Self {
        let world = World::new(user);
        let mut debian = Registry::with_tools("");
        for (name, bytes) in wheels {
            let file = format!("{name}-1.0-py3-none-any.whl");
            debian.add_file(name, file, bytes.clone());
        }
        debian.configure(&world);
        let mut channel = Channel::new(&world.path().join("channel"));
        for recipe in recipes {
            channel.add(recipe);
        }
        channel.index();
        let channel = match private {
            None => channel.serve(),
            Some(authorization) => channel.serve_behind(authorization),
        };
        let url = channel.url();
        world.write(
            "envbox.toml",
            &format!(
                "[environment]\nname = \"lab\"\n[debian]\nsuite = \"bookworm\"\nsecurity = false\n\
                 [conda]\nchannels = [{{ name = \"lab\", url = \"{url}\" }}]\n{rest}"
            ),
        );
        Self {
            world,
            channel,
            _debian: debian,
        }
    }

    /// Runs a command that must go well; returns what it printed and what it said.
    pub fn succeeds(&self, arguments: &[&str]) -> (String, String) {
        let run = self.world.run(arguments);
        assert_eq!(run.code(), Some(0), "{arguments:?}: {}", run.stderr());
        (run.stdout(), run.stderr())
    }

    /// Says whether the store has the package of this name as it came.
    fn has(&self, name: &str) -> bool {
        let store = self.world.path().join("home/.cache/envbox");
        let packages = self.lockfile().conda.packages;
        let package = packages
            .iter()
            .find(|one| one.name.as_str() == name)
            .unwrap();
        let object = Object::Blob(package.artifact.digest);
        store.join(object.relative()).exists()
    }

    pub fn lockfile(&self) -> Lockfile {
        Lockfile::read(&self.world.project().join("envbox.lock")).unwrap()
    }
}

#[test]
fn activation_is_recorded_when_the_lock_is_written() {
    let active = libfoo()
        .text(
            "etc/conda/env_vars.d/foo.json",
            "{\"FOO_HOME\": \"/opt/env/share/foo\"}",
        )
        .text(
            "etc/conda/activate.d/a.sh",
            "# simple\nexport FOO_DATA=\"$FOO_HOME/data\" LANG=C.UTF-8\n",
        );
    let asking = Recipe::new("asking", "1", "0").needs(&["libfoo"]).text(
        "etc/conda/activate.d/b.sh",
        "echo hello\nif [ -d \"$CONDA_PREFIX/lib\" ]; then export ASKED=\"it's $FOO_DATA\"; fi\n",
    );
    for (user, recipes, root, expected) in [
        (User::Current, vec![libfoo()], "libfoo", &[][..]),
        (
            User::Unprivileged,
            vec![active],
            "libfoo",
            &[
                "FOO_DATA=/opt/env/share/foo/data",
                "FOO_HOME=/opt/env/share/foo",
            ],
        ),
        (
            User::Unprivileged,
            vec![
                libfoo().text("etc/conda/env_vars.d/foo.json", "{\"FOO_DATA\": \"x\"}"),
                asking,
            ],
            "asking",
            &["ASKED=it's x", "FOO_DATA=x"],
        ),
    ] {
        let rest = format!("dependencies = [\"{root}\"]\n");
        let case = Locked::new(user, &recipes, &[], &rest);
        case.succeeds(&["lock"]);
        let recorded = case.lockfile().conda.activation;
        let recorded: Vec<String> = recorded
            .iter()
            .map(|one| format!("{}={}", one.name, one.value))
            .collect();
        assert_eq!(recorded, expected);
        let (variables, _) = case.succeeds(&["run", "--frozen", "--", "env"]);
        for line in expected {
            assert!(variables.lines().any(|found| found == *line), "{variables}");
        }
        // Locked again it is the same lock, from a store that has forgotten everything too.
        let before = case.lockfile();
        fs::remove_dir_all(case.world.path().join("home/.cache/envbox")).unwrap();
        fs::remove_file(case.world.project().join("envbox.lock")).unwrap();
        case.succeeds(&["lock"]);
        assert_eq!(case.lockfile(), before);
        assert!(case.channel.count("/linux-64/repodata_shards.msgpack.zst") > 0);
    }
}

#[test]
fn a_lock_fetches_only_packages_that_take_part_in_activation() {
    let set = "{\"FOO_DATA\": \"x\"}";
    let recipes = [
        Recipe::new("active", "1", "0").text("etc/conda/env_vars.d/foo.json", set),
        // What looks like it and is none.
        Recipe::new("plain", "1", "0").text("etc/conda/foo.sh", "exit 1\n"),
        // Of a package in the old format there is no part to read.
        Recipe::new("old", "1", "0").old_format(),
    ];
    let rest = "dependencies = [\"active\", \"plain\", \"old\"]\n";
    let case = Locked::new(User::Unprivileged, &recipes, &[], rest);
    case.succeeds(&["lock"]);
    let fetched = ["active", "plain", "old"].map(|name| case.has(name));
    assert_eq!(fetched, [true, false, true]);
    let lock = case.lockfile();
    assert_eq!(lock.conda.activation[0].name, "FOO_DATA");
    // What the lists say is remembered: nobody is asked again, and no whole package is needed.
    let asked = case.channel.requests().len();
    fs::remove_file(case.world.project().join("envbox.lock")).unwrap();
    case.succeeds(&["lock", "--offline"]);
    assert_eq!(case.channel.requests().len(), asked);
    assert_eq!(case.lockfile(), lock);
}

#[test]
fn two_packages_with_one_script_leave_the_order_as_it_is() {
    // Of those that own it, the one that comes last in the environment decides; it depends on one in
    // between that has no such file.
    let script = |text: &str| ("etc/conda/activate.d/a.sh", text.to_owned());
    let with = |recipe: Recipe, (path, text): (&str, String)| recipe.text(path, &text);
    let recipes = [
        with(
            Recipe::new("z-first", "1", "0"),
            script("export WHO=first\n"),
        ),
        Recipe::new("between", "1", "0").needs(&["z-first"]),
        with(
            Recipe::new("a-last", "1", "0").needs(&["between"]),
            script("export WHO=last\n"),
        ),
    ];
    let rest = "dependencies = [\"a-last\"]\n";
    let case = Locked::new(User::Current, &recipes, &[], rest);
    case.succeeds(&["lock"]);
    let lock = case.lockfile();
    let recorded = &lock.conda.activation[0];
    assert_eq!(
        (recorded.name.as_str(), recorded.value.as_str()),
        ("WHO", "last")
    );
}

#[test]
fn a_private_channel_is_used_with_the_credentials_of_netrc() {
    let recipes = [libfoo().text("etc/conda/env_vars.d/foo.json", "{\"FOO_DATA\": \"x\"}")];
    let rest = "dependencies = [\"libfoo\"]\n";
    let shown = Some("Basic bWU6c2VjcmV0");
    let case = Locked::of(User::Unprivileged, &recipes, &[], rest, shown);
    let refused = case.world.run(&["lock"]);
    assert_eq!(refused.code(), Some(13), "{}", refused.stderr());
    assert!(refused.stderr().contains("401"), "{}", refused.stderr());
    let netrc = "machine 127.0.0.1 login me password secret\n";
    case.world.write_home(".netrc", netrc);
    case.succeeds(&["lock"]);
    let (printed, _) = case.succeeds(&["run", "--frozen", "--", "foo"]);
    assert_eq!(printed, "prefix /opt/env foo\n");
    // Neither the lock nor the URLs of its packages say it.
    let lock = fs::read_to_string(case.world.project().join("envbox.lock")).unwrap();
    assert!(!lock.contains("secret"));
}

#[test]
fn files_of_activation_are_refused_by_name() {
    let broken = libfoo().text("etc/conda/env_vars.d/foo.json", "[]");
    let failing = libfoo().text("etc/conda/activate.d/foo.sh", "exit 3\n");
    let mut told = Vec::new();
    for recipe in [broken, failing] {
        let case = Locked::new(
            User::Current,
            &[recipe],
            &[],
            "dependencies = [\"libfoo\"]\n",
        );
        let run = case.world.run(&["lock"]);
        assert!(!case.world.project().join("envbox.lock").exists());
        told.push(format!("exit: {}\n{}", run.code().unwrap(), run.stderr()));
    }
    insta::assert_snapshot!(told.join("\n"), @r"
    exit: 14
    error: `/opt/env/etc/conda/env_vars.d/foo.json` of `libfoo` cannot be used for activation: it is no JSON object of texts

    hint: ask for another build of `libfoo`

    exit: 10
    error: the environment's activation (`/opt/env/etc/conda/activate.d/foo.sh` of `libfoo`) failed: it ended with status 3

    hint: ask for other builds of these packages, or report it to who makes them
    ");
}

#[test]
fn an_allowed_script_is_part_of_the_environment() {
    let rest = "dependencies = [\"scripted\"]\nlink-scripts = [\"scripted\"]\n";
    let case = Locked::new(User::Unprivileged, &[scripted()], &[], rest);
    let (printed, said) = case.succeeds(&["run", "--", "cat", "/opt/env/made/link"]);
    assert_eq!(printed, "/opt/env 1577836799\n");
    insta::assert_snapshot!(said, @"warning: the script of `scripted` says: read me");
    case.succeeds(&["build", "--frozen", "--check"]);
}

#[test]
fn a_wheel_may_need_what_conda_brings() {
    let tool = mytool()
        .text(
            "site-packages/mytool-0.3.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: mytool\nVersion: 0.3\n",
        )
        .text("site-packages/mytool-0.3.dist-info/INSTALLER", "conda\n");
    let rest = "dependencies = [\"mytool\"]\n[python]\nrequirements = [\"app\"]\n";
    let app = wheel_of(
        "app",
        &[("app.py", "1appl\n")],
        "Requires-Dist: mytool>=0.3\n",
    );
    let wheels = [("app", app)];
    let case = Locked::new(
        User::Unprivileged,
        &[interpreter(), libfoo(), tool],
        &wheels,
        rest,
    );
    let (printed, _) = case.succeeds(&["run", "--", "mytool"]);
    assert_eq!(printed, "python of /opt/env runs /opt/env/bin/mytool\n");
    let lock = case.lockfile();
    let wheels: Vec<&str> = lock
        .python
        .iter()
        .map(|wheel| wheel.name.as_str())
        .collect();
    assert_eq!(wheels, ["app"]);
    let (listed, _) = case.succeeds(&["run", "--", "ls", "/opt/env/lib/python3.12/site-packages"]);
    insta::assert_snapshot!(listed, @r"
    __pycache__
    _envbox
    app-1.0.dist-info
    app.py
    envbox.pth
    mytool-0.3.dist-info
    mytool.py
    ");
}

#[test]
fn glibc_alone_is_base_enough() {
    let rest = "dependencies = [\"libfoo\"]\nbase = \"glibc\"\n";
    let case = Locked::new(User::Unprivileged, &[libfoo()], &[], rest);
    let (printed, _) = case.succeeds(&["run", "--", "foo"]);
    assert_eq!(printed, "prefix /opt/env foo\n");
    let lock = case.lockfile();
    let debian: Vec<&str> = lock
        .debian
        .packages
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    assert_eq!(debian, ["libc6"]);
}

#[test]
fn a_mirror_lists_what_it_has_of_a_channel() {
    let recipes = [
        libfoo(),
        Recipe::new("old", "1", "0")
            .needs(&["libfoo >=1"])
            .old_format(),
        Recipe::new("data", "3", "0")
            .noarch("generic")
            .needs(&["old"]),
        Recipe::new("other", "1", "0"),
    ];
    let rest = "dependencies = [\"data\"]\n";
    let case = Locked::new(User::Unprivileged, &recipes, &[], rest);
    case.succeeds(&["lock"]);
    let locked = case.lockfile();
    case.succeeds(&["mirror", "--to", "dir:../home/mirror"]);
    let channel = case.world.path().join("home/mirror/registries/lab");
    let list =
        |subdir: &str| fs::read_to_string(channel.join(subdir).join("repodata.json")).unwrap();
    let lists = [list("linux-64"), list("noarch")];
    let repodata: Value = serde_json::from_str(&lists[0]).unwrap();
    let old = &repodata["packages"]["old-1-0.tar.bz2"];
    assert_eq!(old["depends"], serde_json::json!(["libfoo >=1"]));
    let packages = &locked.conda.packages;
    let digest = packages
        .iter()
        .find(|one| one.name.as_str() == "old")
        .unwrap();
    assert_eq!(old["sha256"], digest.artifact.digest.hex());
    // What the lock has not is not there, so it is not listed.
    assert!(!lists[0].contains("other"));
    // Once more changes nothing.
    case.succeeds(&["mirror", "--to", "dir:../home/mirror"]);
    assert_eq!([list("linux-64"), list("noarch")], lists);
    // It is a channel of its own.
    let asked = case.channel.requests().len();
    fs::remove_dir_all(case.world.path().join("home/.cache/envbox")).unwrap();
    fs::remove_file(case.world.project().join("envbox.lock")).unwrap();
    let place = format!("lab={}", channel.display());
    case.succeeds(&["lock", "--registry", &place]);
    assert_eq!(case.lockfile(), locked);
    let words = ["run", "--frozen", "--registry", &place, "--", "foo"];
    assert_eq!(case.succeeds(&words).0, "prefix /opt/env foo\n");
    assert_eq!(case.channel.requests().len(), asked);
    // Another lock's packages join those that are listed.
    let text = fs::read_to_string(case.world.project().join("envbox.toml")).unwrap();
    case.world
        .write("envbox.toml", &text.replace("\"data\"", "\"other\""));
    case.succeeds(&["lock"]);
    case.succeeds(&["mirror", "--to", "dir:../home/mirror"]);
    let both = list("linux-64");
    assert!(
        both.contains("\"other\"") && both.contains("\"old\""),
        "{both}"
    );
}
