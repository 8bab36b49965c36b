//! Members of a layer's tar stream.
//!
//! Own, and strict where readers differ: what two tools would read as two archives is refused. It
//! holds one header in memory, and never more of what an extended header says than
//! [`EXTENDED_LIMIT`].

use std::io::{self, Read};

use crate::layers::LayerError;

/// The unit of the format.
const BLOCK: usize = 512;

/// The longest extended header (`x`) that is read: a path and some attributes.
const EXTENDED_LIMIT: u64 = 1 << 20;

/// Where a header has what.
const NAME: std::ops::Range<usize> = 0..100;
const MODE: std::ops::Range<usize> = 100..108;
const SIZE: std::ops::Range<usize> = 124..136;
const CHECKSUM: std::ops::Range<usize> = 148..156;
const TYPE: usize = 156;
const LINK: std::ops::Range<usize> = 157..257;
const MAGIC: std::ops::Range<usize> = 257..263;
const DEVICE: std::ops::Range<usize> = 329..345;
const PREFIX: std::ops::Range<usize> = 345..500;

/// One member; its content is read from the [`Reader`] before the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) name: Vec<u8>,
    pub(super) kind: MemberKind,
    /// The permission bits, set-id and sticky bits with them.
    pub(super) mode: u32,
    /// Names of the extended attributes.
    pub(super) attributes: Vec<String>,
}

/// What a member is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum MemberKind {
    File,
    Directory,
    HardLink(Vec<u8>),
    Symlink(Vec<u8>),
    /// A character device, block device or pipe: tar's letter, and whether its number is 0:0.
    Special(char, bool),
}

/// Reads the members of a stream in turn.
pub(super) struct Reader<R> {
    stream: R,
    /// How much of the current member's content is still to come, and its padding.
    content: u64,
    padding: u64,
}

/// What extended headers say about the member that follows.
#[derive(Default)]
struct Extended {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    attributes: Vec<String>,
    seen: bool,
}

impl<R: Read> Reader<R> {
    pub(super) fn new(stream: R) -> Self {
        Self {
            stream,
            content: 0,
            padding: 0,
        }
    }

    /// Returns the next member, or `None` behind the last: then the whole stream was read.
    pub(super) fn advance(&mut self) -> Result<Option<Member>, LayerError> {
        let mut extended = Extended::default();
        loop {
            self.skip_content()?;
            let Some(header) = self.header()? else {
                return match extended.seen {
                    true => Err(malformed("an extended header belongs to no member")),
                    false => Ok(None),
                };
            };
            let size = number(&header[SIZE])?;
            match header[TYPE] {
                b'g' => self.begin(size)?,
                b'x' => {
                    let records = self.short_content(size)?;
                    extended.seen = true;
                    extended.read(&records)?;
                }
                b'L' => extended.set_path(self.long_name(size)?)?,
                b'K' => extended.set_link(self.long_name(size)?)?,
                _ => return self.member(&header, size, extended).map(Some),
            }
        }
    }

    fn member(
        &mut self,
        header: &[u8; BLOCK],
        size: u64,
        extended: Extended,
    ) -> Result<Member, LayerError> {
        let name = extended.path.unwrap_or_else(|| name(header));
        let link = || {
            let own = || until_nul(&header[LINK]).to_vec();
            extended.link.clone().unwrap_or_else(own)
        };
        let letter = header[TYPE];
        let kind = match letter {
            // Before POSIX, a directory was a file whose name ends so.
            0 if name.ends_with(b"/") => MemberKind::Directory,
            0 | b'0' | b'7' => MemberKind::File,
            b'1' => MemberKind::HardLink(link()),
            b'2' => MemberKind::Symlink(link()),
            b'3' | b'4' | b'6' => {
                let unnumbered = header[DEVICE]
                    .iter()
                    .all(|byte| matches!(byte, 0 | b' ' | b'0'));
                MemberKind::Special(char::from(letter), letter == b'3' && unnumbered)
            }
            b'5' => MemberKind::Directory,
            _ => {
                return Err(LayerError::Special {
                    member: String::from_utf8_lossy(&name).into_owned(),
                    kind: char::from(letter),
                });
            }
        };
        let size = extended.size.unwrap_or(size);
        if kind != MemberKind::File && size != 0 {
            // Some tools take the bytes for content, others for the next header.
            return Err(malformed("a member that is no file has content"));
        }
        self.begin(size)?;
        Ok(Member {
            name,
            kind,
            mode: u32::try_from(number(&header[MODE])? & 0o7777).expect("twelve bits"),
            attributes: extended.attributes,
        })
    }

