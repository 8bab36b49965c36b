//! Reading zip archives strictly.
//!
//! Stricter than a general reader: two members of one name, a member whose own header names it
//! differently, or bytes that belong to nothing would let two installers see two wheels.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;

use flate2::Crc;
use flate2::bufread::DeflateDecoder;

use crate::layers::LayerError;

/// The end record, with the longest comment that it may have.
const END_LENGTH: usize = 22;
const COMMENT_LIMIT: usize = 0xffff;
const END_MAGIC: u32 = 0x0605_4b50;
const LOCATOR_LENGTH: u64 = 20;
const LOCATOR_MAGIC: u32 = 0x0706_4b50;
const END64_LENGTH: usize = 56;
const END64_MAGIC: u32 = 0x0606_4b50;
const ENTRY_LENGTH: usize = 46;
const ENTRY_MAGIC: u32 = 0x0201_4b50;
const LOCAL_LENGTH: usize = 30;
const LOCAL_MAGIC: u32 = 0x0403_4b50;

/// The longest table of contents: 2 million members with long names.
const DIRECTORY_LIMIT: u64 = 512 << 20;

/// One member.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) name: String,
    /// The size of the content.
    pub(super) size: u64,
    /// Whether it may be run: wheels made on Windows do not say.
    pub(super) executable: bool,
    packed: u64,
    method: Method,
    crc: u32,
    header: u64,
}

#[derive(Debug, Clone, Copy)]
enum Method {
    Stored,
    Deflated,
}

/// An open archive.
pub(super) struct Zip {
    file: File,
    /// In the order of the table of contents.
    pub(super) members: Vec<Member>,
    /// Where the table of contents begins: no content lies behind.
    directory: u64,
}

impl Member {
    pub(super) fn is_directory(&self) -> bool {
        self.name.ends_with('/')
    }
}

impl Zip {
    /// Reads the table of contents.
    pub(super) fn open(file: File) -> Result<Self, LayerError> {
        let length = file.metadata()?.len();
        let end = End::find(&file, length)?;
        if end.size > DIRECTORY_LIMIT || end.offset.checked_add(end.size) != Some(end.position) {
            return Err(malformed("its table of contents is not where it says"));
        }
        let bytes = read_at(&file, end.offset, end.size)?;
        let mut fields = Fields(&bytes);
        let mut members = Vec::new();
        while !fields.0.is_empty() {
            members.push(parse_entry(&mut fields)?);
        }
        if members.len() as u64 != end.count {
            return Err(malformed("its table of contents is not as long as it says"));
        }
        Ok(Self {
            file,
            members,
            directory: end.offset,
        })
    }

    /// Returns a reader of a member's content that fails at its end when size or checksum are not
    /// as promised.
    pub(super) fn read(&self, member: &Member) -> Result<impl Read, LayerError> {
        let start = self.content_start(member)?;
        let packed = io::BufReader::with_capacity(
            64 * 1024,
            Section {
                file: &self.file,
                position: start,
                end: start + member.packed,
            },
        );
        let content: Box<dyn Read> = match member.method {
            Method::Stored => Box::new(packed),
            Method::Deflated => Box::new(DeflateDecoder::new(packed)),
        };
        Ok(Checked {
            content,
            left: member.size,
            crc: Crc::new(),
            expected: member.crc,
        })
    }

    /// Returns a member's content.
    pub(super) fn content(&self, member: &Member, limit: u64) -> Result<Vec<u8>, LayerError> {
        if member.size > limit {
            return Err(malformed("a file of metadata is too long"));
        }
        let mut content = Vec::new();
        self.read(member)?.read_to_end(&mut content)?;
        Ok(content)
    }

