//! Environments of conda packages.

use std::fmt::Write as _;
use std::fs;
use std::io::{Cursor, Write as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use envbox::base::{Context, Digest, Platform};
use envbox::fetch::{Closure, fetch};
use envbox::lock::{
    Activation, Artifact, CondaRequest, LockedConda, LockedInterpreter, LockedWheel, Lockfile,
    Origin,
};
use envbox::manifest::{ChannelPriority, CondaBase, InterpreterSource};
use envbox::rootfs::{package_trees, prepare};
use envbox::store::{Store, TreeManifest};
use jiff::Timestamp;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::channel::{Channel, Content, PREFIX, Recipe};
use crate::debs;
use crate::http::Server;
use crate::support::{Run, User, World};

const MANIFEST: &str = "[environment]\nname = \"lab\"\npython = \"3.12\"\n\
                        [debian]\nsuite = \"bookworm\"\n";

/// Plays Python: compiles as `rootfs::INTERPRETER` does, and otherwise says what it is to run.
pub fn interpreter() -> Recipe {
    let compiler = crate::rootfs::INTERPRETER;
    let body = compiler.strip_prefix("#!/bin/sh\n").unwrap();
    let text = format!(
        "#!/bin/sh\nif [ \"$1\" != -I ]; then echo \"python of {PREFIX} runs $*\"; exit; fi\n{body}"
    );
    Recipe::new("python", "3.12.4", "h0_0")
        .needs(&["libfoo >=1"])
        .script("bin/python3.12", &text)
        .file("bin/python", 0, Content::Link("python3.12"))
        .text("lib/python3.12/os.py", "1osos\n")
}

pub fn libfoo() -> Recipe {
    let program = format!("#!/bin/sh\necho prefix {PREFIX} foo $FOO_HOME\n");
    let library = [b"\x7fELF\0", PREFIX.as_bytes(), b"/share\0end"].concat();
    Recipe::new("libfoo", "1.2", "h1_3")
        .script("bin/foo", &program)
        .file("lib/libfoo.so.1", 0o755, Content::Binary(library))
        .file("lib/libfoo.so", 0, Content::Link("libfoo.so.1"))
}

pub fn mytool() -> Recipe {
    Recipe::new("mytool", "0.3", "pyhd_0")
        .noarch("python")
        .needs(&["python >=3.8", "libfoo"])
        .entry_point("mytool = mytool:main")
        .text("site-packages/mytool.py", "1tool\n")
        .script("python-scripts/mt2", &format!("#!{PREFIX}/bin/python\nx\n"))
}

/// A project whose environment is these packages, the interpreter among them.
struct Case {
    world: World,
    debian: String,
    channel: Channel,
}

impl Case {
    fn new(user: User, recipes: &[Recipe]) -> Self {
        let world = World::new(user);
        let debian = debs::install(&world, MANIFEST);
        let mut channel = Channel::new(&world.path().join("channel"));
        for recipe in recipes {
            channel.add(recipe);
        }
        channel.index();
        let case = Self {
            world,
            debian,
            channel,
        };
        case.lock(|lock| {
            lock.conda = LockedConda {
                packages: case.channel.locked(&["mytool"]),
                ..LockedConda::default()
            };
            lock.interpreter = Some(LockedInterpreter {
                from: InterpreterSource::Conda,
                version: "3.12.4".to_owned(),
                path: "/opt/env/bin/python3.12".to_owned(),
                archives: Vec::new(),
            });
        });
        case
    }

    /// Changes the lock.
    fn lock(&self, change: impl FnOnce(&mut Lockfile)) {
        let file = self.world.project().join("envbox.lock");
        let mut lock = Lockfile::read(&file).unwrap();
        change(&mut lock);
        let text = String::from_utf8(lock.to_bytes()).unwrap();
        self.world.write("envbox.lock", &text);
    }

    fn envbox(&self, verb: &str, arguments: &[&str]) -> Run {
        let channel = format!("lab={}", self.world.path().join("channel").display());
        let mut all = vec![verb, "--registry", &self.debian, "--registry", &channel];
        all.extend(arguments);
        self.world.run(&all)
    }

    fn run(&self, command: &[&str]) -> Run {
        let mut all = vec!["--frozen", "--"];
        all.extend(command);
        self.envbox("run", &all)
    }

    /// Runs a command that must go well and returns what it printed.
    fn prints(&self, command: &[&str]) -> String {
        let run = self.run(command);
        assert_eq!(run.code(), Some(0), "{command:?}: {}", run.stderr());
        run.stdout()
    }

    /// Returns the tree of the environment.
    fn tree(&self) -> PathBuf {
        let trees = self.world.path().join("home/.cache/envbox/rootfs");
        let entries = fs::read_dir(trees).unwrap();
        let mut found = entries
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_dir());
        let only = found.next().unwrap();
        assert_eq!(found.next(), None);
        only
    }
}

