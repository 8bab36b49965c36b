//! Parts lists, statements and signatures, as other people's programs see them.

use std::fs;
use std::path::Path;

use envbox::attest::{
    Attachment, Blob, Builder, Envelope, PREDICATE_PROVENANCE, Password, PrivateKey, PublicKey,
    Subject, provenance, sign_payload, sign_statement, signatures_in, verify_envelope,
    verify_payload,
};
use envbox::base::{Digest, Platform};
use envbox::image::Descriptor;
use envbox::lock::Lockfile;
use envbox::registry::BlobSource;

use crate::downloads;
use crate::golden::{directory, world_of};
use crate::support::{User, World};

const VALIDATORS: &str = r#"
[environment]
name = "validators"
python = "3.11"

[python]
requirements = [
    "spdx-tools==0.8.5",
    "cyclonedx-python-lib[json-validation]==11.12.0",
    "packageurl-python==0.17.6",
    "license-expression==30.4.4",
]
"#;

/// Validates both documents; then reads every package URL and licence in them.
const VALIDATE: &str = include_str!("attest/validate.py");

/// Runs a command that must go well and returns what it printed.
fn succeeds(world: &World, arguments: &[&str]) -> String {
    let run = world.run(arguments);
    assert_eq!(
        run.code(),
        Some(0),
        "{arguments:?}: {}{}",
        run.stdout(),
        run.stderr()
    );
    run.stdout()
}

#[test]
fn net_parts_lists_are_valid() {
    let validators = World::new(User::Unprivileged);
    validators.write("envbox.toml", VALIDATORS);
    validators.write("validate.py", VALIDATE);
    downloads::share(&validators);
    let lists = User::ALL.map(|user| {
        let world = world_of("sklearn", user);
        let lists =
            ["spdx", "cyclonedx"].map(|format| succeeds(&world, &["sbom", "--format", format]));
        downloads::keep(&world);
        lists
    });
    assert!(lists[0] == lists[1], "two users, two lists");
    let [spdx, cyclonedx] = &lists[0];
    validators.write("list.spdx.json", spdx);
    validators.write("list.cdx.json", cyclonedx);
    let printed = succeeds(&validators, &["run", "--", "python", "validate.py"]);
    let counts: Vec<usize> = printed
        .split_whitespace()
        .map(|n| n.parse().unwrap())
        .collect();
    let lock = Lockfile::read(&directory("sklearn").join("envbox.lock")).unwrap();
    assert_eq!(counts[0], lock.artifacts().count());
    // Nearly all wheels, and Debian's machine-readable files, say what they are.
    assert!(counts[1] * 2 > counts[0], "{printed}");
    downloads::keep(&validators);
}

const TOOLS: &str = r#"
[environment]
name = "tools"
python = "3.13"

[debian]
suite = "trixie"
packages = ["cosign", "oras"]

[sandbox]
network = "loopback"
# Certificates and requests have times.
clock = "real"
env = { HOME = "/tmp", COSIGN_PASSWORD = "secret" }
outputs = ["theirs/"]
"#;

/// A registry; what the test made is pushed, and cosign must find it good; then cosign signs.
const SCRIPT: &str = include_str!("attest/cosign.sh");
const REGISTRY: &str = include_str!("attest/registry.py");

/// An OCI layout in a project.
struct Layout<'a> {
    world: &'a World,
    entries: Vec<String>,
    tags: Vec<String>,
}

impl Layout<'_> {
    fn blob(&self, blob: &Blob) {
        let text = std::str::from_utf8(&blob.bytes).unwrap();
        self.world.write(
            &format!("layout/blobs/sha256/{}", blob.digest().hex()),
            text,
        );
    }

    fn tag(&mut self, manifest: &Blob, tag: &str) {
        self.blob(manifest);
        let (kind, digest, size) = (
            &manifest.media_type,
            manifest.digest(),
            manifest.bytes.len(),
        );
        let name = "org.opencontainers.image.ref.name";
        self.entries.push(format!(
            r#"{{"mediaType":"{kind}","digest":"{digest}","size":{size},"annotations":{{"{name}":"{tag}"}}}}"#
        ));
        self.tags.push(tag.to_owned());
    }

    fn attach(&mut self, attachment: &Attachment) {
        for (descriptor, source) in &attachment.image.blobs {
            let BlobSource::Bytes(bytes) = source else {
                panic!("in memory: {source:?}");
            };
            self.blob(&blob_of(descriptor, bytes));
        }
        let tag = format!("referrer-{}", self.tags.len());
        let tag = attachment.tag.as_ref().map_or(tag, ToString::to_string);
        let (descriptor, bytes) = &attachment.image.manifests[0];
        self.tag(&blob_of(descriptor, bytes), &tag);
    }

    fn finish(self) {
        let index = self.entries.join(",");
        let index = format!(r#"{{"schemaVersion":2,"manifests":[{index}]}}"#);
        self.world.write("layout/index.json", &index);
        self.world
            .write("layout/oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#);
        self.world.write("tags", &self.tags.join("\n"));
    }
}

fn blob_of(descriptor: &Descriptor, bytes: &[u8]) -> Blob {
    Blob {
        media_type: descriptor.media_type.to_string(),
        bytes: bytes.to_vec(),
    }
}

fn read(world: &World, file: &str) -> String {
    fs::read_to_string(world.project().join(file)).unwrap()
}

/// Returns an image that has nothing in it.
fn image() -> (Blob, Blob) {
    let json = |media_type: &str, text: String| Blob {
        media_type: format!("application/vnd.oci.image.{media_type}.v1+json"),
        bytes: text.into_bytes(),
    };
    let config =
        r#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#;
    let config = json("config", config.to_owned());
    let (digest, size) = (config.digest(), config.bytes.len());
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"{}","digest":"{digest}","size":{size}}},"layers":[]}}"#,
        config.media_type
    );
    (config, json("manifest", manifest))
}