    fn content_start(&self, member: &Member) -> Result<u64, LayerError> {
        let name = member.name.as_bytes();
        let bytes = read_at(
            &self.file,
            member.header,
            (LOCAL_LENGTH + name.len()) as u64,
        )?;
        let mut fields = Fields(&bytes);
        if fields.u32()? != LOCAL_MAGIC {
            return Err(malformed("a member is not where it should be"));
        }
        fields.bytes(22)?;
        let (name_length, extra) = (fields.u16()?, fields.u16()?);
        if usize::from(name_length) != name.len() || fields.0 != name {
            return Err(malformed("a member has two names"));
        }
        let start = member.header + bytes.len() as u64 + u64::from(extra);
        match start.checked_add(member.packed) {
            Some(end) if end <= self.directory => Ok(start),
            _ => Err(malformed("a member is longer than the archive")),
        }
    }
}

/// What the end of the archive says about its table of contents.
struct End {
    count: u64,
    size: u64,
    offset: u64,
    /// Where the record that says so begins.
    position: u64,
}

impl End {
    fn find(file: &File, length: u64) -> Result<Self, LayerError> {
        let tail_length = length.min((END_LENGTH + COMMENT_LIMIT) as u64);
        let tail = read_at(file, length - tail_length, tail_length)?;
        let latest = tail.len().checked_sub(END_LENGTH);
        let latest = latest.ok_or_else(|| malformed("it is no zip archive"))?;
        let at = (0..=latest).rev().find(|&at| {
            let comment = usize::from(u16::from_le_bytes([tail[at + 20], tail[at + 21]]));
            tail[at..at + 4] == END_MAGIC.to_le_bytes() && at + END_LENGTH + comment == tail.len()
        });
        let at = at.ok_or_else(|| malformed("it is no zip archive"))?;
        let mut fields = Fields(&tail[at + 4..at + END_LENGTH]);
        let (disk, other_disk) = (fields.u16()?, fields.u16()?);
        fields.u16()?;
        let (count, size, offset) = (fields.u16()?, fields.u32()?, fields.u32()?);
        let position = length - tail_length + at as u64;
        if count == u16::MAX || size == u32::MAX || offset == u32::MAX {
            return Self::find_long(file, position);
        }
        if disk != 0 || other_disk != 0 {
            return Err(malformed("it is a part of several"));
        }
        Ok(Self {
            count: count.into(),
            size: size.into(),
            offset: offset.into(),
            position,
        })
    }

    fn find_long(file: &File, end: u64) -> Result<Self, LayerError> {
        let locator = end.checked_sub(LOCATOR_LENGTH);
        let locator = locator.ok_or_else(|| malformed("it has no zip64 record"))?;
        let bytes = read_at(file, locator, LOCATOR_LENGTH)?;
        let mut fields = Fields(&bytes);
        if fields.u32()? != LOCATOR_MAGIC {
            return Err(malformed("it has no zip64 record"));
        }
        fields.u32()?;
        let position = fields.u64()?;
        if position.checked_add(END64_LENGTH as u64) != Some(locator) {
            return Err(malformed("its zip64 record is not where it says"));
        }
        let bytes = read_at(file, position, END64_LENGTH as u64)?;
        let mut fields = Fields(&bytes);
        if fields.u32()? != END64_MAGIC {
            return Err(malformed("it has no zip64 record"));
        }
        fields.bytes(28)?;
        Ok(Self {
            count: fields.u64()?,
            size: fields.u64()?,
            offset: fields.u64()?,
            position,
        })
    }
}

