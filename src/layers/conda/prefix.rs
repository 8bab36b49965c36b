//! The prefix in files: packages are built for a place that is as long as any can be, and carry its
//! name.
//!
//! In text every occurrence becomes the prefix. In a program the name is a part of strings that a
//! zero ends: what a string loses in length it gains in zeros behind it, so that nothing moves.

use std::io::{self, Read};

use memchr::memmem::Finder;

/// The encodings that conda looks for a placeholder in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Utf8,
    Utf16Le,
    Utf16Be,
    Utf32Le,
    Utf32Be,
}

impl Encoding {
    const ALL: [Self; 5] = [
        Self::Utf8,
        Self::Utf16Le,
        Self::Utf16Be,
        Self::Utf32Le,
        Self::Utf32Be,
    ];

    /// Returns the length of the zero that ends a string.
    fn unit(self) -> usize {
        match self {
            Self::Utf8 => 1,
            Self::Utf16Le | Self::Utf16Be => 2,
            Self::Utf32Le | Self::Utf32Be => 4,
        }
    }

    fn encode(self, text: &str) -> Vec<u8> {
        let units = text.encode_utf16();
        let characters = text.chars().map(u32::from);
        match self {
            Self::Utf8 => text.as_bytes().to_vec(),
            Self::Utf16Le => units.flat_map(u16::to_le_bytes).collect(),
            Self::Utf16Be => units.flat_map(u16::to_be_bytes).collect(),
            Self::Utf32Le => characters.flat_map(u32::to_le_bytes).collect(),
            Self::Utf32Be => characters.flat_map(u32::to_be_bytes).collect(),
        }
    }
}

/// Returns a reader of `content` in which every `placeholder` has become `prefix`.
pub(super) fn in_text<'a>(
    content: impl Read + 'a,
    placeholder: &str,
    prefix: &str,
) -> Box<dyn Read + 'a> {
    replaced(Box::new(content), placeholder, prefix, false, CHUNK)
}

/// Returns a reader of `content` in which every `placeholder` has become `prefix`, and zeros behind
/// the string that it is in make up for the difference. It is as long as `content`.
pub(super) fn in_binary<'a>(
    content: impl Read + 'a,
    placeholder: &str,
    prefix: &str,
) -> Box<dyn Read + 'a> {
    debug_assert!(placeholder.len() >= prefix.len(), "strings cannot grow");
    replaced(Box::new(content), placeholder, prefix, true, CHUNK)
}

fn replaced<'a>(
    content: Box<dyn Read + 'a>,
    placeholder: &str,
    prefix: &str,
    padded: bool,
    chunk: usize,
) -> Box<dyn Read + 'a> {
    Encoding::ALL.iter().fold(content, |content, encoding| {
        Box::new(Replaced {
            content,
            finder: Finder::new(&encoding.encode(placeholder)).into_owned(),
            prefix: encoding.encode(prefix),
            unit: encoding.unit(),
            padded,
            chunk,
            ahead: Vec::new(),
            start: 0,
            ended: false,
            ready: Vec::new(),
            given: 0,
            debt: None,
        })
    })
}

/// How much is read at once.
const CHUNK: usize = 128 * 1024;

/// Replaces one sequence of bytes by another while it is read.
struct Replaced<R> {
    content: R,
    finder: Finder<'static>,
    prefix: Vec<u8>,
    /// The length of a zero.
    unit: usize,
    padded: bool,
    /// How much is read at once.
    chunk: usize,
    /// What was read; up to `start` it is done with.
    ahead: Vec<u8>,
    start: usize,
    ended: bool,
    /// What is to be given; up to `given` it was.
    ready: Vec<u8>,
    given: usize,
    /// Inside of a string with a placeholder: how many zeros it is short of.
    debt: Option<usize>,
}

impl<R: Read> Read for Replaced<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.given == self.ready.len() {
            self.ready.clear();
            self.given = 0;
            if self.ended && self.start == self.ahead.len() {
                self.ready.resize(self.debt.take().unwrap_or_default(), 0);
                if self.ready.is_empty() {
                    return Ok(0);
                }
                break;
            }
            self.fill()?;
            self.advance();
        }
        let ready = &self.ready[self.given..];
        let length = ready.len().min(buffer.len());
        buffer[..length].copy_from_slice(&ready[..length]);
        self.given += length;
        Ok(length)
    }
}

impl<R: Read> Replaced<R> {
    /// Reads more, if there is more.
    fn fill(&mut self) -> io::Result<()> {
        if self.ended {
            return Ok(());
        }
        self.ahead.drain(..self.start);
        self.start = 0;
        let mut content = (&mut self.content).take(self.chunk as u64);
        self.ended = content.read_to_end(&mut self.ahead)? < self.chunk;
        Ok(())
    }

