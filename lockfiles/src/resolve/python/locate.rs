//! A locked wheel, or source, to the URL it lies at today.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::Mutex;
use url::Url;
use uv_client::{MetadataFormat, VersionFiles};
use uv_distribution_filename::DistFilename;
use uv_distribution_types::{File, IndexCapabilities, IndexFormat, IndexMetadataRef};
use uv_normalize::PackageName;

use crate::base::{Context, Digest, PythonName, RegistryName, fs};
use crate::resolve::python::indexes::Indexes;
use crate::resolve::python::session::{Patience, Session};
use crate::resolve::python::solve::package_name;
use crate::resolve::python::{PythonError, RegistryFailure, failure};

/// Finds locked wheels, with one client and cache for each registry.
pub struct WheelLocator {
    context: Context,
    sessions: Mutex<BTreeMap<RegistryName, Arc<Session>>>,
}

impl WheelLocator {
    /// Returns a locator that asks the registries of `context`.
    pub fn new(context: &Context) -> Self {
        Self {
            context: context.clone(),
            sessions: Mutex::default(),
        }
    }

    /// Returns where `registry` offers the wheel `file` of `project`.
    ///
    /// Looks first at what the last lock or search on this host found, which needs no query. The
    /// URL is a hint: its bytes are the wheel only if their digest is the lock's. When they cannot
    /// be fetched, ask [`WheelLocator::locate_afresh`].
    ///
    /// # Errors
    /// Returns [`PythonError::WheelGone`] when the registry does not list the file,
    /// [`PythonError::Unconfigured`] when it has no location, and as
    /// [`resolve_python`](crate::resolve::python::resolve_python) does when it cannot be asked.
    pub async fn locate(
        &self,
        registry: &RegistryName,
        project: &PythonName,
        file: &str,
    ) -> Result<Url, PythonError> {
        let indexes = Indexes::only(&self.context, registry)?;
        match recall(&self.context, &indexes, registry, file) {
            Some(url) => Ok(url),
            None => self.locate_afresh(registry, project, file).await,
        }
    }

    /// Does as [`WheelLocator::locate`] does, but always asks the registry.
    ///
    /// # Errors
    /// As [`WheelLocator::locate`].
    pub async fn locate_afresh(
        &self,
        registry: &RegistryName,
        project: &PythonName,
        file: &str,
    ) -> Result<Url, PythonError> {
        let session = self.session(registry).await?;
        let files = files(&session, &package_name(project.as_str())).await?;
        let found = files
            .into_iter()
            .find(|(_, found)| *found.filename == *file);
        let url = found.and_then(|(_, file)| file.url.to_url().ok());
        let url = url.map(Url::from).ok_or_else(|| PythonError::WheelGone {
            registry: registry.clone(),
            project: project.clone(),
            file: file.to_owned(),
        })?;
        remember(&self.context, &session, registry, file, &url);
        Ok(url)
    }

    /// Returns when the wheels of `project` were uploaded to `registry`, by file name, as far as that
    /// says.
    ///
    /// # Errors
    /// As [`WheelLocator::locate`].
    pub async fn uploaded(
        &self,
        registry: &RegistryName,
        project: &PythonName,
    ) -> Result<BTreeMap<String, Timestamp>, PythonError> {
        let session = self.session(registry).await?;
        let files = files(&session, &package_name(project.as_str())).await?;
        let uploaded = files.into_iter().filter_map(|(_, file)| {
            let time = Timestamp::from_millisecond(file.upload_time_utc_ms?).ok()?;
            Some((file.filename.to_string(), time))
        });
        Ok(uploaded.collect())
    }

    async fn session(&self, registry: &RegistryName) -> Result<Arc<Session>, PythonError> {
        let mut sessions = self.sessions.lock().await;
        if let Some(session) = sessions.get(registry) {
            return Ok(Arc::clone(session));
        }
        let indexes = Indexes::only(&self.context, registry)?;
        let session = Session::open(&self.context, indexes, Patience::default()).await?;
        let session = Arc::new(session);
        sessions.insert(registry.clone(), Arc::clone(&session));
        Ok(session)
    }
}