fn recipes() -> [Recipe; 3] {
    [interpreter(), libfoo(), mytool()]
}

#[test]
fn a_step_sees_an_activated_prefix() {
    for user in User::ALL {
        let case = Case::new(user, &recipes());
        case.lock(|lock| {
            lock.conda.activation = vec![Activation {
                platforms: vec![Platform::LinuxAmd64],
                name: "FOO_HOME".to_owned(),
                value: "/opt/env/share/it's \"foo\"".to_owned(),
            }];
        });
        assert_eq!(
            case.prints(&["foo"]),
            "prefix /opt/env foo /opt/env/share/it's \"foo\"\n"
        );
        assert_eq!(
            case.prints(&["mytool", "a"]),
            "python of /opt/env runs /opt/env/bin/mytool a\n"
        );
        assert_eq!(
            case.prints(&["mt2"]),
            "python of /opt/env runs /opt/env/bin/mt2\n"
        );
        let variables = case.prints(&["env"]);
        for line in [
            "CONDA_PREFIX=/opt/env",
            "CONDA_DEFAULT_ENV=/opt/env",
            "CONDA_SHLVL=1",
            "PATH=/opt/env/bin:/usr/bin:/bin",
        ] {
            assert!(variables.lines().any(|found| found == line), "{variables}");
        }
        let tree = case.tree();
        let library = fs::read(tree.join("opt/env/lib/libfoo.so")).unwrap();
        assert!(library.starts_with(b"\x7fELF\0/opt/env/share\0\0"));
        assert!(library.ends_with(b"\0end"));
        // The interpreter of the prefix is no virtual environment's.
        assert!(!tree.join("opt/env/pyvenv.cfg").exists());
        let cached = |path: &str| {
            fs::read_to_string(tree.join("opt/env/lib/python3.12").join(path)).unwrap()
        };
        assert_eq!(cached("__pycache__/os.cpython-312.pyc"), "1osos");
        let mytool = "site-packages/__pycache__/mytool.cpython-312.pyc";
        assert_eq!(cached(mytool), "1tool");
        let history = fs::read_to_string(tree.join("opt/env/conda-meta/history")).unwrap();
        insta::allow_duplicates! {
            insta::assert_snapshot!(history, @r"
            ==> 2020-01-01 00:00:00 <==
            +lab/linux-64::libfoo-1.2-h1_3
            +lab/linux-64::python-3.12.4-h0_0
            +lab/noarch::mytool-0.3-pyhd_0
            ");
        }
    }
}

#[test]
fn wheels_lie_beside_conda_packages() {
    let case = Case::new(User::Unprivileged, &recipes());
    let wheel = wheel();
    let file = "both-1.0-py3-none-any.whl";
    let server = Server::start();
    server.file(&format!("/{file}"), &wheel);
    case.lock(|lock| {
        lock.python = vec![LockedWheel {
            name: "both".parse().unwrap(),
            version: "1.0".to_owned(),
            platforms: vec![Platform::LinuxAmd64],
            artifact: Artifact {
                origin: Origin::Url(format!("{}/{file}", server.url())),
                file: file.to_owned(),
                size: wheel.len() as u64,
                digest: Digest::of(&wheel),
            },
            built_from: None,
            required_by: vec!["manifest".to_owned()],
        }];
    });
    let run = case.run(&["both"]);
    assert_eq!(
        run.stdout(),
        "python of /opt/env runs /opt/env/bin/both\n",
        "{}",
        run.stderr()
    );
    // What conda brought is never replaced, and that is told.
    let site_packages = case.tree().join("opt/env/lib/python3.12/site-packages");
    assert_eq!(
        fs::read_to_string(site_packages.join("mytool.py")).unwrap(),
        "1tool\n"
    );
    assert_eq!(
        fs::read_to_string(site_packages.join("both.py")).unwrap(),
        "1both\n"
    );
    assert!(site_packages.join("both-1.0.dist-info/REQUESTED").exists());
    insta::assert_snapshot!(run.stderr(), @"warning: `mytool` and `both` have different files at `/opt/env/lib/python3.12/site-packages/mytool.py`, and maybe elsewhere; those of `mytool` are used");
}

/// A wheel with a program and a file of `mytool`'s.
fn wheel() -> Vec<u8> {
    let scripts = "[console_scripts]\nboth = both:main\n";
    wheel_of(
        "both",
        &[
            ("both.py", "1both\n"),
            ("mytool.py", "other\n"),
            ("both-1.0.dist-info/entry_points.txt", scripts),
        ],
        "",
    )
}

/// A wheel with these files and these lines in its metadata.
pub fn wheel_of(name: &str, files: &[(&str, &str)], metadata: &str) -> Vec<u8> {
    let info = format!("{name}-1.0.dist-info");
    let metadata = format!("Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{metadata}");
    let mut all: Vec<(String, &str)> = files
        .iter()
        .map(|(path, text)| ((*path).to_owned(), *text))
        .collect();
    all.push((format!("{info}/METADATA"), &metadata));
    let kind = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n";
    all.push((format!("{info}/WHEEL"), kind));
    let mut record = String::new();
    for (path, text) in &all {
        let digest = URL_SAFE_NO_PAD.encode(Sha256::digest(text));
        writeln!(record, "{path},sha256={digest},{}", text.len()).unwrap();
    }
    let own = format!("{info}/RECORD");
    writeln!(record, "{own},,").unwrap();
    all.push((own, &record));
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (path, text) in &all {
        zip.start_file(path, zip::write::SimpleFileOptions::default())
            .unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

#[test]
fn packages_that_share_a_path_are_named() {
    let clobber = Recipe::new("zfoo", "1", "0")
        .needs(&["libfoo"])
        .script("bin/foo", "#!/bin/sh\necho z\n");
    let same = Recipe::new("same", "1", "0").file("lib/libfoo.so", 0, Content::Link("libfoo.so.1"));
    let [python, foo, tool] = recipes();
    let case = Case::new(User::Unprivileged, &[python, foo, tool, clobber, same]);
    let run = case.run(&["foo"]);
    assert_eq!(run.stdout(), "z\n");
    insta::assert_snapshot!(run.stderr(), @"warning: `libfoo` and `zfoo` have different files at `/opt/env/bin/foo`, and maybe elsewhere; those of `zfoo` are used");
}

#[test]
fn packages_in_the_old_format_are_installed_too() {
    let [python, foo, tool] = recipes();
    let case = Case::new(
        User::Unprivileged,
        &[python.old_format(), foo.old_format(), tool],
    );
    assert_eq!(case.prints(&["foo"]), "prefix /opt/env foo\n");
}

#[test]
fn images_of_conda_packages_are_the_same_everywhere() {
    let mut documents = Vec::new();
    for user in User::ALL {
        let case = Case::new(user, &recipes());
        let run = case.envbox("build", &["--frozen", "--json", "--check"]);
        assert_eq!(run.code(), Some(0), "{}", run.stderr());
        documents.push(serde_json::from_str::<Value>(&run.stdout()).unwrap());
    }
    let digest = |document: &Value| document["images"][0]["digest"].clone();
    assert_eq!(digest(&documents[0]), digest(&documents[1]));
    let layers = documents[0]["images"][0]["layers"].as_array().unwrap();
    let packages: Vec<String> = layers
        .iter()
        .map(|layer| layer["packages"].to_string())
        .collect();
    insta::assert_snapshot!(packages.join("\n"), @r#"
    ["tools=1"]
    ["libfoo=1.2"]
    ["mytool=0.3"]
    ["python=3.12.4"]
    ["envbox"]
    "#);
}

#[test]
fn parts_lists_name_conda_packages() {
    let case = Case::new(User::Unprivileged, &recipes());
    let run = case.envbox("sbom", &[]);
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    let text = run.stdout();
    let purl = "pkg:conda/libfoo@1.2?build=h1_3&channel=lab&subdir=linux-64&type=conda";
    assert!(text.contains(purl), "{text}");
}

#[test]
fn a_mirror_has_conda_packages() {
    let case = Case::new(User::Unprivileged, &recipes());
    let mirror = case.world.path().join("home/mirror");
    let run = case.envbox("mirror", &["--to", &mirror.display().to_string()]);
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    fs::remove_dir_all(case.world.path().join("home/.cache/envbox")).unwrap();
    fs::remove_dir_all(case.world.path().join("channel")).unwrap();
    assert!(
        mirror
            .join("registries/lab/noarch/mytool-0.3-pyhd_0.conda")
            .exists()
    );
    let mirror = mirror.display().to_string();
    let run = case
        .world
        .run(&["run", "--frozen", "--mirror", &mirror, "--", "foo"]);
    assert_eq!(run.stdout(), "prefix /opt/env foo\n", "{}", run.stderr());
}

#[test]
fn channels_are_read_over_http() {
    let case = Case::new(User::Unprivileged, &recipes());
    let server = case.channel.serve();
    let url = format!("lab={}", server.url());
    let registries = ["--registry", &case.debian, "--registry", &url];
    let fetch = [&["fetch"], &registries[..]].concat();
    let run = case.world.run(&fetch);
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    assert_eq!(server.count("/linux-64/libfoo-1.2-h1_3.conda"), 1);
    // What the lock does not have is not taken, whoever gives it.
    let mut other = fs::read(
        case.world
            .path()
            .join("channel/linux-64/libfoo-1.2-h1_3.conda"),
    )
    .unwrap();
    other[40] ^= 1;
    server.file("/linux-64/libfoo-1.2-h1_3.conda", &other);
    fs::remove_dir_all(case.world.path().join("home/.cache/envbox")).unwrap();
    let run = case.world.run(&fetch);
    assert_eq!(run.code(), Some(14));
    let error = run.stderr();
    assert!(
        error.contains("`linux-64/libfoo-1.2-h1_3.conda` from `lab` is not what the lock promises"),
        "{error}"
    );
}

#[test]
fn channels_may_lie_in_registries_of_images() {
    let case = Case::new(User::Unprivileged, &recipes());
    let server = Server::start();
    server.file("/v2/", b"{}");
    for package in case.channel.locked(&[]) {
        let (subdir, _) = package.artifact.file.split_once('/').unwrap();
        let digest = package.artifact.digest;
        let path = format!("/v2/forge/{subdir}/{}/blobs/{digest}", package.name);
        let file = case
            .world
            .path()
            .join("channel")
            .join(&package.artifact.file);
        server.file(&path, &fs::read(file).unwrap());
    }
    let url = format!("lab={}/forge", server.url().replace("http://", "oci://"));
    let registries = ["--registry", &case.debian, "--registry", &url];
    let run = case
        .world
        .run(&[&["run", "--frozen"], &registries[..], &["--", "foo"]].concat());
    assert_eq!(run.stdout(), "prefix /opt/env foo\n", "{}", run.stderr());
    // A package that the registry has not.
    fs::remove_dir_all(case.world.path().join("home/.cache/envbox")).unwrap();
    let elsewhere = url.replace("/forge", "/other");
    let registries = ["--registry", &case.debian, "--registry", &elsewhere];
    let run = case.world.run(&[&["fetch"], &registries[..]].concat());
    let error = run.stderr();
    assert!(
        error.contains("the registry of the channel `lab` does not have it"),
        "{error}"
    );
}

/// Makes a package whose archive is what a hostile hand would write.
fn hostile(case: &mut Case, archive: &[u8]) -> Run {
    let recipe = Recipe::new("evil", "1", "0");
    case.channel.put(&recipe, "evil-1-0.tar.bz2", archive);
    case.lock(|lock| lock.conda.packages = case.channel.locked(&["evil"]));
    case.run(&["true"])
}

#[test]
fn hostile_packages_are_refused_by_name() {
    let mut case = Case::new(User::Unprivileged, &recipes());
    let mut archive = tar::Builder::new(bzip2::write::BzEncoder::new(
        Vec::new(),
        bzip2::Compression::fast(),
    ));
    let index = r#"{"name": "evil", "version": "1", "build": "0", "build_number": 0}"#;
    let paths = r#"{"paths": [{"_path": "bin/x", "path_type": "hardlink", "file_mode": "binary", "prefix_placeholder": "/old"}], "paths_version": 1}"#;
    debs::append(&mut archive, "info/index.json", index.as_bytes(), 0o644);
    debs::append(&mut archive, "info/paths.json", paths.as_bytes(), 0o644);
    debs::append(&mut archive, "bin/x", b"/old\0", 0o755);
    let archive = archive.into_inner().unwrap().finish().unwrap();
    let run = hostile(&mut case, &archive);
    insta::assert_snapshot!(run.whole(), @r#"
    exit: 125
    -- stdout
    -- stderr
    error: failed to unpack `linux-64/evil-1-0.tar.bz2`
    caused by: `bin/x` has `/old` in its strings, which is shorter than the prefix `/opt/env`

    hint: the package is at fault: ask for another version or build of it, and tell who publishes it
    "#);
    assert!(Path::new(&case.world.project()).exists());
}

/// A package that finishes itself when it is installed.
pub fn scripted() -> Recipe {
    let script = "set -e\n\
        [ \"$PKG_NAME-$PKG_VERSION-$PKG_BUILDNUM\" = scripted-2-7 ]\n\
        mkdir \"$PREFIX/made\"\n\
        echo \"$PREFIX $(stat -c %Y \"$PREFIX/etc/kept\")\" > \"$PREFIX/made/here\"\n\
        ln -s here \"$PREFIX/made/link\"\n\
        echo changed >> \"$PREFIX/etc/changed\"\n\
        rm \"$PREFIX/etc/gone\"\n\
        echo read me >> \"$PREFIX/.messages.txt\"\n";
    Recipe::new("scripted", "2", "h_7")
        .script("bin/.scripted-post-link.sh", script)
        .text("etc/changed", "as it was\n")
        .text("etc/gone", "x")
        .text("etc/kept", "kept\n")
}

#[test]
fn link_scripts_run_over_a_copy() {
    let case = Case::new(User::Current, &[scripted()]);
    let refused = case.run(&["true"]);
    insta::assert_snapshot!(refused.whole(), @r#"
    exit: 125
    -- stdout
    -- stderr
    error: these packages run a script when they are installed, which the manifest does not allow: scripted

    hint: read them, then allow them with `link-scripts = ["scripted"]` in `[conda]`
    "#);
    let context = Context {
        registries: [
            ("lab", case.world.path().join("channel")),
            ("debian", case.world.path().join("registry")),
        ]
        .map(|(name, path)| (name.parse().unwrap(), path.display().to_string()))
        .into(),
        ..Context::new(case.world.path().join("store"), Timestamp::UNIX_EPOCH)
    };
    let mut lock = Lockfile::read(&case.world.project().join("envbox.lock")).unwrap();
    lock.interpreter = None;
    lock.request.conda = Some(CondaRequest {
        channels: vec!["lab".parse().unwrap()],
        channel_priority: ChannelPriority::Strict,
        dependencies: vec!["scripted".to_owned()],
        constraints: Vec::new(),
        exclude_newer: None,
        virtual_packages: Vec::new(),
        python_names: Vec::new(),
        link_scripts: vec!["scripted".parse().unwrap()],
        base: CondaBase::Debian,
    });
    let store = Store::open(&context.store).unwrap();
    let closure = fetch(&context, &lock, Platform::LinuxAmd64, &store).unwrap();
    let rootfs = prepare(&context, &closure, None).unwrap();
    let path = |name: &str| rootfs.path().join("opt/env").join(name);
    let text = |name: &str| fs::read_to_string(path(name)).unwrap();
    assert_eq!(text("made/here"), "/opt/env 1577836799\n");
    assert_eq!(fs::read_link(path("made/link")).unwrap(), Path::new("here"));
    assert_eq!(text("etc/changed"), "as it was\nchanged\n");
    assert_eq!(text("etc/kept"), "kept\n");
    assert!(!path("etc/gone").exists() && !path(".messages.txt").exists());
    assert_eq!(
        rootfs.manifest().unwrap(),
        TreeManifest::of(&rootfs.path()).unwrap()
    );
    // The package itself is what it was, for those who have it from the store later.
    let package = rootfs_packages(&context, &closure);
    assert_eq!(
        fs::read_to_string(package.join("opt/env/etc/changed")).unwrap(),
        "as it was\n"
    );
}

fn rootfs_packages(context: &Context, closure: &Closure) -> PathBuf {
    let trees = package_trees(context, closure).unwrap();
    let scripted = trees.into_iter().find(|tree| tree.name == "scripted");
    scripted.unwrap().path
}
