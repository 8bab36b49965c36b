//! Layers read side by side: the members of each in order, their content on the disk already.
//!
//! What a member becomes depends on the members before it, so these are applied one after another.
//! Most of the work does not depend on them: decompressing, taking digests, writing content. It is
//! done here, for several layers at once: large content goes to files beside the tree that get their
//! places later.
//! No name that a layer gives is used here.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use envbox_lockfiles::base::{Compression, Digest, FsError, Hasher};
use tempfile::TempDir;

use crate::layers::LayerError;
use crate::layers::builder::{WRITE_BUFFER, write_content};
use crate::layers::codec::Codec;
use crate::layers::limits::{Bounded, Exceeded, Limits};
use crate::layers::oci::ImageLayer;
use crate::layers::oci::reader::{Member, MemberKind, Reader};
use crate::store::{EntryKind, TreeEntry};

/// How many members are handed over together, and how often before they are applied: more than
/// most layers have, and bounded for those that would fill the memory.
const BATCH: usize = 64;
const AHEAD: usize = 64;

/// What is kept of the mode of a file: as for packages, nobody inside may become somebody else.
const FILE_MODE: u32 = 0o777;

/// Content of up to so many bytes is handed over in memory: to write a file and to rename it costs
/// more than what is gained. So it is while less than `HELD` waits, of all layers.
const SMALL: usize = 64 << 10;
const HELD: u64 = 16 << 20;

/// A member, and the content of a file.
pub(super) struct Spooled {
    pub(super) member: Member,
    pub(super) content: Option<Content>,
}

/// The content of a file, and its mode.
pub(super) enum Content {
    /// In memory.
    Held(Vec<u8>, u32),
    /// On the disk, and what it is as an entry of a tree.
    Written(PathBuf, TreeEntry),
}

/// What a layer turned out to be.
struct Verdict {
    /// Whether its bytes are the image's.
    blob: Result<(), LayerError>,
    /// Whether its stream is, and could be read.
    stream: Result<(), LayerError>,
}

enum Message {
    Members(Vec<Spooled>),
    End(Verdict),
}

/// Where layers are read to; removed when this value is dropped.
pub(super) struct Spool {
    directory: TempDir,
    limits: Limits,
    /// How much content there was, of all layers.
    bytes: AtomicU64,
    /// How much of it waits in memory.
    held: AtomicU64,
    /// Nobody wants more members.
    stopped: AtomicBool,
}

impl Spool {
    /// Makes a place beside `tree`.
    ///
    /// # Errors
    /// Returns [`LayerError::File`] when it cannot be written.
    pub(super) fn beside(tree: &Path, limits: Limits) -> Result<Self, LayerError> {
        let parent = tree.parent().unwrap_or(tree);
        let directory = tempfile::Builder::new()
            .prefix("layers-")
            .tempdir_in(parent);
        Ok(Self {
            directory: directory.map_err(FsError::at("write", parent))?,
            limits,
            bytes: AtomicU64::new(0),
            held: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
        })
    }

    /// Reads `layers` on `threads` threads, and gives their members to `apply`, layer after layer.
    ///
    /// # Errors
    /// Returns what is wrong with the first layer that has something wrong.
    pub(super) fn read(
        &self,
        layers: &[ImageLayer],
        threads: usize,
        mut apply: impl FnMut(&mut dyn Iterator<Item = Spooled>) -> Result<(), LayerError>,
    ) -> Result<(), LayerError> {
        let (queue, members): (VecDeque<_>, Vec<_>) = (0..layers.len())
            .map(|index| {
                let (sender, receiver) = sync_channel(AHEAD);
                ((index, sender), receiver)
            })
            .unzip();
        let queue = Mutex::new(queue);
        let next = || queue.lock().expect("no holder panics").pop_front();
        thread::scope(|scope| {
            for _ in 0..threads.clamp(1, layers.len().max(1)) {
                scope.spawn(|| {
                    // In order: the first is what is waited for.
                    while !self.is_stopped()
                        && let Some((index, sender)) = next()
                    {
                        self.layer(index, &layers[index], sender);
                    }
                });
            }
            for (index, receiver) in members.into_iter().enumerate() {
                let applied = self.apply(&receiver, &mut apply);
                applied.map_err(|source| LayerError::Layer {
                    number: index + 1,
                    digest: layers[index].digest,
                    source: Box::new(source),
                })?;
            }
            Ok(())
        })
    }

    /// Applies one layer.
    fn apply(
        &self,
        receiver: &Receiver<Message>,
        apply: &mut impl FnMut(&mut dyn Iterator<Item = Spooled>) -> Result<(), LayerError>,
    ) -> Result<(), LayerError> {
        let mut verdict = None;
        let mut batches = std::iter::from_fn(|| match receiver.recv() {
            Ok(Message::Members(members)) => Some(members),
            Ok(Message::End(end)) => {
                verdict = Some(end);
                None
            }
            Err(_) => None,
        })
        .fuse();
        let mut members = batches.by_ref().flatten();
        let applied = apply(&mut members.by_ref().inspect(|spooled| self.taken(spooled)));
        if applied.is_err() {
            self.stop();
        }
        batches.for_each(drop);
        let ended = || LayerError::from(io::Error::other("a thread that reads layers ended early"));
        let Verdict { blob, stream } = verdict.ok_or_else(ended)?;
        // Bytes that are not the image's may be wrong in any way: say that first.
        let result = blob.and(applied).and(stream);
        if result.is_err() {
            self.stop();
        }
        result
    }

    fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Reads one layer to its end.
    fn layer(&self, index: usize, layer: &ImageLayer, sender: SyncSender<Message>) {
        let mut batches = Batches {
            sender,
            members: Vec::new(),
        };
        let verdict = self.members(index, layer, &mut batches);
        let verdict = verdict.unwrap_or_else(|error| Verdict {
            blob: Err(error),
            stream: Ok(()),
        });
        batches.end(verdict);
    }

    fn members(
        &self,
        index: usize,
        layer: &ImageLayer,
        batches: &mut Batches,
    ) -> Result<Verdict, LayerError> {
        let reading = FsError::at("read", &layer.path);
        let file = File::open(&layer.path);
        let file = file.and_then(|file| Ok((file.metadata()?.len(), file)));
        let (size, file) = file.map_err(reading)?;
        let mut packed = BufReader::with_capacity(256 * 1024, Hashing::new(file));
        let stream = codec(layer.compression).decode(&mut packed)?;
        let mut stream = Hashing::new(Bounded::new(stream, self.limits.unpacked(size)));
        let read = self.contents(index, &mut stream, batches);
        let read = read.and_then(|whole| match whole {
            true => expect(
                "the digest of its tar stream",
                layer.diff_id,
                stream.digest()?,
            ),
            false => Ok(()),
        });
        drop(stream);
        io::copy(&mut packed, &mut io::sink())?;
        let digest = packed.into_inner().digest()?;
        Ok(Verdict {
            blob: expect("its digest", layer.digest, digest),
            stream: read,
        })
    }

    /// Reads a tar stream; says whether to its end.
    fn contents(
        &self,
        index: usize,
        stream: impl Read,
        batches: &mut Batches,
    ) -> Result<bool, LayerError> {
        let directory = self.directory.path().join(index.to_string());
        fs::create_dir(&directory).map_err(FsError::at("write", &directory))?;
        let mut buffer = vec![0; WRITE_BUFFER];
        let mut reader = Reader::new(stream);
        let mut files = 0u64;
        while let Some(member) = reader.advance()? {
            let content = match member.kind {
                MemberKind::File => {
                    files += 1;
                    let path = directory.join(files.to_string());
                    let mode = member.mode & FILE_MODE | 0o400;
                    Some(self.content(path, mode, &mut reader, &mut buffer)?)
                }
                _ => None,
            };
            if !batches.add(Spooled { member, content }) || self.is_stopped() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn content(
        &self,
        path: PathBuf,
        mode: u32,
        mut content: &mut dyn Read,
        buffer: &mut [u8],
    ) -> Result<Content, LayerError> {
        let mut begin = Vec::new();
        if self.held.load(Ordering::Relaxed) < HELD {
            (&mut content).take(SMALL as u64).read_to_end(&mut begin)?;
            if begin.len() < SMALL {
                self.count(begin.len() as u64)
                    .map_err(LayerError::Exceeded)?;
                self.held.fetch_add(begin.len() as u64, Ordering::Relaxed);
                return Ok(Content::Held(begin, mode));
            }
        }
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(&path);
        let file = file.map_err(FsError::at("write", &path))?;
        let mut whole = begin.as_slice().chain(content);
        let count = |more| self.count(more);
        let (digest, size) = write_content(file, &path, mode, &mut whole, buffer, count)?;
        let kind = EntryKind::File { size, digest };
        Ok(Content::Written(path, TreeEntry { mode, kind }))
    }

    /// Counts content that was read, of all layers.
    fn count(&self, more: u64) -> Result<(), Exceeded> {
        let limit = self.limits.bytes;
        match self.bytes.fetch_add(more, Ordering::Relaxed) + more > limit {
            true => Err(Exceeded { limit }),
            false => Ok(()),
        }
    }

    /// Notes that a member is no longer waiting.
    fn taken(&self, spooled: &Spooled) {
        if let Some(Content::Held(bytes, _)) = &spooled.content {
            self.held.fetch_sub(bytes.len() as u64, Ordering::Relaxed);
        }
    }
}

/// Members on their way to who applies them.
struct Batches {
    sender: SyncSender<Message>,
    members: Vec<Spooled>,
}

impl Batches {
    /// Says whether anybody wants more.
    fn add(&mut self, spooled: Spooled) -> bool {
        self.members.push(spooled);
        self.members.len() < BATCH || self.send()
    }

    fn send(&mut self) -> bool {
        let members = std::mem::take(&mut self.members);
        self.sender.send(Message::Members(members)).is_ok()
    }

    fn end(mut self, verdict: Verdict) {
        // Nobody asks when a layer below failed.
        if self.send() {
            drop(self.sender.send(Message::End(verdict)));
        }
    }
}

fn codec(compression: Compression) -> Codec {
    match compression {
        Compression::None => Codec::Plain,
        Compression::Gzip => Codec::Gzip,
        Compression::Zstd => Codec::Zstd,
    }
}

fn expect(what: &'static str, expected: Digest, found: Digest) -> Result<(), LayerError> {
    match expected == found {
        true => Ok(()),
        false => Err(LayerError::LayerDigest {
            what,
            expected,
            found,
        }),
    }
}

/// Takes the digest of what is read.
struct Hashing<R> {
    inner: R,
    hasher: Hasher,
}

impl<R: Read> Hashing<R> {
    fn new(inner: R) -> Self {
        Self {
            inner,
            hasher: Hasher::new(),
        }
    }

    /// Returns the digest of everything, with what was not read yet.
    fn digest(&mut self) -> io::Result<Digest> {
        io::copy(self, &mut io::sink())?;
        Ok(std::mem::take(&mut self.hasher).finish().0)
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        Ok(read)
    }
}
