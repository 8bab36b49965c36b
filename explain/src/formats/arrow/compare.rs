//! Two tables, column by column, whatever the batches are.

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_ipc::reader::{FileReader, StreamReader};
use arrow_schema::{ArrowError, DataType, Schema};

use crate::array::{Float, Scalar, Tally};
use crate::base::{ABSENT, Cursor, Difference, Fault, Source, Walk, shown};
use crate::formats::Pair;
use crate::formats::arrow::check::{check_file, check_stream};

/// Values within values.
const DEPTH: usize = 16;

/// Tells in what two files differ.
pub(crate) fn compare_files(walk: &mut Walk, pair: Pair) -> Result<(), Fault> {
    for source in [pair.old, pair.new] {
        check_file(source, walk.limits.in_memory)?;
    }
    compare(walk, pair, |source| {
        let reader = FileReader::try_new(source.reader(), None).map_err(Fault::of)?;
        Ok(Table {
            schema: reader.schema(),
            batches: Box::new(reader),
        })
    })
}

/// Tells in what two streams differ.
pub(crate) fn compare_streams(walk: &mut Walk, pair: Pair) -> Result<(), Fault> {
    for source in [pair.old, pair.new] {
        check_stream(source, walk.limits.in_memory)?;
    }
    compare(walk, pair, |source| {
        let reader: StreamReader<Cursor> =
            StreamReader::try_new(source.reader(), None).map_err(Fault::of)?;
        Ok(Table {
            schema: reader.schema(),
            batches: Box::new(reader),
        })
    })
}

struct Table {
    schema: std::sync::Arc<Schema>,
    batches: Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>>>,
}

impl Table {
    fn rows(self) -> Result<(u64, u64), Fault> {
        let (mut rows, mut batches) = (0, 0);
        for batch in self.batches {
            rows += batch.map_err(Fault::of)?.num_rows() as u64;
            batches += 1;
        }
        Ok((rows, batches))
    }
}

fn compare(
    walk: &mut Walk,
    pair: Pair,
    open: impl Fn(&Source) -> Result<Table, Fault>,
) -> Result<(), Fault> {
    let (was, is) = (open(pair.old)?.rows()?, open(pair.new)?.rows()?);
    if was.0 != is.0 {
        let rows = (format!("{} rows", was.0), format!("{} rows", is.0));
        walk.push(Difference::new(pair.at, rows.0, rows.1));
    }
    if was.1 != is.1 {
        let batches = (was.1.to_string(), is.1.to_string());
        walk.push(
            Difference::new(pair.at, batches.0, batches.1)
                .note("record batches")
                .metadata(),
        );
    }
    let (mut old, mut new) = (open(pair.old)?, open(pair.new)?);
    let common = schemas(walk, pair.at, &old.schema, &new.schema);
    let rows = was.0.min(is.0);
    let mut tallies: Vec<Tally> = common.iter().map(|_| Tally::new(rows)).collect();
    let (mut left, mut right) = (Rows::default(), Rows::default());
    let mut row = 0;
    while row < rows && left.fill(&mut old)? && right.fill(&mut new)? {
        let count = left.left().min(right.left());
        for ((a, b), tally) in common.iter().zip(&mut tallies) {
            let (Some(was), Some(is)) = (left.slice(*a, count), right.slice(*b, count)) else {
                continue;
            };
            if was.as_ref() == is.as_ref() && !has_floats(was.data_type()) {
                continue;
            }
            for position in 0..count {
                let (was, is) = (scalar(&was, position, 0)?, scalar(&is, position, 0)?);
                if was != is {
                    tally.differ(row + position as u64, was, is);
                }
            }
        }
        left.at += count;
        right.at += count;
        row += count as u64;
    }
    for ((a, _), tally) in common.iter().zip(tallies) {
        let at = format!("{}['{}']", pair.at, shown(old.schema.field(*a).name()));
        if let Some(difference) = tally.finish(&at, |row| vec![row]) {
            walk.push(difference);
        }
    }
    Ok(())
}

