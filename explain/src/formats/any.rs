//! Two files of whatever kind.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::base::{Difference, Fault, Source, Walk};
use crate::formats::detect::{Kind, detect};
use crate::formats::{
    arrow, bytes, compressed, csv, diffoscope, hdf5, json, npy, parquet, pickled, png, safetensors,
    tar, text, torch, zip,
};

/// The two that are compared.
#[derive(Clone, Copy)]
pub(crate) struct Pair<'a> {
    /// Where they lie in what is compared at all: empty, or `member a.npy: `.
    pub(crate) at: &'a str,
    /// The name whose ending says what text is.
    pub(crate) name: &'a str,
    pub(crate) old: &'a Source,
    pub(crate) new: &'a Source,
}

/// Tells in what two files differ; returns what they are, and whether they are the same.
pub(crate) fn compare(walk: &mut Walk, pair: Pair) -> Result<(&'static str, bool), Fault> {
    let kind = detect(pair.old, pair.name)?;
    if bytes::same(pair.old, pair.new)? {
        return Ok((kind.name(), true));
    }
    let other = detect(pair.new, pair.name)?;
    if kind != other {
        walk.push(Difference::new(pair.at, kind.name(), other.name()).note("kinds of file differ"));
        bytes::compare(walk, pair)?;
        return Ok(("bytes", false));
    }
    let start = walk.mark();
    walk.depth += 1;
    let told = if walk.depth > walk.limits.depth {
        Err(Fault::TooMuch {
            what: "the depth of archives within archives".to_owned(),
            limit: walk.limits.depth as u64,
        })
    } else {
        guarded(walk, kind, pair)
    };
    walk.depth -= 1;
    let named = match told {
        Ok(named) => named,
        Err(fault) => {
            walk.rewind(start);
            let simpler = simpler(walk, pair)?;
            walk.annotate(
                start,
                &format!("not read as {}: {}", kind.name(), shown(&fault)),
            );
            simpler
        }
    };
    if walk.mark().is_same(start) {
        encoding(walk, pair)?;
    }
    Ok((named, false))
}

fn shown(fault: &Fault) -> String {
    crate::base::shown(&fault.to_string())
}

/// Reads both as what they are. A panic of somebody else's reader is a fault like any other.
fn guarded(walk: &mut Walk, kind: Kind, pair: Pair) -> Result<&'static str, Fault> {
    match kind {
        Kind::Parquet | Kind::ArrowFile | Kind::ArrowStream | Kind::Hdf5 | Kind::Png => {
            let told = catch_unwind(AssertUnwindSafe(|| read(walk, kind, pair)));
            told.unwrap_or_else(|_| Err(Fault::malformed("its reader gave up")))
        }
        _ => read(walk, kind, pair),
    }
}

fn read(walk: &mut Walk, kind: Kind, pair: Pair) -> Result<&'static str, Fault> {
    match kind {
        Kind::Npy => npy::compare(walk, pair)?,
        Kind::Zip => return zip::compare(walk, pair),
        Kind::Safetensors => safetensors::compare(walk, pair)?,
        Kind::Pickle => pickled::compare(walk, pair)?,
        Kind::TorchPickle => torch::compare_pickles(walk, pair)?,
        Kind::Parquet => parquet::compare(walk, pair)?,
        Kind::ArrowFile => arrow::compare_files(walk, pair)?,
        Kind::ArrowStream => arrow::compare_streams(walk, pair)?,
        Kind::Hdf5 => hdf5::compare(walk, pair)?,
        Kind::Csv => csv::compare(walk, pair, b',')?,
        Kind::Tsv => csv::compare(walk, pair, b'\t')?,
        Kind::Json => return json::compare(walk, pair, false),
        Kind::JsonLines => return json::compare(walk, pair, true),
        Kind::Png => png::compare(walk, pair)?,
        Kind::Text => text::compare(walk, pair)?,
        Kind::Tar => tar::compare(walk, pair)?,
        Kind::Gzip | Kind::Zlib | Kind::Zstd | Kind::Bzip2 | Kind::Xz => {
            compressed::compare(walk, kind, pair)?;
        }
        Kind::Bytes => bytes::compare_asking(walk, pair)?,
    }
    Ok(kind.name())
}

/// Compares as text, or as bytes when it is none.
fn simpler(walk: &mut Walk, pair: Pair) -> Result<&'static str, Fault> {
    let start = walk.mark();
    if text::both_are_text(pair)? {
        match text::compare(walk, pair) {
            Ok(()) => return Ok("text"),
            Err(Fault::Io(error)) => return Err(Fault::Io(error)),
            Err(_) => walk.rewind(start),
        }
    }
    bytes::compare(walk, pair)?;
    diffoscope::ask(walk, pair, start);
    Ok("bytes")
}

/// Tells that the values are the same although the bytes are not.
fn encoding(walk: &mut Walk, pair: Pair) -> Result<(), Fault> {
    let first = bytes::first_difference(pair.old, pair.new)?;
    let sizes = (
        format!("{} bytes", pair.old.len()),
        format!("{} bytes", pair.new.len()),
    );
    let difference = Difference::new(pair.at, sizes.0, sizes.1);
    let note = format!("the same values, written otherwise from byte {first} on");
    walk.push(difference.note(note).metadata());
    Ok(())
}
