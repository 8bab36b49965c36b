//! The control member of a `.deb`.

use std::collections::BTreeMap;
use std::io::Read;

use crate::layers::LayerError;
use crate::layers::path::EntryPath;

/// The longest file of a control archive that is read: the longest in Debian are lists of
/// checksums of some megabytes.
const FILE_LIMIT: u64 = 64 << 20;

/// The files of a control archive that matter here.
#[derive(Debug, Default)]
pub(super) struct Control {
    files: BTreeMap<String, Vec<u8>>,
}

impl Control {
    /// Reads the tar stream of a control archive.
    pub(super) fn read(stream: impl Read) -> Result<Self, LayerError> {
        let mut control = Self::default();
        for entry in tar::Archive::new(stream).entries()? {
            let entry = entry?;
            if !entry.header().entry_type().is_file() {
                continue;
            }
            let name = entry.path_bytes().into_owned();
            let path = EntryPath::parse(&name).map_err(|fault| LayerError::Name {
                member: String::from_utf8_lossy(&name).into_owned(),
                fault,
            })?;
            let Some(path) = path else { continue };
            let member = path.display();
            let mut content = Vec::new();
            entry.take(FILE_LIMIT).read_to_end(&mut content)?;
            if control.files.insert(member.clone(), content).is_some() {
                return Err(LayerError::Duplicate { member });
            }
        }
        Ok(control)
    }

    /// Returns a file's bytes.
    pub(super) fn file(&self, name: &str) -> Option<&[u8]> {
        self.files.get(name).map(Vec::as_slice)
    }

    /// Returns the stanza that describes the package.
    pub(super) fn stanza(&self) -> Result<&[u8], LayerError> {
        self.file("control").ok_or_else(|| LayerError::Missing {
            member: "control".to_owned(),
        })
    }

    /// Returns a field of the stanza.
    pub(super) fn field(&self, name: &str) -> Result<String, LayerError> {
        let stanza = String::from_utf8_lossy(self.stanza()?);
        let value = stanza.lines().find_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then(|| value.trim())
        });
        value.map(str::to_owned).ok_or(LayerError::Malformed {
            reason: "`control` lacks a field",
        })
    }
}
