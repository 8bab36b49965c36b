//! Exported Dockerfiles, built by podman.

use std::fs;
use std::process::{Command, Output};

use envbox::base::Context;
use envbox::net::registry_url;

use crate::conda_python::{PRINTED, channel, manifest};
use crate::downloads;
use crate::foreign::tool;
use crate::golden::world_of;
use crate::podman_place::podman_options;
use crate::support::{User, World};

const MANIFEST: &str = "[environment]\nname = \"file\"\npython = \"3.11\"\n\
    [python]\nrequirements = [\"numpy==2.4.6\"]\nexclude-newer = \"2026-11-01\"\n\
    [debian]\nsuite = \"bookworm\"\nsecurity = false\n";

const PROGRAM: &str = "import sys, ssl, numpy\n\
    print(sys.version, ssl.OPENSSL_VERSION, numpy.__version__)\n\
    print(numpy.linalg.inv([[2., 0.], [0., 4.]]).trace())";

/// Makes what the registry of images has as `debian:bookworm-slim`, with this host's certificate
/// authorities: pip asks a registry over TLS.
const BASE: &str = "debootstrap --variant=minbase bookworm \"$1\" \"$2\" > \"$1.log\" 2>&1 || \
    { tail \"$1.log\" >&2; exit 1; }
    mkdir -p \"$1/usr/local/share/ca-certificates\"
    cp /etc/ssl/certs/ca-certificates.crt \"$1/usr/local/share/ca-certificates/host.crt\"
    tar -C \"$1\" -cf \"$1.tar\" .";

/// Returns where a registry lies for who configures nothing.
fn registry(name: &str) -> String {
    let context = Context::new("store".into(), jiff::Timestamp::UNIX_EPOCH);
    let url = registry_url(&context, &name.parse().unwrap()).unwrap();
    url.as_str().trim_end_matches('/').to_owned()
}

/// Podman with a store of its own, which has the image that the files start from.
struct Podman {
    world: World,
    /// Where the archive of Debian lies.
    archive: String,
}

/// A host without the right to raise limits refuses podman's own.
const LIMITS: [&str; 4] = [
    "--ulimit",
    "nofile=1024:1024",
    "--ulimit",
    "nproc=1024:1024",
];

impl Podman {
    fn new() -> Self {
        let (world, archive) = (World::new(User::Current), registry("debian"));
        let base = world.path().join("base");
        let mut made = Command::new("sh");
        made.args(["-euc", BASE, "sh"]).arg(&base).arg(&archive);
        assert!(made.status().unwrap().success());
        let podman = Self { world, archive };
        let tar = base.with_extension("tar").display().to_string();
        let image = "docker.io/library/debian:bookworm-slim";
        podman.succeeds(&["import", "--quiet", &tar, image]);
        podman
    }

    /// Returns `podman` with options and `words`.
    fn command(&self, words: &[&str]) -> Vec<String> {
        let mut all = podman_options(&self.world.path().join("podman"));
        all.extend(words.iter().map(|word| (*word).to_owned()));
        all
    }

    fn succeeds(&self, words: &[&str]) -> String {
        tool(&self.world, "podman", &self.command(words))
    }

    /// Builds what is in the directory of a project.
    fn build(&self, project: &World) -> Output {
        let place = project.project().display().to_string();
        let options = ["--network", "host", "--pull=never", "--quiet"];
        let words = ["--tag", "localhost/built", &place];
        let mut command = self.world.shell("exec podman \"$@\"");
        let words = [&["build"], &LIMITS[..], &options, &words].concat();
        command.arg("sh").args(self.command(&words));
        command.output().unwrap()
    }

    /// Locks and exports; what is built of the file must print the same as a step does. Returns that.
    fn prints(&self, world: &World, words: &[&str]) -> String {
        downloads::share(world);
        let succeeds = |words: &[&str]| {
            let run = world.run(words);
            assert_eq!(run.code(), Some(0), "{words:?}: {}", run.stderr());
            run.stdout()
        };
        succeeds(&["lock"]);
        let expected = succeeds(&[&["run", "--frozen", "--"], words].concat());
        downloads::keep(world);
        succeeds(&["export", "dockerfile", "-o", "Dockerfile"]);
        let text = read(world);
        // The archive that it takes packages from keeps old ones, and is one that this tier need not
        // reach: a lock of today finds its packages in the present archive as well.
        let (before, rest) = text.split_once(&registry("debian-snapshot")).unwrap();
        let (_, after) = rest.split_once(' ').unwrap();
        world.write("Dockerfile", &format!("{before}{} {after}", self.archive));
        let built = self.build(world);
        let said = String::from_utf8_lossy(&built.stderr);
        assert!(built.status.success(), "{said}");
        let offline = ["--rm", "--network", "none", "localhost/built"];
        let printed = self.succeeds(&[&["run"], &LIMITS[..], &offline, words].concat());
        assert_eq!(printed, expected);
        printed
    }
}

fn read(world: &World) -> String {
    fs::read_to_string(world.project().join("Dockerfile")).unwrap()
}

/// Needs to be root: debootstrap makes files of users.
#[test]
fn images_exported_dockerfiles_are_built_and_print_the_same() {
    let podman = Podman::new();
    let world = World::new(User::Current);
    world.write("envbox.toml", MANIFEST);
    let printed = podman.prints(&world, &["python3.11", "-c", PROGRAM]);
    assert!(printed.ends_with("\n0.75\n"), "{printed}");

    let server = channel(&world_of("sklearn", User::Current)).serve();
    let world = World::new(User::Current);
    world.write("envbox.toml", &manifest(&server.url()));
    assert_eq!(podman.prints(&world, &["app"]), PRINTED);
    a_package_with_another_digest_is_refused(&podman, &world);
}

fn a_package_with_another_digest_is_refused(podman: &Podman, world: &World) {
    let text = read(world);
    let (before, after) = text.split_once("#sha256:").unwrap();
    let other = if after.starts_with('0') { "1" } else { "0" };
    world.write(
        "Dockerfile",
        &format!("{before}#sha256:{other}{}", &after[1..]),
    );
    let built = podman.build(world);
    let said = String::from_utf8_lossy(&built.stderr);
    assert!(
        !built.status.success() && said.contains("has another digest"),
        "{said}"
    );
}
