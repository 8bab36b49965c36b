//! NumPy's names of element types.
//! Source: NumPy's array interface protocol and `numpy.lib.format`.

use crate::array::{ElementType, Field, Float, Kind, Literal};
use crate::base::{Fault, shown};

/// Records within records.
const DEPTH: usize = 16;

/// Returns the type that a `.npy` header describes: a code, or a list of fields.
pub(crate) fn descr(literal: &Literal) -> Result<ElementType, Fault> {
    nested(literal, 0)
}

fn nested(literal: &Literal, depth: usize) -> Result<ElementType, Fault> {
    if depth > DEPTH {
        return Err(Fault::malformed("records lie too deep within records"));
    }
    let fields = match literal {
        Literal::Text(code) => return type_code(code),
        Literal::Sequence(fields) => fields,
        _ => {
            return Err(Fault::malformed(
                "the element type is neither a code nor fields",
            ));
        }
    };
    let mut size = 0_usize;
    let mut out = Vec::new();
    for field in fields {
        let Literal::Sequence(parts) = field else {
            return Err(Fault::malformed("a field is not a tuple"));
        };
        let (name, element, shape) = match parts.as_slice() {
            [name, element] => (name, element, None),
            [name, element, shape] => (name, element, Some(shape)),
            _ => return Err(Fault::malformed("a field has not two or three parts")),
        };
        let name = match name {
            Literal::Text(name) => name.clone(),
            // A title and a name.
            Literal::Sequence(names) => names
                .last()
                .and_then(Literal::text)
                .unwrap_or_default()
                .to_owned(),
            _ => return Err(Fault::malformed("a field has no name")),
        };
        let element = nested(element, depth + 1)?;
        let shape = shape.map_or(Some(Vec::new()), Literal::shape);
        let shape = shape.ok_or_else(|| Fault::malformed("a field has no shape"))?;
        let count = crate::array::count(&shape)?;
        let count = usize::try_from(count).map_err(Fault::of)?;
        let bytes = element.size.checked_mul(count);
        let next = bytes.and_then(|bytes| bytes.checked_add(size));
        let offset = size;
        size = next.ok_or_else(|| Fault::malformed("a record is too large"))?;
        // What fills gaps has no name.
        if !name.is_empty() {
            out.push(Field {
                name,
                offset,
                element,
                count,
            });
        }
    }
    Ok(ElementType::new(Kind::Record(out), size))
}

/// Returns the type of a code: `<f8`, `|S5`, `>M8[ns]`.
pub(crate) fn type_code(code: &str) -> Result<ElementType, Fault> {
    let unknown = || Fault::Unsupported(format!("the element type `{}`", shown(code)));
    let (order, rest) = match code.chars().next() {
        Some(order @ ('<' | '>' | '|' | '=')) => (order, &code[1..]),
        _ => ('<', code),
    };
    let mut characters = rest.chars();
    let letter = characters.next().ok_or_else(unknown)?;
    let rest = characters.as_str();
    let digits = rest.split('[').next().unwrap_or_default();
    let length: usize = match (letter, digits) {
        ('?', "") => 1,
        ('M' | 'm', "") => 8,
        _ => digits.parse().map_err(|_| unknown())?,
    };
    let element = match (letter, length) {
        ('b' | '?', 1) => ElementType::new(Kind::Bool, 1),
        ('i', 1 | 2 | 4 | 8) => ElementType::int(length, true),
        ('u', 1 | 2 | 4 | 8) => ElementType::int(length, false),
        ('f', 2) => ElementType::float(Float::F16),
        ('f', 4) => ElementType::float(Float::F32),
        ('f', 8) => ElementType::float(Float::F64),
        ('f', 16) => ElementType::float(Float::X87),
        ('c', 8) => ElementType::new(Kind::Complex(Float::F32), 8),
        ('c', 16) => ElementType::new(Kind::Complex(Float::F64), 16),
        ('c', 32) => ElementType::new(Kind::Complex(Float::X87), 32),
        ('S' | 'a', _) => ElementType::new(Kind::Bytes, length),
        ('U', _) => {
            let size = length.checked_mul(4).ok_or_else(unknown)?;
            ElementType::new(Kind::Unicode, size)
        }
        ('M' | 'm', 8) => ElementType::new(Kind::Time(unit(letter, rest)), 8),
        ('V', _) => ElementType::new(Kind::Opaque, length),
        _ => return Err(unknown()),
    };
    Ok(element.big_endian(order == '>'))
}

/// Returns what a time counts: `ns`, `ns since 1970`.
fn unit(letter: char, rest: &str) -> String {
    let unit = rest
        .split_once('[')
        .map_or("units", |(_, unit)| unit.trim_end_matches(']'));
    if letter == 'M' {
        format!("{unit} since 1970")
    } else {
        unit.to_owned()
    }
}
