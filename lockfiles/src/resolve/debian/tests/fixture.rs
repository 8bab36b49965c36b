//! Small archives in directories.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use tempfile::TempDir;

use crate::base::{Context, DebianName, Digest, Platform};
use crate::lock::LockedDebian;
use crate::net::{Client, ClientOptions, block_on};
use crate::resolve::Upgrade;
use crate::resolve::debian::tests::keys::{Key, SIGNED, keyring};
use crate::resolve::debian::{DebianError, DebianRequest, Root, resolve_debian_with};

/// The hour after everything was signed.
pub(super) fn now() -> Timestamp {
    Timestamp::from_second(i64::from(SIGNED) + 3600).unwrap()
}

/// Returns the paragraph of package `name`; `more` is further fields, or other values of these.
pub(crate) fn package(name: &str, version: &str, more: &str) -> String {
    let mut text = String::new();
    let digest = Digest::of(format!("{name} {version}").as_bytes()).hex();
    let file = format!("pool/main/{name}_{version}.deb");
    for (field, value) in [
        ("Package", name),
        ("Version", version),
        ("Architecture", "amd64"),
        ("Filename", &file),
        ("Size", "7"),
        ("SHA256", &digest),
    ] {
        let replaced = |line: &str| line.starts_with(&format!("{field}: "));
        if !more.lines().any(replaced) {
            writeln!(text, "{field}: {value}").unwrap();
        }
    }
    if !more.is_empty() {
        writeln!(text, "{}", more.trim_end()).unwrap();
    }
    text.push('\n');
    text
}

/// A suite on its way into a directory.
#[derive(Clone)]
pub(crate) struct Suite {
    pub name: String,
    /// Fields of the `Release`.
    pub fields: BTreeMap<&'static str, String>,
    /// The text of `Packages`, by architecture.
    pub packages: BTreeMap<&'static str, String>,
    /// How `Packages` is compressed.
    pub suffix: &'static str,
    /// Changes what is signed.
    pub edit_release: fn(String) -> String,
    /// Changes what was signed.
    pub edit_signed: fn(Vec<u8>) -> Vec<u8>,
    /// Changes what `Packages` is on disk.
    pub edit_index: fn(Vec<u8>) -> Vec<u8>,
}

impl Suite {
    /// Returns a suite with `packages` for amd64.
    pub(crate) fn new(name: &str, packages: &[String]) -> Self {
        Self {
            name: name.to_owned(),
            fields: BTreeMap::from([
                ("Codename", name.to_owned()),
                ("Suite", format!("{name}-alias")),
                ("Date", "Mon, 01 Jun 2026 00:00:00 UTC".to_owned()),
                ("Acquire-By-Hash", "yes".to_owned()),
                ("Architectures", "all amd64 arm64".to_owned()),
            ]),
            packages: BTreeMap::from([("amd64", packages.concat())]),
            suffix: ".xz",
            edit_release: |text| text,
            edit_signed: |bytes| bytes,
            edit_index: |bytes| bytes,
        }
    }

    /// Sets a field of the `Release`; an empty value removes it.
    pub(super) fn field(mut self, field: &'static str, value: &str) -> Self {
        match value {
            "" => self.fields.remove(field),
            _ => self.fields.insert(field, value.to_owned()),
        };
        self
    }

    /// Writes the suite to the archive at `root`, signed by `key`.
    pub(super) fn write(&self, root: &Path, key: &Key) {
        for (path, bytes) in self.files(key) {
            let path = root.join("dists").join(&self.name).join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
    }

    /// Returns the files below the suite's directory.
    pub(super) fn files(&self, key: &Key) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut release = String::new();
        for (field, value) in &self.fields {
            writeln!(release, "{field}: {value}").unwrap();
        }
        release.push_str("SHA256:\n");
        for (architecture, text) in &self.packages {
            let directory = format!("main/binary-{architecture}");
            let plain = text.as_bytes();
            let stored = compress(plain, self.suffix);
            for (suffix, bytes) in [("", plain), (self.suffix, &stored)] {
                let (digest, size) = (Digest::of(bytes).hex(), bytes.len());
                writeln!(release, " {digest} {size} {directory}/Packages{suffix}").unwrap();
            }
            let by_hash = Digest::of(&stored).hex();
            let stored = (self.edit_index)(stored);
            files.insert(
                format!("{directory}/by-hash/SHA256/{by_hash}"),
                stored.clone(),
            );
            files.insert(format!("{directory}/Packages{}", self.suffix), stored);
        }
        let release = (self.edit_release)(release);
        let signed = (self.edit_signed)(key.sign(&release));
        files.insert("InRelease".to_owned(), signed);
        files
    }
}

