//! Requests to one repository, by whoever the user is there.

use std::sync::Arc;
use std::time::Duration;

use envbox_lockfiles::base::{Context, Digest, Transport};
use envbox_lockfiles::net::{Backoff, Client, NetError, Reply, Request};
use serde::Deserialize;
use tokio::sync::Mutex;
use url::Url;

use crate::registry::credentials::{self, Credentials, Login};
use crate::registry::{Access, ImageName, RegistryError};

/// The host that serves the API of the registry that images without a host lie in.
const DOCKER_HUB_API: &str = "registry-1.docker.io";

/// The most that an answer of a token server or a registry's explanation may have.
pub(super) const ANSWER_LIMIT: u64 = 1024 * 1024;

/// How much of a registry's explanation is shown.
const DETAIL_LIMIT: usize = 300;

/// Access to one repository; cheap to clone.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) client: Client,
    /// The root of the registry's API, `https://host/v2/`.
    pub(super) api: Url,
    pub(super) registry: String,
    pub(super) repository: String,
    pub(super) access: Access,
    /// What tokens are asked for.
    pub(super) scopes: Vec<String>,
    pub(super) credentials: Option<Credentials>,
    pub(super) authorization: Mutex<Authorization>,
}

/// What goes into `Authorization`, and how often it was replaced.
#[derive(Clone, Default)]
pub(super) struct Authorization {
    pub(super) generation: u64,
    pub(super) header: Option<String>,
}

/// What is being done to what, for messages.
#[derive(Clone)]
pub(super) struct Task {
    pub(super) action: &'static str,
    pub(super) what: String,
}

#[derive(Deserialize)]
struct ErrorsWire {
    errors: Vec<ErrorWire>,
}

#[derive(Deserialize)]
struct ErrorWire {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

impl Session {
    /// Prepares access to the repository of `image`; repositories in `mounted` may be read too.
    pub(super) fn open(
        context: &Context,
        client: &Client,
        image: &ImageName,
        access: Access,
        mounted: &[String],
    ) -> Result<Self, RegistryError> {
        let (registry, repository) = (image.registry(), image.repository());
        let credentials = credentials::find(&context.credentials, registry, repository);
        let credentials = credentials.map_err(|source| RegistryError::Credentials {
            registry: registry.to_owned(),
            source,
        })?;
        let actions = match access {
            Access::Pull => "pull",
            Access::Push => "pull,push",
        };
        let mut scopes = vec![format!("repository:{repository}:{actions}")];
        scopes.extend(mounted.iter().map(|name| format!("repository:{name}:pull")));
        Ok(Self {
            shared: Arc::new(Shared {
                client: client.clone(),
                api: api(context, image),
                registry: registry.to_owned(),
                repository: repository.to_owned(),
                access,
                scopes,
                credentials,
                authorization: Mutex::default(),
            }),
        })
    }

    /// Returns the URL of `path` below the repository.
    pub(super) fn url(&self, path: &str) -> Url {
        let path = format!("{}/{path}", self.shared.repository);
        // Neither names of repositories nor tags nor digests have anything to escape.
        self.shared.api.join(&path).expect("a relative path")
    }

    /// Names a thing in the repository for messages.
    pub(super) fn task(&self, action: &'static str, what: &str) -> Task {
        let (registry, repository) = (&self.shared.registry, &self.shared.repository);
        Task {
            action,
            what: format!("{what} in `{registry}/{repository}`"),
        }
    }

    pub(super) fn backoff(&self) -> Backoff {
        self.shared.client.backoff()
    }

    /// Sends `request` until there is an answer that waiting does not change.
    pub(super) async fn exchange(
        &self,
        task: &Task,
        request: Request,
    ) -> Result<Reply, RegistryError> {
        let mut backoff = self.backoff();
        loop {
            match self.send(task, request.clone()).await {
                Err(RegistryError::Exchange { source, .. }) => {
                    backoff.pause(source).await.map_err(|e| task.failed(e))?;
                }
                other => return other,
            }
        }
    }

    /// Sends `request` once, or twice where the registry wants to know who asks. Answers that ask
    /// to come again are errors.
    pub(super) async fn send(&self, task: &Task, request: Request) -> Result<Reply, RegistryError> {
        // Where an upload or a blob lies elsewhere, the credentials are not for there.
        let ours = request.url.origin() == self.shared.api.origin();
        let mut renewed = false;
        loop {
            let authorization = self.shared.authorization.lock().await.clone();
            let mut attempt = request.clone();
            if let (true, Some(header)) = (ours, &authorization.header) {
                attempt = attempt.header("authorization", header);
            }
            let sent = self.shared.client.send(&attempt).await;
            let reply = sent.map_err(|error| task.failed(error))?;
            match reply.as_error() {
                error if error.is_transient() => return Err(task.failed(error)),
                _ if reply.status() == 401 && ours && !renewed => {
                    self.renew(task, authorization.generation, &reply).await?;
                    renewed = true;
                }
                // Another request has renewed it since: what was refused was known to be old.
                _ if reply.status() == 401 && ours && self.is_old(&authorization).await => {}
                _ if reply.status() == 401 => return Err(self.not_let_in(&reply)),
                _ => return Ok(reply),
            }
        }
    }

    async fn is_old(&self, authorization: &Authorization) -> bool {
        self.shared.authorization.lock().await.generation != authorization.generation
    }

