//! Resolutions over small indexes made by the tests.

mod choice;
mod failures;
mod indexes;
mod locating;
pub(crate) mod making;
mod missing;
mod packse;
mod pinned;
mod provided;
mod sources;

use std::time::Duration;

use jiff::Timestamp;
use tempfile::TempDir;

use crate::base::{Context, Network, Platform};
use crate::lock::LockedWheel;
use crate::manifest::{NamedUrl, Python};
use crate::net::block_on_large_stack;
use crate::net::tests::http;
use crate::resolve::python::session::Patience;
use crate::resolve::python::solve::resolve_patiently;
use crate::resolve::python::{
    Building, Provided, ProvidedDistribution, PythonError, PythonRequest, Resolved,
};
use crate::resolve::tests::report;
use crate::resolve::{Pins, Upgrade};

/// A resolution to try, with everything at a value that fits most tests.
struct Case {
    _store: TempDir,
    context: Context,
    python: Python,
    version: String,
    platform: Platform,
    glibc: (u16, u16),
    siblings: Vec<LockedWheel>,
    previous: Vec<LockedWheel>,
    upgrade: Upgrade,
    pins: Pins,
    patience: Patience,
    provided: Provided,
    building: Option<Building>,
}

impl Case {
    /// Asks for `requirements` from the index at `url`.
    fn new(url: &str, requirements: &[&str]) -> Self {
        let store = tempfile::tempdir().unwrap();
        Self {
            context: Context::new(store.path().to_owned(), Timestamp::UNIX_EPOCH),
            _store: store,
            python: Python {
                requirements: owned(requirements),
                index_url: Some(url.to_owned()),
                no_build: true,
                ..Python::default()
            },
            version: "3.11.2".to_owned(),
            platform: Platform::LinuxAmd64,
            glibc: (2, 36),
            siblings: Vec::new(),
            previous: Vec::new(),
            upgrade: Upgrade::None,
            pins: Pins::default(),
            patience: Patience {
                retries: 1,
                back_off: false,
                ..Patience::default()
            },
            provided: Provided::default(),
            building: None,
        }
    }

    /// Has conda packages bring distributions, `name==version`.
    fn provided(mut self, pins: &[&str]) -> Self {
        for pin in pins {
            let (name, version) = pin.split_once("==").unwrap();
            let distribution = ProvidedDistribution {
                version: version.to_owned(),
                others: Vec::new(),
                metadata: None,
            };
            self.provided.insert(name.parse().unwrap(), distribution);
        }
        self
    }

    fn constraints(mut self, constraints: &[&str]) -> Self {
        self.python.constraints = owned(constraints);
        self
    }

    fn overrides(mut self, overrides: &[&str]) -> Self {
        self.python.overrides = owned(overrides);
        self
    }

    fn extra_index(mut self, name: &str, url: &str) -> Self {
        self.python.extra_indexes.push(named(name, url));
        self
    }

    fn find_links(mut self, name: &str, url: &str) -> Self {
        self.python.find_links.push(named(name, url));
        self
    }

    fn offline(mut self) -> Self {
        self.context.network = Network::Offline;
        self
    }

    fn read_timeout(mut self, timeout: Duration) -> Self {
        self.patience.read = timeout;
        self.patience.retries = 0;
        self
    }

    fn resolve(&self) -> Result<Vec<LockedWheel>, PythonError> {
        match self.resolved()? {
            Resolved::Wheels(wheels) => Ok(wheels),
            Resolved::Extras(names) => panic!("the extras of {names:?} are not known"),
        }
    }

    fn resolved(&self) -> Result<Resolved, PythonError> {
        block_on_large_stack(|| {
            resolve_patiently(
                &self.context,
                PythonRequest {
                    python: &self.python,
                    python_version: &self.version,
                    platform: self.platform,
                    glibc: self.glibc,
                    siblings: &self.siblings,
                    previous: &self.previous,
                    upgrade: &self.upgrade,
                    pins: &self.pins,
                    provided: &self.provided,
                    building: self.building.as_ref(),
                },
                self.patience,
            )
        })
    }

    /// Returns the solution as `name==version` texts.
    fn pins(&self) -> Vec<String> {
        match self.resolve() {
            Ok(wheels) => pins(&wheels),
            Err(error) => panic!("{}", report(&error)),
        }
    }

    /// Returns the error as a user would see it.
    fn report(&self) -> String {
        match self.resolve() {
            Ok(wheels) => panic!("{:?}", pins(&wheels)),
            Err(error) => report(&error),
        }
    }
}

fn pins(wheels: &[LockedWheel]) -> Vec<String> {
    let pin = |wheel: &LockedWheel| format!("{}=={}", wheel.name, wheel.version);
    wheels.iter().map(pin).collect()
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

fn named(name: &str, url: &str) -> NamedUrl {
    NamedUrl {
        name: name.parse().unwrap(),
        url: url.to_owned(),
    }
}
