//! What an element of an array is.

use std::fmt;

use crate::array::{Float, Scalar};
use crate::base::Fault;

/// What an element of an array is, and how it lies in memory.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ElementType {
    pub(crate) kind: Kind,
    /// Bytes of one.
    pub(crate) size: usize,
    pub(crate) big_endian: bool,
}

/// What an element means.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    Bool,
    Int {
        signed: bool,
    },
    Float(Float),
    Complex(Float),
    /// Text of one byte a character, filled up with zeros.
    Bytes,
    /// Text of four bytes a character, filled up with zeros.
    Unicode,
    /// A count of time units; the text says of what.
    Time(String),
    /// Bytes that nobody says the meaning of.
    Opaque,
    Record(Vec<Field>),
}

/// A field of a record.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) offset: usize,
    pub(crate) element: ElementType,
    /// How many there are, side by side.
    pub(crate) count: usize,
}

impl ElementType {
    /// Returns a little-endian one.
    pub(crate) fn new(kind: Kind, size: usize) -> Self {
        Self {
            kind,
            size,
            big_endian: false,
        }
    }

    /// Returns a floating point one.
    pub(crate) fn float(float: Float) -> Self {
        Self::new(Kind::Float(float), float.size())
    }

    /// Returns a signed or unsigned whole number.
    pub(crate) fn int(size: usize, signed: bool) -> Self {
        Self::new(Kind::Int { signed }, size)
    }

    /// Returns it with another order of bytes.
    pub(crate) fn big_endian(mut self, big_endian: bool) -> Self {
        self.big_endian = big_endian;
        self
    }

    /// Returns whether elements are numbers that can be set against those of another type.
    pub(crate) fn is_number(&self) -> bool {
        matches!(self.kind, Kind::Bool | Kind::Int { .. } | Kind::Float(_))
    }

    /// Returns the value of an element.
    pub(crate) fn scalar(&self, bytes: &[u8]) -> Scalar {
        let mut little = [0_u8; 32];
        let width = bytes.len().min(little.len());
        little[..width].copy_from_slice(&bytes[..width]);
        if self.big_endian && !matches!(self.kind, Kind::Complex(_)) {
            little[..width].reverse();
        }
        match &self.kind {
            Kind::Bool => Scalar::Bool(bytes.iter().any(|byte| *byte != 0)),
            Kind::Int { signed } => Scalar::Int(int(&little[..width], *signed)),
            Kind::Time(unit) => Scalar::Time(int(&little[..width], true), unit.clone()),
            Kind::Float(float) => Scalar::Float(*float, float.bits(&little)),
            Kind::Complex(float) => {
                let half = width / 2;
                if self.big_endian {
                    little[..half].reverse();
                    little[half..width].reverse();
                }
                Scalar::Complex(
                    *float,
                    float.bits(&little[..half]),
                    float.bits(&little[half..]),
                )
            }
            Kind::Bytes => {
                let end = bytes
                    .iter()
                    .rposition(|byte| *byte != 0)
                    .map_or(0, |at| at + 1);
                Scalar::Text(String::from_utf8_lossy(&bytes[..end]).into_owned())
            }
            Kind::Unicode => Scalar::Text(self.unicode(bytes)),
            Kind::Opaque | Kind::Record(_) => Scalar::Bytes(bytes.to_vec()),
        }
    }

    fn unicode(&self, bytes: &[u8]) -> String {
        let characters = bytes.as_chunks::<4>().0.iter().map(|four| {
            let number = if self.big_endian {
                u32::from_be_bytes(*four)
            } else {
                u32::from_le_bytes(*four)
            };
            char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER)
        });
        let text: String = characters.collect();
        text.trim_end_matches('\0').to_owned()
    }

    /// Returns the parts that are compared on their own: path, offset, type, count.
    pub(crate) fn columns(&self, limit: usize) -> Result<Vec<Field>, Fault> {
        let mut columns = Vec::new();
        self.collect(String::new(), 0, 1, &mut columns, limit)?;
        Ok(columns)
    }

    fn collect(
        &self,
        path: String,
        offset: usize,
        count: usize,
        into: &mut Vec<Field>,
        limit: usize,
    ) -> Result<(), Fault> {
        if into.len() >= limit {
            return Err(Fault::TooMuch {
                what: "the number of fields".to_owned(),
                limit: limit as u64,
            });
        }
        let Kind::Record(fields) = &self.kind else {
            into.push(Field {
                name: path,
                offset,
                element: self.clone(),
                count,
            });
            return Ok(());
        };
        for each in 0..count {
            let place = if count > 1 {
                format!("[{each}]")
            } else {
                String::new()
            };
            for field in fields {
                let path = format!("{path}{place}['{}']", crate::base::shown(&field.name));
                let offset = offset + each * self.size + field.offset;
                field
                    .element
                    .collect(path, offset, field.count, into, limit)?;
            }
        }
        Ok(())
    }
}

/// Returns the whole number of little-endian bytes, 16 at most.
fn int(little: &[u8], signed: bool) -> i128 {
    let negative = signed && little.last().is_some_and(|byte| byte & 0x80 != 0);
    let mut wide = [if negative { 0xff } else { 0 }; 16];
    let width = little.len().min(16);
    wide[..width].copy_from_slice(&little[..width]);
    i128::from_le_bytes(wide)
}

impl fmt::Display for ElementType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = self.size * 8;
        match &self.kind {
            Kind::Bool => f.write_str("bool"),
            Kind::Int { signed: true } => write!(f, "int{bits}"),
            Kind::Int { signed: false } => write!(f, "uint{bits}"),
            Kind::Float(float) => write!(f, "{float}"),
            Kind::Complex(_) => write!(f, "complex{bits}"),
            Kind::Bytes => write!(f, "bytes of {}", self.size),
            Kind::Unicode => write!(f, "text of {}", self.size / 4),
            Kind::Time(unit) => write!(f, "time in {}", crate::base::shown(unit)),
            Kind::Opaque => write!(f, "{} opaque bytes", self.size),
            Kind::Record(fields) => {
                f.write_str("record of ")?;
                for (position, field) in fields.iter().take(8).enumerate() {
                    let comma = if position > 0 { ", " } else { "" };
                    let name = crate::base::shown(&field.name);
                    write!(f, "{comma}{name} {}", field.element)?;
                    if field.count != 1 {
                        write!(f, "×{}", field.count)?;
                    }
                }
                let more = if fields.len() > 8 { ", …" } else { "" };
                f.write_str(more)
            }
        }
    }
}
