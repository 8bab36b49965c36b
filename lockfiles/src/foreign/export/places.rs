//! Where artifacts lie for whoever exports.

use std::collections::BTreeMap;

use futures::StreamExt as _;
use url::Url;

use crate::base::{Context, Digest, Platform, RegistryName};
use crate::foreign::export::ExportError;
use crate::foreign::export::text::installed;
use crate::lock::{LockedCondaPackage, LockedWheel, Lockfile, Origin};
use crate::manifest::CondaChannel;
use crate::net::{block_on_large_stack, channel_url, registry_url};
use crate::resolve::conda::CondaSession;
use crate::resolve::python::WheelLocator;

/// Where the registries of a context have their files.
pub(super) struct Places<'a> {
    context: &'a Context,
}

impl<'a> Places<'a> {
    pub(super) fn new(context: &'a Context) -> Self {
        Self { context }
    }

    pub(super) fn context(&self) -> &'a Context {
        self.context
    }

    /// Returns where the registry `name` lies, without a password.
    pub(super) fn registry(&self, name: &RegistryName) -> Result<Url, ExportError> {
        Ok(open(registry_url(self.context, name)?))
    }

    /// Returns where the channel `name` lies, without a password.
    pub(super) fn channel(&self, name: &RegistryName) -> Result<Url, ExportError> {
        Ok(open(channel_url(self.context, name)?))
    }

    /// Returns the MD5 of packages by their SHA-256, as far as the channels of `lock` list it.
    pub(super) fn md5(
        &self,
        lock: &Lockfile,
        platform: Platform,
        packages: &[&LockedCondaPackage],
    ) -> Result<BTreeMap<Digest, String>, ExportError> {
        let channels = lock.request.conda.iter().flat_map(|conda| &conda.channels);
        let channels: Vec<_> = channels
            .map(|name| CondaChannel {
                name: name.clone(),
                url: None,
            })
            .collect();
        let context = self.context;
        let found = block_on_large_stack(move || async move {
            let session = CondaSession::open(context, &channels)?;
            session.md5(platform, packages).await
        });
        Ok(found?)
    }

    /// Returns the URL of each of `wheels`, without a password, in their order.
    pub(super) fn wheels(&self, wheels: &[&LockedWheel]) -> Result<Vec<String>, ExportError> {
        let context = self.context;
        let found: Vec<Result<String, ExportError>> = block_on_large_stack(move || async move {
            let locator = &WheelLocator::new(context);
            let all = wheels.iter().map(|wheel| place(locator, wheel));
            let buffered = futures::stream::iter(all).buffered(context.jobs.max(1));
            buffered.collect().await
        });
        found.into_iter().collect()
    }
}

async fn place(locator: &WheelLocator, wheel: &LockedWheel) -> Result<String, ExportError> {
    let artifact = installed(wheel);
    match &artifact.origin {
        Origin::Url(url) => Ok(url.clone()),
        Origin::Built => unreachable!("what is built has a source that is not"),
        Origin::Registry(registry) => {
            let file = &artifact.file;
            let url = locator.locate(registry, &wheel.name, file).await?;
            Ok(open(url).to_string())
        }
    }
}

/// A password does not belong into a file that others get.
fn open(mut url: Url) -> Url {
    // Fails only for URLs that cannot have a user name, and those have none.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    // A digest behind a `#` is said in the format's own words.
    url.set_fragment(None);
    url
}
