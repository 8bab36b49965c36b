mod any;
mod gpu;
mod graph;
mod reading;
mod select;
mod stale;
mod writing;

use std::collections::BTreeMap;
use std::path::Path;

use crate::base::{Compression, Digest, ImageReference, Platform};
use crate::lock::{
    Activation, Artifact, BuiltFrom, CondaRequest, GroupRequest, LockError, LockedArchive,
    LockedBase, LockedConda, LockedCondaPackage, LockedDebian, LockedImage, LockedInterpreter,
    LockedLayer, LockedPackage, LockedSuite, LockedVirtualPackage, LockedWheel, Lockfile, Origin,
    Request,
};
use crate::manifest::{ChannelPriority, CondaBase, InterpreterSource, Prerelease};

const AMD64: Platform = Platform::LinuxAmd64;
const ARM64: Platform = Platform::LinuxArm64;

fn artifact(registry: &str, file: &str) -> Artifact {
    Artifact {
        origin: Origin::Registry(registry.parse().unwrap()),
        file: file.to_owned(),
        size: file.len() as u64,
        digest: Digest::of(file.as_bytes()),
    }
}

fn wheel(name: &str, version: &str, tags: &str, platforms: &[Platform]) -> LockedWheel {
    let file = format!("{}-{version}-{tags}.whl", name.replace('-', "_"));
    LockedWheel {
        name: name.parse().unwrap(),
        version: version.to_owned(),
        platforms: platforms.to_vec(),
        artifact: artifact("pypi", &file),
        required_by: vec!["manifest".to_owned()],
        built_from: None,
    }
}

fn package(name: &str, version: &str, platform: Platform) -> LockedPackage {
    let architecture = platform.debian();
    let file = format!("pool/main/x/{name}_{version}_{architecture}.deb");
    LockedPackage {
        name: name.parse().unwrap(),
        version: version.to_owned(),
        architecture: architecture.to_owned(),
        platforms: vec![platform],
        artifact: artifact("debian", &file),
        required_by: vec!["base".to_owned()],
    }
}

fn suite(name: &str, registry: &str) -> LockedSuite {
    LockedSuite {
        name: name.to_owned(),
        registry: registry.parse().unwrap(),
        date: "2026-05-16T10:00:00Z".parse().unwrap(),
    }
}

fn request() -> Request {
    Request {
        name: "iris".parse().unwrap(),
        platforms: vec![AMD64],
        python: Some("3.11".to_owned()),
        python_from: None,
        requirements: vec!["numpy".to_owned(), "pandas>=2".to_owned()],
        constraints: Vec::new(),
        overrides: Vec::new(),
        exclude_newer: Some("2026-11-01T00:00:00Z".parse().unwrap()),
        prerelease: Prerelease::default(),
        extra_indexes: Vec::new(),
        find_links: Vec::new(),
        no_build: true,
        suite: None,
        snapshot: None,
        security: None,
        packages: Vec::new(),
        base: None,
        conda: None,
        gpu: None,
        groups: BTreeMap::new(),
    }
}

/// A lock as most projects have it.
fn plain() -> Lockfile {
    Lockfile {
        request: request(),
        base: None,
        interpreter: Some(LockedInterpreter {
            from: InterpreterSource::Debian,
            version: "3.11.2".to_owned(),
            path: "/usr/bin/python3.11".to_owned(),
            archives: Vec::new(),
        }),
        conda: LockedConda::default(),
        python: vec![
            wheel("numpy", "2.1.3", "py3-none-any", &[AMD64]),
            wheel("pandas", "2.2.3", "py3-none-any", &[AMD64]),
        ],
        debian: LockedDebian {
            suites: vec![suite("bookworm", "debian")],
            packages: vec![
                package("dash", "0.5.12-2", AMD64),
                package("libc6", "2.36-9+deb12u10", AMD64),
            ],
        },
        gpu: None,
        built: Vec::new(),
    }
}

