//! NumPy's arrays, element types and scalars in a pickle, and the arrays that joblib writes into it.
//! Source: `ndarray.__reduce__` and `__reduce_ex__` of NumPy, `joblib.numpy_pickle`.

use crate::array::{Array, ElementType, Field, Kind, Layout, count, type_code};
use crate::base::{Cursor, Fault, Source, shown};
use crate::pickle::machine::nested;
use crate::pickle::{Graph, Id, Node, Object};

/// Pickles within pickles: joblib's arrays of objects are pickles of their own.
const DEPTH: u8 = 4;

/// Records within records.
const RECORDS: usize = 16;

/// What NumPy's objects turn out to be.
pub(super) enum Numpy {
    Array(Array),
    /// An array of objects: its shape, and the list of them.
    Objects(Vec<u64>, Id),
}

/// Returns the array that an object stands for; none when it is something else.
pub(super) fn array(graph: &Graph, object: &Object) -> Option<Numpy> {
    let (module, name) = graph.name(object.callable)?;
    if !module.starts_with("numpy") {
        return None;
    }
    let arguments = graph.items(object.arguments)?;
    match name {
        "_reconstruct" => built(graph, object),
        "_frombuffer" => {
            let [buffer, element, shape, order] = arguments else {
                return None;
            };
            let layout = layout(graph.text(*order) == Some("F"));
            plain(graph, *buffer, *element, graph.lengths(*shape)?, layout)
        }
        "scalar" => {
            let [element, bytes] = arguments else {
                return None;
            };
            plain(graph, *bytes, *element, Vec::new(), Layout::C)
        }
        _ => None,
    }
}

/// Returns an array whose state was set: version, shape, element type, order, bytes or objects.
fn built(graph: &Graph, object: &Object) -> Option<Numpy> {
    let state = graph.items(object.state?)?;
    // The version was left out at first.
    let [shape, element, fortran, values] = state.get(state.len().checked_sub(4)?..)? else {
        return None;
    };
    let shape = graph.lengths(*shape)?;
    if let Node::List(_) = graph.get(*values) {
        return Some(Numpy::Objects(shape, *values));
    }
    let layout = layout(graph.int(*fortran)? != 0);
    plain(graph, *values, *element, shape, layout)
}

fn layout(fortran: bool) -> Layout {
    if fortran { Layout::Fortran } else { Layout::C }
}

fn plain(graph: &Graph, bytes: Id, element: Id, shape: Vec<u64>, layout: Layout) -> Option<Numpy> {
    // A single dimension has one order.
    let layout = if shape.len() < 2 { Layout::C } else { layout };
    Some(Numpy::Array(Array {
        element: element_type(graph, element, 0)?,
        shape,
        layout,
        bytes: raw(graph, bytes)?,
    }))
}

/// Returns bytes, or those that a call for bytes would make.
fn raw(graph: &Graph, id: Id) -> Option<Source> {
    match graph.get(id) {
        Node::Bytes(source) => Some(source.clone()),
        Node::Object(object) => encoded(graph, object),
        _ => None,
    }
}

/// Returns the bytes that a call would make. Protocols before 3 had no bytes: they wrote text and
/// the codec that undoes it.
pub(super) fn encoded(graph: &Graph, object: &Object) -> Option<Source> {
    let arguments = graph.items(object.arguments)?;
    match (graph.name(object.callable)?, arguments) {
        (("_codecs", "encode"), [text, codec]) if graph.text(*codec) == Some("latin1") => {
            let characters = graph.text(*text)?.chars();
            let bytes: Option<Vec<u8>> = characters.map(|c| u8::try_from(c).ok()).collect();
            bytes.map(Source::memory)
        }
        (("builtins", "bytes" | "bytearray"), []) => Some(Source::memory(Vec::new())),
        (("builtins", "bytes" | "bytearray"), [inner]) => match graph.get(*inner) {
            Node::Bytes(source) => Some(source.clone()),
            Node::Object(inner) if graph.name(inner.callable)?.0 == "_codecs" => {
                encoded(graph, inner)
            }
            _ => None,
        },
        _ => None,
    }
}

/// Returns the element type that an object of NumPy's stands for.
fn element_type(graph: &Graph, id: Id, depth: usize) -> Option<ElementType> {
    let Node::Object(object) = graph.get(id) else {
        return None;
    };
    let ("numpy", "dtype") = graph.name(object.callable)? else {
        return None;
    };
    if depth > RECORDS {
        return None;
    }
    let code = graph.text(*graph.items(object.arguments)?.first()?)?;
    let state = object
        .state
        .and_then(|state| graph.items(state))
        .unwrap_or_default();
    let big_endian = state.get(1).and_then(|order| graph.text(*order)) == Some(">");
    if let Some(Node::Dict(entries)) = state.get(4).map(|fields| graph.get(*fields)) {
        let size = usize::try_from(graph.int(*state.get(5)?)?).ok()?;
        let fields = entries
            .iter()
            .map(|(name, parts)| field(graph, *name, *parts, depth));
        let mut fields = fields.collect::<Option<Vec<Field>>>()?;
        fields.sort_by_key(|field| field.offset);
        return Some(ElementType::new(Kind::Record(fields), size));
    }
    let mut element = type_code(code).ok()?.big_endian(big_endian);
    if let Kind::Time(_) = element.kind {
        let unit = state
            .get(8)
            .and_then(|metadata| time_unit(graph, *metadata));
        let since = if code.starts_with('M') {
            " since 1970"
        } else {
            ""
        };
        element.kind = Kind::Time(format!(
            "{}{since}",
            unit.unwrap_or_else(|| "units".to_owned())
        ));
    }
    Some(element)
}

