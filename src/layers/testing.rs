//! Archives for tests, among them such that no honest tool would write.

use std::path::Path;

use crate::layers::{LayerError, Limits};
use crate::store::TreeManifest;

/// A member of a tar archive, with tar's letter for its type.
pub(crate) struct TarMember<'a> {
    pub name: &'a [u8],
    pub kind: u8,
    pub mode: u32,
    pub link: &'a [u8],
    pub content: &'a [u8],
}

pub(crate) fn file<'a>(name: &'a str, content: &'a [u8]) -> TarMember<'a> {
    TarMember {
        name: name.as_bytes(),
        kind: b'0',
        mode: 0o644,
        link: b"",
        content,
    }
}

pub(crate) fn directory(name: &str, mode: u32) -> TarMember<'_> {
    TarMember {
        name: name.as_bytes(),
        kind: b'5',
        mode,
        link: b"",
        content: b"",
    }
}

pub(crate) fn link<'a>(kind: u8, name: &'a str, target: &'a str) -> TarMember<'a> {
    TarMember {
        name: name.as_bytes(),
        kind,
        mode: 0o777,
        link: target.as_bytes(),
        content: b"",
    }
}

/// Writes a tar archive (POSIX ustar) without any check.
pub(crate) fn tar(members: &[TarMember<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for member in members {
        let mut header = [0u8; 512];
        let mut put = |at: usize, field: &[u8]| header[at..at + field.len()].copy_from_slice(field);
        put(0, member.name);
        put(100, format!("{:07o}\0", member.mode).as_bytes());
        put(108, b"0000000\x000000000\0");
        put(124, format!("{:011o}\0", member.content.len()).as_bytes());
        put(136, b"00000000000\0        ");
        put(156, &[member.kind]);
        put(157, member.link);
        put(257, b"ustar\x0000");
        let sum: u32 = header.iter().copied().map(u32::from).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        bytes.extend_from_slice(&header);
        bytes.extend_from_slice(member.content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

/// Writes an `ar` archive.
pub(crate) fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = b"!<arch>\n".to_vec();
    for (name, content) in members {
        let size = content.len();
        bytes.extend_from_slice(
            format!("{name:<16}0           0     0     100644  {size:<10}`\n").as_bytes(),
        );
        bytes.extend_from_slice(content);
        if size % 2 == 1 {
            bytes.push(b'\n');
        }
    }
    bytes
}

/// Writes a `.deb` of the package `example` with these control files beside `control`.
pub(crate) fn deb(control: &[(&str, &str)], data: &[TarMember<'_>]) -> Vec<u8> {
    let stanza = "Package: example\nVersion: 1\nArchitecture: amd64\n";
    let mut members = vec![file("./control", stanza.as_bytes())];
    members.extend(
        control
            .iter()
            .map(|(name, text)| file(name, text.as_bytes())),
    );
    ar(&[
        ("debian-binary", b"2.0\n"),
        ("control.tar", &tar(&members)),
        ("data.tar", &tar(data)),
    ])
}

/// Writes a zip archive of stored members: name, mode, content. `name` in the table of contents
/// may differ from the member's own after a `|`.
pub(crate) fn zip(members: &[(&str, u32, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut directory = Vec::new();
    for (names, mode, content) in members {
        let (name, own) = names.split_once('|').unwrap_or((names, names));
        let mut crc = flate2::Crc::new();
        crc.update(content);
        let size = u32::try_from(content.len()).unwrap().to_le_bytes();
        let length = |name: &str| u16::try_from(name.len()).unwrap().to_le_bytes();
        let common = [[0; 4], crc.sum().to_le_bytes(), size, size].concat();
        let offset = u32::try_from(bytes.len()).unwrap().to_le_bytes();
        bytes.extend([b"PK\x03\x04".as_slice(), &[20, 0, 0, 0, 0, 0], &common].concat());
        bytes.extend([&length(own)[..], &[0, 0], own.as_bytes(), content].concat());
        directory.extend(
            [
                b"PK\x01\x02".as_slice(),
                &[20, 3, 20, 0, 0, 0, 0, 0],
                &common,
            ]
            .concat(),
        );
        directory.extend([&length(name)[..], &[0; 8]].concat());
        directory.extend([&(mode << 16).to_le_bytes()[..], &offset, name.as_bytes()].concat());
    }
    let count = u16::try_from(members.len()).unwrap().to_le_bytes();
    let offset = u32::try_from(bytes.len()).unwrap().to_le_bytes();
    let size = u32::try_from(directory.len()).unwrap().to_le_bytes();
    bytes.extend(directory);
    bytes.extend(
        [
            b"PK\x05\x06".as_slice(),
            &[0; 4],
            &count,
            &count,
            &size,
            &offset,
            &[0, 0],
        ]
        .concat(),
    );
    bytes
}

/// Unpacks `archive` in a new directory, hands it to `look` and returns the list.
pub(crate) fn unpacked(
    archive: &[u8],
    unpack: impl FnOnce(&Path, &Path, Limits) -> Result<TreeManifest, LayerError>,
    look: impl FnOnce(&Path),
) -> Result<TreeManifest, LayerError> {
    let directory = tempfile::tempdir().unwrap();
    let (file, tree) = (
        directory.path().join("archive"),
        directory.path().join("tree"),
    );
    std::fs::write(&file, archive).unwrap();
    std::fs::create_dir(&tree).unwrap();
    let limits = Limits {
        entries: 1000,
        bytes: 1 << 20,
        expansion: 100,
        allowance: 100_000,
    };
    let unpacked = unpack(&file, &tree, limits);
    if let Ok(manifest) = &unpacked {
        assert_eq!(
            manifest,
            &TreeManifest::of(&tree).unwrap(),
            "the list is not the tree"
        );
        look(&tree);
    }
    let outside: Vec<_> = std::fs::read_dir(directory.path()).unwrap().collect();
    assert_eq!(outside.len(), 2, "something was written beside the tree");
    unpacked
}
