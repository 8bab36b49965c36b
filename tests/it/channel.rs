//! Channels of conda packages, made by a test and written as conda's own tools write them.

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use envbox::base::{Digest, Platform};
use envbox::lock::{Artifact, LockedCondaPackage, Origin};
use rattler_conda_types::compression_level::CompressionLevel;
use rattler_conda_types::{Shard, ShardedRepodata};
use rattler_package_streaming::write::{write_conda_package, write_tar_bz2_package};
use serde_json::{Value, json};

use crate::http::{Answer, Server};

/// What stands for the prefix in the files of these packages.
pub const PREFIX: &str = "/opt/build/placehold_placehold_placehold_placehold_placehold_placehold";

/// When all these packages were made.
const MADE: &str = "2025-01-01T00:00:00Z";

/// Where packages are.
const SUBDIRS: [&str; 3] = ["linux-64", "linux-aarch64", "noarch"];

/// What a file of a package is.
pub enum Content {
    /// Bytes; where they have [`PREFIX`] is listed as text.
    Text(String),
    /// Bytes; where they have [`PREFIX`] is listed as a program's.
    Binary(Vec<u8>),
    /// A symbolic link.
    Link(&'static str),
}

/// A package to be.
pub struct Recipe {
    name: String,
    version: String,
    build: String,
    subdir: &'static str,
    index: Value,
    licence: String,
    entry_points: Vec<String>,
    files: Vec<(String, u32, Content)>,
    old: bool,
}

impl Recipe {
    /// A package of `linux-64` with nothing in it.
    pub fn new(name: &str, version: &str, build: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            build: build.to_owned(),
            subdir: "linux-64",
            index: json!({}),
            licence: "MIT".to_owned(),
            entry_points: Vec::new(),
            files: Vec::new(),
            old: false,
        }
    }

    /// Says what it needs.
    pub fn needs(mut self, depends: &[&str]) -> Self {
        self.index["depends"] = json!(depends);
        self
    }

    /// Puts it under another licence than MIT.
    pub fn licence(mut self, licence: &str) -> Self {
        licence.clone_into(&mut self.licence);
        self
    }

    /// Makes it one for every platform: `generic` or `python`.
    pub fn noarch(mut self, kind: &str) -> Self {
        self.subdir = "noarch";
        self.index["noarch"] = json!(kind);
        self
    }

    /// Makes it one for 64-bit ARM.
    pub fn aarch64(mut self) -> Self {
        self.subdir = Platform::LinuxArm64.conda_subdir();
        self
    }

    /// Adds a program that calls a function: `name = module:function`.
    pub fn entry_point(mut self, entry_point: &str) -> Self {
        self.entry_points.push(entry_point.to_owned());
        self
    }

    /// Adds a text.
    pub fn text(self, path: &str, text: &str) -> Self {
        self.file(path, 0o644, Content::Text(text.to_owned()))
    }

    /// Adds a text that may be run.
    pub fn script(self, path: &str, text: &str) -> Self {
        self.file(path, 0o755, Content::Text(text.to_owned()))
    }

    /// Adds a file.
    pub fn file(mut self, path: &str, mode: u32, content: Content) -> Self {
        self.files.push((path.to_owned(), mode, content));
        self
    }

    /// Makes its file a `.tar.bz2`.
    pub fn old_format(mut self) -> Self {
        self.old = true;
        self
    }

    fn stem(&self) -> String {
        format!("{}-{}-{}", self.name, self.version, self.build)
    }

