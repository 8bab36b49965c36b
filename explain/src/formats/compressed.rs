//! One file, compressed.

use std::io::{self, BufRead, Read};

use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::{GzDecoder, MultiGzDecoder, ZlibDecoder};
use liblzma::bufread::XzDecoder;

use crate::base::{Difference, Fault, Source, Walk};
use crate::formats::detect::Kind;
use crate::formats::{Pair, compare as compare_any};

/// Bytes that the decoder of a hostile stream may take for its window (2^27, zstd's own default).
const WINDOW_LOG: u32 = 27;

/// Tells in what two compressed files differ: in what is compressed, or in how.
pub(crate) fn compare(walk: &mut Walk, kind: Kind, pair: Pair) -> Result<(), Fault> {
    let (old, new) = (
        unpacked(walk, kind, pair.old)?,
        unpacked(walk, kind, pair.new)?,
    );
    if kind == Kind::Gzip {
        headers(walk, pair)?;
    }
    let name = pair.name;
    let stem = ["gz", "zst", "bz2", "xz", "tgz"].iter().find_map(|ending| {
        let stem = name.strip_suffix(ending)?.strip_suffix('.')?;
        Some(if *ending == "tgz" {
            format!("{stem}.tar")
        } else {
            stem.to_owned()
        })
    });
    let name = stem.unwrap_or_else(|| name.to_owned());
    let (_, same) = compare_any(
        walk,
        Pair {
            name: &name,
            old: &old,
            new: &new,
            ..pair
        },
    )?;
    if same && pair.old.len() != pair.new.len() {
        let sizes = (
            format!("{} bytes", pair.old.len()),
            format!("{} bytes", pair.new.len()),
        );
        walk.push(
            Difference::new(pair.at, sizes.0, sizes.1)
                .note("compression")
                .metadata(),
        );
    }
    Ok(())
}

fn unpacked(walk: &mut Walk, kind: Kind, source: &Source) -> Result<Source, Fault> {
    let reader = source.reader();
    match kind {
        Kind::Gzip => walk.unpack(MultiGzDecoder::new(reader)),
        Kind::Bzip2 => walk.unpack(MultiBzDecoder::new(reader)),
        Kind::Xz => walk.unpack(XzDecoder::new_multi_decoder(reader)),
        Kind::Zstd => {
            let mut decoder = zstd::Decoder::with_buffer(reader)?;
            decoder.window_log_max(WINDOW_LOG)?;
            walk.unpack(decoder)
        }
        _ => {
            let mut decoder = ZlibDecoder::new(reader);
            let source = walk.unpack(&mut decoder)?;
            // Two bytes alone said what it is, so what follows would be lost.
            if decoder.into_inner().fill_buf()?.is_empty() {
                return Ok(source);
            }
            Err(Fault::malformed("something follows the stream"))
        }
    }
}

/// Tells in what the headers of gzip differ (RFC 1952).
fn headers(walk: &mut Walk, pair: Pair) -> Result<(), Fault> {
    let facts = |source: &Source| -> Result<[String; 3], Fault> {
        let mut decoder = GzDecoder::new(source.reader());
        // The header is there once something was read.
        io::copy(&mut (&mut decoder).take(1), &mut io::sink())?;
        let header = decoder
            .header()
            .ok_or_else(|| Fault::malformed("there is no header"))?;
        let name = header.filename().unwrap_or_default();
        let name = crate::base::shown(&String::from_utf8_lossy(name));
        Ok([
            header.mtime().to_string(),
            name,
            header.operating_system().to_string(),
        ])
    };
    let (old, new) = (facts(pair.old)?, facts(pair.new)?);
    let notes = [
        "time in the header (seconds since 1970)",
        "name in the header",
        "system in the header",
    ];
    for ((left, right), note) in old.into_iter().zip(new).zip(notes) {
        if left != right {
            walk.push(Difference::new(pair.at, left, right).note(note).metadata());
        }
    }
    Ok(())
}
