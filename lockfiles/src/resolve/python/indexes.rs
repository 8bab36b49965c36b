//! Where the registries of a resolution lie, and which registry an index is.

use std::path::Path;

use url::Url;
use uv_distribution_types::{Index, IndexLocations, IndexUrl, PYPI_URL};

use crate::base::{Context, RegistryName};
use crate::manifest::{NamedUrl, Python};
use crate::resolve::python::PythonError;

/// The name of the default registry.
const DEFAULT: &str = "pypi";

/// The indexes to ask, in uv's form, and their names in the lock.
#[derive(Debug, Clone)]
pub(super) struct Indexes {
    pub(super) locations: IndexLocations,
    names: Vec<(IndexUrl, RegistryName)>,
}

impl Indexes {
    /// Returns the registries of `python`: its extra indexes in their order, the default one
    /// last, and its find-links.
    ///
    /// # Errors
    /// Returns [`PythonError::Location`] for a location that is no URL and no absolute path.
    pub(super) fn of(context: &Context, python: &Python) -> Result<Self, PythonError> {
        let default = NamedUrl {
            name: default_name(),
            url: python
                .index_url
                .clone()
                .unwrap_or_else(|| PYPI_URL.to_string()),
        };
        let default = named(context, &default)?;
        let extra = python
            .extra_indexes
            .iter()
            .map(|index| named(context, index));
        let extra = extra.collect::<Result<Vec<_>, _>>()?;
        let links = python.find_links.iter().map(|links| named(context, links));
        let links = links.collect::<Result<Vec<_>, _>>()?;

        // Of a directory that is not there uv only says that it lacks the first project.
        for (url, name) in extra.iter().chain([&default]) {
            require_directory(url, name)?;
        }
        let mut simple = Vec::new();
        for (url, _) in &extra {
            simple.push(Index::from_extra_index_url(url.clone()));
        }
        simple.push(Index::from_index_url(default.0.clone()));
        let flat = links
            .iter()
            .map(|(url, _)| Index::from_find_links(url.clone()));
        Ok(Self {
            locations: IndexLocations::new(simple, flat.collect(), false),
            names: links.into_iter().chain(extra).chain([default]).collect(),
        })
    }

    /// Returns the registry called `name` alone, as both kinds of index.
    ///
    /// # Errors
    /// Returns [`PythonError::Unconfigured`] for a registry without a location, and as
    /// [`Indexes::of`] does.
    pub(super) fn only(context: &Context, name: &RegistryName) -> Result<Self, PythonError> {
        let configured = context.registries.get(name).cloned();
        let url = configured
            .or_else(|| (name.as_str() == DEFAULT).then(|| PYPI_URL.to_string()))
            .ok_or_else(|| PythonError::Unconfigured {
                registry: name.clone(),
            })?;
        let url = index_url(name, &url)?;
        Ok(Self {
            locations: IndexLocations::new(
                vec![Index::from_index_url(url.clone())],
                vec![Index::from_find_links(url.clone())],
                false,
            ),
            names: vec![(url, name.clone())],
        })
    }

    /// Returns where the index lies that another tool's lockfile calls `url`, if it is one of
    /// those that `python` names.
    pub(super) fn located(&self, python: &Python, url: &str) -> Option<&IndexUrl> {
        let same = |known: &str| known.trim_end_matches('/') == url.trim_end_matches('/');
        let default = python.index_url.as_deref();
        if same(default.unwrap_or(PYPI_URL.as_str())) {
            return self.url(&default_name());
        }
        let extra = python.extra_indexes.iter().find(|index| same(&index.url))?;
        self.url(&extra.name)
    }

    /// Returns the name of the registry at `index`.
    pub(super) fn name(&self, index: &IndexUrl) -> Option<&RegistryName> {
        let bare = index.without_credentials();
        self.names
            .iter()
            .find(|(url, _)| url == index || url.without_credentials() == bare)
            .map(|(_, name)| name)
    }

    /// Returns the location of the registry called `name`.
    pub(super) fn url(&self, name: &RegistryName) -> Option<&IndexUrl> {
        self.names
            .iter()
            .find(|(_, known)| known == name)
            .map(|(url, _)| url)
    }

    /// Returns the registry that `url` was asked of, and the part of the path below it.
    pub(super) fn asked<'a>(&self, url: &'a Url) -> Option<(&RegistryName, &'a str)> {
        self.names.iter().find_map(|(index, name)| {
            let root = index.url().path().trim_end_matches('/');
            let same_host = index.url().host_str() == url.host_str()
                && index.url().port_or_known_default() == url.port_or_known_default();
            let rest = url.path().strip_prefix(root).filter(|_| same_host)?;
            (rest.is_empty() || rest.starts_with('/')).then(|| (name, rest.trim_matches('/')))
        })
    }

    /// Returns `text` with names of registries in place of their locations.
    pub(super) fn with_names(&self, text: &str) -> String {
        self.names
            .iter()
            .fold(text.to_owned(), |text, (url, name)| {
                text.replace(url.without_credentials().as_str(), &format!("`{name}`"))
            })
    }

    /// Returns the names of all registries in the order they are asked.
    pub(super) fn names(&self) -> impl Iterator<Item = &RegistryName> {
        self.names.iter().map(|(_, name)| name)
    }
}

fn default_name() -> RegistryName {
    DEFAULT
        .parse()
        .expect("the default registry's name is valid")
}

fn named(context: &Context, index: &NamedUrl) -> Result<(IndexUrl, RegistryName), PythonError> {
    let url = context.registries.get(&index.name).unwrap_or(&index.url);
    Ok((index_url(&index.name, url)?, index.name.clone()))
}

fn require_directory(url: &IndexUrl, name: &RegistryName) -> Result<(), PythonError> {
    match url.to_file_path() {
        Ok(path) if url.scheme() == "file" && !path.is_dir() => Err(PythonError::NoDirectory {
            registry: name.clone(),
            path,
        }),
        _ => Ok(()),
    }
}

fn index_url(name: &RegistryName, text: &str) -> Result<IndexUrl, PythonError> {
    let invalid = |source| PythonError::Location {
        registry: name.clone(),
        url: text.to_owned(),
        source,
    };
    // uv would complete a relative path with the working directory, which is not ours to read.
    if !Path::new(text).is_absolute() {
        Url::parse(text).map_err(|source| invalid(Box::new(source)))?;
    }
    IndexUrl::parse(text, None).map_err(|source| invalid(Box::new(source)))
}
