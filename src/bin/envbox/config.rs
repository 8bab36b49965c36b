//! The user's `config.toml`: where registries lie, who signs them, and how those of images are
//! spoken to.
//!
//! ```toml
//! # Where images of environments are.
//! images = "registry.example:5000/team/environments"
//! # Who is asked for downloads before their registries are.
//! mirror = "https://mirror.example/envbox"
//!
//! [registries]
//! pypi = "https://mirror.example/simple"
//! debian = { url = "https://mirror.example/debian", keyring = "mirror.asc" }
//!
//! [image-registries]
//! "registry.example:5000" = { transport = "http" }
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use envbox::base::{RegistryName, Transport};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};

/// What the file says.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// `[registries]`, by the names that locks use.
    #[serde(default)]
    pub(crate) registries: BTreeMap<RegistryName, Registry>,
    /// `images`.
    pub(crate) images: Option<String>,
    /// `mirror`; a relative path begins at the configuration file.
    pub(crate) mirror: Option<String>,
    /// `[image-registries]`, by `host` or `host:port`.
    #[serde(default, rename = "image-registries")]
    pub(crate) image_registries: BTreeMap<String, ImageRegistry>,
}

/// A registry of images.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ImageRegistry {
    /// How it is spoken to.
    pub(crate) transport: Transport,
}

/// A registry: its URL alone, or a table.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Registry {
    /// Where it lies; none leaves the default.
    pub(crate) url: Option<String>,
    /// The file of the keys that sign it; relative to the configuration file.
    pub(crate) keyring: Option<PathBuf>,
}

impl<'de> Deserialize<'de> for Registry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UrlOrTable)
    }
}

/// Not an untagged enum: that would lose which key of the table is wrong.
struct UrlOrTable;

impl<'de> Visitor<'de> for UrlOrTable {
    type Value = Registry;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a URL, or a table with `url` and `keyring`")
    }

    fn visit_str<E>(self, url: &str) -> Result<Registry, E> {
        Ok(Registry {
            url: Some(url.to_owned()),
            keyring: None,
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Registry, A::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Wire {
            url: Option<String>,
            keyring: Option<PathBuf>,
        }
        let Wire { url, keyring } = Wire::deserialize(MapAccessDeserializer::new(map))?;
        Ok(Registry { url, keyring })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_of_images_say_how_they_are_spoken_to() {
        let config: Config = toml::from_str(
            "[image-registries]\n\"a.test:5000\" = { transport = \"http\" }\n\
             \"localhost:5000\" = { transport = \"https\" }\n",
        )
        .unwrap();
        let transports = config.image_registries.values();
        assert_eq!(
            transports
                .map(|registry| registry.transport)
                .collect::<Vec<_>>(),
            [Transport::Http, Transport::Https]
        );
        for wrong in [
            "\"http\"",
            "{ transport = \"ftp\" }",
            "{ transport = \"http\", x = 1 }",
        ] {
            let text = format!("[image-registries]\na = {wrong}\n");
            assert!(toml::from_str::<Config>(&text).is_err(), "{wrong}");
        }
    }
}
