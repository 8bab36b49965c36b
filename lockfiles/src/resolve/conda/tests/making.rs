//! Small packages, and channels of them in every form that channels have.

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::path::Path;

use rattler_conda_types::compression_level::CompressionLevel;
use rattler_conda_types::{Shard, ShardedRepodata, ShardedSubdirInfo};
use rattler_package_streaming::write::write_conda_package;
use serde_json::{Value, json};

use crate::base::Digest;
use crate::net::tests::http::{Answer, Server};

/// A package that a channel lists.
#[derive(Debug, Clone)]
pub(crate) struct Package {
    name: String,
    version: String,
    build: String,
    subdir: String,
    files: Vec<(String, String)>,
    record: BTreeMap<String, Value>,
}

impl Package {
    /// A package for 64-bit x86 that depends on nothing.
    pub(crate) fn new(name: &str, version: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            build: "h0_0".to_owned(),
            subdir: "linux-64".to_owned(),
            files: Vec::new(),
            record: BTreeMap::from([("timestamp".to_owned(), json!(1_700_000_000_000_i64))]),
        }
    }

    /// A noarch package of Python modules with their metadata, as a build of a wheel has.
    pub(crate) fn python(name: &str, version: &str) -> Self {
        let info = format!(
            "site-packages/{}-{version}.dist-info",
            name.replace('-', "_")
        );
        let metadata = format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n");
        Self::new(name, version)
            .noarch()
            .depends(&["python"])
            .file(&format!("{info}/METADATA"), &metadata)
            .file(&format!("site-packages/{name}.py"), "")
    }

    pub(crate) fn build(mut self, build: &str) -> Self {
        self.build = build.to_owned();
        self
    }

    pub(crate) fn subdir(mut self, subdir: &str) -> Self {
        self.subdir = subdir.to_owned();
        self
    }

    pub(crate) fn noarch(self) -> Self {
        self.subdir("noarch").set("noarch", json!("python"))
    }

    pub(crate) fn depends(self, specs: &[&str]) -> Self {
        self.set("depends", json!(specs))
    }

    /// Adds a file, below the ones it has.
    pub(crate) fn file(mut self, path: &str, content: &str) -> Self {
        self.files.push((path.to_owned(), content.to_owned()));
        self
    }

    /// Has the channel say something else of it; nothing, for null.
    pub(crate) fn set(mut self, key: &str, value: Value) -> Self {
        self.record.insert(key.to_owned(), value);
        self
    }

    pub(crate) fn file_name(&self) -> String {
        format!("{}-{}-{}.conda", self.name, self.version, self.build)
    }

    pub(crate) fn path(&self) -> String {
        format!("{}/{}", self.subdir, self.file_name())
    }

    /// Returns the `.conda` file (CEP 35).
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let root = tempfile::tempdir().unwrap();
        let entries: Vec<_> = self
            .files
            .iter()
            .map(|(path, _)| json!({"_path": path, "path_type": "hardlink"}))
            .collect();
        let index = json!({
            "name": self.name, "version": self.version, "build": self.build, "build_number": 0,
            "subdir": self.subdir, "depends": [],
        });
        let mut files = self.files.clone();
        files.push(("info/index.json".to_owned(), index.to_string()));
        let paths = json!({"paths": entries, "paths_version": 1});
        files.push(("info/paths.json".to_owned(), paths.to_string()));
        let mut all = Vec::new();
        for (path, content) in files {
            let file = root.path().join(&path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, content).unwrap();
            all.push(file);
        }
        let mut bytes = Cursor::new(Vec::new());
        write_conda_package(
            &mut bytes,
            root.path(),
            &all,
            CompressionLevel::Lowest,
            Some(1),
            &self.file_name().replace(".conda", ""),
            None,
            None,
        )
        .unwrap();
        bytes.into_inner()
    }

    /// Returns what the channel says of it.
    fn record(&self) -> Value {
        let bytes = self.bytes();
        let mut record = json!({
            "name": self.name, "version": self.version, "build": self.build, "build_number": 0,
            "subdir": self.subdir, "depends": [], "size": bytes.len(),
            "sha256": Digest::of(&bytes).hex(),
        });
        for (key, value) in &self.record {
            match value {
                Value::Null => drop(record.as_object_mut().unwrap().remove(key)),
                value => record[key] = value.clone(),
            }
        }
        record
    }
}

