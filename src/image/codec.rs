//! Compression whose bytes are pinned.
//!
//! A stream is cut into pieces of [`PIECE`] bytes, and each is compressed by itself: a zstd frame
//! (RFC 8878 §3.1), or a member of a gzip file (RFC 1952 §2.2). Both formats allow any number of
//! them one after another. So the work is shared by all processors ([`crate::image::pool`]), and
//! how many there are does not show in the bytes.
//!
//! **Invariant:** the bytes depend on the stream and the codec alone
//! (`pool::tests::bytes_do_not_depend_on_threads`), and a library that compresses otherwise is
//! noticed (`pool::tests::bytes_are_pinned`).

use std::io::{self, Write as _};

use flate2::{Compression, GzBuilder};
use serde::Serialize;
use zstd::zstd_safe::{CParameter, compress_bound};

use crate::image::MediaType;

/// How much is compressed at once. Long enough to lose less than a hundredth of the size, short
/// enough for a few of them for each processor in memory.
pub(super) const PIECE: usize = 4 << 20;

/// How layers are compressed. Changing what one of these means changes the digests of all images:
/// [`Codec::id`] must change with it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Codec {
    /// zstd, level 3: a third of the time of gzip, and smaller.
    #[default]
    Zstd,
    /// gzip, level 6: what the oldest programs read.
    Gzip,
}

impl Codec {
    /// Names the codec, its library's version where that shows in the bytes, its level, and how
    /// the stream is cut.
    pub fn id(self) -> &'static str {
        match self {
            Self::Zstd => "zstd/1.5.7/3/4m",
            Self::Gzip => "gzip/zlib-rs-0.6/6/4m",
        }
    }

    /// Returns the media type of a layer.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Zstd => MediaType::LAYER_ZSTD,
            Self::Gzip => MediaType::LAYER_GZIP,
        }
    }

    /// Returns the greatest size of a compressed piece. What zstd writes may depend on the room it
    /// is given, unless that is as much as it could ever need.
    pub(super) fn bound(self) -> usize {
        compress_bound(PIECE)
    }
}

/// What a thread keeps from one piece to the next. It does not show in the bytes.
pub(super) struct Encoder {
    codec: Codec,
    zstd: Option<zstd::bulk::Compressor<'static>>,
}

impl Encoder {
    pub(super) fn new(codec: Codec) -> Self {
        Self { codec, zstd: None }
    }

    /// Compresses `piece` into `output`, whose content is replaced.
    pub(super) fn compress(&mut self, piece: &[u8], output: &mut Vec<u8>) -> io::Result<()> {
        output.clear();
        output.reserve_exact(self.codec.bound());
        match self.codec {
            Codec::Zstd => self.zstd()?.compress_to_buffer(piece, output).map(drop),
            Codec::Gzip => {
                // 255: the operating system is not known, and no time is.
                let builder = GzBuilder::new().operating_system(255);
                let mut encoder = builder.write(output, Compression::new(6));
                encoder.write_all(piece)?;
                encoder.finish().map(drop)
            }
        }
    }

    fn zstd(&mut self) -> io::Result<&mut zstd::bulk::Compressor<'static>> {
        if self.zstd.is_none() {
            let mut compressor = zstd::bulk::Compressor::new(3)?;
            compressor.set_parameter(CParameter::ChecksumFlag(true))?;
            self.zstd = Some(compressor);
        }
        Ok(self.zstd.as_mut().expect("it was just made"))
    }
}
