//! Compression whose bytes are pinned.
//!
//! The stream is cut into pieces of [`PIECE`] bytes, and each is compressed by itself: a zstd frame
//! (RFC 8878 §3.1), or a member of a gzip file (RFC 1952 §2.2). Both formats allow any number of
//! them one after another. So the work is shared by all processors, memory is bounded, and how many
//! processors there are does not show in the bytes.
//!
//! **Invariant:** the bytes depend on the stream and the codec alone
//! (`tests::bytes_do_not_depend_on_threads`), and a library that compresses otherwise is noticed
//! (`tests::bytes_are_pinned`).

use std::io::{self, Write as _};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;

use flate2::{Compression, GzBuilder};
use serde::Serialize;

use crate::image::MediaType;

/// How much is compressed at once. Long enough to lose less than a hundredth of the size, short
/// enough for a dozen of them in memory.
const PIECE: usize = 4 << 20;

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

    fn compress(self, piece: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::Zstd => {
                let mut encoder = zstd::bulk::Compressor::new(3)?;
                encoder.set_parameter(zstd::zstd_safe::CParameter::ChecksumFlag(true))?;
                encoder.compress(piece)
            }
            Self::Gzip => {
                // 255: the operating system is not known, and no time is.
                let builder = GzBuilder::new().operating_system(255);
                let mut encoder = builder.write(Vec::new(), Compression::new(6));
                encoder.write_all(piece)?;
                encoder.finish()
            }
        }
    }
}

/// A piece on its way, and where its compressed bytes are to go.
type Job = (Vec<u8>, SyncSender<io::Result<Vec<u8>>>);

/// Compresses everything that `produce` writes, on `threads` threads, and gives it to `consume`
/// piece by piece, in order.
///
/// # Errors
/// Returns what `produce`, `consume` or the library returns.
pub(super) fn compress<E: From<io::Error> + Send>(
    codec: Codec,
    threads: usize,
    produce: impl FnOnce(&mut dyn io::Write) -> Result<(), E>,
    mut consume: impl FnMut(&[u8]) -> Result<(), E> + Send,
) -> Result<(), E> {
    let threads = threads.max(1);
    let (jobs, queue) = sync_channel::<Job>(threads);
    let (order, ordered) = sync_channel::<Receiver<io::Result<Vec<u8>>>>(2 * threads);
    let queue = Arc::new(Mutex::new(queue));
    thread::scope(|scope| {
        for _ in 0..threads {
            let queue = Arc::clone(&queue);
            scope.spawn(move || work(codec, &queue));
        }
        // The last reference to the queue must be a worker's: if all of them end, sending fails.
        drop(queue);
        let consumer = scope.spawn(move || -> Result<(), E> {
            for result in ordered {
                let piece = result
                    .recv()
                    .map_err(|_| io::Error::other("a thread that compresses ended early"))??;
                consume(&piece)?;
            }
            Ok(())
        });
        let mut pieces = Pieces {
            buffer: Vec::with_capacity(PIECE),
            jobs,
            order,
        };
        let produced = produce(&mut pieces).and_then(|()| Ok(pieces.send()?));
        // The channels end here, and with them all threads.
        drop(pieces);
        // What stopped the consumer also stopped the producer, and is the reason.
        let consumed = consumer.join().expect("the consumer does not panic");
        consumed.and(produced)
    })
}

fn work(codec: Codec, queue: &Mutex<Receiver<Job>>) {
    loop {
        let job = queue.lock().expect("no holder panics").recv();
        let Ok((piece, result)) = job else {
            return;
        };
        // Nobody waits for it any more when the consumer failed.
        drop(result.send(codec.compress(&piece)));
    }
}

/// Cuts a stream.
struct Pieces {
    buffer: Vec<u8>,
    jobs: SyncSender<Job>,
    order: SyncSender<Receiver<io::Result<Vec<u8>>>>,
}

impl Pieces {
    fn send(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.buffer, Vec::with_capacity(PIECE));
        let (result, receiver) = sync_channel(1);
        let ended = || io::Error::other("what takes the compressed bytes ended early");
        self.order.send(receiver).map_err(|_| ended())?;
        self.jobs.send((piece, result)).map_err(|_| ended())
    }
}

impl io::Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(PIECE - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..taken]);
        if self.buffer.len() == PIECE {
            self.send()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write};

    use envbox_lockfiles::base::Digest;
    use flate2::read::MultiGzDecoder;

    use super::*;

    /// Two pieces and a bit, that compress a little.
    fn stream() -> Vec<u8> {
        let mut state = 1u32;
        (0..2 * PIECE + 1000)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8 & 0x3f
            })
            .collect()
    }

    fn packed(codec: Codec, threads: usize, stream: &[u8], chunk: usize) -> Vec<u8> {
        let mut packed = Vec::new();
        let produce = |out: &mut dyn Write| {
            stream
                .chunks(chunk)
                .try_for_each(|bytes| out.write_all(bytes))
        };
        compress::<io::Error>(codec, threads, produce, |piece| {
            packed.extend_from_slice(piece);
            Ok(())
        })
        .unwrap();
        packed
    }

    #[test]
    fn bytes_do_not_depend_on_threads() {
        let stream = stream();
        for codec in [Codec::Zstd, Codec::Gzip] {
            let one = packed(codec, 1, &stream, 777);
            assert_eq!(packed(codec, 5, &stream, PIECE + 1), one);
            let mut unpacked = Vec::new();
            match codec {
                Codec::Zstd => zstd::stream::copy_decode(one.as_slice(), &mut unpacked).unwrap(),
                Codec::Gzip => {
                    MultiGzDecoder::new(one.as_slice())
                        .read_to_end(&mut unpacked)
                        .unwrap();
                }
            }
            assert!(unpacked == stream);
        }
    }

    #[test]
    fn bytes_are_pinned() {
        let stream = stream();
        let digests = [Codec::Zstd, Codec::Gzip]
            .map(|codec| (codec.id(), Digest::of(&packed(codec, 2, &stream, 4096))));
        insta::assert_debug_snapshot!(digests, @r#"
        [
            (
                "zstd/1.5.7/3/4m",
                sha256:40ffd1cd038ad282a9f3fdc8ab59a1fb469cae691e5bce5d07ac1c8e5b35ebe2,
            ),
            (
                "gzip/zlib-rs-0.6/6/4m",
                sha256:362ab6de3066529ab685e3ca98f03cc040f1b6f5c08191638e1e9ec5a78b6dff,
            ),
        ]
        "#);
        assert!(Codec::Zstd.id().contains(zstd::zstd_safe::version_string()));
    }

    #[test]
    fn the_first_failure_is_told() {
        let stream = stream();
        let produce = |out: &mut dyn Write| out.write_all(&stream);
        let failed = compress::<io::Error>(Codec::Zstd, 2, produce, |_| {
            Err(io::Error::from(io::ErrorKind::StorageFull))
        });
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::StorageFull);
        let produce = |_: &mut dyn Write| Err(io::Error::from(io::ErrorKind::NotFound));
        let failed = compress::<io::Error>(Codec::Gzip, 2, produce, |_| Ok(()));
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
