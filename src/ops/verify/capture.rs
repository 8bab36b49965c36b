//! What a step prints, taken as it comes: a digest of all, and the first part itself.

use std::io::{self, Read};
use std::thread::{self, JoinHandle};

use envbox_lockfiles::base::{Digest, Hasher};

/// How much of a stream is kept, to show where two differ. The rest counts by its digest alone.
const KEPT: usize = 1 << 20;

/// How many lines of what a failed run said are told.
const LINES: usize = 5;

/// What came out of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Captured {
    /// The digest of all of it.
    pub(super) digest: Digest,
    /// The size of all of it in bytes.
    pub(super) size: u64,
    /// The first part.
    pub(super) head: Vec<u8>,
}

impl Captured {
    /// Returns the last lines of the part that was kept.
    pub(super) fn last_lines(&self) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.head);
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.drain(..lines.len().saturating_sub(LINES));
        lines
    }
}

/// Reads a stream to its end, on a thread: a pipe that nobody empties would stop its writer.
pub(super) fn capture(
    mut stream: impl Read + Send + 'static,
) -> io::Result<JoinHandle<io::Result<Captured>>> {
    thread::Builder::new()
        .name("capture".to_owned())
        .spawn(move || {
            let (mut hasher, mut head) = (Hasher::new(), Vec::new());
            let mut buffer = vec![0; 64 * 1024];
            loop {
                let read = match stream.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(read) => read,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => return Err(error),
                };
                let piece = &buffer[..read];
                hasher.update(piece);
                head.extend_from_slice(&piece[..read.min(KEPT - head.len())]);
            }
            let (digest, size) = hasher.finish();
            Ok(Captured { digest, size, head })
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_stream_the_first_part_is_kept() {
        let long = io::repeat(b'x').take(3 * KEPT as u64 + 1);
        let captured = capture(long).unwrap().join().unwrap().unwrap();
        assert_eq!(captured.size, 3 * KEPT as u64 + 1);
        assert_eq!(captured.head, vec![b'x'; KEPT]);
        let short = capture(&b"abc"[..]).unwrap().join().unwrap().unwrap();
        assert_eq!(
            (short.digest, &*short.head),
            (Digest::of(b"abc"), &b"abc"[..])
        );
    }
}