#[test]
fn net_cosign_and_envbox_verify_each_other() {
    let world = World::new(User::Unprivileged);
    world.write("envbox.toml", TOOLS);
    world.write("script.sh", SCRIPT);
    world.write("registry.py", REGISTRY);
    downloads::share(&world);
    let mut generate = world.command(&["key", "generate", "--output-key-prefix", "ours"]);
    generate.env("COSIGN_PASSWORD", "secret");
    assert_eq!(world.finished(generate).code(), Some(0));
    let password = || Ok(Password::new(b"secret".to_vec()));
    let key = PrivateKey::from_pem(&read(&world, "ours.key"), password).unwrap();

    let (config, manifest) = image();
    let subject = Subject {
        name: "127.0.0.1:5000/iris".to_owned(),
        digest: manifest.digest(),
    };
    publish(&world, &key, &subject, &config, &manifest);
    let payload = read(&world, "payload");
    succeeds(&world, &["run", "--", "sh", "script.sh"]);
    downloads::keep(&world);

    let theirs = PublicKey::from_pem(&read(&world, "theirs/theirs.pub")).unwrap();
    let private = PrivateKey::from_pem(&read(&world, "theirs/theirs.key"), password).unwrap();
    assert_eq!(private.public(), theirs);
    let manifest = read(&world, "theirs/manifest.json");
    let mut verified = 0;
    for layer in signatures_in(manifest.as_bytes()).unwrap() {
        let payload = read(&world, &format!("theirs/{}", layer.payload.hex()));
        assert_eq!(Digest::of(payload.as_bytes()), layer.payload);
        let of_theirs = verify_payload(
            &theirs,
            payload.as_bytes(),
            &layer.signature,
            subject.digest,
        );
        let of_ours = verify_payload(
            &key.public(),
            payload.as_bytes(),
            &layer.signature,
            subject.digest,
        );
        // cosign keeps our signature beside its own.
        assert!(of_theirs.is_ok() != of_ours.is_ok());
        verified += usize::from(of_theirs.is_ok_and(|one| one.name() == subject.name));
    }
    assert_eq!(verified, 1);
    let envelope = Envelope::parse(read(&world, "theirs/blob.dsse.json").as_bytes()).unwrap();
    let digest = Digest::of(payload.as_bytes());
    let statement = verify_envelope(&theirs, &envelope, digest).unwrap();
    assert_eq!(statement.predicate_type, PREDICATE_PROVENANCE);
}

/// Writes an image with all that can lie beside it, and blobs with their signatures.
fn publish(world: &World, key: &PrivateKey, subject: &Subject, config: &Blob, manifest: &Blob) {
    let lock = Lockfile::read(&directory("sklearn").join("envbox.lock")).unwrap();
    let platform = Platform::LinuxAmd64;
    let state = |subject: &Subject| {
        let statement = provenance(&lock, platform, subject, &Builder::default()).unwrap();
        sign_statement(key, &statement)
    };
    let envelope = state(subject);
    let (payload, signature) = sign_payload(key, subject);
    let descriptor = Descriptor::of(&manifest.media_type, &manifest.bytes);
    let epoch = "2020-01-01T00:00:00Z".parse().unwrap();
    let list = Blob {
        media_type: "application/spdx+json".to_owned(),
        bytes: b"{}".to_vec(),
    };
    let mut layout = Layout {
        world,
        entries: Vec::new(),
        tags: Vec::new(),
    };
    layout.blob(config);
    layout.tag(manifest, "v1");
    let provenance = Blob::envelope(&envelope);
    for attachment in [
        Attachment::referrer(&descriptor, list, None, epoch),
        Attachment::referrer(&descriptor, provenance, Some(PREDICATE_PROVENANCE), epoch),
        Attachment::cosign_signatures(subject.digest, &[(payload.clone(), signature.clone())]),
        Attachment::cosign_attestations(subject.digest, &[(envelope, PREDICATE_PROVENANCE)]),
    ] {
        layout.attach(&attachment);
    }
    layout.finish();

    let blob = Subject {
        name: "payload".to_owned(),
        digest: Digest::of(&payload),
    };
    let predicate = r#"{"buildDefinition":{"buildType":"x","externalParameters":{}},"runDetails":{"builder":{"id":"y"}}}"#;
    for (file, text) in [
        ("payload", std::str::from_utf8(&payload).unwrap()),
        ("payload.sig", &signature.to_string()),
        (
            "blob.dsse.json",
            std::str::from_utf8(&state(&blob).to_bytes()).unwrap(),
        ),
        ("digest", &subject.digest.to_string()),
        ("predicate.json", predicate),
    ] {
        world.write(file, text);
    }
    assert!(
        Path::new(&world.project())
            .join("layout/index.json")
            .exists()
    );
}