    /// Writes what is in the package into a directory, and returns its paths.
    fn lay_out(&self, directory: &Path) -> Vec<PathBuf> {
        let mut listed = Vec::new();
        let mut paths = Vec::new();
        for (path, mode, content) in &self.files {
            let place = directory.join(path);
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            let (bytes, file_mode) = match content {
                Content::Text(text) => (text.as_bytes(), "text"),
                Content::Binary(bytes) => (bytes.as_slice(), "binary"),
                Content::Link(target) => {
                    symlink(target, &place).unwrap();
                    listed.push(json!({"_path": path, "path_type": "softlink"}));
                    paths.push(place);
                    continue;
                }
            };
            fs::write(&place, bytes).unwrap();
            fs::set_permissions(&place, fs::Permissions::from_mode(*mode)).unwrap();
            let mut entry = json!({
                "_path": path,
                "path_type": "hardlink",
                "sha256": Digest::of(bytes).hex(),
                "size_in_bytes": bytes.len(),
            });
            let has_prefix = bytes
                .windows(PREFIX.len())
                .any(|part| part == PREFIX.as_bytes());
            if has_prefix {
                entry["prefix_placeholder"] = json!(PREFIX);
                entry["file_mode"] = json!(file_mode);
            }
            listed.push(entry);
            paths.push(place);
        }
        let mut info = vec![
            ("index.json", self.index_json()),
            ("paths.json", json!({"paths": listed, "paths_version": 1})),
        ];
        if self.index["noarch"] == "python" {
            let noarch = json!({"type": "python", "entry_points": self.entry_points});
            let link = json!({"noarch": noarch, "package_metadata_version": 1});
            info.push(("link.json", link));
        }
        fs::create_dir_all(directory.join("info")).unwrap();
        for (name, value) in info {
            let path = directory.join("info").join(name);
            fs::write(&path, value.to_string()).unwrap();
            paths.push(path);
        }
        paths
    }

    fn index_json(&self) -> Value {
        let mut index = self.index.clone();
        let number: u64 = self.build.rsplit('_').next().unwrap().parse().unwrap_or(0);
        for (key, value) in [
            ("name", json!(self.name)),
            ("version", json!(self.version)),
            ("build", json!(self.build)),
            ("build_number", json!(number)),
            ("subdir", json!(self.subdir)),
            ("license", json!(self.licence)),
            ("timestamp", json!(1_735_689_600_000_u64)),
        ] {
            index[key] = value;
        }
        if index["depends"].is_null() {
            index["depends"] = json!([]);
        }
        index
    }
}

/// A channel in a directory.
pub struct Channel {
    directory: PathBuf,
    /// What repodata says of each file, by subdir and file.
    records: BTreeMap<&'static str, BTreeMap<String, Value>>,
    packages: Vec<LockedCondaPackage>,
}

impl Channel {
    /// Makes an empty channel.
    pub fn new(directory: &Path) -> Self {
        let records = BTreeMap::from(SUBDIRS.map(|subdir| (subdir, BTreeMap::new())));
        Self {
            directory: directory.to_path_buf(),
            records,
            packages: Vec::new(),
        }
    }

    /// Adds a package, and returns the path of its file in the channel.
    pub fn add(&mut self, recipe: &Recipe) -> String {
        let work = tempfile::tempdir().unwrap();
        let paths = recipe.lay_out(work.path());
        let made = MADE.parse().unwrap();
        let mut bytes = Cursor::new(Vec::new());
        let (stem, level) = (recipe.stem(), CompressionLevel::Lowest);
        let end = if recipe.old {
            write_tar_bz2_package(&mut bytes, work.path(), &paths, level, Some(&made), None)
                .unwrap();
            "tar.bz2"
        } else {
            let (threads, progress) = (Some(1), None);
            write_conda_package(
                &mut bytes,
                work.path(),
                &paths,
                level,
                threads,
                &stem,
                Some(&made),
                progress,
            )
            .unwrap();
            "conda"
        };
        self.put(recipe, &format!("{stem}.{end}"), &bytes.into_inner())
    }

    /// Adds a file as the package of `recipe`, whatever is in it.
    pub fn put(&mut self, recipe: &Recipe, name: &str, bytes: &[u8]) -> String {
        let file = format!("{}/{name}", recipe.subdir);
        let place = self.directory.join(&file);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(place, bytes).unwrap();
        let mut record = recipe.index_json();
        record["sha256"] = json!(Digest::of(bytes).hex());
        record["size"] = json!(bytes.len());
        let records = self.records.get_mut(recipe.subdir).unwrap();
        records.insert(name.to_owned(), record);
        self.packages.push(LockedCondaPackage {
            name: recipe.name.parse().unwrap(),
            version: recipe.version.clone(),
            build: recipe.build.clone(),
            platforms: match recipe.subdir {
                "linux-aarch64" => vec![Platform::LinuxArm64],
                _ => vec![Platform::LinuxAmd64],
            },
            artifact: Artifact {
                origin: Origin::Registry("lab".parse().unwrap()),
                file: file.clone(),
                size: bytes.len() as u64,
                digest: Digest::of(bytes),
            },
            python: Vec::new(),
            required_by: Vec::new(),
        });
        file
    }

