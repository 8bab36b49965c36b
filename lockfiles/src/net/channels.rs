//! Conda channels: where they lie, and a client with all that rattler's gateway leaves to its caller.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rattler_conda_types::ChannelConfig;
use rattler_networking::authentication_storage::StorageBackend;
use rattler_networking::authentication_storage::backends::file::FileStorage;
use rattler_networking::authentication_storage::backends::memory::MemoryStorage;
use rattler_networking::retry_policies::{ExponentialBackoff, Jitter};
use rattler_networking::{
    Authentication, AuthenticationMiddleware, AuthenticationStorage, OciMiddleware,
    OfflineMiddleware,
};
use reqwest::{Method, RequestBuilder};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use reqwest_retry::RetryTransientMiddleware;
use url::Url;
use uv_netrc::Netrc;

use crate::base::{Context, Network, RegistryName};
use crate::net::client::{Certificates, ClientOptions, builder};
use crate::net::registries::configured_url;
use crate::net::{NetError, join};

/// How long a channel is waited for.
#[derive(Debug, Clone)]
pub struct ChannelPatience {
    /// How often a failed request is made again.
    pub retries: u32,
    /// The shortest and the longest wait before that.
    pub waits: (Duration, Duration),
    /// The timeouts and proxies.
    pub options: ClientOptions,
}

impl Default for ChannelPatience {
    fn default() -> Self {
        let options = ClientOptions::default();
        Self {
            retries: options.attempts - 1,
            waits: (options.first_wait, options.longest_wait),
            options,
        }
    }
}

/// Returns where the channel `name` lies, with a slash at its end: as the user configured it, else
/// where conda's programs look for a channel of that name.
///
/// # Errors
/// Returns [`NetError::BadRegistry`] when what is configured is neither a URL nor an absolute path.
pub fn channel_url(context: &Context, name: &RegistryName) -> Result<Url, NetError> {
    let url = match configured_url(context, name) {
        Some(url) => url?,
        // It resolves no relative path, so its directory does not matter.
        None => join(
            &ChannelConfig::default_with_root_dir(PathBuf::new()).channel_alias,
            name.as_str(),
        ),
    };
    Ok(join(&url, ""))
}

/// Returns a client for channels: with the context's certificates and credentials, patient, able to
/// read `oci` URLs, and mute while the context is offline.
///
/// # Errors
/// Returns [`NetError`] when certificates or credentials cannot be read.
pub fn channel_client(
    context: &Context,
    patience: &ChannelPatience,
) -> Result<ClientWithMiddleware, NetError> {
    let certificates = Certificates::of(context)?;
    let http = builder(&patience.options, certificates.as_ref())?
        .read_timeout(patience.options.idle_timeout)
        .build()
        .map_err(|source| NetError::Setup { source })?;
    let (first, longest) = patience.waits;
    let again = ExponentialBackoff::builder()
        .retry_bounds(first, longest)
        .jitter(Jitter::None)
        .build_with_max_retries(patience.retries);
    let again = Arc::new(RetryTransientMiddleware::new_with_policy(again));
    let credentials = credentials(context)?;
    let plain = ClientBuilder::new(http.clone())
        .with_arc(again.clone())
        .build();
    let mut client = ClientBuilder::new(http);
    if context.network == Network::Offline {
        client = client.with(OfflineMiddleware);
    }
    let images = OciMiddleware::new(plain).with_authentication_storage(credentials.clone());
    Ok(client
        .with(images)
        .with(AuthenticationMiddleware::from_auth_storage(credentials))
        .with_arc(again)
        .build())
}

/// What the hosts of channels are shown to let a request through.
pub(super) struct ChannelCredentials {
    all: AuthenticationStorage,
}

impl ChannelCredentials {
    /// Reads the files that the context names.
    ///
    /// # Errors
    /// Returns [`NetError::Credentials`] when one cannot be read.
    pub(super) fn of(context: &Context) -> Result<Self, NetError> {
        credentials(context).map(|all| Self { all })
    }

    /// Begins a request for `url` with what its host wants to see. What the URL itself says goes before.
    pub(super) fn request(
        &self,
        http: &reqwest::Client,
        method: Method,
        url: &Url,
    ) -> RequestBuilder {
        let of_itself = !url.username().is_empty() || url.password().is_some();
        let found = match of_itself {
            true => None,
            false => self.all.get_by_url(url.clone()).ok(),
        };
        let request = |url: Url| http.request(method, url);
        match found.and_then(|(_, found)| found) {
            Some(Authentication::BearerToken(token)) => request(url.clone()).bearer_auth(token),
            Some(Authentication::OAuth { access_token, .. }) => {
                request(url.clone()).bearer_auth(access_token)
            }
            Some(Authentication::BasicHTTP { username, password }) => {
                request(url.clone()).basic_auth(username, Some(password))
            }
            Some(Authentication::CondaToken(token)) => {
                let mut url = url.clone();
                url.set_path(&format!("/t/{token}{}", url.path()));
                request(url)
            }
            // Signatures of a storage service are not of HTTP.
            Some(Authentication::S3Credentials { .. }) | None => request(url.clone()),
        }
    }
}

