//! Names of members and targets of links, as they are taken.

use crate::layers::LayerError;
use crate::layers::path::{EntryPath, PathFault, parent, stays_inside};

/// The kernel's `PATH_MAX`, without the NUL.
const TARGET_LIMIT: usize = 4095;

/// Reads a member's name. Foreign tools begin them with `/` or `./`, which mean the same.
pub(super) fn member_path(name: &[u8]) -> Result<Option<EntryPath>, LayerError> {
    let relative = name.iter().position(|&byte| byte != b'/');
    let relative = relative.map_or(&b"."[..], |start| &name[start..]);
    let name = if name.is_empty() { name } else { relative };
    EntryPath::parse(name).map_err(|fault| refused_name(name, fault))
}

/// Returns the target of a link without the `..` by which it would climb over the root: the
/// kernel, whose root the tree is, stays there.
pub(super) fn clamped(path: &EntryPath, target: &[u8]) -> Result<Vec<u8>, LayerError> {
    if target.len() > TARGET_LIMIT {
        return Err(refused_name(path.as_bytes(), PathFault::TooLong));
    }
    if stays_inside(path, target) {
        return Ok(target.to_vec());
    }
    let absolute = target.starts_with(b"/");
    let above = path.as_bytes().iter().filter(|&&byte| byte == b'/').count();
    let mut above = if absolute { 0 } else { above };
    let mut rest = target;
    let mut clamped: Vec<&[u8]> = Vec::new();
    loop {
        let (component, after) = match rest.iter().position(|&byte| byte == b'/') {
            Some(slash) => (&rest[..slash], &rest[slash + 1..]),
            None => (rest, &b""[..]),
        };
        match component {
            b"" | b"." if !rest.is_empty() => {}
            b".." if above > 0 => {
                above -= 1;
                clamped.push(component);
            }
            b".." => {}
            _ => break,
        }
        rest = after;
    }
    clamped.push(if rest.is_empty() { b"." } else { rest });
    let mut text = clamped.join(&b'/');
    if absolute {
        text.insert(0, b'/');
    }
    // Behind a name, `..` leads wherever that name does: no text says where.
    match stays_inside(path, &text) {
        true => Ok(text),
        false => Err(LayerError::LinkLeaves {
            member: path.display(),
            target: String::from_utf8_lossy(target).into_owned(),
        }),
    }
}

/// Returns the directory and the last component.
pub(super) fn split(path: &EntryPath) -> (&[u8], &[u8]) {
    let bytes = path.as_bytes();
    match parent(bytes) {
        Some(directory) => (directory, &bytes[directory.len() + 1..]),
        None => (b"", bytes),
    }
}

/// Returns `name` in `directory`; `None` when that is too long.
pub(super) fn join(directory: &[u8], name: &[u8]) -> Option<EntryPath> {
    let path = match directory {
        b"" => name.to_vec(),
        _ => [directory, b"/", name].concat(),
    };
    EntryPath::parse(&path).ok().flatten()
}

pub(super) fn refused_name(name: &[u8], fault: PathFault) -> LayerError {
    LayerError::Name {
        member: String::from_utf8_lossy(name).into_owned(),
        fault,
    }
}