    /// Reads a header; `None` at the end, after which there may be zeros alone.
    fn header(&mut self) -> Result<Option<[u8; BLOCK]>, LayerError> {
        let mut header = [0; BLOCK];
        if !fill(&mut self.stream, &mut header)? {
            return Ok(None);
        }
        if header.iter().all(|&byte| byte == 0) {
            self.expect_zeros()?;
            return Ok(None);
        }
        let claimed = number(&header[CHECKSUM])?;
        let (mut unsigned, mut signed) = (0u64, 0i64);
        for (place, &byte) in header.iter().enumerate() {
            let byte = if CHECKSUM.contains(&place) {
                b' '
            } else {
                byte
            };
            unsigned += u64::from(byte);
            signed += i64::from(byte.cast_signed());
        }
        // Old tools summed signed characters.
        if claimed != unsigned && i64::try_from(claimed) != Ok(signed) {
            return Err(malformed("a header's checksum is wrong"));
        }
        Ok(Some(header))
    }

    /// Reads what follows the end. Some tools would read on behind it and find other members.
    fn expect_zeros(&mut self) -> Result<(), LayerError> {
        let mut buffer = [0; 16 * BLOCK];
        loop {
            match self.stream.read(&mut buffer)? {
                0 => return Ok(()),
                read if buffer[..read].iter().all(|&byte| byte == 0) => {}
                _ => return Err(malformed("there is something behind its end")),
            }
        }
    }

    fn begin(&mut self, size: u64) -> Result<(), LayerError> {
        let whole = size.checked_next_multiple_of(BLOCK as u64);
        let whole = whole.ok_or_else(|| malformed("a member is too large"))?;
        (self.content, self.padding) = (size, whole - size);
        Ok(())
    }

    fn skip_content(&mut self) -> Result<(), LayerError> {
        let rest = self.content.saturating_add(self.padding);
        (self.content, self.padding) = (0, 0);
        let skipped = io::copy(&mut (&mut self.stream).take(rest), &mut io::sink())?;
        if skipped < rest {
            return Err(truncated().into());
        }
        Ok(())
    }

    fn short_content(&mut self, size: u64) -> Result<Vec<u8>, LayerError> {
        if size > EXTENDED_LIMIT {
            return Err(malformed("an extended header is too long"));
        }
        self.begin(size)?;
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn long_name(&mut self, size: u64) -> Result<Vec<u8>, LayerError> {
        let bytes = self.short_content(size)?;
        Ok(until_nul(&bytes).to_vec())
    }
}

/// The content of the current member.
impl<R: Read> Read for Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.content).map_or(buffer.len(), |c| c.min(buffer.len()));
        if wanted == 0 {
            return Ok(0);
        }
        let read = self.stream.read(&mut buffer[..wanted])?;
        if read == 0 {
            return Err(truncated());
        }
        self.content -= read as u64;
        Ok(read)
    }
}