/// Reads the files that the context names.
fn credentials(context: &Context) -> Result<AuthenticationStorage, NetError> {
    let mut all = AuthenticationStorage::empty();
    for path in context
        .channel_credentials
        .iter()
        .filter(|path| path.exists())
    {
        let json = path
            .extension()
            .is_some_and(|extension| extension == "json");
        let read = if json {
            of_rattler(path)
        } else {
            of_netrc(path)
        };
        all.add_backend(read.map_err(|source| NetError::Credentials {
            path: path.clone(),
            source,
        })?);
    }
    Ok(all)
}

type Backend = Arc<dyn StorageBackend + Send + Sync>;
type Problem = Box<dyn std::error::Error + Send + Sync>;

fn of_rattler(path: &Path) -> Result<Backend, Problem> {
    Ok(Arc::new(FileStorage::from_path(path.to_path_buf())?))
}

fn of_netrc(path: &Path) -> Result<Backend, Problem> {
    let storage = MemoryStorage::new();
    for (host, machine) in Netrc::from_file(path)?.hosts {
        let login = Authentication::BasicHTTP {
            username: machine.login,
            password: machine.password,
        };
        storage.store(&host, &login)?;
    }
    Ok(Arc::new(storage))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::base::Explain as _;
    use crate::net::block_on;
    use crate::net::tests::http::{Answer, Server};

    fn context(directory: &Path) -> Context {
        Context::new(directory.to_path_buf(), Timestamp::UNIX_EPOCH)
    }

    fn patience() -> ChannelPatience {
        ChannelPatience {
            waits: (Duration::ZERO, Duration::ZERO),
            options: ClientOptions {
                system_proxies: false,
                ..ClientOptions::default()
            },
            ..ChannelPatience::default()
        }
    }

    #[test]
    fn a_channel_lies_where_it_is_configured_or_where_conda_looks() {
        let mut context = context(Path::new("store"));
        let name: RegistryName = "conda-forge".parse().unwrap();
        let url = channel_url(&context, &name).unwrap();
        let alias = ChannelConfig::default_with_root_dir(PathBuf::new()).channel_alias;
        assert_eq!(url, alias.join("conda-forge/").unwrap());
        for (configured, expected) in [
            ("https://mirror.test/forge", "https://mirror.test/forge/"),
            ("oci://mirror.test/forge/", "oci://mirror.test/forge/"),
            ("/srv/forge", "file:///srv/forge/"),
        ] {
            let place = configured.to_owned();
            context.registries.insert(name.clone(), place);
            let url = channel_url(&context, &name).unwrap();
            assert_eq!(url.as_str(), expected);
        }
        context.registries.insert(name.clone(), "forge".to_owned());
        let error = channel_url(&context, &name).unwrap_err();
        assert!(matches!(error, NetError::BadRegistry { .. }));
    }

    #[test]
    fn credentials_come_from_either_kind_of_file() {
        let directory = tempfile::tempdir().unwrap();
        let netrc = directory.path().join("netrc");
        std::fs::write(&netrc, "machine 127.0.0.1 login me password secret\n").unwrap();
        let json = directory.path().join("credentials.json");
        std::fs::write(&json, r#"{"127.0.0.1": {"BearerToken": "token"}}"#).unwrap();
        let missing = directory.path().join("missing.json");
        for (file, expected) in [(netrc, "Basic bWU6c2VjcmV0"), (json, "Bearer token")] {
            let server = Server::start();
            server.file("/", b"{}");
            let mut context = context(directory.path());
            context.channel_credentials = vec![missing.clone(), file];
            let client = channel_client(&context, &patience()).unwrap();
            let answer = block_on(client.get(server.url()).send()).unwrap();
            assert!(answer.status().is_success());
            let sent = server.requests()[0].headers["authorization"].clone();
            assert_eq!(sent, expected);
        }
        let bad = directory.path().join("bad.json");
        std::fs::write(&bad, "{").unwrap();
        let mut context = context(directory.path());
        context.channel_credentials = vec![bad];
        let error = channel_client(&context, &patience()).unwrap_err();
        assert!(error.to_string().contains("bad.json"), "{error}");
        assert_eq!(error.kind(), crate::base::Kind::Host);
    }

    #[test]
    fn failures_that_pass_are_tried_again_and_nothing_goes_out_offline() {
        let server = Server::start();
        server.answers("/", vec![Answer::Status(503, vec![])]);
        let mut context = context(Path::new("store"));
        let client = channel_client(&context, &patience()).unwrap();
        let answer = block_on(client.get(server.url()).send()).unwrap();
        assert_eq!(answer.status().as_u16(), 503);
        assert_eq!(server.requests().len(), 4);
        context.network = Network::Offline;
        let client = channel_client(&context, &patience()).unwrap();
        assert!(block_on(client.get(server.url()).send()).is_err());
        assert_eq!(server.requests().len(), 4);
    }
}
