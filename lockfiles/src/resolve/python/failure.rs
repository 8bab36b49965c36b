//! uv's errors to ours: which registry failed, in which way, at what.

use std::error::Error;

use uv_client::{ErrorKind, FlatIndexError};
use uv_resolver::{NoSolutionError, ResolveError};

use crate::base::Platform;
use crate::resolve::python::indexes::Indexes;
use crate::resolve::python::{Explanation, PythonError, RegistryFailure, Unsupported, text};

/// How uv's hint begins when something would have needed the network.
const OFFLINE_HINT: &str = "Packages were unavailable because the network was disabled";

/// What uv's report says of a project that no registry has.
const NOT_FOUND: &str = "was not found in the package registry";

pub(super) fn resolution(
    error: ResolveError,
    indexes: &Indexes,
    platform: Platform,
) -> PythonError {
    match error {
        ResolveError::NoSolution(error) => no_solution(&error, indexes, platform),
        ResolveError::Client(error) => client(&error, indexes),
        ResolveError::Distribution(error) => distribution(&error, indexes, platform),
        ResolveError::Dist(_, _, _, error) => distribution(&error, indexes, platform),
        ResolveError::Dependencies(error, ..) => resolution(*error, indexes, platform),
        ResolveError::ConflictingUrls { .. } | ResolveError::DisallowedUrl { .. } => {
            PythonError::NoSolution {
                platform,
                explanation: Explanation::of(&error),
                hints: Vec::new(),
                provided: Vec::new(),
            }
        }
        error => {
            let hints = uv_errors::Hint::hints(&error);
            PythonError::Resolver {
                platform,
                hints: hints.into_iter().map(|hint| text::hint(&hint)).collect(),
                source: Explanation::of(&error),
            }
        }
    }
}

pub(super) fn lookahead(
    error: uv_requirements::Error,
    indexes: &Indexes,
    platform: Platform,
) -> PythonError {
    match error {
        uv_requirements::Error::Dist(_, _, error) | uv_requirements::Error::Distribution(error) => {
            distribution(&error, indexes, platform)
        }
        error => other(&error, platform),
    }
}

fn distribution(
    error: &uv_distribution::Error,
    indexes: &Indexes,
    platform: Platform,
) -> PythonError {
    match error {
        uv_distribution::Error::Client(error) => client(error, indexes),
        uv_distribution::Error::NoBuildPackage(name) => PythonError::Unsupported {
            list: "requirements",
            text: name.to_string(),
            reason: Unsupported::SourceArchive,
        },
        error => other(error, platform),
    }
}

fn other(error: &dyn Error, platform: Platform) -> PythonError {
    PythonError::Resolver {
        platform,
        source: Explanation::of(error),
        hints: Vec::new(),
    }
}

fn no_solution(error: &NoSolutionError, indexes: &Indexes, platform: Platform) -> PythonError {
    let explanation = Explanation::of(error);
    let hints = uv_errors::Hint::hints(error).into_iter();
    let mut hints: Vec<_> = hints
        .map(|hint| indexes.with_names(&text::hint(&hint)))
        .collect();
    if hints.iter().any(|hint| hint.starts_with(OFFLINE_HINT)) {
        return PythonError::Offline { explanation };
    }
    if let Some(error) = refused(&hints, &explanation, indexes) {
        return error;
    }
    if explanation.text.contains(NOT_FOUND) {
        let names: Vec<_> = indexes.names().map(|name| format!("`{name}`")).collect();
        let names = names.join(", ");
        hints.push(format!(
            "check the spelling of what was not found, and whether it is in one of {names}"
        ));
    }
    PythonError::NoSolution {
        platform,
        explanation,
        hints,
        provided: Vec::new(),
    }
}

/// A registry that wants credentials looks to uv like one that lacks the project, with a hint.
fn refused(hints: &[String], explanation: &Explanation, indexes: &Indexes) -> Option<PythonError> {
    let (status, hint) = [401, 403].into_iter().find_map(|status| {
        let status_text = format!("{status} ");
        let hint = hints
            .iter()
            .find(|hint| hint.starts_with("An index") && hint.contains(status_text.as_str()))?;
        Some((status, hint))
    })?;
    let registry = indexes
        .names()
        .find(|name| hint.contains(&format!("`{name}`")));
    let (before, _) = explanation.text.split_once(NOT_FOUND)?;
    Some(PythonError::Registry {
        registry: registry.cloned(),
        item: before.split_whitespace().next_back()?.to_owned(),
        failure: RegistryFailure::Status(status),
        source: explanation.clone(),
    })
}

