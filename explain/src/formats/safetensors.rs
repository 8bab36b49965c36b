//! Safetensors: a JSON header, then the tensors' bytes.
//! Source: the format's own description, in the README of `safetensors`.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::array::{self, Array, ElementType, Float, Kind, Layout, count};
use crate::base::{ABSENT, Difference, Fault, Source, Walk, shown};
use crate::formats::Pair;

/// Bytes of a header: the library's own limit.
const HEADER: u64 = 100_000_000;

/// Tells in what two files of tensors differ.
pub(crate) fn compare(walk: &mut Walk, pair: Pair) -> Result<(), Fault> {
    let (old, new) = (read(pair.old)?, read(pair.new)?);
    texts(walk, pair.at, &old.metadata, &new.metadata);
    for (name, left) in &old.tensors {
        let at = format!("{}['{}']", pair.at, shown(name));
        match new.tensors.get(name) {
            Some(right) => array::compare(walk, &at, left, right)?,
            None => walk.push(Difference::new(&at, left.title(), ABSENT)),
        }
    }
    for (name, right) in &new.tensors {
        if !old.tensors.contains_key(name) {
            let at = format!("{}['{}']", pair.at, shown(name));
            walk.push(Difference::new(&at, ABSENT, right.title()));
        }
    }
    Ok(())
}

fn texts(
    walk: &mut Walk,
    at: &str,
    old: &BTreeMap<String, String>,
    new: &BTreeMap<String, String>,
) {
    let keys: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for key in keys {
        let (left, right) = (old.get(key), new.get(key));
        if left != right {
            let text =
                |side: Option<&String>| side.map_or_else(|| ABSENT.to_owned(), |text| shown(text));
            let at = format!("{at}['__metadata__']['{}']", shown(key));
            walk.push(Difference::new(&at, text(left), text(right)).metadata());
        }
    }
}

struct Tensors {
    metadata: BTreeMap<String, String>,
    tensors: BTreeMap<String, Array>,
}

#[derive(Deserialize)]
struct HeaderWire {
    #[serde(default, rename = "__metadata__")]
    metadata: BTreeMap<String, String>,
    #[serde(flatten)]
    tensors: BTreeMap<String, TensorWire>,
}

#[derive(Deserialize)]
struct TensorWire {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

fn read(source: &Source) -> Result<Tensors, Fault> {
    let mut length = [0; 8];
    source.read_exact_at(0, &mut length)?;
    let length = u64::from_le_bytes(length);
    let header = source.slice(8, length)?.whole(HEADER)?;
    let header: HeaderWire = serde_json::from_slice(&header).map_err(Fault::of)?;
    let start = 8 + length;
    let body = source.slice(start, source.len() - start)?;
    let mut tensors = BTreeMap::new();
    for (name, tensor) in header.tensors {
        let [from, to] = tensor.data_offsets;
        let bytes = to
            .checked_sub(from)
            .ok_or_else(|| Fault::malformed("a tensor ends before it begins"))?;
        let element = element(&tensor.dtype)?;
        if count(&tensor.shape)?.checked_mul(element.size as u64) != Some(bytes) {
            let reason = format!(
                "the tensor `{}` has not as many bytes as its shape",
                shown(&name)
            );
            return Err(Fault::malformed(reason));
        }
        let array = Array {
            element,
            shape: tensor.shape,
            layout: Layout::C,
            bytes: body.slice(from, bytes)?,
        };
        tensors.insert(name, array);
    }
    Ok(Tensors {
        metadata: header.metadata,
        tensors,
    })
}

fn element(name: &str) -> Result<ElementType, Fault> {
    Ok(match name {
        "BOOL" => ElementType::new(Kind::Bool, 1),
        "U8" => ElementType::int(1, false),
        "I8" => ElementType::int(1, true),
        "U16" => ElementType::int(2, false),
        "I16" => ElementType::int(2, true),
        "U32" => ElementType::int(4, false),
        "I32" => ElementType::int(4, true),
        "U64" => ElementType::int(8, false),
        "I64" => ElementType::int(8, true),
        "F8_E4M3" => ElementType::float(Float::E4M3),
        "F8_E5M2" => ElementType::float(Float::E5M2),
        "F16" => ElementType::float(Float::F16),
        "BF16" => ElementType::float(Float::BF16),
        "F32" => ElementType::float(Float::F32),
        "F64" => ElementType::float(Float::F64),
        "C64" => ElementType::new(Kind::Complex(Float::F32), 8),
        other => {
            return Err(Fault::Unsupported(format!(
                "the element type `{}`",
                shown(other)
            )));
        }
    })
}
