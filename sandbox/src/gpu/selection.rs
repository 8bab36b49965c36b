//! Which GPUs a step gets: the words of a user → names. Pure; what a host makes of the names is
//! `chosen.rs`.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// Which GPUs a step gets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub enum Selection {
    /// All that can be used.
    #[default]
    All,
    /// These, in this order.
    These(Vec<Name>),
}

/// A name of a GPU or of a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// `0`: counted from zero in the order of the bus, as `nvidia-smi` counts.
    Index(usize),
    /// `0:1`: a MIG instance, counted from zero in the order of its GPU instance and its compute
    /// instance.
    Instance {
        /// The GPU.
        card: usize,
        /// The instance.
        instance: usize,
    },
    /// `GPU-…`: an identity, or a beginning of one that no other GPU has.
    Uuid(String),
    /// `MIG-GPU-…/1/0`: a GPU's identity, the number of the GPU instance and of the compute
    /// instance in it, as drivers before 470 named them.
    InstanceOf {
        /// The GPU's identity.
        uuid: String,
        /// The number of the GPU instance.
        gpu_instance: u32,
        /// The number of the compute instance.
        compute_instance: u32,
    },
    /// `MIG-…`: an instance's identity.
    MigUuid(String),
    /// `0000:04:00.0`: a place on the bus.
    Address(String),
}

/// A word that names no GPU on any host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` names no GPU: `all`, or with commas between them `0`, `0:1` (a MIG instance), \
     `GPU-…`, `MIG-GPU-…/1/0` and `0000:04:00.0` do"
)]
pub struct SelectionError {
    text: String,
}

impl Selection {
    /// Returns the identities of MIG instances in it, without `MIG-`.
    pub fn instances(&self) -> impl Iterator<Item = &str> {
        let names = match self {
            Selection::All => &[][..],
            Selection::These(names) => names,
        };
        names.iter().filter_map(|name| match name {
            Name::MigUuid(text) => text.strip_prefix("MIG-"),
            _ => None,
        })
    }
}

impl FromStr for Selection {
    type Err = SelectionError;

    fn from_str(text: &str) -> Result<Selection, SelectionError> {
        match text.trim() {
            "all" => Ok(Selection::All),
            text => {
                let names: Result<_, _> = text.split(',').map(str::parse).collect();
                names.map(Selection::These)
            }
        }
    }
}

impl FromStr for Name {
    type Err = SelectionError;

    fn from_str(text: &str) -> Result<Name, SelectionError> {
        let text = text.trim();
        let name = if let Some(rest) = text.strip_prefix("MIG-") {
            mig(text, rest)
        } else if text.starts_with("GPU-") {
            is_identity(text, "GPU-").then(|| Name::Uuid(text.to_owned()))
        } else if text.contains('.') {
            address(text).map(Name::Address)
        } else {
            match text.split_once(':') {
                None => number(text).map(Name::Index),
                Some((card, instance)) => number(card)
                    .zip(number(instance))
                    .map(|(card, instance)| Name::Instance { card, instance }),
            }
        };
        name.ok_or_else(|| SelectionError {
            text: text.to_owned(),
        })
    }
}

fn mig(text: &str, rest: &str) -> Option<Name> {
    if !rest.starts_with("GPU-") {
        return is_identity(text, "MIG-").then(|| Name::MigUuid(text.to_owned()));
    }
    let mut parts = rest.split('/');
    let (uuid, gpu_instance) = (parts.next()?, parts.next()?);
    let (compute_instance, end) = (parts.next()?, parts.next());
    let whole = end.is_none() && is_identity(uuid, "GPU-");
    Some(Name::InstanceOf {
        uuid: whole.then(|| uuid.to_owned())?,
        gpu_instance: number(gpu_instance)?,
        compute_instance: number(compute_instance)?,
    })
}

/// Returns whether something of an identity is behind a prefix.
fn is_identity(text: &str, prefix: &str) -> bool {
    let rest = text.strip_prefix(prefix).unwrap_or_default();
    let digit = |byte: u8| byte.is_ascii_hexdigit() || byte == b'-';
    !rest.is_empty() && rest.bytes().all(digit)
}

fn number<T: FromStr>(text: &str) -> Option<T> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

/// Returns a place on the bus as the kernel writes it; `nvidia-smi` has eight digits of a domain,
/// and people leave it out.
pub(super) fn address(text: &str) -> Option<String> {
    let (rest, function) = text.rsplit_once('.')?;
    let mut parts = rest.rsplit(':');
    let (device, bus) = (parts.next()?, parts.next()?);
    let (domain, end) = (parts.next().unwrap_or("0"), parts.next());
    let hex = |text: &str| {
        let digits = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        u32::from_str_radix(text, 16).ok().filter(|_| digits)
    };
    let (domain, bus) = (hex(domain)?, hex(bus)?);
    let (device, function) = (hex(device)?, hex(function)?);
    let fits = bus <= 0xff && device <= 0x1f && function <= 7 && end.is_none();
    fits.then(|| format!("{domain:04x}:{bus:02x}:{device:02x}.{function:x}"))
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Selection::All => f.write_str("all"),
            Selection::These(names) => {
                for (index, name) in names.iter().enumerate() {
                    let comma = if index == 0 { "" } else { "," };
                    write!(f, "{comma}{name}")?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Name::Index(index) => write!(f, "{index}"),
            Name::Instance { card, instance } => write!(f, "{card}:{instance}"),
            Name::Uuid(text) | Name::MigUuid(text) | Name::Address(text) => f.write_str(text),
            Name::InstanceOf {
                uuid,
                gpu_instance,
                compute_instance,
            } => write!(f, "MIG-{uuid}/{gpu_instance}/{compute_instance}"),
        }
    }
}

impl From<Selection> for String {
    fn from(selection: Selection) -> String {
        selection.to_string()
    }
}
