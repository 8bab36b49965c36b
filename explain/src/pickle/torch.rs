//! Torch's tensors in a pickle: views of storages that lie elsewhere.
//! Source: `torch._utils`, `torch.serialization`.

use crate::array::{Array, ElementType, Float, Kind, Layout};
use crate::base::Source;
use crate::pickle::{Graph, Id, Node, Object};

/// A tensor: its storage's key, and how it lies there.
pub(super) struct Tensor {
    element: ElementType,
    pub(super) key: String,
    shape: Vec<u64>,
    layout: Layout,
}

impl Tensor {
    /// Returns the array in its storage.
    pub(super) fn array(&self, storage: &Source, big_endian: bool) -> Array {
        Array {
            element: self.element.clone().big_endian(big_endian),
            shape: self.shape.clone(),
            layout: self.layout.clone(),
            bytes: storage.clone(),
        }
    }
}

/// Returns the tensor that an object stands for; none when it is something else.
pub(super) fn tensor(graph: &Graph, object: &Object) -> Option<Tensor> {
    let ("torch._utils", name) = graph.name(object.callable)? else {
        return None;
    };
    let arguments = graph.items(object.arguments)?;
    let [storage, offset, shape, strides] = arguments.get(..4)? else {
        return None;
    };
    let Node::Persistent(storage) = graph.get(*storage) else {
        return None;
    };
    let parts = graph.items(*storage)?;
    let [kind, class, key] = parts.get(..3)? else {
        return None;
    };
    if graph.text(*kind) != Some("storage") {
        return None;
    }
    let element = match name {
        "_rebuild_tensor" | "_rebuild_tensor_v2" => element_of_storage(graph.name(*class)?.1)?,
        "_rebuild_tensor_v3" => element_type(graph.name(*arguments.get(6)?)?.1)?,
        _ => return None,
    };
    let shape = graph.lengths(*shape)?;
    let steps = graph.items(*strides)?.iter().map(|step| graph.int(*step));
    let strides = steps.collect::<Option<Vec<i64>>>()?;
    let offset = u64::try_from(graph.int(*offset)?).ok()?;
    let straight = offset == 0 && is_straight(&shape, &strides);
    let layout = if straight {
        Layout::C
    } else {
        Layout::Strided { offset, strides }
    };
    Some(Tensor {
        element,
        key: graph.text(*key)?.to_owned(),
        shape,
        layout,
    })
}

/// Returns whether elements lie one after another, the last index running fastest.
fn is_straight(shape: &[u64], strides: &[i64]) -> bool {
    let mut step = 1_i64;
    shape.len() == strides.len()
        && shape.iter().zip(strides).rev().all(|(length, stride)| {
            let fits = *length <= 1 || *stride == step;
            step = step.saturating_mul(i64::try_from(*length).unwrap_or(i64::MAX));
            fits
        })
}

fn element_of_storage(class: &str) -> Option<ElementType> {
    element_type(match class {
        "DoubleStorage" => "float64",
        "FloatStorage" => "float32",
        "HalfStorage" => "float16",
        "BFloat16Storage" => "bfloat16",
        "LongStorage" => "int64",
        "IntStorage" => "int32",
        "ShortStorage" => "int16",
        "CharStorage" => "int8",
        "ByteStorage" | "UntypedStorage" => "uint8",
        "BoolStorage" => "bool",
        "ComplexFloatStorage" => "complex64",
        "ComplexDoubleStorage" => "complex128",
        _ => return None,
    })
}

fn element_type(name: &str) -> Option<ElementType> {
    Some(match name {
        "float64" => ElementType::float(Float::F64),
        "float32" => ElementType::float(Float::F32),
        "float16" => ElementType::float(Float::F16),
        "bfloat16" => ElementType::float(Float::BF16),
        "float8_e4m3fn" => ElementType::float(Float::E4M3),
        "float8_e5m2" => ElementType::float(Float::E5M2),
        "int64" => ElementType::int(8, true),
        "int32" => ElementType::int(4, true),
        "int16" => ElementType::int(2, true),
        "int8" => ElementType::int(1, true),
        "uint64" => ElementType::int(8, false),
        "uint32" => ElementType::int(4, false),
        "uint16" => ElementType::int(2, false),
        "uint8" => ElementType::int(1, false),
        "bool" => ElementType::new(Kind::Bool, 1),
        "complex64" => ElementType::new(Kind::Complex(Float::F32), 8),
        "complex128" => ElementType::new(Kind::Complex(Float::F64), 16),
        _ => return None,
    })
}

/// Returns the element type and the key of a storage, when a persistent id is one.
pub(crate) fn storage(graph: &Graph, id: Id) -> Option<(ElementType, &str)> {
    let parts = graph.items(id)?;
    let [kind, class, key] = parts.get(..3)? else {
        return None;
    };
    if graph.text(*kind) != Some("storage") {
        return None;
    }
    Some((
        element_of_storage(graph.name(*class)?.1)?,
        graph.text(*key)?,
    ))
}