    /// Returns all its packages as a lock has them, in a lock's order; who needs whom is read from
    /// what they say, and `roots` are asked for by the manifest.
    pub fn locked(&self, roots: &[&str]) -> Vec<LockedCondaPackage> {
        let mut packages = self.packages.clone();
        let records = || self.records.values().flat_map(BTreeMap::values);
        for package in &mut packages {
            let name = package.name.as_str();
            let needs = |record: &&Value| {
                let depends = record["depends"].as_array().unwrap().iter();
                depends
                    .filter_map(|spec| spec.as_str()?.split(' ').next())
                    .any(|needed| needed == name)
            };
            let dependents = records().filter(needs);
            let mut required_by: Vec<String> = dependents
                .map(|record| record["name"].as_str().unwrap().to_owned())
                .collect();
            if roots.contains(&name) {
                required_by.push("manifest".to_owned());
            }
            required_by.sort();
            required_by.dedup();
            package.required_by = required_by;
        }
        packages.sort_by(|a, b| a.name.cmp(&b.name));
        packages
    }

    /// Writes repodata in the three forms that channels have: plain, compressed and in shards.
    pub fn index(&self) {
        for (subdir, records) in &self.records {
            let directory = self.directory.join(subdir);
            fs::create_dir_all(directory.join("shards")).unwrap();
            let (new, old): (BTreeMap<_, _>, BTreeMap<_, _>) = records
                .iter()
                .partition(|(name, _)| name.ends_with(".conda"));
            let repodata = json!({
                "info": {"subdir": subdir},
                "packages": old,
                "packages.conda": new,
                "removed": [],
                "repodata_version": 1,
            });
            let text = repodata.to_string();
            fs::write(directory.join("repodata.json"), &text).unwrap();
            fs::write(directory.join("repodata.json.zst"), packed(text.as_bytes())).unwrap();
            let shards: BTreeMap<&str, String> = self
                .names(subdir)
                .map(|name| (name, write_shard(&directory, name, &new, &old)))
                .collect();
            let index: ShardedRepodata = serde_json::from_value(json!({
                "info": {"subdir": subdir, "base_url": "./", "shards_base_url": "./shards/"},
                "shards": shards,
            }))
            .unwrap();
            let bytes = rmp_serde::to_vec_named(&index).unwrap();
            fs::write(
                directory.join("repodata_shards.msgpack.zst"),
                packed(&bytes),
            )
            .unwrap();
        }
    }

    fn names<'a>(&'a self, subdir: &str) -> impl Iterator<Item = &'a str> {
        let records = self.records[subdir].values();
        records.map(|record| record["name"].as_str().unwrap())
    }

    /// Serves all its files.
    pub fn serve(&self) -> Server {
        self.serve_as(|answer| answer)
    }

    /// Serves all its files to who shows this `Authorization`.
    pub fn serve_behind(&self, authorization: &'static str) -> Server {
        self.serve_as(|answer| Answer::Behind(authorization, Box::new(answer)))
    }

    fn serve_as(&self, answer: impl Fn(Answer) -> Answer) -> Server {
        let server = Server::start();
        let mut open = vec![self.directory.clone()];
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(&directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    open.push(path);
                    continue;
                }
                let name = path.strip_prefix(&self.directory).unwrap();
                let bytes = Answer::Parts(fs::read(&path).unwrap());
                server.answers(&format!("/{}", name.display()), vec![answer(bytes)]);
            }
        }
        server
    }
}

/// Writes what repodata has of one package's name, and returns the digest.
fn write_shard(
    directory: &Path,
    name: &str,
    new: &BTreeMap<&String, &Value>,
    old: &BTreeMap<&String, &Value>,
) -> String {
    let of_name = |records: &BTreeMap<&String, &Value>| -> BTreeMap<String, Value> {
        let records = records.iter().filter(|(_, record)| record["name"] == name);
        records
            .map(|(file, record)| ((*file).clone(), (*record).clone()))
            .collect()
    };
    let shard: Shard = serde_json::from_value(json!({
        "packages": of_name(old),
        "packages.conda": of_name(new),
        "removed": [],
    }))
    .unwrap();
    let bytes = packed(&rmp_serde::to_vec_named(&shard).unwrap());
    let digest = Digest::of(&bytes).hex();
    fs::write(
        directory.join(format!("shards/{digest}.msgpack.zst")),
        &bytes,
    )
    .unwrap();
    digest
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}