/// Returns a field: its type and offset, in a tuple.
fn field(graph: &Graph, name: Id, parts: Id, depth: usize) -> Option<Field> {
    let parts = graph.items(parts)?;
    let offset = usize::try_from(graph.int(*parts.get(1)?)?).ok()?;
    let inner = *parts.first()?;
    let Node::Object(object) = graph.get(inner) else {
        return None;
    };
    let state = object
        .state
        .and_then(|state| graph.items(state))
        .unwrap_or_default();
    // An array within the record says of what and how many.
    let (element, count) = match state.get(2).and_then(|sub| graph.items(*sub)) {
        Some([element, shape]) => (*element, count(&graph.lengths(*shape)?).ok()?),
        _ => (inner, 1),
    };
    Some(Field {
        name: graph.text(name)?.to_owned(),
        offset,
        element: element_type(graph, element, depth + 1)?,
        count: usize::try_from(count).ok()?,
    })
}

/// Returns `ns` or `25s` of the metadata of a time.
fn time_unit(graph: &Graph, metadata: Id) -> Option<String> {
    let parts = graph.items(*graph.items(metadata)?.get(1)?)?;
    let unit = match graph.get(*parts.first()?) {
        Node::Text(text) => text.to_string(),
        Node::Bytes(bytes) => String::from_utf8(bytes.whole(16).ok()?).ok()?,
        _ => return None,
    };
    let many = graph.int(*parts.get(1)?)?;
    Some(if many == 1 {
        unit
    } else {
        format!("{many}{unit}")
    })
}

/// Reads the array whose bytes follow joblib's wrapper in the file; none when the object is
/// something else.
pub(super) fn joblib(
    graph: &mut Graph,
    target: Id,
    cursor: &mut Cursor,
    depth: u8,
) -> Result<Option<Node>, Fault> {
    let Node::Object(object) = graph.get(target) else {
        return Ok(None);
    };
    let wrapper = graph
        .items(object.arguments)
        .and_then(|arguments| arguments.first());
    // The class is what is called, or the first argument of what makes an object of a class.
    let named = [Some(object.callable), wrapper.copied()]
        .into_iter()
        .flatten();
    let mut names = named.filter_map(|id| graph.name(id));
    if !names.any(|name| name == ("joblib.numpy_pickle", "NumpyArrayWrapper")) {
        return Ok(None);
    }
    let wrong = || Fault::malformed("an array of joblib's does not say its shape and type");
    let state = object.state.ok_or_else(wrong)?;
    let attribute = |name| graph.attribute(state, name).ok_or_else(wrong);
    let dtype = attribute("dtype")?;
    let shape = graph.lengths(attribute("shape")?).ok_or_else(wrong)?;
    let fortran = graph.text(attribute("order")?) == Some("F");
    let aligned = graph.attribute(state, "numpy_array_alignment_bytes");
    let aligned = aligned.is_some_and(|bytes| graph.int(bytes).is_some());
    let Some(element) = element_type(graph, dtype, 0) else {
        if !objects(graph, dtype) {
            return Err(Fault::Unsupported(format!(
                "the element type of {}",
                title(&shape)
            )));
        }
        if depth >= DEPTH {
            return Err(Fault::malformed("pickles lie too deep within pickles"));
        }
        let inner = nested(cursor, graph, depth + 1)?;
        return Ok(Some(Node::Tuple(vec![inner])));
    };
    if aligned {
        let padding = u64::from(cursor.byte()?);
        cursor.take_source(padding)?;
    }
    let bytes = count(&shape)?
        .checked_mul(element.size as u64)
        .ok_or_else(wrong)?;
    let layout = layout(fortran && shape.len() > 1);
    let bytes = cursor.take_source(bytes)?;
    Ok(Some(Node::Array(Box::new(Array {
        element,
        shape,
        layout,
        bytes,
    }))))
}

/// Returns whether an element type is that of objects.
fn objects(graph: &Graph, dtype: Id) -> bool {
    let Node::Object(object) = graph.get(dtype) else {
        return false;
    };
    let first = graph
        .items(object.arguments)
        .and_then(|arguments| arguments.first());
    first
        .and_then(|code| graph.text(*code))
        .is_some_and(|code| code.starts_with('O'))
}

fn title(shape: &[u64]) -> String {
    shown(&format!("an array {shape:?}"))
}
