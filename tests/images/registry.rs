//! Push and pull against `docker-registry`, with `skopeo` at the other end.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::docker_registry::serve;
use crate::support::World;
use envbox::base::{Context, Digest, Platform};
use envbox::image::{
    Descriptor, ImageConfig, ImageIndex, ImageManifest, MediaType, RootFs, RuntimeConfig,
};
use envbox::registry::{
    Artifact, BlobSource, ImageName, PushImage, RegistryError, pull, push, put_referrer, referrers,
};
use envbox::store::Store;
use jiff::Timestamp;
use tempfile::TempDir;

use crate::support::User;
use crate::{downloads, golden};

/// `name:secret`, as `htpasswd -B` writes it.
const PASSWORDS: &str = "name:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n";

/// The same for the client, `name:secret` in base64.
const LOGIN: &str = "bmFtZTpzZWNyZXQ=";

/// A registry with passwords, and the context of somebody who knows one.
pub struct Registry {
    directory: TempDir,
    process: Child,
    pub host: String,
    context: Context,
}

impl Registry {
    pub fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::write(path("htpasswd"), PASSWORDS).unwrap();
        let more = format!(
            "auth: {{htpasswd: {{realm: test, path: {}}}}}\n",
            path("htpasswd").display()
        );
        let (process, host) = serve(directory.path(), &more);
        let mut registry = Self {
            context: Context::new(path("store"), Timestamp::UNIX_EPOCH),
            directory,
            process,
            host,
        };
        registry.log_in(&registry.host.clone());
        registry
    }

    /// Makes the credentials known for another name of the registry.
    fn log_in(&mut self, host: &str) {
        let file = self.path("auth.json");
        let text = format!(r#"{{"auths": {{"{host}": {{"auth": "{LOGIN}"}}}}}}"#);
        fs::write(&file, text).unwrap();
        self.context.credentials = vec![file];
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn reference(&self, rest: &str) -> ImageName {
        format!("{}/{rest}", self.host).parse().unwrap()
    }

    fn store(&self) -> Store {
        Store::open(&self.context.store).unwrap()
    }

    /// Makes the credentials known to a world.
    pub fn let_in(&self, world: &World) {
        let text = format!(r#"{{"auths": {{"{}": {{"auth": "{LOGIN}"}}}}}}"#, self.host);
        world.write_home(".docker/config.json", &text);
    }

    /// The file with the password.
    pub fn credentials(&self) -> PathBuf {
        self.path("auth.json")
    }

    /// Runs skopeo as the same user.
    pub fn skopeo(&self, arguments: &[&str]) -> Vec<u8> {
        let output = Command::new("skopeo")
            .args(arguments)
            .env("REGISTRY_AUTH_FILE", self.path("auth.json"))
            .output()
            .expect("the package skopeo is installed");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {told}");
        output.stdout
    }

    /// Writes a layer and returns the image of it, for one platform, with an index.
    fn image(&self, layer: &[u8]) -> PushImage {
        let path = self.path(&Digest::of(layer).hex());
        fs::write(&path, layer).unwrap();
        let config = ImageConfig {
            architecture: Platform::LinuxAmd64.debian().to_owned(),
            config: RuntimeConfig::default(),
            created: None,
            history: Vec::new(),
            os: "linux".to_owned(),
            rootfs: RootFs {
                diff_ids: vec![Digest::of(layer)],
                kind: "layers".to_owned(),
            },
            variant: None,
        }
        .to_bytes();
        let described = Descriptor::of(MediaType::CONFIG, &config);
        let layer = Descriptor::of(MediaType::LAYER, layer);
        let manifest = ImageManifest::new(described.clone(), vec![layer.clone()]).to_bytes();
        let mut listed = Descriptor::of(MediaType::MANIFEST, &manifest);
        listed.platform = Some(Platform::LinuxAmd64.into());
        let index = ImageIndex::new(vec![listed.clone()]).to_bytes();
        PushImage {
            blobs: vec![
                (layer, BlobSource::File(path)),
                (described, BlobSource::Bytes(config)),
            ],
            manifests: vec![
                (listed, manifest),
                (Descriptor::of(MediaType::INDEX, &index), index),
            ],
            ..PushImage::default()
        }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Returns a tar of one file, without compression.
fn layer(length: usize) -> Vec<u8> {
    let mut content = vec![7; length];
    for (number, page) in (0u32..).zip(content.chunks_exact_mut(4096)) {
        page[..4].copy_from_slice(&number.to_le_bytes());
    }
    let mut header = tar::Header::new_ustar();
    header.set_size(length as u64);
    header.set_mode(0o644);
    let mut builder = tar::Builder::new(Vec::new());
    builder
        .append_data(&mut header, "file", content.as_slice())
        .unwrap();
    builder.into_inner().unwrap()
}

#[test]
fn what_is_pushed_is_read_by_skopeo() {
    let registry = Registry::start();
    let image = registry.image(&layer(6 * 1024 * 1024));
    let pushed = push(&registry.context, &registry.reference("a/b:1"), &image).unwrap();
    assert_eq!((pushed.uploaded, pushed.present), (2, 0));
    let again = push(&registry.context, &registry.reference("a/b:2"), &image).unwrap();
    assert_eq!((again.uploaded, again.present), (0, 2));
    let source = format!("docker://{}/a/b", registry.host);
    for name in ["1", "2"] {
        let source = format!("{source}:{name}");
        let raw = registry.skopeo(&["inspect", "--tls-verify=false", "--raw", &source]);
        assert_eq!(raw, image.manifests[1].1);
    }
    let target = registry.path("copy");
    let source = format!("{source}@{}", image.manifests[0].0.digest);
    let to = format!("dir:{}", target.display());
    registry.skopeo(&["copy", "--src-tls-verify=false", &source, &to]);
    let raw = fs::read(target.join("manifest.json")).unwrap();
    assert_eq!(raw, image.manifests[0].1);
    for (blob, _) in &image.blobs {
        let bytes = fs::read(target.join(blob.digest.hex())).unwrap();
        assert_eq!(Digest::of(&bytes), blob.digest);
    }
}

#[test]
fn what_skopeo_pushes_is_pulled() {
    let registry = Registry::start();
    let image = registry.image(&layer(6 * 1024 * 1024));
    let layout = registry.path("layout");
    write_layout(&layout, &image);
    let from = format!("oci:{}:x", layout.display());
    // Compressed on the way, so the manifest is skopeo's own.
    let to = format!("docker://{}/deep/er/name:x", registry.host);
    registry.skopeo(&["copy", "--dest-tls-verify=false", &from, &to]);
    let reference = registry.reference("deep/er/name:x");
    let store = registry.store();
    let pulled = pull(&registry.context, &reference, Platform::LinuxAmd64, &store).unwrap();
    let raw = registry.skopeo(&["inspect", "--tls-verify=false", "--raw", &to]);
    assert_eq!(pulled.manifest_bytes, raw);
    for (layer, path) in &pulled.layers {
        let bytes = fs::read(path).unwrap();
        assert_eq!(Digest::of(&bytes), layer.digest);
    }
    let BlobSource::Bytes(config) = &image.blobs[1].1 else {
        panic!("the config")
    };
    assert_eq!(&pulled.config_bytes, config);
}

/// Writes an image layout (`image-layout.md`) of the image manifest.
fn write_layout(layout: &Path, image: &PushImage) {
    let blobs = layout.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    for (blob, source) in &image.blobs {
        let bytes = match source {
            BlobSource::Bytes(bytes) => bytes.clone(),
            BlobSource::File(path) => fs::read(path).unwrap(),
        };
        fs::write(blobs.join(blob.digest.hex()), bytes).unwrap();
    }
    let (mut listed, manifest) = image.manifests[0].clone();
    fs::write(blobs.join(listed.digest.hex()), manifest).unwrap();
    let name = "org.opencontainers.image.ref.name".to_owned();
    listed.annotations = BTreeMap::from([(name, "x".to_owned())]);
    let index = ImageIndex::new(vec![listed]).to_bytes();
    fs::write(layout.join("index.json"), index).unwrap();
    fs::write(
        layout.join("oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    )
    .unwrap();
}

#[test]
fn passwords_are_wanted() {
    let mut registry = Registry::start();
    let image = registry.image(b"layer");
    registry.context.credentials.clear();
    let error = push(&registry.context, &registry.reference("a:1"), &image).unwrap_err();
    assert!(
        matches!(error, RegistryError::NoCredentials { .. }),
        "{error}"
    );
    let file = registry.path("wrong.json");
    let host = &registry.host;
    let text = format!(r#"{{"auths":{{"{host}":{{"username":"name","password":"hidden"}}}}}}"#);
    fs::write(&file, text).unwrap();
    registry.context.credentials = vec![file];
    let error = push(&registry.context, &registry.reference("a:1"), &image).unwrap_err();
    assert!(
        matches!(error, RegistryError::WrongCredentials { .. }),
        "{error}"
    );
}

#[test]
fn blobs_are_mounted_and_referrers_listed() {
    let registry = Registry::start();
    let mut image = registry.image(&layer(6 * 1024 * 1024));
    push(&registry.context, &registry.reference("base:1"), &image).unwrap();
    image.mount_from = vec!["base".to_owned()];
    let reference = registry.reference("other:1");
    let pushed = push(&registry.context, &reference, &image).unwrap();
    assert_eq!((pushed.mounted, pushed.uploaded), (2, 0));
    let subject = &image.manifests[1].0;
    let mut expected = Vec::new();
    for document in [b"1", b"2"] {
        let artifact = Artifact {
            artifact_type: "application/spdx+json".to_owned(),
            document: Descriptor::of("application/spdx+json", document),
            source: BlobSource::Bytes(document.to_vec()),
            annotations: BTreeMap::new(),
        };
        let put = put_referrer(&registry.context, &reference, subject, artifact).unwrap();
        expected.push(put.digest);
    }
    let listed = referrers(&registry.context, &reference, subject.digest, None).unwrap();
    let listed: Vec<Digest> = listed.iter().map(|listed| listed.digest).collect();
    assert_eq!(listed, expected);
    let tag = format!(
        "docker://{}/other:sha256-{}",
        registry.host,
        subject.digest.hex()
    );
    let raw = registry.skopeo(&["inspect", "--tls-verify=false", "--raw", &tag]);
    assert_eq!(ImageIndex::parse(&raw).unwrap().manifests.len(), 2);
}

#[test]
fn connections_that_are_cut_are_made_again() {
    let mut registry = Registry::start();
    let proxy = Proxy::start(&registry.host);
    registry.log_in(&proxy.host);
    let bytes = layer(16 * 1024 * 1024);
    let image = registry.image(&bytes);
    let reference: ImageName = format!("{}/a:1", proxy.host).parse().unwrap();
    proxy.cut("PATCH ", 6 * 1024 * 1024);
    push(&registry.context, &reference, &image).unwrap();
    // This registry takes what broke off for damaged, so all is sent again.
    let whole = format!("0-{}", bytes.len() - 1);
    assert_eq!(proxy.values("content-range"), [whole.clone(), whole]);

    proxy.cut(
        &format!("GET /v2/a/blobs/{}", Digest::of(&bytes)),
        6 * 1024 * 1024,
    );
    let store = registry.store();
    let pulled = pull(&registry.context, &reference, Platform::LinuxAmd64, &store).unwrap();
    assert_eq!(fs::read(&pulled.layers[0].1).unwrap(), bytes);
    let ranges = proxy.values("range");
    let [range] = ranges.as_slice() else {
        panic!("{ranges:?}")
    };
    assert_ne!(range, "bytes=0-");
}

#[test]
fn memory_does_not_grow_with_the_blob() {
    const LENGTH: u64 = 256 * 1024 * 1024;
    let registry = Registry::start();
    let mut image = registry.image(b"layer");
    let path = registry.path("large");
    fs::File::create(&path).unwrap().set_len(LENGTH).unwrap();
    let (digest, _) = Digest::of_reader(fs::File::open(&path).unwrap()).unwrap();
    let layer = Descriptor::new(MediaType::LAYER, digest, LENGTH);
    let manifest = ImageManifest::new(image.blobs[1].0.clone(), vec![layer.clone()]).to_bytes();
    image.blobs[0] = (layer, BlobSource::File(path));
    image.manifests = vec![(Descriptor::of(MediaType::MANIFEST, &manifest), manifest)];
    let reference = registry.reference("a:1");
    let before = peak_reset();
    push(&registry.context, &reference, &image).unwrap();
    let store = registry.store();
    pull(&registry.context, &reference, Platform::LinuxAmd64, &store).unwrap();
    let grown = peak().saturating_sub(before);
    // The other tests of this process need some at the same time.
    assert!(grown < LENGTH / 2, "{grown} bytes more");
}

/// Forgets how much memory this process once had, and returns how much it has.
fn peak_reset() -> u64 {
    // proc(5): 5 resets the peak.
    fs::write("/proc/self/clear_refs", "5").unwrap();
    peak()
}

fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kilobytes = line.unwrap().split_ascii_whitespace().nth(1).unwrap();
    kilobytes.parse::<u64>().unwrap() * 1024
}

/// Passes connections on and cuts those it is told to.
struct Proxy {
    host: String,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    /// What a request begins with whose connection is cut, and after how many bytes of its body,
    /// or of the answer if it has none.
    cut: Option<(String, usize)>,
    /// The heads of the requests that began a connection.
    heads: Vec<String>,
}

impl Proxy {
    fn start(to: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let shared: Arc<Mutex<Shared>> = Arc::default();
        let (accepting, to) = (Arc::clone(&shared), to.to_owned());
        // Ends with the process.
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (shared, to) = (Arc::clone(&accepting), to.clone());
                thread::spawn(move || pass(stream?, &TcpStream::connect(to)?, &shared));
            }
        });
        Self { host, shared }
    }

    fn cut(&self, beginning: &str, after: usize) {
        self.shared.lock().unwrap().cut = Some((beginning.to_owned(), after));
    }

    /// Returns what the requests so far had under this header.
    fn values(&self, header: &str) -> Vec<String> {
        let heads = self.shared.lock().unwrap().heads.clone();
        let lines = heads.iter().flat_map(|head| head.lines());
        lines
            .filter_map(|line| {
                let (name, value) = line.split_once(": ")?;
                (name == header).then(|| value.to_owned())
            })
            .collect()
    }
}

/// Passes one connection on. Every request gets one of its own, or its head would be missed.
fn pass(client: TcpStream, server: &TcpStream, shared: &Mutex<Shared>) -> std::io::Result<()> {
    let mut from = BufReader::new(client.try_clone()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if from.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    let limit = {
        let mut shared = shared.lock().unwrap();
        shared.heads.push(head.to_lowercase());
        let cut = shared
            .cut
            .take_if(|(begin, _)| head.starts_with(begin.as_str()));
        cut.map_or(u64::MAX, |(_, after)| after as u64)
    };
    let single = head.replacen("\r\n", "\r\nConnection: close\r\n", 1);
    (&mut &*server).write_all(single.as_bytes())?;
    let uploads = head.to_lowercase().contains("\r\ncontent-length: ");
    let (up, down) = if uploads {
        (limit, u64::MAX)
    } else {
        (u64::MAX, limit)
    };
    let (back, mut to) = (server.try_clone()?, client.try_clone()?);
    let answers = thread::spawn(move || {
        drop(std::io::copy(&mut back.take(down), &mut to));
        to.shutdown(Shutdown::Both)
    });
    drop(std::io::copy(&mut from.take(up), &mut &*server));
    if up < u64::MAX {
        drop(server.shutdown(Shutdown::Both));
        drop(client.shutdown(Shutdown::Both));
    }
    drop(answers.join());
    Ok(())
}

#[test]
fn a_lock_is_kept_in_a_repository_and_comes_from_there() {
    let registry = Registry::start();
    for user in User::ALL {
        let world = golden::world_of("sklearn", user);
        let auth = fs::read_to_string(registry.path("auth.json")).unwrap();
        world.write_home(".docker/config.json", &auth);
        let to = format!("{}/team/mirror", registry.host);
        let mirror = || -> serde_json::Value {
            let run = world.run(&["mirror", "--to", &to, "--json"]);
            assert_eq!(run.code(), Some(0), "{}", run.stderr());
            serde_json::from_str(&run.stdout()).unwrap()
        };
        let report = mirror();
        downloads::keep(&world);
        assert_eq!(mirror()["pushed"]["uploaded"], 0);
        // Anyone can find it by the lock, and take all of it with another program.
        let lock = report["lock"].as_str().unwrap().replace(':', "-");
        let tag = lock.replace("sha256", "envbox-lock");
        let raw = registry.skopeo(&[
            "inspect",
            "--tls-verify=false",
            "--raw",
            &format!("docker://{to}:{tag}"),
        ]);
        let manifest = ImageManifest::parse(&raw).unwrap();
        assert_eq!(report["artifacts"], manifest.layers.len());

        let store = world.path().join("home/.cache/envbox");
        fs::remove_dir_all(&store).unwrap();
        world.write_home(
            ".config/envbox/config.toml",
            &format!("mirror = \"{to}\"\n"),
        );
        // Nobody listens there.
        let gone = ["pypi", "debian", "debian-security", "debian-snapshot"];
        let gone = gone.map(|name| format!("{name}=http://127.0.0.1:1/"));
        let mut fetch = vec!["fetch"];
        for gone in &gone {
            fetch.extend(["--registry", gone]);
        }
        let run = world.run(&fetch);
        assert_eq!(run.code(), Some(0), "{}", run.stderr());
    }
}
