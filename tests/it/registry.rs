//! Registries on the loopback interface: a signed Debian archive and an index of wheels.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Cursor, Write as _};

use envbox::base::Digest;
use pgp::composed::{
    ArmorOptions, CleartextSignedMessage, KeyType, SecretKeyParamsBuilder, SignedSecretKey,
};
use pgp::types::Password;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::debs;
use crate::http::{Answer, Server};
use crate::support::World;

/// What every environment begins with, and its interpreter.
const PACKAGES: [(&str, &str); 18] = [
    ("base-files", "12"),
    ("base-passwd", "3"),
    ("bash", "5"),
    ("ca-certificates", "2023"),
    ("coreutils", "9"),
    ("dash", "0.5"),
    ("findutils", "4"),
    ("grep", "3"),
    ("libc-bin", "2.36-9"),
    ("libc6", "2.36-9"),
    ("libgcc-s1", "12"),
    ("libgomp1", "12"),
    ("libstdc++6", "12"),
    ("media-types", "10"),
    ("netbase", "6"),
    ("python3.11", "3.11.2-6"),
    ("sed", "4"),
    ("tzdata", "2025"),
];

/// The package that has the tools, where there are any.
const LIBRARY: &str = "libc6";

/// A server with both registries below a prefix.
pub struct Registry {
    pub server: Server,
    prefix: String,
    key: SignedSecretKey,
    /// Name to version and file.
    debs: BTreeMap<String, (String, Vec<u8>)>,
    wheels: BTreeMap<String, Vec<(String, Vec<u8>)>>,
}

impl Registry {
    /// Serves the base and these wheels: project, version, requirements.
    pub fn new(prefix: &str, wheels: &[(&str, &str, &[&str])]) -> Self {
        let mut registry = Self {
            server: Server::start(),
            prefix: prefix.to_owned(),
            key: key(1),
            debs: PACKAGES
                .iter()
                .map(|(name, version)| {
                    let deb = debs::deb_of(name, &[]);
                    ((*name).to_owned(), ((*version).to_owned(), deb))
                })
                .collect(),
            wheels: BTreeMap::new(),
        };
        registry.serve_debian();
        for (project, version, requirements) in wheels {
            registry.add_wheel(project, version, requirements);
        }
        registry
    }

    /// Serves a base that programs of this machine run in: it has a shell and tools.
    pub fn with_tools(prefix: &str) -> Self {
        let mut registry = Self::new(prefix, &[]);
        let (_, library) = registry.debs.get_mut(LIBRARY).expect("the base has it");
        *library = debs::tools_named(LIBRARY);
        registry.serve_debian();
        registry
    }

    /// Lists one more wheel.
    pub fn add_wheel(&mut self, project: &str, version: &str, requirements: &[&str]) {
        // In names of files a hyphen parts the name from the version.
        let name = project.replace('-', "_");
        let file = format!("{name}-{version}-py3-none-any.whl");
        let bytes = wheel(&name, version, requirements);
        self.add_file(project, file, bytes);
    }

    /// Lists one more file of a project.
    pub fn add_file(&mut self, project: &str, file: String, bytes: Vec<u8>) {
        self.server
            .file(&self.path(&format!("files/{file}")), &bytes);
        let files = self.wheels.entry(project.to_owned()).or_default();
        files.push((file, bytes));
        let mut page = String::from("<!DOCTYPE html><html><body>\n");
        for (file, bytes) in files {
            let digest = Digest::of(bytes).hex();
            let link = self.prefix.clone() + "/files/" + file;
            writeln!(page, "<a href=\"{link}#sha256={digest}\">{file}</a>").unwrap();
        }
        let page = Answer::Typed(page.into_bytes(), "text/html");
        self.server
            .answers(&self.path(&format!("simple/{project}/")), vec![page]);
    }

    /// Serves these packages, name, version and file, in the place of those that are empty.
    pub fn serve_debs(&mut self, debs: &[(&str, &str, Vec<u8>)]) {
        for (name, version, deb) in debs {
            let deb = ((*version).to_owned(), deb.clone());
            self.debs.insert((*name).to_owned(), deb);
        }
        self.serve_debian();
    }