/// Compresses as `suffix` says.
pub(super) fn compress(bytes: &[u8], suffix: &str) -> Vec<u8> {
    match suffix {
        ".xz" => {
            let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        ".gz" => {
            let level = flate2::Compression::fast();
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        _ => bytes.to_vec(),
    }
}

/// A store, the user's registries, and who signs them.
pub(crate) struct World {
    pub directory: TempDir,
    pub key: Key,
    pub context: Context,
}

impl World {
    /// Returns a world whose registries `debian` and `debian-security` are empty directories.
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut context = Context::new(directory.path().join("store"), now());
        for registry in ["debian", "debian-security", "debian-snapshot"] {
            let place = directory.path().join(registry);
            std::fs::create_dir(&place).unwrap();
            let place = place.to_str().unwrap().to_owned();
            context.registries.insert(registry.parse().unwrap(), place);
        }
        Self {
            directory,
            key: Key::new(),
            context,
        }
    }

    /// Returns a world with the suite `stable` of `packages` and without security updates.
    pub(super) fn with(packages: &[String]) -> Self {
        let world = Self::new();
        world.add(&Suite::new("stable", packages));
        world
    }

    /// Adds `suite` to the registry `debian`, or to `debian-security` if it is called so.
    pub(crate) fn add(&self, suite: &Suite) {
        let registry = match suite.name.ends_with("-security") {
            true => "debian-security",
            false => "debian",
        };
        suite.write(&self.registry(registry), &self.key);
    }

    /// Returns the directory of a registry.
    pub(super) fn registry(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Locks `roots` of `stable` without security updates.
    pub(super) fn lock(&self, roots: &[&str]) -> Result<LockedDebian, DebianError> {
        self.resolve(&Wanted::of(roots))
    }

    /// Locks what is wanted.
    pub(super) fn resolve(&self, wanted: &Wanted) -> Result<LockedDebian, DebianError> {
        let options = ClientOptions {
            attempts: 1,
            system_proxies: false,
            ..ClientOptions::default()
        };
        let client = Client::with_options(&self.context, options)?;
        let request = DebianRequest {
            suite: &wanted.suite,
            snapshot: wanted.snapshot.as_deref(),
            security: wanted.security,
            platforms: &wanted.platforms,
            roots: &wanted.roots,
            previous: wanted.previous.as_ref(),
            upgrade: &wanted.upgrade,
        };
        block_on(resolve_debian_with(
            &self.context,
            &client,
            &keyring(&[&self.key]),
            &request,
        ))
    }
}

/// A request that owns its parts.
pub(super) struct Wanted {
    pub suite: String,
    pub snapshot: Option<String>,
    pub security: bool,
    pub platforms: Vec<Platform>,
    pub roots: Vec<Root>,
    pub previous: Option<LockedDebian>,
    pub upgrade: Upgrade,
}

impl Wanted {
    /// Wants `roots` of `stable` for amd64, without security updates.
    pub(super) fn of(roots: &[&str]) -> Self {
        let root = |name: &&str| Root {
            name: name.parse::<DebianName>().unwrap(),
            required_by: "manifest".to_owned(),
        };
        Self {
            suite: "stable".to_owned(),
            snapshot: None,
            security: false,
            platforms: vec![Platform::LinuxAmd64],
            roots: roots.iter().map(root).collect(),
            previous: None,
            upgrade: Upgrade::None,
        }
    }
}

/// Returns the packages of a lock as `name=version`, in its order.
pub(super) fn shown(lock: &LockedDebian) -> Vec<String> {
    lock.packages
        .iter()
        .map(|package| format!("{}={}", package.name, package.version))
        .collect()
}
