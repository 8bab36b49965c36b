//! Resolutions over small channels made by the tests, and over real ones.

mod bad;
mod bringing;
mod channels;
mod keeping;
mod locking;
pub(crate) mod making;
mod mixed;
mod real;
mod variants;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use tempfile::TempDir;

use crate::base::{Context, Platform};
use crate::lock::{LockedConda, LockedCondaPackage};
use crate::manifest::{ChannelPriority, Conda, CondaBase, CondaChannel, PythonVersion};
use crate::net::{ChannelPatience, ClientOptions, block_on_large_stack};
use crate::resolve::Upgrade;
use crate::resolve::conda::tests::making::{Package, write_channel};
use crate::resolve::conda::{Borne, CondaError, CondaSession, CondaTask, VirtualPackage, merged};
use crate::resolve::tests::report;

/// A resolution to try, with everything at a value that fits most tests.
struct Case {
    _store: TempDir,
    channels: Vec<TempDir>,
    context: Context,
    conda: Conda,
    python: Option<PythonVersion>,
    platform: Platform,
    declared: Vec<VirtualPackage>,
    borne: Vec<Borne>,
    previous: LockedConda,
    upgrade: Upgrade,
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

fn virtual_package(text: &str) -> VirtualPackage {
    let mut parts = text.split('=');
    let mut next = || parts.next().unwrap_or("0").to_owned();
    VirtualPackage {
        name: next().parse().unwrap(),
        version: next(),
        build: next(),
    }
}

impl Case {
    /// Asks for `dependencies` from no channel yet.
    fn new(dependencies: &[&str]) -> Self {
        let store = tempfile::tempdir().unwrap();
        Self {
            context: Context::new(store.path().to_owned(), Timestamp::UNIX_EPOCH),
            _store: store,
            channels: Vec::new(),
            conda: Conda {
                channels: Vec::new(),
                channel_priority: ChannelPriority::Strict,
                dependencies: owned(dependencies),
                constraints: Vec::new(),
                exclude_newer: None,
                virtual_packages: BTreeMap::new(),
                python_names: BTreeMap::new(),
                link_scripts: Vec::new(),
                base: CondaBase::Debian,
            },
            python: None,
            platform: Platform::LinuxAmd64,
            declared: ["__glibc=2.36", "__linux=5.12", "__unix=0"]
                .map(virtual_package)
                .to_vec(),
            borne: Vec::new(),
            previous: LockedConda::default(),
            upgrade: Upgrade::None,
        }
    }

    fn channel_at(mut self, name: &str, url: &str) -> Self {
        self.conda.channels.push(CondaChannel {
            name: name.parse().unwrap(),
            url: Some(url.to_owned()),
        });
        self
    }

    /// Adds a channel on this machine.
    fn channel(self, name: &str, packages: &[Package]) -> Self {
        self.channel_of(name, |directory| write_channel(directory, packages))
    }

    fn channel_of(mut self, name: &str, write: impl FnOnce(&Path)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path());
        let url = directory.path().display().to_string();
        self.channels.push(directory);
        self.channel_at(name, &url)
    }

    fn declare(mut self, text: &str) -> Self {
        let package = virtual_package(text);
        self.declared.retain(|other| other.name != package.name);
        self.declared.push(package);
        self
    }

    fn priority(mut self, priority: ChannelPriority) -> Self {
        self.conda.channel_priority = priority;
        self
    }

    fn open(&self) -> Result<CondaSession, CondaError> {
        let patience = ChannelPatience {
            retries: 0,
            waits: (Duration::ZERO, Duration::ZERO),
            options: ClientOptions {
                system_proxies: false,
                ..ClientOptions::default()
            },
        };
        CondaSession::open_patiently(&self.context, &self.conda.channels, &patience)
    }

    fn task(&self) -> CondaTask<'_> {
        CondaTask {
            conda: &self.conda,
            exclude_newer: self.conda.exclude_newer,
            python: self.python,
            platform: self.platform,
            virtual_packages: &self.declared,
            borne: &self.borne,
            previous: &self.previous,
            upgrade: &self.upgrade,
        }
    }

    fn resolve(&self) -> Result<Vec<LockedCondaPackage>, CondaError> {
        block_on_large_stack(|| async {
            let session = self.open()?;
            session.resolve(4, self.task()).await
        })
    }

    /// Solves without looking for sizes and digests; returns `name version build` texts, sorted.
    fn solution(&self) -> Result<Vec<String>, CondaError> {
        block_on_large_stack(|| async {
            let session = self.open()?;
            let solution = session.solve(self.task()).await?;
            let mut shown: Vec<_> = solution
                .records
                .iter()
                .map(|record| {
                    let package = &record.package_record;
                    let name = package.name.as_normalized();
                    format!("{name} {} {}", package.version, package.build)
                })
                .collect();
            shown.sort();
            Ok(shown)
        })
    }

    /// Returns the solution as `name version build` texts.
    fn pins(&self) -> Vec<String> {
        match self.resolve() {
            Ok(packages) => pins(&packages),
            Err(error) => panic!("{}", report(&error)),
        }
    }

    /// Returns the error as a user would see it.
    fn report(&self) -> String {
        match self.resolve() {
            Ok(packages) => panic!("{:?}", pins(&packages)),
            Err(error) => self.without_paths(&report(&error)),
        }
    }

    fn without_paths(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (number, channel) in self.channels.iter().enumerate() {
            let path = channel.path().display().to_string();
            text = text.replace(&path, &format!("CHANNEL{number}"));
        }
        text
    }

    /// Locks, and has the next resolution begin from that.
    fn lock(&mut self) -> Vec<String> {
        let packages = self.resolve().unwrap();
        let pins = pins(&packages);
        self.previous = merged(vec![(self.platform, self.declared.clone(), packages)]);
        pins
    }
}

fn pins(packages: &[LockedCondaPackage]) -> Vec<String> {
    let pin = |package: &LockedCondaPackage| {
        format!("{} {} {}", package.name, package.version, package.build)
    };
    packages.iter().map(pin).collect()
}