    /// Gives what is certain of what was read.
    fn advance(&mut self) {
        loop {
            let rest = &self.ahead[self.start..];
            let found = self.finder.find(rest);
            let end = self.debt.and_then(|_| self.zero(rest));
            match (found, end) {
                // The string ends before the next placeholder.
                (found, Some(end)) if found.is_none_or(|found| end < found) => {
                    self.give(end);
                    let debt = self.debt.take().unwrap_or_default();
                    self.ready.resize(self.ready.len() + debt, 0);
                }
                (Some(found), _) => {
                    self.give(found);
                    self.start += self.finder.needle().len();
                    self.ready.extend_from_slice(&self.prefix);
                    if self.padded {
                        let less = self.finder.needle().len() - self.prefix.len();
                        self.debt = Some(self.debt.unwrap_or_default() + less);
                    }
                }
                _ => break,
            }
        }
        let rest = self.ahead.len() - self.start;
        if self.ended {
            self.give(rest);
        } else {
            // The beginning of a placeholder may be at the end; whole units, so that zeros are
            // looked for where they can be.
            let certain = rest.saturating_sub(self.finder.needle().len() - 1);
            self.give(certain - certain % self.unit);
        }
    }

    fn give(&mut self, length: usize) {
        let end = self.start + length;
        self.ready.extend_from_slice(&self.ahead[self.start..end]);
        self.start = end;
    }

    /// Returns where the first zero is.
    fn zero(&self, rest: &[u8]) -> Option<usize> {
        if self.unit == 1 {
            return memchr::memchr(0, rest);
        }
        let position = rest
            .chunks_exact(self.unit)
            .position(|unit| unit.iter().all(|&byte| byte == 0))?;
        Some(position * self.unit)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PLACEHOLDER: &str = "/placeholder/abc";
    const PREFIX: &str = "/opt/env";

    fn read(mut reader: impl Read) -> Vec<u8> {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).unwrap();
        bytes
    }

    fn binary(content: &[u8]) -> Vec<u8> {
        let whole = read(in_binary(content, PLACEHOLDER, PREFIX));
        for chunk in [1, 7, 16] {
            let content = Box::new(content);
            let pieces = replaced(content, PLACEHOLDER, PREFIX, true, chunk);
            assert_eq!(read(pieces), whole, "in pieces of {chunk}");
        }
        assert_eq!(whole.len(), content.len(), "nothing moves");
        whole
    }

    #[test]
    fn text_grows_and_shrinks() {
        for (content, expected) in [
            ("", ""),
            ("x=/placeholder/abc/lib\n", "x=/opt/env/lib\n"),
            ("/placeholder/abc/placeholder/abc", "/opt/env/opt/env"),
            ("/placeholder/ab", "/placeholder/ab"),
        ] {
            let found = read(in_text(content.as_bytes(), PLACEHOLDER, PREFIX));
            assert_eq!(String::from_utf8(found).unwrap(), expected);
        }
        assert_eq!(read(in_text(&b"a/x/b"[..], "/x", PREFIX)), b"a/opt/env/b");
    }

    #[test]
    fn strings_of_programs_keep_their_place() {
        for (content, expected) in [
            (
                "\0/placeholder/abc/lib\0next\0",
                "\0/opt/env/lib\0\0\0\0\0\0\0\0\0next\0",
            ),
            // A path of several directories: all its zeros stand at its end.
            (
                "/placeholder/abc:/placeholder/abc/x\0y",
                "/opt/env:/opt/env/x\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0y",
            ),
            // Two strings.
            (
                "/placeholder/abc\0/placeholder/abc\0",
                "/opt/env\0\0\0\0\0\0\0\0\0/opt/env\0\0\0\0\0\0\0\0\0",
            ),
            // One that nothing ends.
            ("/placeholder/abc/x", "/opt/env/x\0\0\0\0\0\0\0\0"),
            ("no zero, no placeholder", "no zero, no placeholder"),
        ] {
            let found = binary(content.as_bytes());
            assert_eq!(String::from_utf8(found).unwrap(), expected);
        }
    }

    #[test]
    fn wide_strings_are_replaced_too() {
        for encoding in Encoding::ALL {
            let mut content = vec![1; encoding.unit()];
            content.extend(encoding.encode("/placeholder/abc/\u{100}\0end"));
            let mut expected = vec![1; encoding.unit()];
            expected.extend(encoding.encode("/opt/env/\u{100}\0\0\0\0\0\0\0\0\0end"));
            assert_eq!(binary(&content), expected, "{encoding:?}");
        }
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(parts in prop::collection::vec(0..5usize, 0..40)) {
            let pieces = ["/placeholder/abc", "/placeholder", "\0", "x", "/placeholder/abc\0"];
            let content: String = parts.iter().map(|&part| pieces[part]).collect();
            let found = binary(content.as_bytes());
            // What a plain search finds, string by string.
            let expected: Vec<String> = content
                .split('\0')
                .map(|string| {
                    let replaced = string.replace(PLACEHOLDER, PREFIX);
                    let missing = string.len() - replaced.len();
                    replaced + &"\0".repeat(missing)
                })
                .collect();
            prop_assert_eq!(found, expected.join("\0").into_bytes());
        }
    }
}