/// A lock that uses every key.
fn full() -> Lockfile {
    let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
    let both = [AMD64, ARM64];
    let archive = |platform: Platform| LockedArchive {
        platform,
        artifact: artifact(
            "python-build-standalone",
            &format!("20261001/cpython-3.12.9-{}.tar.gz", platform.machine()),
        ),
    };
    let mut direct = wheel("own", "1!0.1+cpu", "py3-none-any", &both);
    direct.artifact.origin = Origin::Url("https://files.example/own.whl".to_owned());
    direct.required_by = texts(&["manifest", "numpy"]);
    let mut everywhere = package("tzdata", "2026b-0+deb13u1", AMD64);
    everywhere.architecture = "all".to_owned();
    everywhere.platforms = both.to_vec();
    everywhere.artifact = artifact("debian", "pool/main/t/tzdata_2026b-0+deb13u1_all.deb");
    Lockfile {
        request: Request {
            platforms: both.to_vec(),
            python: Some("3.12.9".to_owned()),
            python_from: Some(InterpreterSource::Standalone),
            requirements: texts(&["numpy", "own @ https://files.example/own.whl"]),
            constraints: texts(&["numpy<3"]),
            overrides: texts(&["pandas==2.2.3 ; python_full_version >= '3.9'"]),
            prerelease: Prerelease::Allow,
            extra_indexes: vec!["own".parse().unwrap(), "extra-2".parse().unwrap()],
            find_links: vec!["find-links-1".parse().unwrap()],
            suite: Some("trixie".to_owned()),
            snapshot: Some("20261101T000000Z".to_owned()),
            security: Some(true),
            packages: vec!["libgomp1".parse().unwrap()],
            ..request()
        },
        base: None,
        interpreter: Some(LockedInterpreter {
            from: InterpreterSource::Standalone,
            version: "3.12.9".to_owned(),
            path: "/opt/python/bin/python3.12".to_owned(),
            archives: both.map(archive).to_vec(),
        }),
        conda: LockedConda::default(),
        python: vec![
            wheel(
                "numpy",
                "2.1.3",
                "cp312-cp312-manylinux_2_17_aarch64",
                &[ARM64],
            ),
            wheel(
                "numpy",
                "2.1.3",
                "cp312-cp312-manylinux_2_17_x86_64",
                &[AMD64],
            ),
            direct,
        ],
        debian: LockedDebian {
            suites: vec![
                suite("trixie", "debian"),
                suite("trixie-security", "debian-security"),
            ],
            packages: vec![
                package("libc6", "2.41-12", AMD64),
                package("libc6", "2.41-12", ARM64),
                everywhere,
            ],
        },
        gpu: None,
        built: Vec::new(),
    }
}

/// A lock that stands on an image.
fn on_image() -> Lockfile {
    let digest = Digest::of(b"index");
    let reference: ImageReference = format!("images/library/debian@{digest}").parse().unwrap();
    let layer = |name: &str, compression| {
        let (digest, diff_id) = (Digest::of(name.as_bytes()), Digest::of(b"tar"));
        LockedLayer::new(&reference, digest, 7, compression, diff_id)
    };
    let image = |platform: Platform, glibc, layers| LockedImage {
        platform,
        manifest: Digest::of(platform.debian().as_bytes()),
        glibc,
        layers,
    };
    let both = vec![
        layer("z", Compression::Gzip),
        layer("a", Compression::Zstd),
        layer("m", Compression::None),
    ];
    Lockfile {
        request: Request {
            suite: None,
            snapshot: None,
            security: None,
            packages: Vec::new(),
            base: Some(reference.clone()),
            ..full().request
        },
        base: Some(LockedBase {
            images: vec![
                image(AMD64, Some((2, 36)), both),
                image(ARM64, None, Vec::new()),
            ],
            reference,
        }),
        debian: LockedDebian::default(),
        ..full()
    }
}

fn conda_package(
    name: &str,
    build: &str,
    subdir: &str,
    platforms: &[Platform],
) -> LockedCondaPackage {
    let version = "1.26.4";
    let file = format!("{subdir}/{name}-{version}-{build}.conda");
    LockedCondaPackage {
        name: name.parse().unwrap(),
        version: version.to_owned(),
        build: build.to_owned(),
        platforms: platforms.to_vec(),
        artifact: artifact("conda-forge", &file),
        python: Vec::new(),
        required_by: vec!["manifest".to_owned()],
    }
}

