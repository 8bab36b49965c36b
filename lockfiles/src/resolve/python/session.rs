//! uv's index client, with everything uv's own program would take from the environment given.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use uv_cache::Cache;
use uv_client::{
    BaseClientBuilder, Certificates, Connectivity, DEFAULT_CONNECT_TIMEOUT, DEFAULT_READ_TIMEOUT,
    DEFAULT_RETRIES, RegistryClient, RegistryClientBuilder,
};

use crate::base::{Context, Network};
use crate::resolve::python::PythonError;
use crate::resolve::python::indexes::Indexes;

/// How many requests may be under way: what uv's own program uses.
const REQUESTS: usize = 50;

/// How long a registry is waited for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    pub(super) connect: Duration,
    pub(super) read: Duration,
    pub(super) retries: u32,
    pub(super) back_off: bool,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: DEFAULT_CONNECT_TIMEOUT,
            read: DEFAULT_READ_TIMEOUT,
            retries: DEFAULT_RETRIES,
            back_off: true,
        }
    }
}

/// The client of some indexes with its cache.
pub(super) struct Session {
    pub(super) cache: Cache,
    pub(super) client: RegistryClient,
    pub(super) indexes: Indexes,
    pub(super) requests: Arc<Semaphore>,
}

impl Session {
    /// Opens the cache in the store and makes a client for `indexes`.
    ///
    /// # Errors
    /// Returns [`PythonError::Cache`] when the cache cannot be made, and
    /// [`PythonError::Certificates`] or [`PythonError::Client`] when TLS cannot be set up.
    pub(super) async fn open(
        context: &Context,
        indexes: Indexes,
        patience: Patience,
    ) -> Result<Self, PythonError> {
        let directory = context.store.join("index").join("uv");
        let cache = Cache::from_path(&directory).init().await;
        let cache = cache.map_err(|source| PythonError::Cache {
            path: directory,
            source: Box::new(source),
        })?;
        let connectivity = match context.network {
            Network::Online => Connectivity::Online,
            Network::Offline => Connectivity::Offline,
        };
        // Not the bundled Mozilla roots, uv-client's default: proxies and mirrors inside a
        // company have their authority in the system's store or in the file the user names.
        let mut base = BaseClientBuilder::default()
            .connectivity(connectivity)
            .with_system_certs(true)
            .connect_timeout(patience.connect)
            .read_timeout(patience.read)
            .retries(patience.retries)
            .no_retry_delay(!patience.back_off);
        if let Some(path) = &context.certificates {
            let certificates =
                Certificates::from_file(path).map_err(|source| PythonError::Certificates {
                    path: path.clone(),
                    source: Box::new(source),
                })?;
            base = base.custom_certificates(certificates);
        }
        let client = RegistryClientBuilder::new(base, cache.clone())
            .index_locations(indexes.locations.clone())
            .build()
            .map_err(|source| PythonError::Client {
                source: Box::new(source),
            })?;
        Ok(Self {
            cache,
            client,
            indexes,
            requests: Arc::new(Semaphore::new(REQUESTS)),
        })
    }
}