/// Returns the files of `project` in all indexes of `session`.
pub(super) async fn files(
    session: &Session,
    project: &PackageName,
) -> Result<Vec<(DistFilename, File)>, PythonError> {
    let mut found = Vec::new();
    for index in session.indexes.locations.indexes() {
        let metadata = IndexMetadataRef {
            url: index.url(),
            format: IndexFormat::Simple,
        };
        let capabilities = IndexCapabilities::default();
        let (client, requests) = (&session.client, &session.requests);
        let details = client.simple_detail(project, Some(metadata), &capabilities, requests);
        match details.await {
            Ok(details) => {
                for (_, metadata) in details {
                    collect(metadata, project, &mut found);
                }
            }
            Err(error) if is_absence(error.kind()) => {}
            Err(error) => return Err(failure::client(&error, &session.indexes)),
        }
    }
    // A lock does not tell indexes from find-links, so a registry that has no page for the
    // project is read as a list of files.
    if found.is_empty() {
        let (client, requests) = (&session.client, &session.requests);
        match client.find_links_entries(project, requests).await {
            Ok(entries) => collect(MetadataFormat::Flat(entries), project, &mut found),
            Err(error) => match failure::client(&error, &session.indexes) {
                // An index need not list its projects: it simply does not have this one.
                PythonError::Registry {
                    failure: RegistryFailure::Status(404),
                    ..
                } => {}
                failure => return Err(failure),
            },
        }
    }
    Ok(found)
}

fn is_absence(kind: &uv_client::ErrorKind) -> bool {
    matches!(
        kind,
        uv_client::ErrorKind::RemotePackageNotFound(_)
            | uv_client::ErrorKind::LocalPackageNotFound(_)
            | uv_client::ErrorKind::LocalIndexNotFound(_)
    )
}

fn collect(metadata: MetadataFormat, project: &PackageName, found: &mut Vec<(DistFilename, File)>) {
    match metadata {
        MetadataFormat::Simple(archive) => {
            for version in archive.iter() {
                let files = rkyv::deserialize::<VersionFiles, rkyv::rancor::Error>(&version.files);
                let files = files.expect("uv checked the archive when it read it");
                found.extend(files.all(project));
            }
        }
        MetadataFormat::Flat(entries) => {
            let parts = entries.into_iter().map(|entry| entry.into_parts());
            found.extend(parts.map(|(name, file, _)| (name, file)));
        }
    }
}

/// Notes where a wheel lies. Failure to write is nothing: the note only spares a query.
pub(super) fn remember(
    context: &Context,
    session: &Session,
    registry: &RegistryName,
    file: &str,
    url: &Url,
) {
    // A password does not belong into a file that nobody thinks of as secret.
    let open = url.username().is_empty() && url.password().is_none();
    if let Some(path) = note(context, &session.indexes, registry, file).filter(|_| open)
        && let Some(directory) = path.parent()
        && fs::create_dir_all(directory).is_ok()
    {
        drop(std::fs::write(&path, format!("{url}\n")));
    }
}

fn recall(
    context: &Context,
    indexes: &Indexes,
    registry: &RegistryName,
    file: &str,
) -> Option<Url> {
    let text = std::fs::read_to_string(note(context, indexes, registry, file)?).ok()?;
    // Without its line end a note is half-written, and may still be a URL, of something else.
    Url::parse(text.strip_suffix('\n')?).ok()
}

/// The registry's location is part of the name: when a user configures another mirror, notes that
/// lead to the old one are not followed.
fn note(
    context: &Context,
    indexes: &Indexes,
    registry: &RegistryName,
    file: &str,
) -> Option<PathBuf> {
    let location = indexes.url(registry)?.without_credentials();
    let name = Digest::of(format!("{location}\n{file}").as_bytes()).hex();
    Some(context.store.join("index").join("urls").join(name))
}