/// Returns whether equality of the type's values is not that of their bits.
fn has_floats(kind: &DataType) -> bool {
    !matches!(
        kind,
        DataType::Utf8
            | DataType::LargeUtf8
            | DataType::Boolean
            | DataType::Int64
            | DataType::Int32
    )
}

/// The rows of the batch at hand.
#[derive(Default)]
struct Rows {
    batch: Option<RecordBatch>,
    at: usize,
}

impl Rows {
    fn left(&self) -> usize {
        self.batch
            .as_ref()
            .map_or(0, |batch| batch.num_rows().saturating_sub(self.at))
    }

    /// Takes the next batch once this one is done; returns whether there are rows.
    fn fill(&mut self, table: &mut Table) -> Result<bool, Fault> {
        while self.left() == 0 {
            let Some(batch) = table.batches.next() else {
                return Ok(false);
            };
            self.batch = Some(batch.map_err(Fault::of)?);
            self.at = 0;
        }
        Ok(true)
    }

    fn slice(&self, column: usize, count: usize) -> Option<ArrayRef> {
        let batch = self.batch.as_ref()?;
        Some(batch.columns().get(column)?.slice(self.at, count))
    }
}

/// Tells how schemas differ; returns the columns that both have, with the same type.
fn schemas(walk: &mut Walk, at: &str, old: &Schema, new: &Schema) -> Vec<(usize, usize)> {
    let mut common = Vec::new();
    for (index, field) in old.fields().iter().enumerate() {
        let place = format!("{at}['{}']", shown(field.name()));
        let kind = shown(&field.data_type().to_string());
        let Ok(other) = new.index_of(field.name()) else {
            walk.push(Difference::new(&place, kind, ABSENT).note("column"));
            continue;
        };
        let now = new.field(other).data_type();
        if field.data_type() == now {
            common.push((index, other));
        } else {
            let difference = Difference::new(&place, kind, shown(&now.to_string()));
            walk.push(difference.note("types of the column differ"));
        }
    }
    for field in new
        .fields()
        .iter()
        .filter(|field| old.index_of(field.name()).is_err())
    {
        let place = format!("{at}['{}']", shown(field.name()));
        let kind = shown(&field.data_type().to_string());
        walk.push(Difference::new(&place, ABSENT, kind).note("column"));
    }
    if old.metadata() != new.metadata() {
        let sorted = |schema: &Schema| {
            let entries: std::collections::BTreeMap<_, _> = schema.metadata().iter().collect();
            shown(&format!("{entries:?}"))
        };
        let difference = Difference::new(at, sorted(old), sorted(new));
        walk.push(difference.note("metadata of the schema").metadata());
    }
    common
}

