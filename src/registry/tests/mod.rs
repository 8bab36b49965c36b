//! Push and pull against a registry that misbehaves on purpose.

mod fake;
mod login;
mod pull;
mod push;
mod referrers;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use envbox_lockfiles::base::{Context, Digest, Event, Platform, Reporter};
use envbox_lockfiles::net::{Client, ClientOptions, block_on};
use fake::Fake;
use jiff::Timestamp;
use tempfile::TempDir;

use crate::image::{Descriptor, ImageIndex, ImageManifest, MediaType};
use crate::registry::pull::{pull_blobs_with, pull_with};
use crate::registry::push::push_with;
use crate::registry::{BlobSource, ImageName, Pulled, PushImage, Pushed, RegistryError};
use crate::store::Store;
use crate::store::tests::{everything, temporary};

const PLATFORM: Platform = Platform::LinuxAmd64;

/// The repository of the tests.
const REPOSITORY: &str = "team/image";

/// Remembers events.
#[derive(Default)]
struct Listener(Mutex<Vec<Event>>);

impl Reporter for Listener {
    fn report(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

/// A registry, a store and who uses them.
struct Case {
    fake: Fake,
    directory: TempDir,
    context: Context,
    options: ClientOptions,
    /// The most that is sent at once.
    at_once: u64,
    listener: Arc<Listener>,
}

impl Case {
    fn new() -> Self {
        let directory = temporary();
        let mut context = Context::new(directory.path().join("store"), Timestamp::UNIX_EPOCH);
        let listener = Arc::new(Listener::default());
        context.reporter = listener.clone();
        Self {
            fake: Fake::start(),
            directory,
            context,
            options: ClientOptions {
                first_wait: Duration::ZERO,
                longest_wait: Duration::ZERO,
                system_proxies: false,
                ..ClientOptions::default()
            },
            at_once: u64::MAX,
            listener,
        }
    }

    /// Names an image of the registry.
    fn reference(&self, rest: &str) -> ImageName {
        let text = format!("{}/{REPOSITORY}{rest}", self.fake.host());
        text.parse().unwrap()
    }

    fn client(&self) -> Client {
        Client::with_options(&self.context, self.options.clone()).unwrap()
    }

    fn store(&self) -> Store {
        Store::open(&self.context.store).unwrap()
    }

    fn push(&self, rest: &str, image: &PushImage) -> Result<Pushed, RegistryError> {
        let (client, reference) = (self.client(), self.reference(rest));
        block_on(push_with(
            &client,
            &self.context,
            &reference,
            image,
            self.at_once,
        ))
    }

    fn pull(&self, rest: &str) -> Result<Pulled, RegistryError> {
        let (client, reference) = (self.client(), self.reference(rest));
        let store = self.store();
        block_on(pull_with(
            &client,
            &self.context,
            &reference,
            PLATFORM,
            &store,
        ))
    }

    fn pull_blobs(&self, blobs: Vec<Descriptor>) -> Result<usize, RegistryError> {
        let (client, reference, store) = (self.client(), self.reference(""), self.store());
        block_on(pull_blobs_with(
            &client,
            &self.context,
            &reference,
            blobs,
            &store,
        ))
    }

    /// Writes a file and describes it.
    fn layer(&self, bytes: &[u8]) -> (Descriptor, BlobSource) {
        let path = self.directory.path().join(Digest::of(bytes).hex());
        std::fs::write(&path, bytes).unwrap();
        let descriptor = Descriptor::of(MediaType::LAYER_ZSTD, bytes);
        (descriptor, BlobSource::File(path))
    }

    /// Makes an image of one layer under an index.
    fn image(&self, layer: &[u8]) -> PushImage {
        let config = b"{\"config\":1}";
        let layer = self.layer(layer);
        let described = Descriptor::of(MediaType::CONFIG, config);
        let manifest = ImageManifest::new(described.clone(), vec![layer.0.clone()]).to_bytes();
        let mut listed = Descriptor::of(MediaType::MANIFEST, &manifest);
        listed.platform = Some(PLATFORM.into());
        let index = ImageIndex::new(vec![listed.clone()]).to_bytes();
        PushImage {
            blobs: vec![layer, (described, BlobSource::Bytes(config.to_vec()))],
            manifests: vec![
                (listed, manifest),
                (Descriptor::of(MediaType::INDEX, &index), index),
            ],
            ..PushImage::default()
        }
    }

    /// Puts an image into the registry as if by somebody else.
    fn serve(&self, tag: &str, layer: &[u8]) -> PushImage {
        let image = self.image(layer);
        for (_, source) in &image.blobs {
            match source {
                BlobSource::Bytes(bytes) => self.fake.blob(REPOSITORY, bytes),
                BlobSource::File(path) => {
                    self.fake.blob(REPOSITORY, &std::fs::read(path).unwrap());
                }
            }
        }
        for (descriptor, bytes) in &image.manifests {
            let typed = descriptor.media_type.as_str();
            self.fake.manifest(REPOSITORY, tag, typed, bytes);
        }
        image
    }

    /// Returns the number of files under the store's blobs and beginnings of blobs.
    fn kept(&self) -> usize {
        let parts = ["tmp", "blobs"].map(|part| everything(&self.context.store.join(part)));
        parts.iter().flatten().filter(|path| path.is_file()).count()
    }

    /// Returns how many bytes of transfers were reported.
    fn reported(&self) -> u64 {
        let events = self.listener.0.lock().unwrap();
        let bytes = events.iter().map(|event| match event {
            Event::UploadProgress { bytes, .. } | Event::DownloadProgress { bytes, .. } => *bytes,
            _ => 0,
        });
        bytes.sum()
    }
}

/// Returns bytes of which no two pages are alike.
fn bytes(length: usize) -> Vec<u8> {
    let mut bytes = vec![7; length];
    for (number, page) in (0u32..).zip(bytes.chunks_exact_mut(4096)) {
        page[..4].copy_from_slice(&number.to_le_bytes());
    }
    bytes
}
