//! Lines of output, made without formatting.

use crate::syscall::{call, number};

const ROOM: usize = 512;

/// A line that is being made. What has no room is left out.
pub struct Line {
    bytes: [u8; ROOM],
    used: usize,
}

impl Line {
    pub fn new() -> Line {
        Line {
            bytes: [0; ROOM],
            used: 0,
        }
    }

    /// Appends bytes; those that are no printable ASCII become question marks.
    pub fn text(&mut self, text: &[u8]) -> &mut Line {
        for &byte in text {
            let shown = match byte {
                b' '..=b'~' => byte,
                _ => b'?',
            };
            self.push(shown);
        }
        self
    }

    /// Appends the bytes before the first zero, as C has its strings.
    pub fn string(&mut self, text: &[u8]) -> &mut Line {
        for &byte in text {
            if byte == 0 {
                break;
            }
            self.text(&[byte]);
        }
        self
    }

    pub fn number(&mut self, number: i64) -> &mut Line {
        if number < 0 {
            self.push(b'-');
        }
        let mut rest = number.unsigned_abs();
        let mut digits = [0_u8; 20];
        let mut count = 0;
        while let Some(digit) = digits.get_mut(count) {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
            count += 1;
            if rest == 0 {
                break;
            }
        }
        for digit in digits.iter().take(count).rev() {
            self.push(*digit);
        }
        self
    }

    pub fn hex(&mut self, byte: u8) -> &mut Line {
        for half in [byte >> 4, byte & 15] {
            self.push(match half {
                0..=9 => b'0' + half,
                _ => b'a' + half - 10,
            });
        }
        self
    }

    fn push(&mut self, byte: u8) {
        // One is kept for the end of the line.
        if self.used < ROOM - 1
            && let Some(place) = self.bytes.get_mut(self.used)
        {
            *place = byte;
            self.used += 1;
        }
    }

    /// Writes the line to standard output; nobody could be told of an error.
    pub fn print(&mut self) {
        if let Some(place) = self.bytes.get_mut(self.used) {
            *place = b'\n';
            self.used += 1;
        }
        let start = self.bytes.as_ptr() as usize;
        // SAFETY: `start` is readable for as many bytes as were used.
        let _ = unsafe { call(number::WRITE, [1, start, self.used]) };
    }
}

/// A key of one or two parts and a number: `device.0.` and `name`.
#[derive(Clone, Copy)]
pub struct Key<'a> {
    pub group: &'a [u8],
    pub index: Option<i32>,
    pub name: &'a [u8],
}

impl Key<'_> {
    pub fn line(self, before: &[u8]) -> Line {
        let mut line = Line::new();
        line.text(before).text(self.group).text(b".");
        if let Some(index) = self.index {
            line.number(index.into()).text(b".");
        }
        line.text(self.name);
        line
    }

    pub fn number(self, value: i64) {
        self.line(b"").text(b" ").number(value).print();
    }

    pub fn string(self, value: &[u8]) {
        self.line(b"").text(b" ").string(value).print();
    }

    pub fn missing(self) {
        self.line(b"missing ").print();
    }

    pub fn error(self, code: i32) {
        self.line(b"error ").text(b" ").number(code.into()).print();
    }
}
