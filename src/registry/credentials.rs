//! Credentials that the user gave to docker, podman or skopeo.
//!
//! Read from files in the format of docker's `config.json` and of containers-auth.json(5). No error
//! here holds what a file or a program said: that may be a password.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use envbox_lockfiles::base::{Explain, FsError, Kind};
use serde::Deserialize;

/// Docker's programs and files name the default registry by this URL.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// The user name with which a helper gives an identity token instead of a password.
const TOKEN_USER: &str = "<token>";

/// What helpers say when they have nothing for a registry: no failure.
const NOT_FOUND: &str = "credentials not found";

/// What a registry is shown to be let in.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Login {
    /// A user and a password.
    Password {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
    /// A token that is exchanged for shorter-lived ones.
    IdentityToken(String),
}

/// Credentials and where they came from.
#[derive(Clone)]
pub(super) struct Credentials {
    pub(super) login: Login,
    /// The file.
    pub(super) file: PathBuf,
}

/// Credentials could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// The file cannot be read.
    #[error(transparent)]
    File(FsError),
    /// The file is not of docker's format.
    #[error("`{}` holds no valid credentials: line {line}, column {column}", file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// The line.
        line: usize,
        /// The column.
        column: usize,
    },
    /// The credentials of a registry are not base64 of `user:password`.
    #[error("the credentials for `{registry}` in `{}` are not base64 of `user:password`", file.display())]
    Encoding {
        /// The file.
        file: PathBuf,
        /// The registry.
        registry: String,
    },
    /// A credential helper cannot be started.
    #[error("failed to run the credential helper `{program}`, which `{}` names", file.display())]
    Start {
        /// The program.
        program: String,
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A credential helper failed.
    #[error("the credential helper `{program}` failed for `{registry}`: {status}")]
    Helper {
        /// The program.
        program: String,
        /// The registry.
        registry: String,
        /// How it ended.
        status: ExitStatus,
    },
    /// A credential helper's answer cannot be read.
    #[error("the answer of the credential helper `{program}` for `{registry}` cannot be read")]
    Answer {
        /// The program.
        program: String,
        /// The registry.
        registry: String,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FileWire {
    #[serde(default)]
    auths: BTreeMap<String, EntryWire>,
    creds_store: Option<String>,
    #[serde(default)]
    cred_helpers: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
struct EntryWire {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HelperWire {
    username: String,
    secret: String,
}

/// Returns the credentials for a repository from the first of `files` that has some.
pub(super) fn find(
    files: &[PathBuf],
    registry: &str,
    repository: &str,
) -> Result<Option<Credentials>, CredentialsError> {
    for file in files {
        let bytes = match fs::read(file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(CredentialsError::File(FsError::at("read", file)(error))),
        };
        // The text of the cause would quote the value that is wrong.
        let wire: FileWire =
            serde_json::from_slice(&bytes).map_err(|error| CredentialsError::Malformed {
                file: file.clone(),
                line: error.line(),
                column: error.column(),
            })?;
        if let Some(login) = wire.find(file, registry, repository)? {
            let file = file.clone();
            return Ok(Some(Credentials { login, file }));
        }
    }
    Ok(None)
}

impl FileWire {
    fn find(
        self,
        file: &Path,
        registry: &str,
        repository: &str,
    ) -> Result<Option<Login>, CredentialsError> {
        let mut helpers = self.cred_helpers.iter();
        if let Some((_, helper)) = helpers.find(|(key, _)| registry_of(key) == registry)
            && !helper.is_empty()
        {
            return ask(helper, file, registry);
        }
        let whole = format!("{registry}/{repository}");
        // The most specific key first: podman keeps credentials of single repositories.
        let mut name = whole.as_str();
        loop {
            let entries = self
                .auths
                .iter()
                .filter(|(key, _)| registry_of(key) == name);
            for (_, entry) in entries {
                if let Some(login) = entry.login(file, registry)? {
                    return Ok(Some(login));
                }
            }
            match name.rsplit_once('/') {
                Some((shorter, _)) => name = shorter,
                None => break,
            }
        }
        match self.creds_store.as_deref() {
            Some(helper) if !helper.is_empty() => ask(helper, file, registry),
            _ => Ok(None),
        }
    }
}

impl EntryWire {
    /// Returns what the entry holds. Docker leaves empty ones where a helper has the rest.
    fn login(&self, file: &Path, registry: &str) -> Result<Option<Login>, CredentialsError> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        if let Some(token) = given(&self.identitytoken) {
            return Ok(Some(Login::IdentityToken(token)));
        }
        if let Some(auth) = given(&self.auth) {
            let decoded = decode(&auth).ok_or_else(|| CredentialsError::Encoding {
                file: file.to_path_buf(),
                registry: registry.to_owned(),
            })?;
            return Ok(Some(decoded));
        }
        let both = given(&self.username).zip(given(&self.password));
        Ok(both.map(|(user, password)| Login::Password { user, password }))
    }
}

fn decode(auth: &str) -> Option<Login> {
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let bytes = GeneralPurpose::new(&STANDARD, config).decode(auth).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (user, password) = text.split_once(':')?;
    Some(Login::Password {
        user: user.to_owned(),
        // Old versions of docker wrote them.
        password: password.trim_end_matches('\0').to_owned(),
    })
}

/// Returns the registry, or the registry and repository, that a key stands for.
fn registry_of(key: &str) -> &str {
    let name = match key.split_once("://") {
        // The paths of URLs are versions of the API.
        Some((_, rest)) => rest.split('/').next().unwrap_or(rest),
        None => key.trim_end_matches('/'),
    };
    match name {
        "index.docker.io" | "index.docker.io/v1" | "registry-1.docker.io" => "docker.io",
        name => name,
    }
}

fn ask(helper: &str, file: &Path, registry: &str) -> Result<Option<Login>, CredentialsError> {
    run(format!("docker-credential-{helper}"), file, registry)
}

/// Asks a credential helper (the protocol of `docker-credential-helpers`).
fn run(program: String, file: &Path, registry: &str) -> Result<Option<Login>, CredentialsError> {
    let start = |source| CredentialsError::Start {
        program: program.clone(),
        file: file.to_path_buf(),
        source,
    };
    let server = if registry == "docker.io" {
        DOCKER_HUB
    } else {
        registry
    };
    let mut child = Command::new(&program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(start)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that ends without reading says by its status how it went.
        drop(stdin.write_all(server.as_bytes()));
    }
    let output = child.wait_with_output().map_err(start)?;
    if !output.status.success() {
        if String::from_utf8_lossy(&output.stdout).contains(NOT_FOUND) {
            return Ok(None);
        }
        return Err(CredentialsError::Helper {
            program,
            registry: registry.to_owned(),
            status: output.status,
        });
    }
    let HelperWire { username, secret } =
        serde_json::from_slice(&output.stdout).map_err(|_| CredentialsError::Answer {
            program,
            registry: registry.to_owned(),
        })?;
    Ok(Some(if username == TOKEN_USER {
        Login::IdentityToken(secret)
    } else {
        Login::Password {
            user: username,
            password: secret,
        }
    }))
}

impl Explain for CredentialsError {
    fn kind(&self) -> Kind {
        match self {
            Self::File(error) => error.kind(),
            Self::Start { .. } | Self::Helper { .. } | Self::Answer { .. } => Kind::Host,
            Self::Malformed { .. } | Self::Encoding { .. } => Kind::User,
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::File(_) => return Vec::new(),
            Self::Malformed { .. } | Self::Encoding { .. } => {
                "log in again with `docker login`, `podman login` or `skopeo login`"
            }
            Self::Start { .. } | Self::Helper { .. } | Self::Answer { .. } => {
                "try `docker-credential-… get` by hand, or name another file with \
                 `REGISTRY_AUTH_FILE`"
            }
        };
        vec![hint.to_owned()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(user: &str, password: &str) -> Option<Login> {
        Some(Login::Password {
            user: user.to_owned(),
            password: password.to_owned(),
        })
    }

    fn find_in(text: &str, registry: &str, repository: &str) -> Result<Option<Login>, String> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("config.json");
        fs::write(&file, text).unwrap();
        let files = [directory.path().join("missing.json"), file];
        match find(&files, registry, repository) {
            Ok(found) => Ok(found.map(|found| found.login)),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn files_are_read_as_docker_and_podman_write_them() {
        // name:secret, a:b, and with the padding cut off and a NUL added.
        let text = r#"{"auths": {
            "https://index.docker.io/v1/": {"auth": "bmFtZTpzZWNyZXQ="},
            "host.test:5000": {"auth": "YTpi"},
            "host.test:5000/team/image": {"auth": "bmFtZTpzZWNyZXQ"},
            "http://plain.test/v2/": {"username": "a", "password": "b"},
            "token.test": {"auth": "YTpi", "identitytoken": "secret"},
            "nul.test": {"auth": "bmFtZTpzZWNyZXQAAA=="},
            "empty.test": {}
        }}"#;
        for (registry, repository, expected) in [
            ("docker.io", "library/a", password("name", "secret")),
            ("host.test:5000", "team/other", password("a", "b")),
            ("host.test:5000", "team/image", password("name", "secret")),
            ("host.test:5000", "team/image/x", password("name", "secret")),
            ("plain.test", "a", password("a", "b")),
            (
                "token.test",
                "a",
                Some(Login::IdentityToken("secret".to_owned())),
            ),
            ("nul.test", "a", password("name", "secret")),
            ("empty.test", "a", None),
            ("host.test", "a", None),
        ] {
            assert!(
                find_in(text, registry, repository).unwrap() == expected,
                "{registry}/{repository}"
            );
        }
    }

    #[test]
    fn faults_are_told_without_the_secret() {
        for (text, expected) in [
            (r#"{"auths": {"host.test": "secret"}}"#, "line 1, column 32"),
            (r#"{"auths": {"host.test": {"auth": "secret!"}}}"#, "base64"),
            (
                r#"{"credHelpers": {"host.test": "of-no-such-name"}}"#,
                "`docker-credential-of-no-such-name`",
            ),
        ] {
            let error = find_in(text, "host.test", "a").err().unwrap();
            assert!(error.contains(expected), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn helpers_are_asked() {
        let directory = tempfile::tempdir().unwrap();
        // Written by another process: one that a test starts at this moment would else inherit
        // the descriptor that writes, and the script could not be executed while that is open.
        let write = "printf '#!/bin/sh\\n%s\\n' \"$1\" > \"$0\" && chmod 755 \"$0\"";
        let helper = |name: &str, script: &str| {
            let path = directory.path().join(name);
            let mut shell = Command::new("sh");
            let written = shell.args(["-c", write]).arg(&path).arg(script).status();
            assert!(written.unwrap().success());
            path.to_str().unwrap().to_owned()
        };
        let run = |path: &str, registry: &str| run(path.to_owned(), directory.path(), registry);
        let echo = helper(
            "echo",
            r#"read server; printf '{"Username":"<token>","Secret":"%s"}' "$server""#,
        );
        for (registry, server) in [("host.test", "host.test"), ("docker.io", DOCKER_HUB)] {
            let login = run(&echo, registry).unwrap();
            assert!(login == Some(Login::IdentityToken(server.to_owned())));
        }
        let empty = helper(
            "empty",
            "echo credentials not found in native keychain; exit 1",
        );
        assert!(run(&empty, "host.test").unwrap().is_none());
        let broken = helper("broken", "echo secret; echo secret >&2; exit 3");
        let odd = helper("odd", "echo secret");
        for path in [broken, odd] {
            let error = run(&path, "host.test").err().unwrap().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