/// The subdirs that a channel for Linux has.
const SUBDIRS: [&str; 3] = ["linux-64", "linux-aarch64", "noarch"];

/// Returns the text of `SUBDIR/repodata.json`.
pub(crate) fn repodata(subdir: &str, packages: &[Package]) -> String {
    let mine = packages.iter().filter(|package| package.subdir == subdir);
    let records: BTreeMap<_, _> = mine
        .map(|package| (package.file_name(), package.record()))
        .collect();
    json!({"info": {"subdir": subdir}, "packages": {}, "packages.conda": records}).to_string()
}

/// Writes a channel into `directory`.
pub(crate) fn write_channel(directory: &Path, packages: &[Package]) {
    for subdir in SUBDIRS {
        let folder = directory.join(subdir);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("repodata.json"), repodata(subdir, packages)).unwrap();
    }
    for package in packages {
        fs::write(directory.join(package.path()), package.bytes()).unwrap();
    }
}

/// What a served channel has of what it lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// `repodata.json`.
    Plain,
    /// `repodata.json.zst` alone.
    Zst,
    /// Shards (CEP 16) alone.
    Sharded,
}

/// Serves a channel below `/NAME/`; the packages in parts, as asked for.
pub(crate) fn serve_channel(server: &Server, name: &str, packages: &[Package], form: Form) {
    for subdir in SUBDIRS {
        let text = repodata(subdir, packages);
        let place = format!("/{name}/{subdir}");
        match form {
            Form::Plain => drop(server.file(&format!("{place}/repodata.json"), text.as_bytes())),
            Form::Zst => {
                let path = format!("{place}/repodata.json.zst");
                server.file(&path, &zstd::encode_all(text.as_bytes(), 1).unwrap());
            }
            Form::Sharded => serve_shards(server, &place, subdir, packages),
        }
    }
    for package in packages {
        let path = format!("/{name}/{}", package.path());
        server.answers(&path, vec![Answer::Parts(package.bytes())]);
    }
}

fn serve_shards(server: &Server, place: &str, subdir: &str, packages: &[Package]) {
    let mine = packages.iter().filter(|package| package.subdir == subdir);
    let mut records = BTreeMap::<String, BTreeMap<String, Value>>::new();
    for package in mine {
        let of_name = records.entry(package.name.clone()).or_default();
        of_name.insert(package.file_name(), package.record());
    }
    let shards = records.into_iter().map(|(name, records)| {
        let shard = json!({"packages": {}, "packages.conda": records, "removed": []});
        let shard: Shard = serde_json::from_value(shard).unwrap();
        let bytes = packed(&shard);
        let digest = Digest::of(&bytes).hex();
        server.file(&format!("{place}/shards/{digest}.msgpack.zst"), &bytes);
        let digest = rattler_digest::parse_digest_from_hex::<rattler_digest::Sha256>(&digest);
        (name, digest.unwrap())
    });
    let info = json!({"subdir": subdir, "base_url": "./", "shards_base_url": "./shards/"});
    let info: ShardedSubdirInfo = serde_json::from_value(info).unwrap();
    let index = ShardedRepodata {
        info,
        shards: shards.collect(),
    };
    let path = format!("{place}/repodata_shards.msgpack.zst");
    server.file(&path, &packed(&index));
}

fn packed(value: &impl serde::Serialize) -> Vec<u8> {
    let bytes = rmp_serde::to_vec_named(value).unwrap();
    zstd::encode_all(bytes.as_slice(), 1).unwrap()
}

/// Unpacks the channel `name` of `fixtures/conda` into `directory`.
pub(crate) fn unpack_fixture(directory: &Path, name: &str) {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fixtures/conda")
        .join(name);
    for subdir in ["linux-64", "noarch"] {
        let folder = directory.join(subdir);
        fs::create_dir_all(&folder).unwrap();
        let packed = fs::read(fixture.join(format!("{subdir}.json.zst"))).unwrap();
        let text = zstd::decode_all(packed.as_slice()).unwrap();
        fs::write(folder.join("repodata.json"), text).unwrap();
    }
}
