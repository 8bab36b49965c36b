//! C++'s `std::random_device`, which asks the processor before it asks the kernel.
//!
//! No sandbox can answer RDRAND and RDSEED. In every shared libstdc++ the one function that draws
//! is replaced by one that asks the kernel alone, whose answers follow the seed. A library that
//! was linked with a static libstdc++ is not reached.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use envbox_lockfiles::base::{Digest, FsError, Platform};

use crate::rootfs::RootfsError;
use crate::rootfs::fixups::Fixups;
use crate::rootfs::merge::Source;
use crate::store::EntryKind;

/// `unsigned std::random_device::_M_getval()`; all others that draw call it.
const FUNCTION: &[u8] = b"_ZNSt13random_device9_M_getvalEv";

/// Four bytes of `getrandom`, again when a signal came between. Needs no address.
const CODE: [u8; 35] = [
    0xf3, 0x0f, 0x1e, 0xfa, // endbr64
    0x48, 0x8d, 0x7c, 0x24, 0xf8, // lea rdi, [rsp - 8]: in the red zone
    0xbe, 0x04, 0x00, 0x00, 0x00, // mov esi, 4
    0x31, 0xd2, // xor edx, edx
    0xb8, 0x3e, 0x01, 0x00, 0x00, // mov eax, 318
    0x0f, 0x05, // syscall
    0x83, 0xf8, 0x04, // cmp eax, 4
    0x75, 0xe8, // jne to the second instruction
    0x8b, 0x44, 0x24, 0xf8, // mov eax, [rsp - 8]
    0xc3, // ret
    0xcc, 0xcc, // int3
];

const SECTION_LENGTH: usize = 64;
const SYMBOL_LENGTH: usize = 24;
const DYNAMIC_SYMBOLS: u32 = 11;

/// Replaces the function in every libstdc++ that a package brought.
pub(super) fn write(fixups: &mut Fixups<'_>, platform: Platform) -> Result<(), RootfsError> {
    if platform != Platform::LinuxAmd64 {
        return Ok(());
    }
    let is_library = |path: &[u8]| {
        let name = Path::new(OsStr::from_bytes(path)).file_name();
        let name = name.unwrap_or_default().as_bytes();
        name.starts_with(b"libstdc++") && name.windows(3).any(|part| part == b".so")
    };
    let libraries: Vec<Vec<u8>> = fixups
        .merged
        .nodes
        .iter()
        .filter(|(path, node)| {
            matches!(node.entry.kind, EntryKind::File { .. }) && is_library(path)
        })
        .map(|(path, _)| path.clone())
        .collect();
    for library in libraries {
        let Some(host) = fixups.merged.host_path(fixups.packages, &library) else {
            continue;
        };
        let mut bytes = std::fs::read(&host).map_err(FsError::at("read", &host))?;
        if replace(&mut bytes).is_none() {
            // No library of the platform's, or one without the function.
            continue;
        }
        if let Some(node) = fixups.merged.nodes.get_mut(&library) {
            node.entry.kind = EntryKind::File {
                size: bytes.len() as u64,
                digest: Digest::of(&bytes),
            };
            node.source = Source::Generated(bytes);
        }
    }
    Ok(())
}

/// Replaces the function in a library; `None` when it has none with room for the code.
fn replace(library: &mut [u8]) -> Option<()> {
    if !library.starts_with(b"\x7fELF\x02\x01") || number(library, 18, 2)? != 62 {
        return None;
    }
    let table = usize::try_from(number(library, 40, 8)?).ok()?;
    let count = usize::try_from(number(library, 60, 2)?).ok()?;
    let section = |index: usize| {
        let start = table.checked_add(index.checked_mul(SECTION_LENGTH)?)?;
        library.get(start..start.checked_add(SECTION_LENGTH)?)
    };
    let field = |section: &[u8], at: usize| usize::try_from(number(section, at, 8)?).ok();
    let symbols = (0..count)
        .filter_map(section)
        .find(|section| number(section, 4, 4) == Some(u64::from(DYNAMIC_SYMBOLS)))?;
    let names = field(section(usize::try_from(number(symbols, 40, 4)?).ok()?)?, 24)?;
    let start = field(symbols, 24)?;
    let entries = library.get(start..start.checked_add(field(symbols, 32)?)?)?;
    let symbol = entries.chunks_exact(SYMBOL_LENGTH).find(|symbol| {
        let name = number(symbol, 0, 4).and_then(|name| names.checked_add(name as usize));
        let name = name.and_then(|name| library.get(name..name.checked_add(FUNCTION.len() + 1)?));
        name.is_some_and(|name| name.starts_with(FUNCTION) && name.ends_with(b"\0"))
    })?;
    let home = section(usize::try_from(number(symbol, 6, 2)?).ok()?)?;
    let place = field(symbol, 8)?.checked_sub(field(home, 16)?)?;
    let place = place.checked_add(field(home, 24)?)?;
    if field(symbol, 16)? < CODE.len() {
        return None;
    }
    let room = library.get_mut(place..place.checked_add(CODE.len())?)?;
    room.copy_from_slice(&CODE);
    Some(())
}

/// Reads a little-endian number of `length` bytes.
fn number(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(length)?)?;
    let fold = |number, byte: &u8| number << 8 | u64::from(*byte);
    Some(bytes.iter().rev().fold(0, fold))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Draws twice by the function of the library that is its argument.
    const PROGRAM: &str = r#"
        #include <dlfcn.h>
        #include <stdio.h>
        int main(int count, char **arguments) {
            void *library = dlopen(arguments[1], RTLD_NOW);
            if (!library) return puts(dlerror()), 1;
            unsigned (*draw)(void *) = dlsym(library, "_ZNSt13random_device9_M_getvalEv");
            // The function that was replaced would follow this pointer.
            printf("%u %u\n", draw(0), draw(0));
        }"#;

    #[test]
    fn the_replaced_function_draws_from_the_kernel() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let host = Command::new("cc")
            .arg("-print-file-name=libstdc++.so.6")
            .output()
            .unwrap();
        let host = String::from_utf8(host.stdout).unwrap();
        let mut library = std::fs::read(host.trim()).unwrap();
        let before = library.clone();
        replace(&mut library).unwrap();
        let changed = library
            .iter()
            .zip(&before)
            .filter(|(one, other)| one != other);
        assert!((1..=CODE.len()).contains(&changed.count()));
        std::fs::write(path("libstdc++.so.6"), &library).unwrap();
        std::fs::write(path("draw.c"), PROGRAM).unwrap();
        let mut compiler = Command::new("cc");
        compiler.arg(path("draw.c")).arg("-o").arg(path("draw"));
        assert!(compiler.arg("-ldl").status().unwrap().success());
        let mut draw = Command::new(path("draw"));
        let drawn = draw.arg(path("libstdc++.so.6")).output().unwrap();
        let drawn = String::from_utf8(drawn.stdout).unwrap();
        let (one, other) = drawn.trim().split_once(' ').unwrap();
        assert_ne!(one, other);
    }

    #[test]
    fn what_is_no_library_is_left_alone() {
        for bytes in [&b""[..], b"\x7fELF\x02\x01", &[0xff; 4096]] {
            assert_eq!(replace(&mut bytes.to_vec()), None);
        }
        let mut damaged = vec![0xff; 4096];
        damaged[..6].copy_from_slice(b"\x7fELF\x02\x01");
        damaged[18..20].copy_from_slice(&[62, 0]);
        assert_eq!(replace(&mut damaged), None);
    }
}
