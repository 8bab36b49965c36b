//! What DVC's files say: where it keeps what a `.dvc` file stands for.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use md5::{Digest as _, Md5};

/// Ends the name of an object that lists the files of a directory.
const DIRECTORY: &str = ".dir";

/// The size below which a `.dvc` file is read.
const POINTER_SIZE: u64 = 1 << 16;

/// The MD5 of an object, which names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ObjectName([u8; 16]);

impl ObjectName {
    /// Reads 32 hex digits.
    pub(super) fn parse(hex: &str) -> Option<Self> {
        let mut name = [0; 16];
        if hex.len() != 32 || !hex.is_ascii() {
            return None;
        }
        for (index, byte) in name.iter_mut().enumerate() {
            *byte = u8::from_str_radix(hex.get(2 * index..2 * index + 2)?, 16).ok()?;
        }
        Some(Self(name))
    }

    /// Says whether an object of this content has the name.
    pub(super) fn is_of(&self, bytes: &[u8]) -> bool {
        Md5::digest(bytes)[..] == self.0
    }

    /// Says whether an object of this content has the name.
    pub(super) fn is_of_file(&self, path: &Path) -> std::io::Result<bool> {
        let (mut file, mut hasher) = (File::open(path)?, Md5::new());
        std::io::copy(&mut file, &mut hasher)?;
        Ok(hasher.finalize()[..] == self.0)
    }

    fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// What a `.dvc` file stands for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Dvc {
    /// A file; with the object, if it is here.
    File(Option<PathBuf>),
    /// A directory.
    Directory {
        /// The name of the object that lists it.
        name: ObjectName,
        /// Where objects are.
        objects: Objects,
    },
}

/// Returns what the `.dvc` file beside `path` of the project stands for, if there is one.
pub(super) fn dvc(project: &Path, path: &Path) -> Option<Dvc> {
    let mut beside = project.join(path).into_os_string();
    beside.push(".dvc");
    let mut text = String::new();
    let file = File::open(beside).ok()?;
    file.take(POINTER_SIZE).read_to_string(&mut text).ok()?;
    // A program wrote it, one key a line.
    let key = |line: &str| {
        let line = line.trim_start_matches([' ', '-']);
        Some(line.strip_prefix("md5:")?.trim().to_owned())
    };
    let md5 = text.lines().find_map(key).unwrap_or_default();
    let objects = Objects::of(project);
    let (hex, directory) = match md5.strip_suffix(DIRECTORY) {
        Some(hex) => (hex, true),
        None => (&*md5, false),
    };
    Some(match (ObjectName::parse(hex), directory) {
        (Some(name), true) => Dvc::Directory { name, objects },
        (Some(name), false) => Dvc::File(objects.file(name)),
        (None, _) => Dvc::File(None),
    })
}

/// The places where objects of DVC's may be, the cache first.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Objects(Vec<PathBuf>);

impl Objects {
    /// Returns the places for a project: the cache, and the remote that it uses, if that is a
    /// directory of this host. DVC 3 keeps objects in `files/md5`, earlier versions right there.
    fn of(project: &Path) -> Self {
        let Some(top) = project.ancestors().find(|top| top.join(".dvc").is_dir()) else {
            return Self(Vec::new());
        };
        let directory = top.join(".dvc");
        let cache = setting(&directory, "cache", "dir").unwrap_or_else(|| "cache".to_owned());
        let remote = setting(&directory, "core", "remote");
        let remote = remote.and_then(|name| {
            let sections = [format!("'remote \"{name}\"'"), format!("remote \"{name}\"")];
            sections
                .iter()
                .find_map(|section| setting(&directory, section, "url"))
        });
        let local = remote.filter(|url| !url.contains("://"));
        let places = [Some(cache), local].into_iter().flatten();
        let places = places.map(|place| directory.join(place));
        Self(
            places
                .flat_map(|place| [place.join("files/md5"), place])
                .collect(),
        )
    }

    /// Returns an object that is a file's content.
    pub(super) fn file(&self, name: ObjectName) -> Option<PathBuf> {
        self.named(&name.hex())
    }

    /// Returns the object that lists a directory.
    pub(super) fn listing(&self, name: ObjectName) -> Option<PathBuf> {
        self.named(&format!("{}{DIRECTORY}", name.hex()))
    }

    fn named(&self, name: &str) -> Option<PathBuf> {
        let (head, tail) = name.split_at(2);
        let mut objects = self.0.iter().map(|place| place.join(head).join(tail));
        objects.find(|object| object.is_file())
    }
}

/// Returns a setting of DVC's configuration, if there is one.
fn setting(directory: &Path, section: &str, key: &str) -> Option<String> {
    for file in ["config.local", "config"] {
        let text = fs::read_to_string(directory.join(file)).unwrap_or_default();
        let mut current = "";
        for line in text.lines().map(str::trim) {
            if let Some(name) = line.strip_prefix('[') {
                current = name.strip_suffix(']').unwrap_or(name);
            }
            if let Some((name, value)) = line.split_once('=')
                && current == section
                && name.trim() == key
            {
                return Some(value.trim().to_owned());
            }
        }
    }
    None
}