/// Names the registry and the item from the URL that failed: uv's error holds nothing else.
pub(super) fn client(error: &uv_client::Error, indexes: &Indexes) -> PythonError {
    let kind = error.kind();
    let (url, failure) = match kind {
        ErrorKind::WrappedReqwestError(url, wrapped) => {
            (url.to_string(), request_failure(wrapped.inner()))
        }
        ErrorKind::Offline(what) => (what.clone(), RegistryFailure::Offline),
        ErrorKind::BadJson { url, .. }
        | ErrorKind::BadHtml { url, .. }
        | ErrorKind::BadMessagePack { url, .. }
        | ErrorKind::MissingContentType(url)
        | ErrorKind::InvalidContentTypeHeader(url, _)
        | ErrorKind::UnsupportedMediaType(url, _)
        | ErrorKind::AsyncHttpRangeReader(url, _) => (url.to_string(), RegistryFailure::Malformed),
        ErrorKind::Flat(error) => return links(error, indexes),
        kind => (subject(kind), RegistryFailure::Malformed),
    };
    // Not `error` itself: it says how many seconds its retries took, and nothing else.
    failed(&url, failure, kind, indexes)
}

fn failed(
    url: &str,
    failure: RegistryFailure,
    cause: &dyn Error,
    indexes: &Indexes,
) -> PythonError {
    let parsed = url::Url::parse(url).ok();
    let asked = parsed.as_ref().and_then(|url| indexes.asked(url));
    let item = match (&asked, &parsed) {
        (Some((_, rest)), _) if !rest.is_empty() => (*rest).to_owned(),
        (_, Some(url)) => last_segment(url).unwrap_or_else(|| url.to_string()),
        (_, None) => url.to_owned(),
    };
    PythonError::Registry {
        registry: asked.map(|(registry, _)| registry.clone()),
        item,
        failure,
        source: Explanation::of(cause),
    }
}

/// A failure of a plain download.
pub(super) fn download(
    url: &url::Url,
    error: &(dyn Error + 'static),
    indexes: &Indexes,
) -> PythonError {
    let failure = request_failure(find(error));
    failed(url.as_str(), failure, error, indexes)
}

pub(super) fn links(error: &FlatIndexError, indexes: &Indexes) -> PythonError {
    let location = match error {
        FlatIndexError::FindLinksUrl(_, error) => return client(error, indexes),
        FlatIndexError::NonFileUrl(url) => Some((**url).clone()),
        FlatIndexError::FindLinksDirectory(path, _) | FlatIndexError::FindLinksFile(path, _) => {
            url::Url::from_file_path(path).ok()
        }
    };
    let asked = location.as_ref().and_then(|url| indexes.asked(url));
    let registry = asked
        .map(|(registry, _)| registry)
        .or_else(|| indexes.names().next());
    PythonError::Links {
        registry: registry
            .expect("there is always the default registry")
            .clone(),
        source: Explanation::of(error.source().unwrap_or(error)),
    }
}

fn request_failure(error: Option<&reqwest::Error>) -> RegistryFailure {
    match error {
        None => RegistryFailure::Unreachable,
        Some(error) => match error.status() {
            Some(status) => RegistryFailure::Status(status.as_u16()),
            None if error.is_timeout() => RegistryFailure::Timeout,
            None if error.is_body() || error.is_decode() => RegistryFailure::Truncated,
            None => RegistryFailure::Unreachable,
        },
    }
}

fn find<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a reqwest::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

fn subject(kind: &ErrorKind) -> String {
    match kind {
        ErrorKind::Metadata(wheel, _) | ErrorKind::MetadataParseError(_, wheel, _) => wheel.clone(),
        ErrorKind::Zip(wheel, _) => wheel.to_string(),
        ErrorKind::NameMismatch { given, .. } => given.to_string(),
        _ => "an index page".to_owned(),
    }
}

fn last_segment(url: &url::Url) -> Option<String> {
    let segment = url.path_segments()?.rfind(|segment| !segment.is_empty())?;
    Some(segment.to_owned())
}
