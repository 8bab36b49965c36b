//! How a session is let in: passwords as they are, or tokens got for them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use envbox_lockfiles::net::{Method, Payload, Reply, Request, shown};
use serde::Deserialize;
use url::Url;

use crate::registry::RegistryError;
use crate::registry::challenge::Challenge;
use crate::registry::credentials::Login;
use crate::registry::session::{ANSWER_LIMIT, Authorization, Session, Task};

/// The name that programs give themselves to token servers.
const CLIENT_ID: &str = "envbox";

#[derive(Deserialize)]
struct TokenWire {
    token: Option<String>,
    access_token: Option<String>,
}

impl Session {
    /// Gets what goes into `Authorization` from now on, unless another request has already.
    pub(super) async fn renew(
        &self,
        task: &Task,
        stale: u64,
        reply: &Reply,
    ) -> Result<(), RegistryError> {
        let mut authorization = self.shared.authorization.lock().await;
        if authorization.generation != stale {
            return Ok(());
        }
        let challenges: Vec<Challenge> = reply
            .headers("www-authenticate")
            .into_iter()
            .flat_map(Challenge::parse)
            .collect();
        let offered = |scheme| challenges.iter().find(|offered| offered.scheme == scheme);
        let header = if let Some(bearer) = offered("bearer") {
            format!("Bearer {}", self.token(task, bearer).await?)
        } else if offered("basic").is_some() {
            match &self.shared.credentials {
                None => return Err(self.not_let_in(reply)),
                Some(credentials) => match &credentials.login {
                    Login::Password { user, password } => basic(user, password),
                    Login::IdentityToken(token) => format!("Bearer {token}"),
                },
            }
        } else {
            return Err(task.broken("status 401 without a way to log in"));
        };
        *authorization = Authorization {
            generation: stale + 1,
            header: Some(header),
        };
        Ok(())
    }

    /// Gets a token (distribution's "Token Authentication Specification").
    async fn token(&self, task: &Task, challenge: &Challenge) -> Result<String, RegistryError> {
        let realm = challenge.parameters.get("realm");
        let Some(realm) = realm.and_then(|realm| Url::parse(realm).ok()) else {
            return Err(task.broken("no place where tokens are given"));
        };
        let credentials = self.shared.credentials.as_ref();
        if credentials.is_some() && lays_open(&self.shared.api, &realm) {
            return Err(RegistryError::InsecureRealm {
                registry: self.shared.registry.clone(),
                realm: shown(&realm),
            });
        }
        let service = challenge.parameters.get("service").map(String::as_str);
        let scopes = self.scopes(challenge);
        let login = credentials.map(|credentials| &credentials.login);
        let request = token_request(realm, service.unwrap_or_default(), &scopes, login);
        let reply = self.shared.client.exchange(&request).await;
        let reply = reply.map_err(|error| task.failed(error))?;
        match reply.status() {
            200 => {}
            400 | 401 | 403 => return Err(self.not_let_in(&reply)),
            status => {
                return Err(RegistryError::Refused {
                    action: "get a token for",
                    what: task.what.clone(),
                    status,
                    detail: self.detail(reply).await,
                });
            }
        }
        let body = reply.collect(ANSWER_LIMIT).await;
        let body = body.map_err(|error| task.failed(error))?;
        let wire: Option<TokenWire> = serde_json::from_slice(&body).ok();
        wire.and_then(|wire| wire.token.or(wire.access_token))
            .filter(|token| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()))
            .ok_or_else(|| task.broken("no token"))
    }

    /// Returns our scopes, and those the registry asks for that are about something else.
    fn scopes(&self, challenge: &Challenge) -> Vec<String> {
        let mut scopes = self.shared.scopes.clone();
        let asked = challenge.parameters.get("scope").map_or("", String::as_str);
        let resource = |scope: &str| scope.rsplit_once(':').map(|(name, _)| name.to_owned());
        let known: Vec<_> = scopes.iter().map(|scope| resource(scope)).collect();
        let others = asked
            .split_ascii_whitespace()
            .filter(|scope| !known.contains(&resource(scope)));
        scopes.extend(others.map(str::to_owned));
        scopes
    }

    pub(super) fn not_let_in(&self, reply: &Reply) -> RegistryError {
        let registry = self.shared.registry.clone();
        let repository = self.shared.repository.clone();
        let access = self.shared.access;
        // Who is known but may not do this is told so with this word (RFC 6750, section 3.1).
        let known = reply
            .headers("www-authenticate")
            .into_iter()
            .flat_map(Challenge::parse)
            .any(|challenge| {
                let error = challenge.parameters.get("error");
                error.is_some_and(|error| error == "insufficient_scope")
            });
        match &self.shared.credentials {
            None => RegistryError::NoCredentials {
                registry,
                repository,
                access,
            },
            Some(_) if known => RegistryError::Denied {
                registry,
                repository,
                access,
                detail: None,
            },
            Some(credentials) => RegistryError::WrongCredentials {
                registry,
                file: credentials.file.clone(),
            },
        }
    }
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// Says whether passwords that a registry at `api` gets hidden would go to `realm` in plain text.
fn lays_open(api: &Url, realm: &Url) -> bool {
    realm.scheme() != "https" && api.scheme() != "http"
}

fn token_request(
    mut realm: Url,
    service: &str,
    scopes: &[String],
    login: Option<&Login>,
) -> Request {
    if let Some(Login::IdentityToken(token)) = login {
        let scope = scopes.join(" ");
        let fields = [
            ("grant_type", "refresh_token"),
            ("client_id", CLIENT_ID),
            ("service", service),
            ("scope", &scope),
            ("refresh_token", token),
        ];
        let form = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        return Request::new(Method::POST, realm)
            .header("content-type", "application/x-www-form-urlencoded")
            .payload(Payload::Bytes(form.into_bytes()));
    }
    {
        let mut query = realm.query_pairs_mut();
        query.append_pair("service", service);
        for scope in scopes {
            query.append_pair("scope", scope);
        }
        query.append_pair("client_id", CLIENT_ID);
    }
    let request = Request::new(Method::GET, realm);
    match login {
        Some(Login::Password { user, password }) => {
            request.header("authorization", basic(user, password))
        }
        _ => request,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_stay_hidden() {
        for (api, realm, expected) in [
            ("https://a.test/v2/", "https://b.test/token", false),
            ("https://a.test/v2/", "http://a.test/token", true),
            ("http://127.0.0.1/v2/", "http://127.0.0.1/token", false),
            ("http://a.test/v2/", "https://b.test/token", false),
        ] {
            let [api, realm] = [api, realm].map(|url| Url::parse(url).unwrap());
            assert_eq!(lays_open(&api, &realm), expected, "{api} {realm}");
        }
    }
}
