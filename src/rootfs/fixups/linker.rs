//! `/etc/ld.so.cache`, as ldconfig(8) writes it.
//!
//! The dynamic linker finds most libraries without it, but directories of `ld.so.conf` and
//! Python's `ctypes.util.find_library` need it. Format: `glibc-ld.so.cache1.1` (glibc,
//! `sysdeps/generic/dl-cache.h`). Subdirectories for processors (`glibc-hwcaps`) are left out:
//! libraries would differ between hosts.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use envbox_lockfiles::base::{FsError, Platform};

use crate::rootfs::RootfsError;
use crate::rootfs::fixups::Fixups;
use crate::rootfs::fixups::elf::{self, Library};
use crate::store::EntryKind;

const MAGIC: &[u8; 20] = b"glibc-ld.so.cache1.1";
const HEADER_LENGTH: usize = 48;
const ENTRY_LENGTH: usize = 24;
const LITTLE_ENDIAN: u32 = 2;

/// How deep `include` may nest.
const INCLUDE_LIMIT: u32 = 8;

/// One line of `ldconfig -p`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct CacheEntry {
    name: String,
    path: String,
}

/// Writes the cache, if there is a C library to read it.
pub(super) fn write(fixups: &mut Fixups<'_>, platform: Platform) -> Result<(), RootfsError> {
    let mut entries = Vec::new();
    for directory in directories(fixups, platform)? {
        entries.extend(libraries(fixups, platform, &directory)?);
    }
    if entries.is_empty() {
        return Ok(());
    }
    // Stable: of one name, that of the earlier directory comes first.
    entries.sort_by(|a, b| compare(&b.name, &a.name));
    fixups.file("etc/ld.so.cache", encode(&entries, platform));
    Ok(())
}

/// Returns the directories to search in order, each once however many names it has.
fn directories(fixups: &Fixups<'_>, platform: Platform) -> Result<Vec<String>, RootfsError> {
    let mut named = Vec::new();
    read_configuration(fixups, "etc/ld.so.conf", 0, &mut named)?;
    let multiarch = platform.multiarch();
    named.push(format!("/lib/{multiarch}"));
    named.push(format!("/usr/lib/{multiarch}"));
    if platform == Platform::LinuxAmd64 {
        named.extend(["/lib64".to_owned(), "/usr/lib64".to_owned()]);
    }
    named.extend(["/lib".to_owned(), "/usr/lib".to_owned()]);
    let mut seen = BTreeSet::new();
    named.retain(|name| {
        let place = fixups.merged.resolve(name.as_bytes());
        place.is_some_and(|place| seen.insert(place))
    });
    Ok(named)
}

fn read_configuration(
    fixups: &Fixups<'_>,
    path: &str,
    depth: u32,
    named: &mut Vec<String>,
) -> Result<(), RootfsError> {
    let text = fixups.read(path)?.unwrap_or_default();
    for line in String::from_utf8_lossy(&text).lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if let Some(pattern) = line.strip_prefix("include ") {
            if depth < INCLUDE_LIMIT {
                for file in matching(fixups, pattern.trim()) {
                    read_configuration(fixups, &file, depth + 1, named)?;
                }
            }
        } else if line.starts_with('/') {
            named.push(line.trim_end_matches('/').to_owned());
        }
    }
    Ok(())
}

/// Returns the files that a pattern with one `*` in its last component stands for, sorted.
fn matching(fixups: &Fixups<'_>, pattern: &str) -> Vec<String> {
    let pattern = pattern.trim_start_matches('/');
    let (directory, name) = pattern.rsplit_once('/').unwrap_or(("", pattern));
    let Some((start, end)) = name.split_once('*') else {
        return vec![pattern.to_owned()];
    };
    fixups
        .merged
        .children(directory)
        .map(|(name, _)| String::from_utf8_lossy(name).into_owned())
        .filter(|name| name.starts_with(start) && name.ends_with(end) && !name.starts_with('.'))
        .map(|name| format!("{directory}/{name}"))
        .collect()
}

/// Returns the libraries directly in a directory, one a name.
fn libraries(
    fixups: &Fixups<'_>,
    platform: Platform,
    directory: &str,
) -> Result<Vec<CacheEntry>, RootfsError> {
    let Some(place) = fixups.merged.resolve(directory.as_bytes()) else {
        return Ok(Vec::new());
    };
    let place = String::from_utf8_lossy(&place).into_owned();
    let names: Vec<String> = fixups
        .merged
        .children(&place)
        .filter(|(_, node)| node.entry.kind != EntryKind::Directory)
        .filter_map(|(name, _)| String::from_utf8(name.to_vec()).ok())
        .filter(|name| is_library_name(name))
        .collect();
    // By the name that programs ask for: the file, and whether that is a link.
    let mut found: BTreeMap<String, (String, bool)> = BTreeMap::new();
    for file in names {
        let Some((name, is_link)) = asked_for(fixups, platform, &place, &file)? else {
            continue;
        };
        let better = found.get(&name).is_none_or(|(other, other_is_link)| {
            (*other_is_link && !is_link)
                || (*other_is_link == is_link && compare(other, &file) == Ordering::Less)
        });
        if better {
            found.insert(name, (file, is_link));
        }
    }
    let entry = |(name, (file, _)): (String, (String, bool))| {
        let by_name = fixups.merged.exists(&format!("{place}/{name}"));
        let path = format!("{directory}/{}", if by_name { &name } else { &file });
        CacheEntry { name, path }
    };
    Ok(found.into_iter().map(entry).collect())
}

