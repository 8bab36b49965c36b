//! `.npy`: one array of NumPy's.
//! Source: `numpy.lib.format`, versions 1.0 to 3.0.

use std::io::Read;

use crate::array::{self, Array, Layout, Literal, count, descr};
use crate::base::{Cursor, Fault, Source, Walk};
use crate::formats::{Pair, pickled};

/// Bytes of a header; NumPy itself refuses longer ones.
const HEADER: u64 = 1 << 20;

/// Tells in what two arrays differ.
pub(crate) fn compare(walk: &mut Walk, pair: Pair) -> Result<(), Fault> {
    match (read(pair.old)?, read(pair.new)?) {
        (Npy::Array(old), Npy::Array(new)) => array::compare(walk, pair.at, &old, &new),
        (Npy::Objects(old, from), Npy::Objects(new, to)) => {
            if old != new {
                let shapes = (format!("objects {old:?}"), format!("objects {new:?}"));
                walk.push(crate::Difference::new(pair.at, shapes.0, shapes.1));
            }
            let (old, new) = (&from, &to);
            pickled::compare(walk, Pair { old, new, ..pair })
        }
        (old, new) => {
            let difference = crate::Difference::new(pair.at, old.title(), new.title());
            walk.push(difference.note("types of the elements differ"));
            Ok(())
        }
    }
}

enum Npy {
    Array(Array),
    /// The shape, and a pickle of the objects.
    Objects(Vec<u64>, Source),
}

impl Npy {
    fn title(&self) -> String {
        match self {
            Self::Array(array) => array.title(),
            Self::Objects(shape, _) => format!("objects {shape:?}"),
        }
    }
}

fn read(source: &Source) -> Result<Npy, Fault> {
    let mut cursor = source.reader();
    let [.., major, _minor] = cursor.array::<8>()?;
    let length = match major {
        1 => u64::from(u16::from_le_bytes(cursor.array()?)),
        2 | 3 => u64::from(u32::from_le_bytes(cursor.array()?)),
        other => return Err(Fault::Unsupported(format!("version {other} of the format"))),
    };
    let header = header(&mut cursor, length)?;
    let missing = |name| Fault::malformed(format!("the header has no `{name}`"));
    let shape = header
        .get("shape")
        .and_then(Literal::shape)
        .ok_or_else(|| missing("shape"))?;
    let element = header.get("descr").ok_or_else(|| missing("descr"))?;
    let fortran = header.get("fortran_order") == Some(&Literal::Bool(true)) && shape.len() > 1;
    let from = cursor.position();
    let rest = source.slice(from, source.len() - from)?;
    if element
        .text()
        .is_some_and(|code| code.trim_start_matches('|').starts_with('O'))
    {
        return Ok(Npy::Objects(shape, rest));
    }
    let element = descr(element)?;
    let expected = count(&shape)?.checked_mul(element.size as u64);
    if expected != Some(rest.len()) {
        let there = rest.len();
        let expected = expected.map_or_else(|| "too many".to_owned(), |bytes| bytes.to_string());
        return Err(Fault::malformed(format!(
            "{expected} bytes are expected, {there} are there"
        )));
    }
    Ok(Npy::Array(Array {
        element,
        shape,
        layout: if fortran { Layout::Fortran } else { Layout::C },
        bytes: rest,
    }))
}

fn header(cursor: &mut Cursor, length: u64) -> Result<Literal, Fault> {
    if length > HEADER {
        let what = "the length of the header".to_owned();
        return Err(Fault::TooMuch {
            what,
            limit: HEADER,
        });
    }
    let mut bytes = Vec::new();
    cursor.take(length).read_to_end(&mut bytes)?;
    // Version 1 and 2 are Latin-1, which differs only in names of fields.
    let text: String = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => error
            .into_bytes()
            .iter()
            .map(|byte| char::from(*byte))
            .collect(),
    };
    Literal::parse(&text)
}
