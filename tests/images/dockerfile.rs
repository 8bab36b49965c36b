//! The exported Dockerfile, built by podman.

use std::fs;
use std::process::Command;

use envbox::base::Context;
use envbox::net::registry_url;

use crate::downloads;
use crate::foreign::tool;
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

/// Needs to be root: debootstrap makes files of users.
#[test]
fn images_an_exported_dockerfile_is_built_and_prints_the_same() {
    let world = World::new(User::Current);
    world.write("envbox.toml", MANIFEST);
    downloads::share(&world);
    let succeeds = |words: &[&str]| {
        let run = world.run(words);
        assert_eq!(run.code(), Some(0), "{words:?}: {}", run.stderr());
        run.stdout()
    };
    succeeds(&["lock"]);
    let expected = succeeds(&["run", "--frozen", "--", "python", "-c", PROGRAM]);
    downloads::keep(&world);
    succeeds(&["export", "dockerfile", "-o", "Dockerfile"]);
    let file = world.project().join("Dockerfile");
    let text = fs::read_to_string(&file).unwrap();
    // The archive that it takes packages from keeps old ones, and is one that this tier need not reach: a
    // lock of today finds its packages in the present archive as well.
    let (today, past) = (registry("debian"), registry("debian-snapshot"));
    let (before, rest) = text.split_once(&past).unwrap();
    let (_, after) = rest.split_once(' ').unwrap();
    fs::write(&file, format!("{before}{today} {after}")).unwrap();

    let base = world.path().join("base");
    let mut made = Command::new("sh");
    made.args(["-euc", BASE, "sh"]).arg(&base).arg(&today);
    assert!(made.status().unwrap().success());
    let place = world.path().join("podman");
    let at = |name: &str| place.join(name).display().to_string();
    let (root, run, tmp) = (at("root"), at("run"), at("tmp"));
    let global = [
        "--root",
        &root,
        "--runroot",
        &run,
        "--tmpdir",
        &tmp,
        "--storage-driver",
        "overlay",
        "--cgroup-manager",
        "cgroupfs",
        "--events-backend",
        "file",
        "--runtime",
        "runc",
    ];
    // A host without the right to raise limits refuses podman's own.
    let limits = [
        "--ulimit",
        "nofile=1024:1024",
        "--ulimit",
        "nproc=1024:1024",
    ];
    let podman =
        |words: &[&[&str]]| tool(&world, "podman", &[&global[..], &words.concat()].concat());
    let tar = base.with_extension("tar").display().to_string();
    podman(&[&[
        "import",
        "--quiet",
        &tar,
        "docker.io/library/debian:bookworm-slim",
    ]]);
    let online = ["--network", "host", "--pull=never"];
    let words = ["--quiet", "--tag", "localhost/built", "."];
    podman(&[&["build"], &limits, &online, &words]);
    let words = ["localhost/built", "python3.11", "-c", PROGRAM];
    let offline = ["--rm", "--network", "none"];
    let printed = podman(&[&["run"], &limits, &offline, &words]);
    assert_eq!(printed, expected);
    assert!(printed.ends_with("\n0.75\n"), "{printed}");
}
