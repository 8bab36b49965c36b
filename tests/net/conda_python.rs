//! A real interpreter and real compiled modules as conda packages.
//!
//! No public channel is asked: Debian's CPython and a wheel of NumPy become packages of a channel of the
//! test's own, with what conda's builders change in them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::channel::{Channel, Content, PREFIX, Recipe};
use crate::downloads;
use crate::support::World;

/// What Debian's interpreter is linked with, which conda's own would bring along.
pub const SYSTEM: &str =
    "\"libbz2-1.0\", \"libexpat1\", \"libffi8\", \"liblzma5\", \"libssl3\", \"zlib1g\"";

/// Debian's interpreter has modules where Debian's packages have them, and puts others below `local`;
/// conda's has all in one place.
const SITE: &str = "import site, sys, sysconfig\n\
                    site.addsitedir(sys.prefix + '/lib/python3.11/site-packages')\n\
                    schemes = sysconfig._INSTALL_SCHEMES\n\
                    schemes['posix_local'] = schemes['posix_prefix']\n";

/// What needs a shell to be read.
const ACTIVATION: &str = "if [ -d \"$CONDA_PREFIX/lib/python3.11\" ]; then\n\
                          export APP_HOME=\"$CONDA_PREFIX/share/app\"\nfi\n\
                          export APP_NOTE='a \"$1\" \\ b'\n";

const APP: &str = "import os, numpy, six\n\
                   def main():\n    \
                   print(numpy.arange(5).sum(), os.environ['APP_HOME'], os.environ['APP_NOTE'], six.__version__)\n";

/// What `app` prints.
pub const PRINTED: &str = "10 /opt/env/share/app a \"$1\" \\ b 1.16.0\n";

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

/// Makes a channel with packages of what is in the environment of `base`, and `app`, which needs them.
pub fn channel(base: &World) -> Channel {
    let rootfs = rootfs(base);
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
    let mut channel = Channel::new(&base.path().join("channel"));
    for recipe in [python, numpy, app] {
        channel.add(&recipe);
    }
    channel.index();
    channel
}

/// Returns the manifest of an environment with `app` of the channel at `url`, and a wheel.
pub fn manifest(url: &str) -> String {
    format!(
        "[environment]\nname = \"real\"\n[debian]\nsuite = \"bookworm\"\nsecurity = false\n\
         packages = [{SYSTEM}]\n\
         [conda]\nchannels = [{{ name = \"lab\", url = \"{url}\" }}]\ndependencies = [\"app\"]\n\
         [python]\nrequirements = [\"six==1.16.0\"]\nexclude-newer = \"2026-11-01\"\n"
    )
}