fn parse_entry(fields: &mut Fields<'_>) -> Result<Member, LayerError> {
    let mut header = Fields(fields.bytes(ENTRY_LENGTH)?);
    if header.u32()? != ENTRY_MAGIC {
        return Err(malformed("its table of contents is damaged"));
    }
    let system = header.u16()? >> 8;
    header.u16()?;
    let flags = header.u16()?;
    let method = match header.u16()? {
        _ if flags & 1 != 0 => return Err(malformed("a member is encrypted")),
        0 => Method::Stored,
        8 => Method::Deflated,
        _ => return Err(malformed("a member is compressed in an unknown way")),
    };
    header.u32()?;
    let crc = header.u32()?;
    let (packed, size) = (header.u32()?, header.u32()?);
    let (name, extra, comment) = (header.u16()?, header.u16()?, header.u16()?);
    header.u32()?;
    let attributes = header.u32()?;
    let offset = header.u32()?;
    let name = fields.bytes(name.into())?;
    let extra = fields.bytes(extra.into())?;
    fields.bytes(comment.into())?;
    let mut member = Member {
        name: String::from_utf8(name.to_vec())
            .map_err(|_| malformed("a member's name is not UTF-8"))?,
        size: size.into(),
        executable: system == 3 && (attributes >> 16) & 0o111 != 0,
        packed: packed.into(),
        method,
        crc,
        header: offset.into(),
    };
    for field in [&mut member.size, &mut member.packed, &mut member.header] {
        // Marks what is only in the zip64 field; without one the check of the end catches it.
        if *field == u64::from(u32::MAX) {
            *field = u64::MAX;
        }
    }
    parse_zip64(&mut member, extra)?;
    Ok(member)
}

fn parse_zip64(member: &mut Member, extra: &[u8]) -> Result<(), LayerError> {
    let wanted = [&mut member.size, &mut member.packed, &mut member.header];
    let mut wanted = wanted
        .into_iter()
        .filter(|field| **field == u64::MAX)
        .peekable();
    let mut extra = Fields(extra);
    while wanted.peek().is_some() {
        let (kind, length) = (extra.u16()?, extra.u16()?);
        let mut field = Fields(extra.bytes(length.into())?);
        if kind == 1 {
            for value in wanted.by_ref() {
                *value = field.u64()?;
            }
        }
    }
    Ok(())
}

/// Reads little-endian numbers from the front of a slice.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn bytes(&mut self, length: usize) -> Result<&'a [u8], LayerError> {
        let (front, rest) = self
            .0
            .split_at_checked(length)
            .ok_or_else(|| malformed("it ends too early"))?;
        self.0 = rest;
        Ok(front)
    }

    fn u16(&mut self) -> Result<u16, LayerError> {
        let bytes = self.bytes(2)?;
        Ok(u16::from_le_bytes([bytes[0], bytes[1]]))
    }

    fn u32(&mut self) -> Result<u32, LayerError> {
        Ok(u32::from(self.u16()?) | u32::from(self.u16()?) << 16)
    }

    fn u64(&mut self) -> Result<u64, LayerError> {
        Ok(u64::from(self.u32()?) | u64::from(self.u32()?) << 32)
    }
}

/// A part of a file, read without moving its position.
struct Section<'a> {
    file: &'a File,
    position: u64,
    end: u64,
}

impl Read for Section<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.position).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        let read = self.file.read_at(&mut buffer[..wanted], self.position)?;
        self.position += read as u64;
        Ok(read)
    }
}

struct Checked<R> {
    content: R,
    left: u64,
    crc: Crc,
    expected: u32,
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.content.read(buffer)?;
        self.crc.update(&buffer[..read]);
        let left = self.left.checked_sub(read as u64);
        self.left = left.ok_or_else(|| damaged("a member is longer than it says"))?;
        if read == 0 && !buffer.is_empty() && (self.left > 0 || self.crc.sum() != self.expected) {
            return Err(damaged("a member's checksum is wrong"));
        }
        Ok(read)
    }
}

fn read_at(file: &File, offset: u64, length: u64) -> Result<Vec<u8>, LayerError> {
    let mut bytes = Vec::new();
    let end = offset.saturating_add(length);
    let section = Section {
        file,
        position: offset,
        end,
    };
    io::BufReader::new(section).read_to_end(&mut bytes)?;
    if bytes.len() as u64 != length {
        return Err(LayerError::Archive(io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(bytes)
}

fn malformed(reason: &'static str) -> LayerError {
    LayerError::Malformed { reason }
}

fn damaged(message: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}
