//! rattler's gateway with everything that its own programs take from the environment given.

use std::collections::BTreeSet;

use rattler_conda_types::{Channel, MatchSpec, PackageName, Subdir};
use rattler_repodata_gateway::fetch::CacheAction;
use rattler_repodata_gateway::{
    ChannelConfig, ChannelRelationsMode, Gateway, RepoData, SourceConfig,
};
use reqwest_middleware::ClientWithMiddleware;

use crate::base::{CondaName, Context, Network, Platform};
use crate::manifest::CondaChannel;
use crate::net::{ChannelPatience, channel_client};
use crate::resolve::conda::channels::Channels;
use crate::resolve::conda::{CondaError, failure};

/// How many requests may be under way: as the Python resolver's client has.
const REQUESTS: usize = 50;

/// Some channels with a client and the cache of what they list.
pub struct CondaSession {
    pub(super) channels: Channels,
    pub(super) client: ClientWithMiddleware,
    gateway: Gateway,
}

impl CondaSession {
    /// Opens the cache in the store and makes a client for `channels`.
    ///
    /// # Errors
    /// Returns [`CondaError::Net`] when certificates or credentials cannot be read, or a channel has
    /// no place.
    pub fn open(context: &Context, channels: &[CondaChannel]) -> Result<Self, CondaError> {
        Self::open_patiently(context, channels, &ChannelPatience::default())
    }

    pub(super) fn open_patiently(
        context: &Context,
        channels: &[CondaChannel],
        patience: &ChannelPatience,
    ) -> Result<Self, CondaError> {
        let channels = Channels::of(context, channels)?;
        let client = channel_client(context, patience)?;
        let cache_action = match context.network {
            Network::Online => CacheAction::CacheOrFetch,
            Network::Offline => CacheAction::ForceCacheOnly,
        };
        let config = ChannelConfig {
            default: SourceConfig {
                cache_action,
                ..SourceConfig::default()
            },
            ..ChannelConfig::default()
        };
        let cache = context.store.join("index").join("conda").join("repodata");
        let gateway = Gateway::builder()
            .with_client(client.clone())
            .with_cache_dir(cache)
            .with_channel_config(config)
            .with_max_concurrent_requests(REQUESTS)
            .finish();
        Ok(Self {
            channels,
            client,
            gateway,
        })
    }

    /// Returns what the channels list for `platform` of the packages that `specs` name and of all
    /// that those may need.
    ///
    /// # Errors
    /// Names the channel that could not be asked or understood.
    pub(super) async fn records(
        &self,
        platform: Platform,
        specs: &[MatchSpec],
    ) -> Result<Vec<RepoData>, CondaError> {
        let sources: Vec<Channel> = self.channels.iter().map(|(_, c)| c.clone()).collect();
        let subdirs = [subdir(platform), Subdir::NoArch];
        let query = self
            .gateway
            .query(sources, subdirs, specs.to_vec())
            .recursive(true)
            // A channel is asked when the manifest names it, not when another one does (CEP 42).
            .channel_relations(ChannelRelationsMode::Disabled);
        match query.execute().await {
            Ok(found) => Ok(found.repodata),
            Err(error) => Err(self.blame(error, platform).await),
        }
    }

    /// Returns the versions of the package `name` that the channels have for `platform`, the oldest
    /// first.
    ///
    /// # Errors
    /// As [`CondaSession::resolve`].
    pub async fn versions(
        &self,
        platform: Platform,
        name: &CondaName,
    ) -> Result<Vec<String>, CondaError> {
        let sources: Vec<Channel> = self.channels.iter().map(|(_, c)| c.clone()).collect();
        let subdirs = [subdir(platform), Subdir::NoArch];
        let spec = MatchSpec::from(PackageName::new_unchecked(name.as_str()));
        let query = self
            .gateway
            .query(sources, subdirs, [spec])
            .channel_relations(ChannelRelationsMode::Disabled);
        let found = match query.execute().await {
            Ok(found) => found,
            Err(error) => return Err(self.blame(error, platform).await),
        };
        let records = found.repodata.iter().flat_map(RepoData::iter);
        let versions: BTreeSet<_> = records
            .map(|record| &record.package_record.version)
            .collect();
        Ok(versions
            .iter()
            .map(|version| version.as_str().into_owned())
            .collect())
    }

    /// Finds the channel that a query failed of. The gateway has the others' answers still.
    async fn blame(
        &self,
        error: rattler_repodata_gateway::GatewayError,
        platform: Platform,
    ) -> CondaError {
        for (name, channel) in self.channels.iter() {
            for subdir in [Subdir::NoArch, subdir(platform)] {
                let names = self
                    .gateway
                    .names([channel.clone()], [subdir])
                    .channel_relations(ChannelRelationsMode::Disabled);
                if let Err(error) = names.execute().await {
                    return failure::gateway(error, name, subdir.as_str());
                }
            }
        }
        let (name, _) = self
            .channels
            .iter()
            .next()
            .expect("a manifest names a channel at least");
        failure::gateway(error, name, subdir(platform).as_str())
    }
}

pub(super) fn subdir(platform: Platform) -> Subdir {
    match platform {
        Platform::LinuxAmd64 => Subdir::Linux64,
        Platform::LinuxArm64 => Subdir::LinuxAarch64,
    }
}