    /// Returns a path on the server.
    pub fn path(&self, path: &str) -> String {
        format!("{}/{path}", self.prefix)
    }

    /// Makes the user of `world` know this registry, and trust its key.
    pub fn configure(&self, world: &World) {
        let root = format!("{}{}", self.server.url(), self.prefix);
        world.write_home(
            ".config/envbox/config.toml",
            &format!(
                "[registries]\npypi = \"{root}/simple\"\n\
                 debian = {{ url = \"{root}/debian\", keyring = \"test.asc\" }}\n"
            ),
        );
        let public = self.key.to_public_key();
        let armored = public.to_armored_string(ArmorOptions::default()).unwrap();
        world.write_home(".config/envbox/test.asc", &armored);
    }

    /// Signs with a key that nobody knows.
    pub fn sign_as_a_stranger(&mut self) {
        let known = std::mem::replace(&mut self.key, key(2));
        self.serve_debian();
        self.key = known;
    }

    /// Returns the path of the signed release.
    pub fn release(&self) -> String {
        self.path("debian/dists/bookworm/InRelease")
    }

    /// Returns the path of the list of packages.
    pub fn packages(&self) -> String {
        self.path("debian/dists/bookworm/main/binary-amd64/Packages.gz")
    }

    /// Returns the bytes at the path of the signed release.
    pub fn signed_release(&self) -> Vec<u8> {
        self.signed(&self.debian_index().1)
    }

    fn serve_debian(&self) {
        let (index, release) = self.debian_index();
        for (name, (version, deb)) in &self.debs {
            let path = self.path(&format!("debian/pool/main/{name}_{version}.deb"));
            self.server.file(&path, deb);
        }
        self.server.file(&self.packages(), &index);
        self.server.file(&self.release(), &self.signed(&release));
    }

    /// Returns the compressed list of packages, and the text that vouches for it.
    fn debian_index(&self) -> (Vec<u8>, String) {
        let mut text = String::new();
        for (name, (version, deb)) in &self.debs {
            let (size, digest) = (deb.len(), Digest::of(deb).hex());
            writeln!(
                text,
                "Package: {name}\nVersion: {version}\nArchitecture: amd64\n\
                 Filename: pool/main/{name}_{version}.deb\nSize: {size}\nSHA256: {digest}\n"
            )
            .unwrap();
        }
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        let index = encoder.finish().unwrap();
        let mut release = String::from(
            "Codename: bookworm\nSuite: oldstable\nArchitectures: amd64\n\
             Date: Thu, 01 Jan 2026 00:00:00 UTC\nSHA256:\n",
        );
        for (name, bytes) in [("Packages", text.as_bytes()), ("Packages.gz", &index)] {
            let digest = Digest::of(bytes).hex();
            writeln!(
                release,
                " {digest} {} main/binary-amd64/{name}",
                bytes.len()
            )
            .unwrap();
        }
        (index, release)
    }

    fn signed(&self, text: &str) -> Vec<u8> {
        let random = StdRng::seed_from_u64(3);
        let signed = CleartextSignedMessage::sign(random, text, &*self.key, &Password::empty());
        signed
            .unwrap()
            .to_armored_bytes(ArmorOptions::default())
            .unwrap()
    }
}

fn key(seed: u64) -> SignedSecretKey {
    let mut random = StdRng::seed_from_u64(seed);
    SecretKeyParamsBuilder::default()
        .key_type(KeyType::Ed25519Legacy)
        .can_sign(true)
        .primary_user_id("Test <test@test.test>".to_owned())
        .build()
        .unwrap()
        .generate(&mut random)
        .unwrap()
}

pub fn wheel(project: &str, version: &str, requirements: &[&str]) -> Vec<u8> {
    let mut metadata = format!("Metadata-Version: 2.1\nName: {project}\nVersion: {version}\n");
    for requirement in requirements {
        writeln!(metadata, "Requires-Dist: {requirement}").unwrap();
    }
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let wheel = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n";
    for (name, content) in [
        ("METADATA", metadata.as_str()),
        ("WHEEL", wheel),
        ("RECORD", ""),
    ] {
        let name = format!("{project}-{version}.dist-info/{name}");
        zip.start_file(name, options).unwrap();
        zip.write_all(content.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}
