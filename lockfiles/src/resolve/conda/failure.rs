//! The gateway's errors to ours: which channel failed, in which way.

use std::error::Error;

use rattler_networking::OfflineError;
use rattler_repodata_gateway::GatewayError;
use rattler_repodata_gateway::fetch::FetchRepoDataError;
use reqwest_retry::RetryError;

use crate::base::RegistryName;
use crate::resolve::conda::CondaError;
use crate::resolve::conda::error::Source;

/// Sorts what the gateway said of `subdir` of `channel`.
pub(super) fn gateway(error: GatewayError, channel: &RegistryName, subdir: &str) -> CondaError {
    let (channel, subdir) = (channel.clone(), subdir.to_owned());
    let offline = matches!(
        error,
        GatewayError::FetchRepoDataError(FetchRepoDataError::NoCacheAvailable(_))
            | GatewayError::ShardedIndexNotCached(_)
            | GatewayError::ShardNotCached(_)
    );
    if offline || matches!(request_of(&error), Some(Failed::Offline)) {
        return CondaError::Offline { channel, subdir };
    }
    if let GatewayError::SubdirNotFoundError(error) = error {
        return CondaError::NoChannel {
            channel,
            subdir: error.subdir.clone(),
            source: Box::new(Said::of(&error.source)),
        };
    }
    let source: Source = Box::new(Said::of(&error));
    match request_of(&error) {
        // A body that breaks off was a connection once.
        Some(Failed::Request(request)) if !request.is_body() && !request.is_decode() => {
            CondaError::Channel {
                channel,
                status: request.status().map(|status| status.as_u16()),
                source,
            }
        }
        _ => CondaError::Repodata {
            channel,
            subdir,
            source,
        },
    }
}

/// How a request failed.
enum Failed<'a> {
    /// It was never made.
    Offline,
    Request(&'a reqwest::Error),
}

/// Digs for the request that failed: wrappers that show another error as their own hide it from
/// whoever walks the causes.
fn request_of(error: &GatewayError) -> Option<Failed<'_>> {
    match error {
        GatewayError::ReqwestError(error) => Some(Failed::Request(error)),
        GatewayError::ReqwestMiddlewareError(error) => of_middleware(error.as_ref()),
        GatewayError::FetchRepoDataError(FetchRepoDataError::HttpError(error)) => of_client(error),
        _ => None,
    }
}

fn of_client(error: &reqwest_middleware::Error) -> Option<Failed<'_>> {
    match error {
        reqwest_middleware::Error::Reqwest(error) => Some(Failed::Request(error)),
        reqwest_middleware::Error::Middleware(error) => of_middleware(error.as_ref()),
    }
}

fn of_middleware<'a>(error: &'a (dyn Error + Send + Sync + 'static)) -> Option<Failed<'a>> {
    if error.is::<OfflineError>() {
        return Some(Failed::Offline);
    }
    match error.downcast_ref::<RetryError>()? {
        RetryError::WithRetries { err, .. } | RetryError::Error(err) => of_client(err),
    }
}

/// The texts of an error and its causes, each once.
#[derive(Debug)]
pub(super) struct Said {
    text: String,
    cause: Option<Box<Said>>,
}

impl Said {
    pub(super) fn of(error: &(dyn Error + 'static)) -> Self {
        let cause = error.source().map(Self::of);
        let text = error.to_string();
        match cause {
            // A wrapper that repeats its cause says nothing of its own.
            Some(cause) if text.contains(&cause.text) && cause.cause.is_none() => cause,
            cause => Self {
                text,
                cause: cause.map(Box::new),
            },
        }
    }
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Said {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}
