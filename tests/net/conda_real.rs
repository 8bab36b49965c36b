//! An environment of conda's with a real interpreter and real compiled modules.
//!
//! No public channel is asked: Debian's CPython and a wheel of NumPy become packages of a channel of the
//! test's own, with what conda's builders change in them.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::channel::{Channel, Content, PREFIX, Recipe};
use crate::downloads;
use crate::golden::world_of;
use crate::support::{User, World};

/// What Debian's interpreter is linked with, which conda's own would bring along.
const SYSTEM: &str =
    "\"libbz2-1.0\", \"libexpat1\", \"libffi8\", \"liblzma5\", \"libssl3\", \"zlib1g\"";

/// Debian's interpreter looks for modules where Debian's packages have them, conda's where conda puts
/// them.
const SITE: &str =
    "import site, sys\nsite.addsitedir(sys.prefix + '/lib/python3.11/site-packages')\n";

/// What needs a shell to be read.
const ACTIVATION: &str = "if [ -d \"$CONDA_PREFIX/lib/python3.11\" ]; then\n\
                          export APP_HOME=\"$CONDA_PREFIX/share/app\"\nfi\n";

const APP: &str = "import os, numpy, six\n\
                   def main():\n    \
                   print(numpy.arange(5).sum(), os.environ['APP_HOME'], six.__version__)\n";

const LOOK: &str = "import sys, numpy, numpy.linalg\n\
                    print(sys.prefix, sys.executable, numpy.__file__)\n\
                    print(numpy.linalg.inv(numpy.array([[2., 0.], [0., 4.]])).trace())";

const LOOKED: &str = "/opt/env /opt/env/bin/python \
                      /opt/env/lib/python3.11/site-packages/numpy/__init__.py\n0.75\n";

/// Adds what is below `from` to a package, below `to`, without bytecode.
fn add_tree(mut recipe: Recipe, from: &Path, to: &str) -> Recipe {
    let mut open = vec![from.to_path_buf()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let below = path.strip_prefix(from).unwrap().display().to_string();
            let is_file = fs::symlink_metadata(&path).unwrap().is_file();
            if path.is_dir() && !path.is_symlink() {
                if !below.ends_with("__pycache__") {
                    open.push(path);
                }
            } else if is_file {
                let bytes = fs::read(&path).unwrap();
                recipe = recipe.file(&format!("{to}{below}"), 0o644, Content::Binary(bytes));
            }
        }
    }
    recipe
}

/// Returns a rootfs with Debian's interpreter and wheels, as `envbox run` puts it together.
fn rootfs(world: &World) -> PathBuf {
    let run = world.run(&["run", "--frozen", "--", "python", "-c", "import numpy"]);
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    downloads::keep(world);
    let directory = world.path().join("home/.cache/envbox/rootfs");
    let mut entries = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries.find(|path| path.is_dir()).unwrap()
}

fn channel(directory: &Path, rootfs: &Path) -> Channel {
    let interpreter = fs::read(rootfs.join("usr/bin/python3.11")).unwrap();
    let python = Recipe::new("python", "3.11.2", "h0_0_cpython")
        .file("bin/python3.11", 0o755, Content::Binary(interpreter))
        .file("bin/python", 0, Content::Link("python3.11"))
        .text("lib/python3.11/sitecustomize.py", SITE)
        .text("etc/python.cfg", &format!("home = {PREFIX}\n"));
    let python = add_tree(
        python,
        &rootfs.join("usr/lib/python3.11"),
        "lib/python3.11/",
    );
    let modules = "lib/python3.11/site-packages";
    let wheels = rootfs.join("opt/env").join(modules);
    let mut numpy = Recipe::new("numpy", "2.4.6", "py311h_0").needs(&["python 3.11.*"]);
    for name in ["numpy", "numpy.libs", "numpy-2.4.6.dist-info"] {
        numpy = add_tree(numpy, &wheels.join(name), &format!("{modules}/{name}/"));
    }
    let app = Recipe::new("app", "1.0", "pyhd_0")
        .noarch("python")
        .needs(&["python >=3.9", "numpy >=2"])
        .entry_point("app = app:main")
        .text("site-packages/app.py", APP)
        .text("etc/conda/activate.d/app.sh", ACTIVATION);
    let mut channel = Channel::new(directory);
    for recipe in [python, numpy, app] {
        channel.add(&recipe);
    }
    channel.index();
    channel
}

#[test]
fn net_a_conda_environment_with_a_real_interpreter() {
    let base = world_of("sklearn", User::Current);
    let channel = channel(&base.path().join("channel"), &rootfs(&base));
    let server = channel.serve();
    let manifest = format!(
        "[environment]\nname = \"real\"\n[debian]\nsuite = \"bookworm\"\nsecurity = false\n\
         packages = [{SYSTEM}]\n\
         [conda]\nchannels = [{{ name = \"lab\", url = \"{}\" }}]\ndependencies = [\"app\"]\n\
         [python]\nrequirements = [\"six==1.16.0\"]\nexclude-newer = \"2026-11-01\"\n",
        server.url()
    );
    let mut seen: Option<(Vec<u8>, [String; 2])> = None;
    for user in User::ALL {
        let world = World::new(user);
        world.write("envbox.toml", &manifest);
        downloads::share(&world);
        let succeeds = |words: &[&str]| {
            let run = world.run(words);
            assert_eq!(run.code(), Some(0), "{words:?}: {}", run.stderr());
            run.stdout()
        };
        succeeds(&["lock"]);
        let lock = fs::read(world.project().join("envbox.lock")).unwrap();
        let run = ["run", "--frozen", "--"];
        let printed = succeeds(&[&run[..], &["python", "-c", LOOK]].concat());
        assert_eq!(printed, LOOKED);
        let printed = succeeds(&[&run[..], &["app"]].concat());
        assert_eq!(printed, "10 /opt/env/share/app 1.16.0\n");
        let text = succeeds(&[&run[..], &["cat", "/opt/env/etc/python.cfg"]].concat());
        assert_eq!(text, "home = /opt/env\n");
        // The environment has the same digest again, from a store that has forgotten it.
        let build = || {
            let report = succeeds(&["build", "--frozen", "--json"]);
            let report: Value = serde_json::from_str(&report).unwrap();
            report["digest"].as_str().unwrap().to_owned()
        };
        let first = build();
        for folder in ["rootfs", "trees", "layers", "answers"] {
            let place = world.path().join("home/.cache/envbox").join(folder);
            drop(fs::remove_dir_all(place));
        }
        let found = (lock, [first, build()]);
        assert_eq!(found.1[0], found.1[1]);
        assert_eq!(
            seen.get_or_insert_with(|| found.clone()),
            &found,
            "as {user:?}"
        );
        downloads::keep(&world);
    }
}
