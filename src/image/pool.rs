//! The threads that compress, and the memory that they do it in, for all layers of an image.
//!
//! Comes in: streams, several side by side. Goes out: the compressed pieces of each, in order.
//!
//! A stream's own thread fills pieces and takes them back when they are compressed; between the two
//! they wait for a thread of the pool. When all pieces are in use a stream waits for one, so that
//! memory is bounded by the number of threads, whatever is compressed.
//!
//! **Invariant:** however many streams there are, and however long, the pieces are a fixed number
//! (`tests::streams_share_the_pieces`).
//! **Invariant:** a stream that fails gives all its pieces back (`tests::the_first_failure_is_told`).

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::thread;

use crate::image::Codec;
use crate::image::codec::{Encoder, PIECE};

/// How many pieces there are for each thread, beside the one that it compresses into.
const PIECES: usize = 2;

/// Compressing threads, and pieces.
pub(super) struct Pool {
    codec: Codec,
    state: Mutex<State>,
    /// There is something to compress, or there will never be again.
    work: Condvar,
    /// A piece was compressed, or is free.
    progress: Condvar,
}

struct State {
    waiting: VecDeque<Waiting>,
    /// By stream and number in it.
    compressed: BTreeMap<(u64, u64), io::Result<Vec<u8>>>,
    free: Vec<Vec<u8>>,
    /// How many pieces may still be made.
    unmade: usize,
    /// How many streams there were.
    streams: u64,
    ended: bool,
}

struct Waiting {
    place: (u64, u64),
    piece: Vec<u8>,
}

/// What a stream gets when it waits.
enum Next {
    Free(Vec<u8>),
    Compressed(io::Result<Vec<u8>>),
}

/// Calls `work` with a pool of `threads` threads, each of which has a piece that it compresses, one
/// that waits for it or is filled meanwhile, and one that it compresses into.
pub(super) fn with_pool<R>(codec: Codec, threads: usize, work: impl FnOnce(&Pool) -> R) -> R {
    /// Ends the threads, also when `work` panics: else nobody would learn of that.
    struct End<'a>(&'a Pool);

    impl Drop for End<'_> {
        fn drop(&mut self) {
            self.0.state().ended = true;
            self.0.work.notify_all();
        }
    }

    let threads = threads.max(1);
    let pool = Pool {
        codec,
        state: Mutex::new(State {
            waiting: VecDeque::new(),
            compressed: BTreeMap::new(),
            free: Vec::new(),
            unmade: PIECES * threads,
            streams: 0,
            ended: false,
        }),
        work: Condvar::new(),
        progress: Condvar::new(),
    };
    thread::scope(|scope| {
        let _end = End(&pool);
        for _ in 0..threads {
            scope.spawn(|| pool.compress_all());
        }
        work(&pool)
    })
}

impl Pool {
    /// Returns how it compresses.
    pub(super) fn codec(&self) -> Codec {
        self.codec
    }

    /// Compresses everything that `produce` writes, and gives it to `consume` piece by piece, in
    /// order.
    ///
    /// # Errors
    /// Returns what `produce`, `consume` or the library returns.
    pub(super) fn compress<E: From<io::Error>>(
        &self,
        produce: impl FnOnce(&mut dyn io::Write) -> Result<(), E>,
        consume: &mut dyn FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut stream = Stream {
            pool: self,
            number: self.begin(),
            piece: None,
            sent: 0,
            taken: 0,
            consume,
            failed: None,
        };
        let produced = produce(&mut stream);
        let ended = produced.and_then(|()| Ok(stream.end()?));
        // What stopped the consumer also stopped the producer, and is the reason.
        match stream.failed.take() {
            Some(error) => Err(error),
            None => ended,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }

    fn begin(&self) -> u64 {
        let mut state = self.state();
        state.streams += 1;
        state.streams
    }

    /// Compresses what is sent, until the pool ends.
    fn compress_all(&self) {
        let mut encoder = Encoder::new(self.codec);
        let mut output = Vec::new();
        loop {
            let Some(Waiting { place, mut piece }) = self.receive() else {
                return;
            };
            let compressed = encoder.compress(&piece, &mut output);
            // The piece's memory is the next one's output.
            std::mem::swap(&mut piece, &mut output);
            let mut state = self.state();
            let result = match compressed {
                Ok(()) => Ok(piece),
                Err(error) => {
                    state.free.push(piece);
                    Err(error)
                }
            };
            state.compressed.insert(place, result);
            self.progress.notify_all();
        }
    }

    /// Waits for a piece to compress; `None` when there will be no more.
    fn receive(&self) -> Option<Waiting> {
        let mut state = self.state();
        loop {
            match state.waiting.pop_front() {
                Some(waiting) => return Some(waiting),
                None if state.ended => return None,
                None => state = self.work.wait(state).expect("no holder panics"),
            }
        }
    }

    fn send(&self, place: (u64, u64), piece: Vec<u8>) {
        self.state().waiting.push_back(Waiting { place, piece });
        self.work.notify_one();
    }

    /// Waits for the piece at `place` to be compressed.
    fn take(&self, place: (u64, u64)) -> io::Result<Vec<u8>> {
        let mut state = self.state();
        loop {
            match state.compressed.remove(&place) {
                Some(result) => return result,
                None => state = self.progress.wait(state).expect("no holder panics"),
            }
        }
    }

    /// Waits for the piece at `place`, which the stream has sent, or for an empty one.
    fn next(&self, place: (u64, u64)) -> Next {
        let mut state = self.state();
        loop {
            if let Some(result) = state.compressed.remove(&place) {
                return Next::Compressed(result);
            }
            if let Some(piece) = state.free.pop() {
                return Next::Free(piece);
            }
            if state.unmade > 0 {
                state.unmade -= 1;
                return Next::Free(Vec::new());
            }
            state = self.progress.wait(state).expect("no holder panics");
        }
    }

    fn give_back(&self, mut piece: Vec<u8>) {
        piece.clear();
        self.state().free.push(piece);
        self.progress.notify_all();
    }
}

/// Cuts a stream into pieces.
struct Stream<'a, E> {
    pool: &'a Pool,
    number: u64,
    /// What is filled.
    piece: Option<Vec<u8>>,
    sent: u64,
    taken: u64,
    consume: &'a mut dyn FnMut(&[u8]) -> Result<(), E>,
    failed: Option<E>,
}

