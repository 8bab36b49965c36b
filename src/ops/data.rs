//! `data`: what `[data]` declares, and whether it is so.

use std::path::{Component, Path, PathBuf};

use envbox_lockfiles::base::fs::{read, write_atomic};
use envbox_lockfiles::base::{Context, Digest, FsError};
use envbox_lockfiles::manifest::{Datum, Manifest, ManifestText};
use envbox_lockfiles::net::{Client, NetError, block_on};
use serde::Serialize;
use std::io::Write as _;
use url::Url;

use crate::data::{DataError, find, inputs};
use crate::ops::{Error, Project};
use crate::snapshot::Digests;
use crate::store::{NewBlob, Store};

/// An entry of `[data]`.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct DatumReport {
    /// Where it is in the project.
    pub path: PathBuf,
    /// Its digest.
    pub sha256: Digest,
    /// The size of a file.
    pub size: Option<u64>,
    /// Where it is to be had.
    pub url: Option<String>,
}

/// Entries of `[data]`, sorted by path.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct DataReport {
    /// The entries.
    pub data: Vec<DatumReport>,
}

/// What is to be declared.
#[derive(Debug, Clone)]
pub enum NewDatum {
    /// What the project has at a path.
    Here(PathBuf),
    /// What a URL names, at a path of the project.
    Url {
        /// The URL.
        url: Url,
        /// The path.
        path: PathBuf,
    },
}

/// Declares data in the project's manifest, or declares it anew: its digest and size as they are now.
///
/// # Errors
/// Returns [`Error::Data`] when there is nothing, [`Error::Net`] when a URL cannot be downloaded; the
/// manifest is then as it was.
pub fn add(context: &Context, project: &Project, new: &[NewDatum]) -> Result<DataReport, Error> {
    let store = Store::open(&context.store)?;
    let digests = Digests::load(&store, project.directory(), context.now);
    let file = project.manifest_file();
    let before = String::from_utf8_lossy(&read(file)?).into_owned();
    let mut text = ManifestText::parse(&before, file)?;
    let mut data = Vec::new();
    for new in new {
        let datum = datum(context, &store, project.directory(), &digests, new)?;
        text.declare(&datum)?;
        data.push(datum);
    }
    digests.save()?;
    let text = text.text();
    // Whether it overlaps with something else is the parser's to say.
    Manifest::parse(&text, file)?;
    let place = file.canonicalize().map_err(FsError::at("open", file))?;
    if text != before {
        write_atomic(&place, text.as_bytes())?;
    }
    Ok(report(&data))
}

/// Verifies all data of the project's manifest; what has a URL is downloaded if it is not here.
///
/// # Errors
/// Returns [`Error::Data`] for the first entry that is not as declared.
pub fn verify(context: &Context, project: &Project) -> Result<DataReport, Error> {
    let store = Store::open(&context.store)?;
    let data = &project.manifest().data;
    inputs(context, &store, project.directory(), data)?;
    Ok(report(data))
}

fn report(data: &[Datum]) -> DataReport {
    let entry = |datum: &Datum| DatumReport {
        path: datum.path.clone(),
        sha256: datum.sha256,
        size: datum.size,
        url: datum.url.clone(),
    };
    DataReport {
        data: data.iter().map(entry).collect(),
    }
}

fn datum(
    context: &Context,
    store: &Store,
    project: &Path,
    digests: &Digests,
    new: &NewDatum,
) -> Result<Datum, Error> {
    let (path, url) = match new {
        NewDatum::Here(path) => (path, None),
        NewDatum::Url { url, path } => (path, Some(url)),
    };
    let inside = path
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    if !inside || path.as_os_str().is_empty() || path.to_str().is_none() {
        return Err(Error::DataPath { path: path.clone() });
    }
    let (sha256, size) = match url {
        Some(url) => {
            let (digest, size) = download(context, store, url)?;
            (digest, Some(size))
        }
        None => {
            let found = find(store, project, path, digests)?;
            (found.digest, found.size)
        }
    };
    Ok(Datum {
        path: path.clone(),
        sha256,
        size,
        url: url.map(ToString::to_string),
    })
}

/// Brings what a URL names into the store.
fn download(context: &Context, store: &Store, url: &Url) -> Result<(Digest, u64), Error> {
    let client = Client::new(context).map_err(net)?;
    let blob = store.new_blob()?;
    Ok(block_on(pour(&client, url, blob))?.finish()?)
}

async fn pour(client: &Client, url: &Url, mut blob: NewBlob) -> Result<NewBlob, Error> {
    let mut body = client.open(url, 0).await.map_err(net)?;
    while let Some(bytes) = body.chunk().await.map_err(net)? {
        let written = blob.write_all(&bytes);
        written.map_err(FsError::at("write", Path::new("the store")))?;
    }
    Ok(blob)
}

fn net(error: NetError) -> Error {
    Error::Net(Box::new(error))
}

impl From<DataError> for Error {
    fn from(error: DataError) -> Self {
        Self::Data(Box::new(error))
    }
}
