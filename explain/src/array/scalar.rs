//! One element: its value, how it is written, how far it is from another.

use std::fmt;

use half::{bf16, f16};

use crate::base::{hex, shown};

/// A binary floating point format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Float {
    /// 1 + 4 + 3 bits, without infinities (OCP 8-bit floating point, E4M3).
    E4M3,
    /// 1 + 5 + 2 bits (OCP 8-bit floating point, E5M2).
    E5M2,
    F16,
    BF16,
    F32,
    F64,
    /// The x87's 80 bits, in 16 bytes of which the last six carry nothing.
    X87,
}

impl Float {
    /// Returns how many bytes one takes.
    pub(crate) fn size(self) -> usize {
        match self {
            Self::E4M3 | Self::E5M2 => 1,
            Self::F16 | Self::BF16 => 2,
            Self::F32 => 4,
            Self::F64 => 8,
            Self::X87 => 16,
        }
    }

    /// Returns how many bits carry the value.
    fn width(self) -> u32 {
        match self {
            Self::X87 => 80,
            other => u32::try_from(other.size() * 8).unwrap_or(64),
        }
    }

    /// Returns the bits of little-endian bytes.
    pub(crate) fn bits(self, little: &[u8]) -> u128 {
        let mut wide = [0; 16];
        let width = little.len().min(self.width() as usize / 8);
        wide[..width].copy_from_slice(&little[..width]);
        u128::from_le_bytes(wide)
    }

    /// Returns the value, exact but for the x87's.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the bits are of that width"
    )]
    pub(crate) fn value(self, bits: u128) -> f64 {
        match self {
            Self::E4M3 if bits & 0x7f == 0x7f => f64::NAN,
            Self::E4M3 => small(bits, 4, 3, 7),
            // The upper half of a 16-bit one.
            Self::E5M2 => f16::from_bits((bits as u16) << 8).to_f64(),
            Self::F16 => f16::from_bits(bits as u16).to_f64(),
            Self::BF16 => bf16::from_bits(bits as u16).to_f64(),
            Self::F32 => f64::from(f32::from_bits(bits as u32)),
            Self::F64 => f64::from_bits(bits as u64),
            Self::X87 => x87(bits),
        }
    }

    /// Returns the place of a number among all of its format, so that the difference of two
    /// places is their distance in units in the last place. Both zeros have one place.
    fn place(self, bits: u128) -> i128 {
        let sign = 1_u128 << (self.width() - 1);
        let magnitude = i128::try_from(bits & (sign - 1)).unwrap_or(i128::MAX);
        if bits & sign == 0 {
            magnitude
        } else {
            -magnitude
        }
    }

    /// Returns the distance in units in the last place.
    pub(crate) fn ulps(self, old: u128, new: u128) -> u64 {
        let distance = self.place(old).abs_diff(self.place(new));
        u64::try_from(distance).unwrap_or(u64::MAX)
    }
}

/// Returns the value of a small format without infinities.
fn small(bits: u128, exponent_bits: u32, mantissa_bits: u32, bias: i32) -> f64 {
    let mantissa = (bits & ((1 << mantissa_bits) - 1)) as f64;
    let exponent = ((bits >> mantissa_bits) & ((1 << exponent_bits) - 1)) as i32;
    let scale = f64::from(1_u32 << mantissa_bits);
    let magnitude = if exponent == 0 {
        mantissa / scale * 2_f64.powi(1 - bias)
    } else {
        (1.0 + mantissa / scale) * 2_f64.powi(exponent - bias)
    };
    let negative = bits >> (exponent_bits + mantissa_bits) & 1 == 1;
    if negative { -magnitude } else { magnitude }
}

/// Returns the nearest 64-bit value, or infinity beyond them.
fn x87(bits: u128) -> f64 {
    let mantissa = (bits & u128::from(u64::MAX)) as u64;
    let exponent = ((bits >> 64) & 0x7fff) as i32;
    let sign = if bits >> 79 & 1 == 1 { -1.0 } else { 1.0 };
    if exponent == 0x7fff {
        return if mantissa << 1 == 0 {
            sign * f64::INFINITY
        } else {
            f64::NAN
        };
    }
    // In two steps, for the first alone may leave the range of the exponent.
    let by = exponent - 16383 - 63;
    sign * mantissa as f64 * 2_f64.powi(by / 2) * 2_f64.powi(by - by / 2)
}

/// One element.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Scalar {
    Null,
    Bool(bool),
    Int(i128),
    Float(Float, u128),
    Complex(Float, u128, u128),
    Time(i128, String),
    Text(String),
    Bytes(Vec<u8>),
}

impl Scalar {
    /// Returns the 64-bit floating point number.
    pub(crate) fn f64(value: f64) -> Self {
        Self::Float(Float::F64, u128::from(value.to_bits()))
    }

    /// Returns it as a number, when it is one.
    pub(crate) fn number(&self) -> Option<f64> {
        match self {
            Self::Bool(value) => Some(f64::from(u8::from(*value))),
            Self::Int(value) | Self::Time(value, _) => Some(*value as f64),
            Self::Float(float, bits) => Some(float.value(*bits)),
            _ => None,
        }
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Float(float, bits) => number(*float, *bits, f),
            Self::Complex(float, real, imaginary) => {
                f.write_str("(")?;
                number(*float, *real, f)?;
                f.write_str(", ")?;
                number(*float, *imaginary, f)?;
                f.write_str("i)")
            }
            Self::Time(count, unit) => write!(f, "{count} {}", shown(unit)),
            Self::Text(text) => write!(f, "\"{}\"", shown(text)),
            Self::Bytes(bytes) => f.write_str(&hex(bytes)),
        }
    }
}

/// Writes the shortest digits that name the number in its own format.
fn number(float: Float, bits: u128, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let value = float.value(bits);
    if value.is_nan() {
        let digits = float.width() as usize / 4;
        return write!(f, "NaN (0x{bits:0digits$x})");
    }
    match float {
        Float::F64 | Float::X87 => write!(f, "{value:?}"),
        // The conversion back is exact.
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the value came from 32 bits or fewer"
        )]
        _ => write!(f, "{:?}", value as f32),
    }
}

impl fmt::Display for Float {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::E4M3 => "float8_e4m3",
            Self::E5M2 => "float8_e5m2",
            Self::F16 => "float16",
            Self::BF16 => "bfloat16",
            Self::F32 => "float32",
            Self::F64 => "float64",
            Self::X87 => "float80",
        })
    }
}
