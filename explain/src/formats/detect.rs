//! What a file is.

use std::io;

use crate::base::Source;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Npy,
    Zip,
    Safetensors,
    Pickle,
    /// A checkpoint as torch wrote it before it wrote zip archives.
    TorchPickle,
    Parquet,
    ArrowFile,
    ArrowStream,
    Hdf5,
    Csv,
    Tsv,
    Json,
    JsonLines,
    Png,
    Text,
    Tar,
    Gzip,
    Zlib,
    Zstd,
    Bzip2,
    Xz,
    Bytes,
}

impl Kind {
    /// Returns its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Npy => "npy",
            Self::Zip => "zip",
            Self::Safetensors => "safetensors",
            Self::Pickle => "pickle",
            Self::TorchPickle => "torch",
            Self::Parquet => "parquet",
            Self::ArrowFile | Self::ArrowStream => "arrow",
            Self::Hdf5 => "hdf5",
            Self::Csv | Self::Tsv => "csv",
            Self::Json => "json",
            Self::JsonLines => "jsonl",
            Self::Png => "png",
            Self::Text => "text",
            Self::Tar => "tar",
            Self::Gzip => "gzip",
            Self::Zlib => "zlib",
            Self::Zstd => "zstd",
            Self::Bzip2 => "bzip2",
            Self::Xz => "xz",
            Self::Bytes => "bytes",
        }
    }
}

/// First bytes that no other format has.
const MAGIC: [(&[u8], Kind); 13] = [
    (b"\x93NUMPY", Kind::Npy),
    (b"PK\x03\x04", Kind::Zip),
    (b"PK\x05\x06", Kind::Zip),
    // The number 0x1950a86a20f9469cfc6c, as a pickle of protocol 2.
    (
        b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.",
        Kind::TorchPickle,
    ),
    (b"PAR1", Kind::Parquet),
    (b"ARROW1", Kind::ArrowFile),
    (b"\x89HDF\r\n\x1a\n", Kind::Hdf5),
    (b"\x89PNG\r\n\x1a\n", Kind::Png),
    (b"\x1f\x8b", Kind::Gzip),
    (b"\x28\xb5\x2f\xfd", Kind::Zstd),
    (b"BZh", Kind::Bzip2),
    (b"\xfd7zXZ\x00", Kind::Xz),
    // The marker of a message, and its schema's length, of fewer than 65536 bytes.
    (b"\xff\xff\xff\xff", Kind::ArrowStream),
];

/// Endings that say what text is, or that a pickle of protocol 0 is one.
const ENDINGS: [(&str, Kind); 10] = [
    (".csv", Kind::Csv),
    (".tsv", Kind::Tsv),
    (".json", Kind::Json),
    (".ipynb", Kind::Json),
    (".jsonl", Kind::JsonLines),
    (".ndjson", Kind::JsonLines),
    (".pkl", Kind::Pickle),
    (".pickle", Kind::Pickle),
    (".joblib", Kind::Pickle),
    (".safetensors", Kind::Safetensors),
];

/// Bytes that are looked at.
const HEAD: usize = 8 << 10;

/// Returns what a file is.
pub(crate) fn detect(source: &Source, name: &str) -> io::Result<Kind> {
    let head = source.head(HEAD)?;
    for (magic, kind) in MAGIC {
        if head.starts_with(magic) {
            return Ok(kind);
        }
    }
    if head.get(257..262) == Some(b"ustar") {
        return Ok(Kind::Tar);
    }
    // Space for a user block: a power of two, 512 at least.
    if [512, 1024, 2048, 4096]
        .iter()
        .any(|at| head.get(*at..at + 8) == Some(b"\x89HDF\r\n\x1a\n"))
    {
        return Ok(Kind::Hdf5);
    }
    if is_pickle(&head) {
        return Ok(Kind::Pickle);
    }
    if is_safetensors(&head, source.len()) {
        return Ok(Kind::Safetensors);
    }
    if is_zlib(&head) {
        return Ok(Kind::Zlib);
    }
    let name = name.to_ascii_lowercase();
    let ending = ENDINGS.iter().find(|(ending, _)| name.ends_with(ending));
    if let Some((_, kind)) = ending
        && !head.is_empty()
    {
        return Ok(*kind);
    }
    if !is_text(&head, source.len()) {
        return Ok(Kind::Bytes);
    }
    let first = head.iter().find(|byte| !byte.is_ascii_whitespace());
    Ok(match first {
        Some(b'{' | b'[') => Kind::Json,
        _ => Kind::Text,
    })
}

/// Returns whether these are the first bytes of a pickle that names its protocol.
fn is_pickle(head: &[u8]) -> bool {
    match head {
        [0x80, 2 | 3, opcode, ..] => opcode.is_ascii_graphic() || *opcode >= 0x80,
        // A frame, or a pickle too short for one.
        [0x80, 4 | 5, opcode, ..] => *opcode == 0x95 || head.ends_with(b"."),
        _ => false,
    }
}

/// Returns whether these are the first bytes of safetensors: a length, then JSON of that length.
fn is_safetensors(head: &[u8], length: u64) -> bool {
    let Some((size, rest)) = head.split_first_chunk::<8>() else {
        return false;
    };
    let size = u64::from_le_bytes(*size);
    rest.first() == Some(&b'{') && size >= 2 && size <= length.saturating_sub(8)
}

/// Returns whether these are the first bytes of a zlib stream (RFC 1950).
fn is_zlib(head: &[u8]) -> bool {
    match head {
        [0x78, flags, ..] => {
            let text = is_text(head, u64::MAX);
            !text && (0x7800 + u16::from(*flags)).is_multiple_of(31)
        }
        _ => false,
    }
}

/// Returns whether the first bytes are text; the last character may be cut.
fn is_text(head: &[u8], length: u64) -> bool {
    let cut = (head.len() as u64) < length;
    let text = match std::str::from_utf8(head) {
        Ok(_) => true,
        Err(error) => cut && error.error_len().is_none(),
    };
    text && !head.contains(&0)
}