    /// Returns `reply` if its status is one of `expected`, or what it says went wrong.
    pub(super) async fn expect(
        &self,
        task: &Task,
        reply: Reply,
        expected: &[u16],
    ) -> Result<Reply, RegistryError> {
        let status = reply.status();
        if expected.contains(&status) {
            return Ok(reply);
        }
        let what = task.what.clone();
        match status {
            403 => Err(RegistryError::Denied {
                registry: self.shared.registry.clone(),
                repository: self.shared.repository.clone(),
                access: self.shared.access,
                detail: self.detail(reply).await,
            }),
            404 => Err(RegistryError::NotFound { what }),
            status => Err(RegistryError::Refused {
                action: task.action,
                what,
                status,
                detail: self.detail(reply).await,
            }),
        }
    }

    /// Checks the digest that the registry says it has, where it does.
    pub(super) fn confirm(
        &self,
        task: &Task,
        reply: &Reply,
        expected: Digest,
    ) -> Result<(), RegistryError> {
        match reply.header("docker-content-digest").map(str::parse) {
            // Others than SHA-256 cannot be compared.
            None | Some(Err(_)) => Ok(()),
            Some(Ok(found)) if found == expected => Ok(()),
            Some(Ok(found)) => Err(task.wrong_digest(expected, found)),
        }
    }

    /// Returns what the registry says about a failure, without any secret of ours.
    pub(super) async fn detail(&self, reply: Reply) -> Option<String> {
        let body = reply.collect(ANSWER_LIMIT).await.ok()?;
        let wire: ErrorsWire = serde_json::from_slice(&body).ok()?;
        let told = wire.errors.into_iter().map(|error| {
            let parts = [error.code, error.message];
            let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
            parts.join(": ")
        });
        let mut detail = told.collect::<Vec<_>>().join("; ");
        for secret in self.secrets().await {
            detail = detail.replace(&secret, "***");
        }
        let detail: String = detail
            .chars()
            .filter(|c| !c.is_control())
            .take(DETAIL_LIMIT)
            .collect();
        (!detail.is_empty()).then_some(detail)
    }

    async fn secrets(&self) -> Vec<String> {
        let mut secrets = Vec::new();
        let header = self.shared.authorization.lock().await.header.clone();
        if let Some((_, secret)) = header.as_deref().and_then(|header| header.split_once(' ')) {
            secrets.push(secret.to_owned());
        }
        if let Some(Credentials { login, .. }) = &self.shared.credentials {
            secrets.push(match login {
                Login::Password { password, .. } => password.clone(),
                Login::IdentityToken(token) => token.clone(),
            });
        }
        secrets.retain(|secret| !secret.is_empty());
        secrets
    }

    /// Returns where an upload goes on. A registry behind a proxy that ends TLS may not know that
    /// it is spoken to with TLS.
    pub(super) fn location(&self, reply: &Reply) -> Option<Url> {
        let mut url = reply.location()?;
        if url.scheme() == "http"
            && self.shared.api.scheme() == "https"
            && url.host_str() == self.shared.api.host_str()
        {
            url.set_scheme("https").ok()?;
        }
        Some(url)
    }
}

impl Task {
    pub(super) fn failed(&self, source: NetError) -> RegistryError {
        RegistryError::Exchange {
            action: self.action,
            what: self.what.clone(),
            source,
        }
    }

    pub(super) fn broken(&self, fault: &'static str) -> RegistryError {
        RegistryError::Protocol {
            action: self.action,
            what: self.what.clone(),
            fault,
        }
    }

    pub(super) fn wrong_digest(&self, expected: Digest, found: Digest) -> RegistryError {
        RegistryError::Integrity {
            what: self.what.clone(),
            source: crate::store::StoreError::WrongDigest { expected, found },
        }
    }

    pub(super) fn wrong_size(&self, expected: u64, found: u64) -> RegistryError {
        RegistryError::Integrity {
            what: self.what.clone(),
            source: crate::store::StoreError::WrongSize { expected, found },
        }
    }
}

/// Returns the root of the API of the registry of `image`.
fn api(context: &Context, image: &ImageName) -> Url {
    let registry = image.registry();
    let transport = match context.image_registries.get(registry) {
        Some(transport) => *transport,
        None if image.is_loopback() => Transport::Http,
        None => Transport::Https,
    };
    let scheme = match transport {
        Transport::Http => "http",
        Transport::Https => "https",
    };
    let host = match registry {
        "docker.io" => DOCKER_HUB_API,
        registry => registry,
    };
    Url::parse(&format!("{scheme}://{host}/v2/")).expect("hosts of references are checked")
}

/// How long a registry may take to read and check `size` bytes: it may lie on a slow disk.
pub(super) fn patience(size: u64) -> Duration {
    const SLOWEST: u64 = 16 * 1024 * 1024;
    Duration::from_secs(size / SLOWEST)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn plain_text_is_spoken_on_this_machine_or_where_the_user_says_so() {
        let mut context = Context::new("store".into(), Timestamp::UNIX_EPOCH);
        let registries = &mut context.image_registries;
        registries.insert("plain.test:5000".to_owned(), Transport::Http);
        registries.insert("localhost:5001".to_owned(), Transport::Https);
        for (image, expected) in [
            ("python", "https://registry-1.docker.io/v2/"),
            ("host.test/a", "https://host.test/v2/"),
            ("plain.test/a", "https://plain.test/v2/"),
            ("plain.test:5000/a", "http://plain.test:5000/v2/"),
            ("localhost:5000/a", "http://localhost:5000/v2/"),
            ("localhost:5001/a", "https://localhost:5001/v2/"),
            ("[::1]:5000/a", "http://[::1]:5000/v2/"),
        ] {
            let image = image.parse().unwrap();
            assert_eq!(api(&context, &image).as_str(), expected);
        }
    }
}
