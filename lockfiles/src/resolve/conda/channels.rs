//! Where the channels of a resolution lie, and which channel a record is from.

use std::path::Path;
use std::sync::Arc;

use rattler_conda_types::{Channel, MatchSpec, RepoDataRecord};
use url::Url;

use crate::base::{Context, RegistryName};
use crate::lock::Origin;
use crate::manifest::{CondaChannel, match_spec_options};
use crate::net::{NetError, channel_url};
use crate::resolve::conda::CondaError;

/// The channels to ask, the most wanted first, and their names in the lock.
#[derive(Debug, Clone)]
pub(super) struct Channels {
    all: Vec<(RegistryName, Channel)>,
}

impl Channels {
    /// Returns the channels `named` by a manifest.
    ///
    /// # Errors
    /// Returns [`CondaError::Net`] for a place that is no URL, and [`CondaError::NoDirectory`] for
    /// one on this machine that is not there.
    pub(super) fn of(context: &Context, named: &[CondaChannel]) -> Result<Self, CondaError> {
        let one = |named: &CondaChannel| -> Result<_, CondaError> {
            let url = place(context, named)?;
            require_directory(&url, &named.name)?;
            let channel = Channel {
                name: Some(named.name.to_string()),
                ..Channel::from_url(url)
            };
            Ok((named.name.clone(), channel))
        };
        Ok(Self {
            all: named.iter().map(one).collect::<Result<_, _>>()?,
        })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &(RegistryName, Channel)> {
        self.all.iter()
    }

    /// Parses a MatchSpec. The channel that it names is that of the manifest, wherever it lies.
    ///
    /// # Errors
    /// Returns [`CondaError::Spec`] for what is no MatchSpec.
    pub(super) fn spec(&self, text: &str) -> Result<MatchSpec, CondaError> {
        let parsed = MatchSpec::from_str(text, match_spec_options());
        let mut spec = parsed.map_err(|source| CondaError::Spec {
            text: text.to_owned(),
            source: Box::new(source),
        })?;
        if let Some(asked) = spec.channel.as_ref().and_then(|asked| asked.name.clone())
            && let Some((_, channel)) = self.all.iter().find(|(name, _)| name.as_str() == asked)
        {
            spec.channel = Some(Arc::new(channel.clone()));
        }
        Ok(spec)
    }

    /// Returns where the lock says that `record` comes from, and its file there.
    pub(super) fn place_of(&self, record: &RepoDataRecord) -> (Origin, String) {
        let below = self.all.iter().find_map(|(name, channel)| {
            let listed = record.channel.as_deref() == Some(&*channel.canonical_name());
            let root = channel.base_url.url();
            let file = record.url.path().strip_prefix(root.path())?;
            let same = root.host_str() == record.url.host_str()
                && root.port_or_known_default() == record.url.port_or_known_default();
            (listed && same).then(|| (Origin::Registry(name.clone()), decoded(file)))
        });
        below.unwrap_or_else(|| {
            // A direct URL, or a channel that keeps its packages elsewhere (CEP 15).
            let file = format!("{}/{}", subdir(record), record.identifier.to_file_name());
            let mut url = record.url.clone();
            // Fails only for URLs that can have neither.
            let _ = url.set_username("").and_then(|()| url.set_password(None));
            url.set_fragment(None);
            (Origin::Url(url.to_string()), file)
        })
    }

    /// Returns where an artifact of the channel `name` lies.
    pub(super) fn url(&self, name: &RegistryName, file: &str) -> Option<Url> {
        let (_, channel) = self.all.iter().find(|(known, _)| known == name)?;
        Some(crate::net::join(channel.base_url.url(), file))
    }

    /// Returns `text` with names of channels in place of where they lie.
    pub(super) fn with_names(&self, text: &str) -> String {
        self.all
            .iter()
            .fold(text.to_owned(), |text, (name, channel)| {
                let shown = channel.canonical_name();
                let name = format!("`{name}`");
                let text = text.replace(&format!("'{shown}'"), &name);
                text.replace(&shown, &name)
            })
    }
}

fn subdir(record: &RepoDataRecord) -> &str {
    match record.package_record.subdir.as_str() {
        "" => "noarch",
        subdir => subdir,
    }
}

/// Undoes percent-encoding: the lock has plain paths.
fn decoded(path: &str) -> String {
    let whole = format!("file:///{path}");
    let plain = Url::parse(&whole)
        .ok()
        .and_then(|url| url.to_file_path().ok());
    let plain = plain.and_then(|path| path.strip_prefix("/").ok()?.to_str().map(str::to_owned));
    plain.unwrap_or_else(|| path.to_owned())
}

fn place(context: &Context, named: &CondaChannel) -> Result<Url, NetError> {
    match (&named.url, context.registries.get(&named.name)) {
        (Some(url), None) => {
            let mut context = context.clone();
            context.registries.insert(named.name.clone(), url.clone());
            channel_url(&context, &named.name)
        }
        _ => channel_url(context, &named.name),
    }
}

/// Of a directory that is not there, the gateway only says that it lacks a file.
fn require_directory(url: &Url, name: &RegistryName) -> Result<(), CondaError> {
    match url.to_file_path() {
        Ok(path) if url.scheme() == "file" && !Path::is_dir(&path) => {
            Err(CondaError::NoDirectory {
                channel: name.clone(),
                path,
            })
        }
        _ => Ok(()),
    }
}
