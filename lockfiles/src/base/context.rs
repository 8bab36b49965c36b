//! Everything ambient, gathered in one place.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;

use crate::base::{Event, Mirror, RegistryName, Reporter, Silent};

/// Whether the network may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Network {
    /// Registries are asked.
    #[default]
    Online,
    /// What the store does not hold is an error.
    Offline,
}

/// How a registry of images is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// With TLS.
    Https,
    /// In plain text, passwords included.
    Http,
}

/// All that the library takes from its surroundings: it reads no environment, no clock and no
/// home directory itself.
#[derive(Clone)]
pub struct Context {
    /// The store's directory.
    pub store: PathBuf,
    /// Whether the network may be used.
    pub network: Network,
    /// Where the user says that registries lie, by the name the lock uses for them. What is not
    /// listed lies at its default.
    pub registries: BTreeMap<RegistryName, String>,
    /// Files with the OpenPGP keys that sign a registry of Debian packages, by its name, where those
    /// are not Debian's own: armored or not. Only they are trusted for that registry.
    pub keyrings: BTreeMap<RegistryName, PathBuf>,
    /// How registries of images are spoken to, by `host` or `host:port`. Those not listed are
    /// spoken to with TLS, those on this machine in plain text.
    pub image_registries: BTreeMap<String, Transport>,
    /// Files with credentials of registries of images, in docker's format; the first that names
    /// the registry counts, those that do not exist do not.
    pub credentials: Vec<PathBuf>,
    /// Files with credentials of conda channels, by host: those that end with `.json` in rattler's
    /// format, the others netrc's; the first that names the host counts, those that do not exist
    /// do not.
    pub channel_credentials: Vec<PathBuf>,
    /// The repository that has images of environments, as `registry.example/team/environments`:
    /// where there is one, what it has is not built from packages.
    pub images: Option<String>,
    /// Who is asked for an artifact, by its digest, before its registry is.
    pub mirror: Option<Mirror>,
    /// The program `diffoscope`, which says in what outputs differ that envbox cannot read.
    pub diffoscope: Option<PathBuf>,
    /// PEM files of certificate authorities to trust instead of the system's.
    pub certificates: Option<PathBuf>,
    /// The time of this call. Used to judge signatures and cut-off dates, never written to a file
    /// that is hashed.
    pub now: Timestamp,
    /// How many downloads or unpackings run side by side.
    pub jobs: usize,
    /// Who is told of progress.
    pub reporter: Arc<dyn Reporter>,
}

impl Context {
    /// Returns a context for `store` at `now` with everything else at its default.
    pub fn new(store: PathBuf, now: Timestamp) -> Self {
        Self {
            store,
            network: Network::default(),
            registries: BTreeMap::new(),
            keyrings: BTreeMap::new(),
            image_registries: BTreeMap::new(),
            credentials: Vec::new(),
            channel_credentials: Vec::new(),
            images: None,
            mirror: None,
            diffoscope: None,
            certificates: None,
            now,
            jobs: 4,
            reporter: Arc::new(Silent),
        }
    }

    /// Tells the reporter of `event`.
    pub fn report(&self, event: Event) {
        self.reporter.report(event);
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("store", &self.store)
            .field("network", &self.network)
            .field("registries", &self.registries)
            .finish_non_exhaustive()
    }
}