fn is_library_name(name: &str) -> bool {
    let library = name.starts_with("lib") || name.starts_with("ld-") || name.starts_with("ld.so");
    library && name.contains(".so")
}

/// Returns the name under which the cache has a file, and whether it counts as a link.
fn asked_for(
    fixups: &Fixups<'_>,
    platform: Platform,
    place: &str,
    file: &str,
) -> Result<Option<(String, bool)>, RootfsError> {
    let own = format!("{place}/{file}");
    let Some(target) = fixups.merged.resolve(own.as_bytes()) else {
        return Ok(None);
    };
    let Some(host) = fixups.merged.host_path(fixups.packages, &target) else {
        return Ok(None);
    };
    let library = elf::read(&host, platform).map_err(FsError::at("read", &host))?;
    let Library::Native(name) = library else {
        return Ok(None);
    };
    let target = String::from_utf8_lossy(&target).into_owned();
    let target_file = target.rsplit('/').next().unwrap_or_default().to_owned();
    let name = name.unwrap_or_else(|| target_file.clone());
    let is_link = own != target;
    // A link to a file that is not called as it calls itself counts as a file, unless it is the
    // link for linking programs (`libx.so`).
    let for_linking = target_file.ends_with(".so") && name.starts_with(&target_file);
    if is_link && (target_file == name || for_linking) {
        return Ok(Some((file.to_owned(), true)));
    }
    Ok(Some((name, false)))
}

/// Orders names as the dynamic linker searches them: numbers by value (`_dl_cache_libcmp`).
fn compare(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    while let Some(&first) = a.first() {
        let other = b.first().copied().unwrap_or(0);
        match (first.is_ascii_digit(), other.is_ascii_digit()) {
            (true, true) => {
                let (left, right) = (take_number(&mut a), take_number(&mut b));
                if left != right {
                    return left.cmp(&right);
                }
            }
            (true, false) => return Ordering::Greater,
            (false, true) => return Ordering::Less,
            (false, false) if first != other => return first.cmp(&other),
            (false, false) => {
                a = &a[1..];
                b = &b[1..];
            }
        }
    }
    a.len().cmp(&b.len())
}

fn take_number(text: &mut &[u8]) -> u64 {
    let mut number = 0u64;
    while let Some((&digit, rest)) = text.split_first()
        && digit.is_ascii_digit()
    {
        number = number
            .saturating_mul(10)
            .saturating_add(u64::from(digit - b'0'));
        *text = rest;
    }
    number
}

/// Writes the file: header, entries, strings. Offsets count from its beginning.
fn encode(entries: &[CacheEntry], platform: Platform) -> Vec<u8> {
    // FLAG_ELF_LIBC6 with FLAG_X8664_LIB64 or FLAG_AARCH64_LIB64.
    let flags: u32 = match platform {
        Platform::LinuxAmd64 => 0x0303,
        Platform::LinuxArm64 => 0x0a03,
    };
    let start = HEADER_LENGTH + entries.len() * ENTRY_LENGTH;
    let mut strings = Vec::new();
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    let mut place = |text| {
        *places.entry(text).or_insert_with(|| {
            let place = start + strings.len();
            strings.extend_from_slice(str::as_bytes(text));
            strings.push(0);
            place
        })
    };
    let mut table = Vec::new();
    for entry in entries {
        let (name, path) = (place(&entry.name), place(&entry.path));
        // Flags, name, path; the version of an operating system and two words of processor
        // features, which are zero.
        for field in [flags, number(name), number(path), 0, 0, 0] {
            table.extend_from_slice(&field.to_le_bytes());
        }
    }
    let mut bytes = MAGIC.to_vec();
    for field in [
        number(entries.len()),
        number(strings.len()),
        LITTLE_ENDIAN,
        0,
        0,
        0,
        0,
    ] {
        bytes.extend_from_slice(&field.to_le_bytes());
    }
    bytes.extend(table);
    bytes.extend(strings);
    bytes
}

fn number(value: usize) -> u32 {
    u32::try_from(value).expect("a rootfs has fewer than four gigabytes of names of libraries")
}
