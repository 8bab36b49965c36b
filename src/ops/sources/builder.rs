//! The builder that resolvers are given.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use envbox_lockfiles::base::{Context, Digest, FsError, Kind, Network, PythonName};
use envbox_lockfiles::resolve::python::{
    BuildFailure, BuildTask, BuiltWheel, Checkout, SourceBuilder, SourceDocuments, SourceFile,
};

use crate::layers::wheel_metadata;
use crate::ops::sources::step::{self, host};
use crate::ops::sources::{archive, git};
use crate::store::{BlobSlot, Scratch, Store, StoreError};

/// Builds wheels in the sandbox, and keeps them in the store.
#[derive(Debug)]
pub(in crate::ops) struct SandboxBuilder {
    context: Context,
    store: Store,
    scratch: Scratch,
    /// By all that a build depends on.
    built: Mutex<BTreeMap<Digest, BuiltWheel>>,
}

impl SandboxBuilder {
    /// Returns a builder that works in the store of `context`.
    pub(in crate::ops) fn new(context: &Context) -> Result<Self, StoreError> {
        let store = Store::open(&context.store)?;
        Ok(Self {
            context: context.clone(),
            scratch: store.scratch()?,
            store,
            built: Mutex::default(),
        })
    }

    /// Returns a new empty directory.
    fn place(&self, kind: &str) -> Result<PathBuf, BuildFailure> {
        let parent = self.scratch.path();
        let made = tempfile::Builder::new()
            .prefix(kind)
            .disable_cleanup(true)
            .tempdir_in(parent);
        let made = made.map_err(|error| host(FsError::at("create", parent)(error)))?;
        let directory = made.path().join("work");
        fs::create_dir(&directory).map_err(|error| host(FsError::at("create", parent)(error)))?;
        Ok(directory)
    }

    fn build(&self, task: &BuildTask) -> Result<BuiltWheel, BuildFailure> {
        let directory = self.place("wheel-")?;
        let file: String = step::run(&self.context, &self.store, task, "wheel", &directory)?;
        let backend = &task.backend.name;
        let path = step::product(&directory, &file)
            .ok_or_else(|| wrong(format!("the backend `{backend}` made no wheel `{file}`")))?;
        described(&path, file).and_then(|wheel| {
            self.keep(&wheel)?;
            Ok(wheel)
        })
    }

    fn keep(&self, wheel: &BuiltWheel) -> Result<(), BuildFailure> {
        let kept = keep(&self.store, &wheel.path, wheel.digest, wheel.size);
        kept.map_err(|error| BuildFailure {
            message: "the wheel could not be kept".to_owned(),
            kind: Kind::Host,
            hints: Vec::new(),
            source: Some(Box::new(error)),
        })
    }
}

impl SourceBuilder for SandboxBuilder {
    fn directory(&self) -> PathBuf {
        self.scratch.path().to_path_buf()
    }

    fn open(
        &self,
        source: &SourceFile,
        subdirectory: Option<&str>,
    ) -> Result<SourceDocuments, BuildFailure> {
        archive::documents(source, subdirectory).map_err(|error| BuildFailure {
            message: format!("failed to read `{}`", source.file),
            kind: Kind::User,
            hints: Vec::new(),
            source: Some(Box::new(error)),
        })
    }

    fn requires(&self, task: &BuildTask) -> Result<Vec<String>, BuildFailure> {
        let directory = self.place("requires-")?;
        step::run(&self.context, &self.store, task, "requires", &directory)
    }

    fn wheel(&self, task: &BuildTask) -> Result<BuiltWheel, BuildFailure> {
        let key = key(task);
        let known = || self.built.lock().expect("no holder panics");
        if let Some(wheel) = known().get(&key) {
            return Ok(wheel.clone());
        }
        let wheel = self.build(task)?;
        known().insert(key, wheel.clone());
        Ok(wheel)
    }

    fn checkout(&self, url: &str, revision: Option<&str>) -> Result<Checkout, BuildFailure> {
        if self.context.network == Network::Offline && !url.starts_with("file:") {
            return Err(BuildFailure {
                message: "the network is disabled".to_owned(),
                kind: Kind::Network,
                hints: vec!["run the command once without `--offline`".to_owned()],
                source: None,
            });
        }
        git::checkout(url, revision, &self.place("commit-")?)
    }

    fn built_before(&self, file: &str, digest: &Digest) -> Option<BuiltWheel> {
        let blob = self.store.blob(digest)?;
        let path = self.place("known-").ok()?.join(file);
        fs::hard_link(&blob, &path)
            .or_else(|_| fs::copy(&blob, &path).map(drop))
            .ok()?;
        described(&path, file.to_owned()).ok()
    }
}

/// Puts a file into the store under its digest.
///
/// # Errors
/// Returns [`StoreError`] when it cannot be read or written, or has another digest.
pub(super) fn keep(
    store: &Store,
    file: &Path,
    digest: Digest,
    size: u64,
) -> Result<(), StoreError> {
    let BlobSlot::Missing(mut writer) = store.blob_slot(digest, size)? else {
        return Ok(());
    };
    writer.restart()?;
    let bytes = fs::read(file).map_err(FsError::at("read", file))?;
    writer.write(&bytes)?;
    writer.finish().map(drop)
}

/// Names all that a build depends on.
fn key(task: &BuildTask) -> Digest {
    let environment = Digest::of(&task.environment.to_bytes());
    let text = format!(
        "{}\n{:?}\n{:?}\n{environment}",
        task.source.digest, task.subdirectory, task.backend
    );
    Digest::of(text.as_bytes())
}

fn described(path: &Path, file: String) -> Result<BuiltWheel, BuildFailure> {
    let name = file.split('-').next().unwrap_or_default();
    let name: PythonName = name
        .parse()
        .map_err(|error| wrong(format!("`{file}` is no name of a wheel: {error}")))?;
    let measured = File::open(path).and_then(Digest::of_reader);
    let (digest, size) = measured.map_err(|error| host(FsError::at("read", path)(error)))?;
    let metadata = wheel_metadata(path, &name).map_err(|error| BuildFailure {
        message: format!("the wheel `{file}` that was built is malformed"),
        kind: Kind::User,
        hints: Vec::new(),
        source: Some(Box::new(error)),
    })?;
    Ok(BuiltWheel {
        file,
        path: path.to_path_buf(),
        size,
        digest,
        metadata: metadata.into_bytes(),
    })
}

fn wrong(message: String) -> BuildFailure {
    BuildFailure {
        message,
        kind: Kind::User,
        hints: Vec::new(),
        source: None,
    }
}