impl<E: From<io::Error>> Stream<'_, E> {
    /// Sends the last piece and waits for all that were sent.
    fn end(&mut self) -> io::Result<()> {
        self.send();
        while self.taken < self.sent {
            let compressed = self.pool.take((self.number, self.taken));
            self.consume(compressed)?;
        }
        Ok(())
    }

    fn send(&mut self) {
        if let Some(piece) = self.piece.take() {
            self.pool.send((self.number, self.sent), piece);
            self.sent += 1;
        }
    }

    /// Hands on the next piece that was compressed.
    fn consume(&mut self, compressed: io::Result<Vec<u8>>) -> io::Result<()> {
        self.taken += 1;
        let piece = compressed?;
        let consumed = (self.consume)(&piece);
        self.pool.give_back(piece);
        consumed.map_err(|error| {
            self.failed = Some(error);
            io::Error::other("what takes the compressed bytes failed")
        })
    }

    /// Returns the piece to fill; meanwhile hands on what was compressed.
    fn piece(&mut self) -> io::Result<&mut Vec<u8>> {
        while self.piece.is_none() {
            match self.pool.next((self.number, self.taken)) {
                Next::Compressed(compressed) => self.consume(compressed)?,
                Next::Free(mut piece) => {
                    piece.reserve_exact(self.pool.codec.bound());
                    self.piece = Some(piece);
                }
            }
        }
        Ok(self.piece.get_or_insert_default())
    }
}

impl<E: From<io::Error>> io::Write for Stream<'_, E> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let piece = self.piece()?;
        let taken = bytes.len().min(PIECE - piece.len());
        piece.extend_from_slice(&bytes[..taken]);
        if piece.len() == PIECE {
            self.send();
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Others wait for the pieces of a stream that ended early.
impl<E> Drop for Stream<'_, E> {
    fn drop(&mut self) {
        let sent = (self.taken..self.sent).map(|number| self.pool.take((self.number, number)));
        for piece in self.piece.take().into_iter().chain(sent.flatten()) {
            self.pool.give_back(piece);
        }
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

    /// Compresses what is written `chunk` bytes at a time.
    fn packed(pool: &Pool, stream: &[u8], chunk: usize) -> Vec<u8> {
        let mut packed = Vec::new();
        let produce = |out: &mut dyn Write| {
            stream
                .chunks(chunk)
                .try_for_each(|bytes| out.write_all(bytes))
        };
        pool.compress::<io::Error>(produce, &mut |piece| {
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
            let one = with_pool(codec, 1, |pool| packed(pool, &stream, 777));
            // A thread's second stream is compressed as its first.
            with_pool(codec, 5, |pool| {
                for _ in 0..3 {
                    assert!(packed(pool, &stream, PIECE + 1) == one);
                }
            });
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
        let digests = [Codec::Zstd, Codec::Gzip].map(|codec| {
            let packed = with_pool(codec, 2, |pool| packed(pool, &stream, 4096));
            (codec.id(), Digest::of(&packed))
        });
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
    fn streams_share_the_pieces() {
        let stream = stream();
        with_pool(Codec::Zstd, 2, |pool| {
            let expected = packed(pool, &stream, PIECE);
            thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| assert!(packed(pool, &stream, 100_000) == expected));
                }
            });
            let state = pool.state();
            let made = PIECES * 2 - state.unmade;
            assert_eq!((state.free.len(), state.compressed.len()), (made, 0));
            let greatest = state.free.iter().map(Vec::capacity).max();
            assert_eq!(greatest, Some(Codec::Zstd.bound()));
        });
    }

    #[test]
    fn the_first_failure_is_told() {
        let stream = stream();
        with_pool(Codec::Zstd, 1, |pool| {
            // More often than there are pieces.
            for _ in 0..4 {
                let produce = |out: &mut dyn Write| out.write_all(&stream);
                let failed = pool.compress::<io::Error>(produce, &mut |_| {
                    Err(io::Error::from(io::ErrorKind::StorageFull))
                });
                assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::StorageFull);
                let produce = |out: &mut dyn Write| {
                    out.write_all(&stream)?;
                    Err(io::Error::from(io::ErrorKind::NotFound))
                };
                let failed = pool.compress::<io::Error>(produce, &mut |_| Ok(()));
                assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::NotFound);
            }
            assert!(!packed(pool, &stream, PIECE).is_empty());
        });
    }
}
