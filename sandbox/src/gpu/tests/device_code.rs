//! Libraries with code for GPUs, whole and broken.

use std::io;

use proptest::prelude::*;

use super::elf;
use crate::gpu::device_code::read;
use crate::gpu::{Capability, DeviceCode};

const PTX: u16 = 1;
const NATIVE: u16 = 2;

/// An entry with a head of some size, for a GPU.
fn entry(kind: u16, gpu: u32, head: u32) -> Vec<u8> {
    let mut bytes = kind.to_le_bytes().to_vec();
    bytes.extend(0x101_u16.to_le_bytes());
    bytes.extend(head.to_le_bytes());
    bytes.extend(24_u64.to_le_bytes());
    bytes.resize(28, 0);
    bytes.extend(gpu.to_le_bytes());
    bytes.resize(head as usize + 24, 0xAA);
    bytes
}

/// A fat binary of entries.
fn fat(entries: &[Vec<u8>]) -> Vec<u8> {
    let entries = entries.concat();
    let mut bytes = 0xBA55_ED50_u32.to_le_bytes().to_vec();
    bytes.extend(1_u16.to_le_bytes());
    bytes.extend(16_u16.to_le_bytes());
    bytes.extend((entries.len() as u64).to_le_bytes());
    bytes.extend(entries);
    bytes
}

/// A library with a section of some content.
fn library(content: &[u8]) -> Vec<u8> {
    let mut bytes = elf(2);
    let names = b"\0.nv_fatbin\0.names\0";
    let (names_at, content_at) = (64, 64 + names.len() as u64);
    bytes.extend(names);
    bytes.extend(content);
    let table = bytes.len() as u64;
    bytes[40..48].copy_from_slice(&table.to_le_bytes());
    (bytes[58], bytes[60], bytes[62]) = (64, 3, 2);
    for (name, at, size) in [
        (0, 0, 0),
        (1, content_at, content.len() as u64),
        (12, names_at, names.len() as u64),
    ] {
        let start = bytes.len();
        bytes.extend(u32::to_le_bytes(name));
        bytes.resize(start + 24, 0);
        bytes.extend(u64::to_le_bytes(at));
        bytes.extend(u64::to_le_bytes(size));
        bytes.resize(start + 64, 0);
    }
    bytes
}

fn code(bytes: &[u8]) -> Option<DeviceCode> {
    read(&|at, buffer| {
        let rest = usize::try_from(at).ok().and_then(|at| bytes.get(at..));
        let rest = rest.unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        io::Result::Ok(count)
    })
}

fn gpu(major: u32, minor: u32) -> Capability {
    Capability { major, minor }
}

#[test]
fn every_entry_is_read() {
    let one = fat(&[
        entry(NATIVE, 80, 64),
        entry(NATIVE, 86, 72),
        entry(PTX, 90, 112),
    ]);
    let content = [&one[..], &[0; 40], &fat(&[entry(NATIVE, 121, 64)]), &[0; 8]].concat();
    let found = code(&library(&content)).unwrap();
    assert_eq!(found.to_string(), "8.0, 8.6, 12.1, PTX of 9.0");
    assert_eq!(code(&library(b"")).unwrap().to_string(), "");
    assert_eq!(code(&elf(2)), None);
    assert_eq!(code(b"text"), None);
    let mut other = library(&one);
    other[65..75].copy_from_slice(b".nv_fatbix");
    assert_eq!(code(&other), None);
}

#[test]
fn machine_code_runs_in_its_generation_and_ptx_later() {
    let native = DeviceCode {
        native: [gpu(8, 0), gpu(8, 6)].into(),
        ..DeviceCode::default()
    };
    for (device, expected) in [
        (gpu(8, 0), true),
        (gpu(8, 9), true),
        (gpu(7, 5), false),
        (gpu(9, 0), false),
        (gpu(12, 0), false),
    ] {
        assert_eq!(native.runs_on(device), expected, "{device}");
    }
    let later = DeviceCode {
        native: [gpu(8, 6)].into(),
        ..DeviceCode::default()
    };
    assert!(!later.runs_on(gpu(8, 0)));
    let ptx = DeviceCode {
        ptx: [gpu(8, 6)].into(),
        ..DeviceCode::default()
    };
    for (device, expected) in [(gpu(8, 0), false), (gpu(8, 6), true), (gpu(12, 1), true)] {
        assert_eq!(ptx.runs_on(device), expected, "{device}");
    }
    assert!(!DeviceCode::default().runs_on(gpu(9, 0)));
}

#[test]
fn what_is_not_understood_runs_everywhere() {
    let good = fat(&[entry(NATIVE, 80, 64)]);
    let changed = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    for content in [
        changed(0, 1),
        // Another version, sizes that are too large or too small, another kind.
        changed(4, 2),
        changed(9, 1),
        changed(8, 1),
        changed(16, 8),
        changed(16 + 8, 25),
        good[..60].to_vec(),
    ] {
        let found = code(&library(&content)).unwrap();
        assert!(found.more && found.runs_on(gpu(3, 5)), "{found}");
    }
    assert!(!code(&library(&good)).unwrap().more);
}

proptest! {
    #[test]
    fn no_bytes_of_a_library_make_reading_code_panic(
        content in proptest::collection::vec(any::<u8>(), 0..300),
        changes in proptest::collection::vec((0_usize..400, any::<u8>()), 0..8),
        fat_first in any::<bool>(),
    ) {
        let first = fat(&[entry(NATIVE, 80, 64), entry(PTX, 90, 64)]);
        let content = if fat_first { [first, content].concat() } else { content };
        let mut bytes = library(&content);
        for (at, byte) in changes {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        let _ = code(&bytes);
    }
}