/// Returns the value of one row; lists and structures as the text that tells all of them.
fn scalar(array: &dyn Array, at: usize, depth: usize) -> Result<Scalar, Fault> {
    if depth > DEPTH {
        return Err(Fault::malformed("values lie too deep within values"));
    }
    if array.is_null(at) {
        return Ok(Scalar::Null);
    }
    macro_rules! int {
        ($kind:ty) => {
            Scalar::Int(i128::from(array.as_primitive::<$kind>().value(at)))
        };
    }
    let text = |text: &str| Scalar::Text(text.to_owned());
    Ok(match array.data_type() {
        DataType::Null => Scalar::Null,
        DataType::Boolean => Scalar::Bool(array.as_boolean().value(at)),
        DataType::Int8 => int!(Int8Type),
        DataType::Int16 => int!(Int16Type),
        DataType::Int32 => int!(Int32Type),
        DataType::Int64 => int!(Int64Type),
        DataType::UInt8 => int!(UInt8Type),
        DataType::UInt16 => int!(UInt16Type),
        DataType::UInt32 => int!(UInt32Type),
        DataType::UInt64 => int!(UInt64Type),
        DataType::Float16 => {
            let bits = array.as_primitive::<Float16Type>().value(at).to_bits();
            Scalar::Float(Float::F16, u128::from(bits))
        }
        DataType::Float32 => {
            let bits = array.as_primitive::<Float32Type>().value(at).to_bits();
            Scalar::Float(Float::F32, u128::from(bits))
        }
        DataType::Float64 => Scalar::f64(array.as_primitive::<Float64Type>().value(at)),
        DataType::Utf8 => text(array.as_string::<i32>().value(at)),
        DataType::LargeUtf8 => text(array.as_string::<i64>().value(at)),
        DataType::Utf8View => text(array.as_string_view().value(at)),
        DataType::Binary => Scalar::Bytes(array.as_binary::<i32>().value(at).to_vec()),
        DataType::LargeBinary => Scalar::Bytes(array.as_binary::<i64>().value(at).to_vec()),
        DataType::BinaryView => Scalar::Bytes(array.as_binary_view().value(at).to_vec()),
        DataType::FixedSizeBinary(_) => {
            Scalar::Bytes(array.as_fixed_size_binary().value(at).to_vec())
        }
        DataType::Decimal128(..) => Scalar::Int(array.as_primitive::<Decimal128Type>().value(at)),
        DataType::Dictionary(..) => {
            let dictionary = array.as_any_dictionary();
            let key = dictionary
                .normalized_keys()
                .get(at)
                .copied()
                .unwrap_or_default();
            scalar(dictionary.values(), key, depth + 1)?
        }
        DataType::List(_) => whole(&array.as_list::<i32>().value(at), depth)?,
        DataType::LargeList(_) => whole(&array.as_list::<i64>().value(at), depth)?,
        DataType::FixedSizeList(..) => whole(&array.as_fixed_size_list().value(at), depth)?,
        DataType::Map(..) => whole(&array.as_map().value(at), depth)?,
        DataType::Struct(fields) => {
            let columns = fields.iter().zip(array.as_struct().columns());
            let parts = columns.map(|(field, column)| -> Result<String, Fault> {
                Ok(format!(
                    "{}: {}",
                    field.name(),
                    exact(scalar(column, at, depth + 1)?)
                ))
            });
            Scalar::Text(format!(
                "{{{}}}",
                parts.collect::<Result<Vec<_>, _>>()?.join(", ")
            ))
        }
        _ => return time(array, at),
    })
}

/// Returns a value of a type that counts time.
fn time(array: &dyn Array, at: usize) -> Result<Scalar, Fault> {
    let unsupported = || Fault::Unsupported(format!("the column type {}", array.data_type()));
    let width = match array.data_type() {
        DataType::Date32 | DataType::Time32(_) => 4,
        DataType::Date64
        | DataType::Time64(_)
        | DataType::Timestamp(..)
        | DataType::Duration(_) => 8,
        _ => return Err(unsupported()),
    };
    let data = array.to_data();
    let buffer = data.buffers().first().ok_or_else(unsupported)?.as_slice();
    let start = (data.offset() + at) * width;
    let bytes = buffer.get(start..start + width).ok_or_else(unsupported)?;
    let mut wide = [0; 8];
    wide[..width].copy_from_slice(bytes);
    let count = if width == 4 {
        i128::from(i32::from_le_bytes([wide[0], wide[1], wide[2], wide[3]]))
    } else {
        i128::from(i64::from_le_bytes(wide))
    };
    Ok(Scalar::Time(count, array.data_type().to_string()))
}

fn whole(list: &dyn Array, depth: usize) -> Result<Scalar, Fault> {
    let items = (0..list.len()).map(|at| scalar(list, at, depth + 1).map(exact));
    Ok(Scalar::Text(format!(
        "[{}]",
        items.collect::<Result<Vec<_>, _>>()?.join(", ")
    )))
}

/// Returns the text of a value, all of it.
fn exact(scalar: Scalar) -> String {
    match scalar {
        Scalar::Text(text) => text,
        Scalar::Bytes(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        other => other.to_string(),
    }
}
