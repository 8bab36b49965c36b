//! The `ar` container of `.deb` files (deb(5)).

use std::io::{self, Read, Seek, SeekFrom};

use crate::layers::LayerError;

const MAGIC: &[u8; 8] = b"!<arch>\n";
const HEADER_LENGTH: usize = 60;

/// A package has three members; some tools add signatures, whose names begin with `_`.
const MEMBER_LIMIT: usize = 32;

/// Where a member lies in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name, without the slash that some writers end it with.
    pub name: String,
    /// Where its content begins.
    pub offset: u64,
    /// How long its content is.
    pub size: u64,
}

/// Lists the members of an archive.
///
/// # Errors
/// Returns [`LayerError`] when the bytes are no archive or end too early.
pub fn members(mut archive: impl Read + Seek) -> Result<Vec<Member>, LayerError> {
    let length = archive.seek(SeekFrom::End(0))?;
    archive.rewind()?;
    let mut magic = [0; MAGIC.len()];
    archive.read_exact(&mut magic)?;
    if &magic != MAGIC {
        return Err(malformed("it is no `ar` archive"));
    }
    let mut members = Vec::new();
    let mut position = MAGIC.len() as u64;
    while position < length {
        if members.len() == MEMBER_LIMIT {
            return Err(malformed("it has too many members"));
        }
        archive.seek(SeekFrom::Start(position))?;
        let mut header = [0; HEADER_LENGTH];
        archive.read_exact(&mut header)?;
        let member = parse_header(&header, position + HEADER_LENGTH as u64)?;
        let end = member.offset.checked_add(member.size);
        let end = end.filter(|&end| end <= length);
        // Content is padded to an even length; the last padding byte may be missing.
        position = end.ok_or_else(truncated)?.next_multiple_of(2);
        members.push(member);
    }
    Ok(members)
}

fn parse_header(header: &[u8; HEADER_LENGTH], offset: u64) -> Result<Member, LayerError> {
    if &header[58..] != b"`\n" {
        return Err(malformed("a member's header does not end as it should"));
    }
    let text = |field: &[u8]| {
        let text = std::str::from_utf8(field).ok().filter(|t| t.is_ascii());
        text.map(|text| text.trim_end_matches(' ').to_owned())
    };
    let name = text(&header[..16]).ok_or_else(|| malformed("a member's name is not ASCII"))?;
    let size = text(&header[48..58]).and_then(|size| size.parse().ok());
    Ok(Member {
        name: name.strip_suffix('/').unwrap_or(&name).to_owned(),
        offset,
        size: size.ok_or_else(|| malformed("a member's size is not a number"))?,
    })
}

fn malformed(reason: &'static str) -> LayerError {
    LayerError::Malformed { reason }
}

fn truncated() -> LayerError {
    LayerError::Archive(io::ErrorKind::UnexpectedEof.into())
}