impl Extended {
    /// Reads the records of a PAX header: `LENGTH KEY=VALUE\n`, the length counting itself.
    fn read(&mut self, mut records: &[u8]) -> Result<(), LayerError> {
        let bad = || malformed("an extended header is not a list of records");
        while !records.is_empty() {
            let space = records.iter().position(|&byte| byte == b' ');
            let (digits, _) = records.split_at(space.ok_or_else(bad)?);
            let length: usize = decimal(digits).ok_or_else(bad)?;
            let record = records.get(digits.len() + 1..length).ok_or_else(bad)?;
            let record = record.strip_suffix(b"\n").ok_or_else(bad)?;
            let equals = record.iter().position(|&byte| byte == b'=');
            let (key, value) = record.split_at(equals.ok_or_else(bad)?);
            self.record(key, &value[1..])?;
            records = &records[length..];
        }
        Ok(())
    }

    fn record(&mut self, key: &[u8], value: &[u8]) -> Result<(), LayerError> {
        match key {
            b"path" => self.set_path(value.to_vec()),
            b"linkpath" => self.set_link(value.to_vec()),
            b"size" => {
                let size = decimal(value).ok_or_else(|| malformed("a size is no number"))?;
                match self.size.replace(size) {
                    None => Ok(()),
                    Some(_) => Err(malformed("a member has two sizes")),
                }
            }
            // A hole costs nothing in the archive: a few bytes could fill the disk.
            key if key.starts_with(b"GNU.sparse.") => Err(malformed("it has a sparse file")),
            key => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    let name = String::from_utf8_lossy(name).into_owned();
                    self.attributes.push(name);
                }
                Ok(())
            }
        }
    }

    fn set_path(&mut self, path: Vec<u8>) -> Result<(), LayerError> {
        self.seen = true;
        match self.path.replace(path) {
            None => Ok(()),
            Some(_) => Err(malformed("a member has two names")),
        }
    }

    fn set_link(&mut self, link: Vec<u8>) -> Result<(), LayerError> {
        self.seen = true;
        match self.link.replace(link) {
            None => Ok(()),
            Some(_) => Err(malformed("a link has two targets")),
        }
    }
}

/// Returns the name that the header itself has.
fn name(header: &[u8; BLOCK]) -> Vec<u8> {
    let name = until_nul(&header[NAME]);
    let prefix = until_nul(&header[PREFIX]);
    // GNU's own format has `ustar ` there, and other things in the prefix's place.
    if &header[MAGIC] != b"ustar\0" || prefix.is_empty() {
        return name.to_vec();
    }
    [prefix, b"/", name].concat()
}

fn until_nul(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|&byte| byte == 0);
    &field[..end.unwrap_or(field.len())]
}

/// Reads a number: octal digits, or big-endian bytes where the first bit says so.
fn number(field: &[u8]) -> Result<u64, LayerError> {
    let bad = || malformed("a header has something else where a number should be");
    if field[0] & 0x80 != 0 {
        let (first, rest) = field.split_first().expect("fields are not empty");
        // 0xff begins a negative number.
        let mut value = u64::from(first & 0x7f);
        for &byte in rest {
            value = value.checked_mul(256).ok_or_else(bad)? | u64::from(byte);
        }
        return Ok(value);
    }
    let text = until_nul(field).trim_ascii();
    let digit = |value: u64, byte: &u8| match byte {
        b'0'..=b'7' => value.checked_mul(8)?.checked_add(u64::from(byte - b'0')),
        _ => None,
    };
    text.iter().try_fold(0, digit).ok_or_else(bad)
}

fn decimal<T: std::str::FromStr>(digits: &[u8]) -> Option<T> {
    let all_digits = digits.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(digits).ok().filter(|_| all_digits)?;
    text.parse().ok()
}

/// Fills `block`; false when the stream ends before its first byte.
fn fill(mut stream: impl Read, block: &mut [u8]) -> Result<bool, LayerError> {
    let mut filled = 0;
    while filled < block.len() {
        match stream.read(&mut block[filled..])? {
            0 if filled == 0 => return Ok(false),
            0 => return Err(truncated().into()),
            read => filled += read,
        }
    }
    Ok(true)
}

fn malformed(reason: &'static str) -> LayerError {
    LayerError::Malformed { reason }
}

fn truncated() -> io::Error {
    io::ErrorKind::UnexpectedEof.into()
}
