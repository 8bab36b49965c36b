//! Tags of an MLflow run, where the step is one: which run of envbox it was, and on what it stood.
//!
//! MLflow says so by variables: `MLFLOW_RUN_ID`, and `MLFLOW_TRACKING_URI` for where its runs are. A
//! server is told over its REST API (`runs/set-tag`), a directory gets a file for each tag, as
//! MLflow's own file store has it. Databases are MLflow's alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use envbox_lockfiles::base::{Context, FsError};
use envbox_lockfiles::net::{Client, ClientOptions, Method, NetError, Payload, Request, block_on};
use serde_json::json;
use url::Url;

use crate::record::RunRecord;

/// How long a server has to take a tag: the step is over, and somebody waits.
const PATIENCE: Duration = Duration::from_secs(5);

/// A run of MLflow's.
#[derive(Debug, Clone)]
pub struct MlflowRun {
    /// `MLFLOW_TRACKING_URI`.
    pub tracking: String,
    /// `MLFLOW_RUN_ID`.
    pub run: String,
}

/// The tags cannot be set.
#[derive(Debug, thiserror::Error)]
pub(super) enum MlflowError {
    /// The runs are kept where only MLflow itself writes.
    #[error("`{tracking}` is neither a server nor a directory")]
    Store {
        /// Where the runs are.
        tracking: String,
    },
    /// The directory has no such run.
    #[error("`{}` has no run `{run}`", directory.display())]
    Absent {
        /// The directory.
        directory: PathBuf,
        /// The run.
        run: String,
    },
    /// The server did not take a tag.
    #[error("the server did not take the tag `{tag}`")]
    Server {
        /// The tag.
        tag: String,
        /// Why.
        #[source]
        source: Box<NetError>,
    },
    /// A file operation failed.
    #[error(transparent)]
    Fs(#[from] FsError),
}

/// Sets the tags of `record` on a run of MLflow's.
pub(super) fn set_tags(
    context: &Context,
    mlflow: &MlflowRun,
    project: &Path,
    record: &RunRecord,
) -> Result<(), MlflowError> {
    let tracking = &mlflow.tracking;
    let url = Url::parse(tracking).ok();
    match url.as_ref().map(Url::scheme) {
        Some("http" | "https") => to_server(context, mlflow, &tags(record)),
        Some("file") => {
            let path = url
                .and_then(|url| url.to_file_path().ok())
                .unwrap_or_default();
            to_directory(&path, mlflow, &tags(record))
        }
        None if !tracking.is_empty() => {
            to_directory(&project.join(tracking), mlflow, &tags(record))
        }
        _ => Err(MlflowError::Store {
            tracking: tracking.clone(),
        }),
    }
}

/// What starts with `mlflow.` are MLflow's own names, of which it makes links in its pages.
fn tags(record: &RunRecord) -> Vec<(&'static str, String)> {
    let tower = &record.tower;
    let mut tags = vec![
        ("envbox.run", record.run.to_string()),
        ("envbox.lock", tower.libraries.seen.lock.to_string()),
        ("envbox.code", tower.code.seen.tree.to_string()),
        ("envbox.data", tower.data.digest.to_string()),
        ("envbox.entropy", tower.entropy.digest.to_string()),
        ("envbox.seed", tower.entropy.seen.seed.to_string()),
    ];
    if let Some(commit) = &tower.code.noted.commit {
        tags.push(("mlflow.source.git.commit", commit.clone()));
    }
    tags
}

fn to_server(
    context: &Context,
    mlflow: &MlflowRun,
    tags: &[(&'static str, String)],
) -> Result<(), MlflowError> {
    let failed = |tag: &str, source| MlflowError::Server {
        tag: tag.to_owned(),
        source: Box::new(source),
    };
    let first = tags.first().map_or("", |(tag, _)| *tag);
    let options = ClientOptions {
        attempts: 2,
        connect_timeout: PATIENCE,
        idle_timeout: PATIENCE,
        ..ClientOptions::default()
    };
    let client = Client::with_options(context, options).map_err(|error| failed(first, error))?;
    let root = mlflow.tracking.trim_end_matches('/');
    let url = format!("{root}/api/2.0/mlflow/runs/set-tag");
    let url: Url = url.parse().map_err(|_| MlflowError::Store {
        tracking: mlflow.tracking.clone(),
    })?;
    for (tag, value) in tags {
        let body = json!({ "run_id": mlflow.run, "key": tag, "value": value });
        let request = Request::new(Method::POST, url.clone())
            .header("content-type", "application/json")
            .payload(Payload::Bytes(body.to_string().into_bytes()));
        let reply = block_on(client.exchange(&request)).map_err(|error| failed(tag, error))?;
        if reply.status() != 200 {
            return Err(failed(tag, reply.as_error()));
        }
    }
    Ok(())
}

/// The layout is `EXPERIMENT/RUN/tags/TAG`.
fn to_directory(
    directory: &Path,
    mlflow: &MlflowRun,
    tags: &[(&'static str, String)],
) -> Result<(), MlflowError> {
    let absent = || MlflowError::Absent {
        directory: directory.to_path_buf(),
        run: mlflow.run.clone(),
    };
    // It becomes a part of a path.
    let plain = mlflow.run.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let experiments = fs::read_dir(directory).map_err(FsError::at("read", directory))?;
    let mut runs = experiments.filter_map(|entry| Some(entry.ok()?.path().join(&mlflow.run)));
    let run = runs.find(|run| plain && run.join("meta.yaml").is_file());
    let place = run.ok_or_else(absent)?.join("tags");
    fs::create_dir_all(&place).map_err(FsError::at("create", &place))?;
    for (tag, value) in tags {
        let file = place.join(tag);
        fs::write(&file, value).map_err(FsError::at("write", &file))?;
    }
    Ok(())
}
