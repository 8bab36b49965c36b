//! Channels as other tools name them.

use std::path::PathBuf;

use rattler_conda_types::{Channel, ChannelConfig};

use crate::base::RegistryName;
use crate::foreign::outline::OutlineChannel;

/// Returns the channel that `text`, a name or a URL, stands for: one that lies where channels lie
/// by default is known by its name alone.
pub(super) fn channel(text: &str) -> OutlineChannel {
    let config = ChannelConfig::default_with_root_dir(PathBuf::from("/"));
    let Ok(channel) = Channel::from_str(text, &config) else {
        return OutlineChannel {
            name: text.to_owned(),
            url: None,
        };
    };
    let url = channel.base_url.as_str().trim_end_matches('/').to_owned();
    let name = channel.name().trim_matches('/').to_owned();
    let by_default = url.strip_prefix(config.channel_alias.as_str().trim_end_matches('/'));
    let is_default = by_default.is_some_and(|path| path.trim_matches('/') == name);
    match is_default && name.parse::<RegistryName>().is_ok() {
        true => OutlineChannel { name, url: None },
        false => OutlineChannel {
            name: registry_name(&name),
            url: Some(url),
        },
    }
}

/// Returns a name of a registry that is as much like `text` as the rules allow.
fn registry_name(text: &str) -> String {
    let last = text.trim_end_matches('/').rsplit("://").next();
    let name: String = last
        .unwrap_or_default()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    match name.trim_start_matches(|c: char| !c.is_ascii_alphabetic()) {
        "" => "channel".to_owned(),
        name => name.to_owned(),
    }
}
