//! PNG: pixels, and what stands beside them.

use png::{Decoder, Limits, Transformations};

use crate::array::{self, Array, ElementType, Layout};
use crate::base::{ABSENT, Difference, Fault, Source, Walk, hex, shown};
use crate::formats::Pair;

/// Chunks of one image.
const CHUNKS: usize = 10_000;

/// Bytes of one chunk that are looked at.
const CHUNK: u64 = 1 << 20;

/// Chunks that say neither a colour nor how it is shown.
const ASIDE: [&str; 7] = ["tEXt", "zTXt", "iTXt", "tIME", "pHYs", "eXIf", "bKGD"];

/// Tells in what two images differ: their pixels and their other chunks apart.
pub(crate) fn compare(walk: &mut Walk, pair: Pair) -> Result<(), Fault> {
    let limit = walk.limits.in_memory;
    let (old, new) = (Image::read(pair.old, limit)?, Image::read(pair.new, limit)?);
    if old.colours != new.colours {
        walk.push(Difference::new(pair.at, &*old.colours, &*new.colours).note("colours differ"));
    }
    // Colours of a palette are set against those that they stand for.
    let at = format!("{}pixels", pair.at);
    array::compare(walk, &at, &old.pixels, &new.pixels)?;
    chunks(walk, pair.at, &old.chunks, &new.chunks);
    Ok(())
}

struct Image {
    pixels: Array,
    colours: String,
    /// Type and content of every chunk but the pixels'.
    chunks: Vec<(String, Vec<u8>)>,
}

impl Image {
    fn read(source: &Source, limit: u64) -> Result<Self, Fault> {
        let bytes = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut decoder = Decoder::new_with_limits(source.reader(), Limits { bytes });
        decoder.set_transformations(Transformations::EXPAND);
        let mut reader = decoder.read_info().map_err(Fault::of)?;
        let colours = format!(
            "{:?}, {:?}",
            reader.info().color_type,
            reader.info().bit_depth
        );
        let size = reader
            .output_buffer_size()
            .filter(|size| *size as u64 <= limit);
        let Some(size) = size else {
            return Err(Fault::TooMuch {
                what: "the size of the image".to_owned(),
                limit,
            });
        };
        let mut pixels = vec![0; size];
        let info = reader.next_frame(&mut pixels).map_err(Fault::of)?;
        pixels.truncate(info.buffer_size());
        let element = match info.bit_depth {
            png::BitDepth::Sixteen => ElementType::int(2, false).big_endian(true),
            _ => ElementType::int(1, false),
        };
        let channels = info.color_type.samples() as u64;
        Ok(Self {
            pixels: Array {
                element,
                shape: vec![u64::from(info.height), u64::from(info.width), channels],
                layout: Layout::C,
                bytes: Source::memory(pixels),
            },
            colours,
            chunks: read_chunks(source)?,
        })
    }
}

/// Returns the chunks but those of the pixels, of their colours and the last.
fn read_chunks(source: &Source) -> Result<Vec<(String, Vec<u8>)>, Fault> {
    let (mut chunks, mut at) = (Vec::new(), 8);
    while at < source.len() && chunks.len() < CHUNKS {
        let mut head = [0; 8];
        source.read_exact_at(at, &mut head)?;
        let length = u64::from(u32::from_be_bytes([head[0], head[1], head[2], head[3]]));
        let name = String::from_utf8_lossy(&head[4..]).into_owned();
        let content = source.slice(at + 8, length)?;
        if !matches!(name.as_str(), "IHDR" | "IDAT" | "IEND" | "PLTE" | "tRNS") {
            chunks.push((name, content.slice(0, length.min(CHUNK))?.whole(CHUNK)?));
        }
        at += 12 + length;
    }
    Ok(chunks)
}

fn chunks(walk: &mut Walk, at: &str, old: &[(String, Vec<u8>)], new: &[(String, Vec<u8>)]) {
    let gone = old.iter().filter(|chunk| !new.contains(chunk));
    let mut come: Vec<&(String, Vec<u8>)> =
        new.iter().filter(|chunk| !old.contains(chunk)).collect();
    let mut tell = |name: &str, old: Option<&[u8]>, new: Option<&[u8]>| {
        let content = |side: Option<&[u8]>| match side {
            None => ABSENT.to_owned(),
            Some(bytes) if name.ends_with("Xt") => shown(&String::from_utf8_lossy(bytes)),
            Some(bytes) => hex(bytes),
        };
        let place = format!("{at}chunk {}", shown(name));
        let difference = Difference::new(&place, content(old), content(new));
        walk.push(if ASIDE.contains(&name) {
            difference.metadata()
        } else {
            difference
        });
    };
    for (name, content) in gone {
        // Text goes with text of the same keyword.
        let keyword = |bytes: &[u8]| -> Vec<u8> {
            let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(0);
            if name.ends_with("Xt") {
                bytes[..end].to_vec()
            } else {
                Vec::new()
            }
        };
        let partner = come
            .iter()
            .position(|(other, bytes)| other == name && keyword(bytes) == keyword(content));
        let partner = partner.map(|index| come.remove(index));
        tell(
            name,
            Some(content),
            partner.map(|(_, bytes)| bytes.as_slice()),
        );
    }
    for (name, content) in come {
        tell(name, None, Some(content));
    }
}
