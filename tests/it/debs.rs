//! A base small enough to be made by a test: one `.deb` of the host's own shell and tools.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use envbox::base::{Digest, Platform};
use envbox::lock::{
    Artifact, LockedConda, LockedDebian, LockedInterpreter, LockedPackage, LockedSuite, Lockfile,
    Origin, Request,
};
use envbox::manifest::Manifest;

use crate::support::World;

const TOOLS: [&str; 17] = [
    "/bin/dash",
    "/bin/bash",
    "/usr/bin/env",
    "/bin/cat",
    "/bin/ls",
    "/bin/true",
    "/bin/false",
    "/bin/rm",
    "/bin/mkdir",
    "/usr/bin/id",
    "/bin/mv",
    "/bin/ln",
    "/usr/bin/stat",
    "/bin/sleep",
    "/usr/bin/printf",
    "/bin/readlink",
    "/usr/bin/tr",
];

/// Writes a manifest and a lock that answers it into the world's project, and the `.deb` that the
/// lock names into a directory; returns the option that makes it the registry `debian`.
pub fn install(world: &World, manifest: &str) -> String {
    world.write("envbox.toml", manifest);
    install_packages(world, manifest, None, &[("tools", deb())])
}

/// As [`install`], with these packages and an interpreter among them.
pub fn install_packages(
    world: &World,
    manifest: &str,
    interpreter: Option<LockedInterpreter>,
    debs: &[(&str, Vec<u8>)],
) -> String {
    world.write("envbox.toml", manifest);
    let registry = world.path().join("registry");
    let mut packages = Vec::new();
    for (name, deb) in debs {
        let directory = format!("pool/main/{}/{name}", &name[..1]);
        let file = format!("{directory}/{name}_1_amd64.deb");
        fs::create_dir_all(registry.join(&directory)).unwrap();
        fs::write(registry.join(&file), deb).unwrap();
        packages.push(package(name, file, deb));
    }
    let lock = lock(manifest, interpreter, packages);
    world.write(
        "envbox.lock",
        std::str::from_utf8(&lock.to_bytes()).unwrap(),
    );
    format!("debian={}", registry.display())
}

fn package(name: &str, file: String, deb: &[u8]) -> LockedPackage {
    LockedPackage {
        name: name.parse().unwrap(),
        version: "1".to_owned(),
        architecture: "amd64".to_owned(),
        platforms: vec![Platform::LinuxAmd64],
        artifact: Artifact {
            origin: Origin::Registry("debian".parse().unwrap()),
            file,
            size: deb.len() as u64,
            digest: Digest::of(deb),
        },
        required_by: vec!["base".to_owned()],
    }
}

fn lock(
    manifest: &str,
    interpreter: Option<LockedInterpreter>,
    packages: Vec<LockedPackage>,
) -> Lockfile {
    let manifest = Manifest::parse(manifest, Path::new("envbox.toml")).unwrap();
    Lockfile {
        request: Request::of(&manifest),
        base: None,
        gpu: None,
        built: Vec::new(),
        interpreter,
        conda: LockedConda::default(),
        python: Vec::new(),
        debian: LockedDebian {
            suites: vec![LockedSuite {
                name: "bookworm".to_owned(),
                registry: "debian".parse().unwrap(),
                date: "2026-01-01T00:00:00Z".parse().unwrap(),
            }],
            packages,
        },
    }
}

/// Returns a `.deb` (deb(5)) with the tools and the libraries they load.
pub fn deb() -> Vec<u8> {
    tools_named("tools")
}

/// Returns the same under another name.
pub fn tools_named(name: &str) -> Vec<u8> {
    let mut data = tar::Builder::new(Vec::new());
    append_tools(&mut data);
    package_of(name, data)
}

/// Appends the tools and what they load.
pub fn append_tools(data: &mut tar::Builder<Vec<u8>>) {
    let mut files: BTreeSet<PathBuf> = TOOLS.iter().map(PathBuf::from).collect();
    for tool in TOOLS {
        files.extend(libraries(tool));
    }
    for file in files {
        let name = file.strip_prefix("/").unwrap().display().to_string();
        let name = if name.starts_with("usr/") {
            name
        } else {
            format!("usr/{name}")
        };
        append(data, &name, &fs::read(&file).unwrap(), 0o755);
    }
    append_link(data, "usr/bin/sh", "dash");
}

/// Appends a symbolic link.
pub fn append_link(data: &mut tar::Builder<Vec<u8>>, name: &str, target: &str) {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    header.set_mode(0o777);
    data.append_link(&mut header, name, target).unwrap();
}

/// Returns a `.deb` with these files: path, mode and content.
pub fn deb_of(name: &str, files: &[(&str, u32, &str)]) -> Vec<u8> {
    let mut data = tar::Builder::new(Vec::new());
    for (path, mode, content) in files {
        append(&mut data, path, content.as_bytes(), *mode);
    }
    package_of(name, data)
}

/// Returns a compressed archive with these files: path, mode and content.
pub fn tar_gz(files: &[(&str, u32, &str)]) -> Vec<u8> {
    let level = flate2::Compression::fast();
    let mut archive = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), level));
    for (path, mode, content) in files {
        append(&mut archive, path, content.as_bytes(), *mode);
    }
    archive.into_inner().unwrap().finish().unwrap()
}

fn package_of(name: &str, data: tar::Builder<Vec<u8>>) -> Vec<u8> {
    let control = format!(
        "Package: {name}\nVersion: 1\nArchitecture: amd64\nMaintainer: nobody\nDescription: {name}\n"
    );
    let mut control_tar = tar::Builder::new(Vec::new());
    append(&mut control_tar, "control", control.as_bytes(), 0o644);
    archive(&[
        ("debian-binary", b"2.0\n".to_vec()),
        ("control.tar", control_tar.into_inner().unwrap()),
        ("data.tar", data.into_inner().unwrap()),
    ])
}

/// Appends a file.
pub fn append(tar: &mut tar::Builder<impl Write>, name: &str, bytes: &[u8], mode: u32) {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(mode);
    tar.append_data(&mut header, name, bytes).unwrap();
}

/// Returns what the dynamic loader would load for a program, and the loader.
fn libraries(program: &str) -> Vec<PathBuf> {
    let output = Command::new("ldd").arg(program).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace()
        .filter(|word| word.starts_with('/'))
        .map(PathBuf::from)
        .collect()
}

/// Returns an archive in the common format of ar(5).
fn archive(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut archive = b"!<arch>\n".to_vec();
    for (name, bytes) in members {
        let size = bytes.len();
        archive.extend(
            format!(
                "{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`\n",
                0, 0, 0, 100644
            )
            .bytes(),
        );
        archive.extend(bytes);
        if size % 2 == 1 {
            archive.push(b'\n');
        }
    }
    archive
}