/// A lock that uses every key of conda packages.
fn conda() -> Lockfile {
    let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
    let both = [AMD64, ARM64];
    let archspec = |build: &str, platform| LockedVirtualPackage {
        name: "__archspec".parse().unwrap(),
        version: "1".to_owned(),
        build: build.to_owned(),
        platforms: vec![platform],
    };
    let glibc = LockedVirtualPackage {
        name: "__glibc".parse().unwrap(),
        version: "2.41".to_owned(),
        build: "0".to_owned(),
        platforms: both.to_vec(),
    };
    let mut numpy = conda_package("numpy", "py312h1_0", "linux-64", &[AMD64]);
    numpy.python = texts(&["numpy==1.26.4"]);
    let mut several = conda_package("several", "pyh1_0", "noarch", &both);
    several.python = texts(&["one==1.26.4", "two==1.26.4.post1"]);
    several.artifact.file = several.artifact.file.replace(".conda", ".tar.bz2");
    let mut direct = conda_package("direct", "0", "noarch", &both);
    direct.artifact.origin =
        Origin::Url("https://files.example/noarch/direct-1.26.4-0.conda".to_owned());
    let python = conda_package("python", "h1_0_cpython", "linux-64", &[AMD64]);
    let mut other_python = conda_package("python", "h1_0_cpython", "linux-aarch64", &[ARM64]);
    other_python.required_by = texts(&["interpreter", "manifest", "several"]);
    Lockfile {
        request: Request {
            python: Some("1.26".to_owned()),
            python_from: Some(InterpreterSource::Conda),
            conda: Some(CondaRequest {
                channels: vec!["lab".parse().unwrap(), "conda-forge".parse().unwrap()],
                channel_priority: ChannelPriority::Flexible,
                dependencies: texts(&["numpy 1.26.*", "several[version='>=1']"]),
                constraints: texts(&["blas <3"]),
                exclude_newer: Some("2026-11-01T00:00:00Z".parse().unwrap()),
                virtual_packages: texts(&["__archspec=x86_64_v3", "__cuda=12.4"]),
                python_names: texts(&["pytorch=torch", "some-meta="]),
                link_scripts: vec!["several".parse().unwrap()],
                base: CondaBase::Glibc,
            }),
            ..full().request
        },
        interpreter: Some(LockedInterpreter {
            from: InterpreterSource::Conda,
            version: "1.26.4".to_owned(),
            path: "/opt/env/bin/python1.26".to_owned(),
            archives: Vec::new(),
        }),
        conda: LockedConda {
            virtual_packages: vec![
                archspec("aarch64", ARM64),
                archspec("x86_64_v3", AMD64),
                glibc,
            ],
            packages: vec![direct, numpy, python, other_python, several],
            activation: vec![
                Activation {
                    platforms: vec![AMD64],
                    name: "PROJ_DATA".to_owned(),
                    value: "/opt/env/share/proj".to_owned(),
                },
                Activation {
                    platforms: both.to_vec(),
                    name: "PROJ_NETWORK".to_owned(),
                    value: "ON".to_owned(),
                },
            ],
        },
        ..full()
    }
}

/// A lock with groups: `numpy` is of `dev` too, `pandas` and `git` are of `dev` alone.
fn grouped() -> Lockfile {
    let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
    let dev = GroupRequest {
        requirements: texts(&["numpy<3", "pandas>=2"]),
        conda: Vec::new(),
        packages: vec!["git".parse().unwrap()],
    };
    let mut six = wheel("six", "1.16.0", "py3-none-any", &[AMD64]);
    six.required_by = texts(&["pandas"]);
    let mut git = package("git", "1:2.39", AMD64);
    git.required_by = texts(&["manifest"]);
    let mut lock = plain();
    lock.request.requirements = texts(&["numpy"]);
    lock.request.groups = BTreeMap::from([
        ("dev".parse().unwrap(), dev),
        ("empty".parse().unwrap(), GroupRequest::default()),
    ]);
    lock.python[0].required_by = texts(&["manifest", "pandas"]);
    lock.python.push(six);
    lock.debian.packages.insert(1, git);
    lock
}

/// A lock with a wheel that is built.
fn built() -> Lockfile {
    let mut setuptools = wheel("setuptools", "80.9.0", "py3-none-any", &[AMD64]);
    let mut wheel_project = wheel("wheel", "0.45.1", "py3-none-any", &[AMD64]);
    wheel_project.required_by = vec!["setuptools".to_owned()];
    setuptools.required_by = vec!["manifest".to_owned()];
    let mut lock = plain();
    lock.python[1].artifact.origin = Origin::Built;
    lock.python[1].built_from = Some(Box::new(BuiltFrom {
        source: artifact("pypi", "pandas-2.2.3.tar.gz"),
        requires: vec![setuptools, wheel_project],
    }));
    let mut commit = artifact("pypi", "numpy-2.1.3.tar");
    commit.origin = Origin::Url("git+https://code.example/numpy@0123abc#subdirectory=a".to_owned());
    lock.python[0].artifact.origin = Origin::Built;
    lock.python[0].built_from = Some(Box::new(BuiltFrom {
        source: commit,
        requires: Vec::new(),
    }));
    lock
}

fn parse(text: &str) -> Result<Lockfile, LockError> {
    Lockfile::parse(text.as_bytes(), Path::new("envbox.lock"))
}

fn text(lock: &Lockfile) -> String {
    String::from_utf8(lock.to_bytes()).unwrap()
}
