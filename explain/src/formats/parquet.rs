//! Parquet: schema, then column by column, whatever the row groups and encodings are.

use bytes::Bytes;
use parquet::basic::Type;
use parquet::column::reader::{ColumnReaderImpl, get_column_reader, get_typed_column_reader};
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DataType, DoubleType, FixedLenByteArray,
    FixedLenByteArrayType, FloatType, Int32Type, Int64Type, Int96, Int96Type,
};
use parquet::errors::Result as ParquetResult;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::{ChunkReader, FileReader, Length};
use parquet::file::serialized_reader::SerializedFileReader;

use crate::array::{Float, Scalar, Tally};
use crate::base::{ABSENT, Cursor, Difference, Fault, Source, Walk, shown};
use crate::formats::Pair;

/// Records read at a time.
const RECORDS: usize = 8192;

/// Tells in what two tables differ.
pub(crate) fn compare(walk: &mut Walk, pair: Pair) -> Result<(), Fault> {
    let open =
        |source: &Source| SerializedFileReader::new(Chunks(source.clone())).map_err(Fault::of);
    let (old, new) = (open(pair.old)?, open(pair.new)?);
    metadata(walk, pair.at, old.metadata(), new.metadata());
    let columns = |file: &SerializedFileReader<Chunks>| -> Vec<(String, String, Type)> {
        let columns = file
            .metadata()
            .file_metadata()
            .schema_descr()
            .columns()
            .iter();
        let titled = columns.map(|column| {
            let kind = match column.logical_type_ref() {
                Some(logical) => format!("{} as {logical:?}", column.physical_type()),
                None => column.physical_type().to_string(),
            };
            (column.path().string(), kind, column.physical_type())
        });
        titled.collect()
    };
    let (left, right) = (columns(&old), columns(&new));
    let members = walk.limits.members;
    if left.len().max(right.len()) > members {
        let what = "the number of columns".to_owned();
        return Err(Fault::TooMuch {
            what,
            limit: members as u64,
        });
    }
    for (index, (name, kind, physical)) in left.iter().enumerate() {
        let at = format!("{}['{}']", pair.at, shown(name));
        let Some(other) = right.iter().position(|(other, ..)| other == name) else {
            walk.push(Difference::new(&at, shown(kind), ABSENT).note("column"));
            continue;
        };
        if *kind != right[other].1 {
            let difference = Difference::new(&at, shown(kind), shown(&right[other].1));
            walk.push(difference.note("types of the column differ"));
        }
        if *physical == right[other].2 {
            column(walk, &at, *physical, (&old, index), (&new, other))?;
        }
    }
    for (name, kind, _) in right
        .iter()
        .filter(|(name, ..)| !left.iter().any(|(old, ..)| old == name))
    {
        let at = format!("{}['{}']", pair.at, shown(name));
        walk.push(Difference::new(&at, ABSENT, shown(kind)).note("column"));
    }
    Ok(())
}

/// Tells what stands beside the values: who wrote it, how it is cut and packed.
fn metadata(walk: &mut Walk, at: &str, old: &ParquetMetaData, new: &ParquetMetaData) {
    let rows = |file: &ParquetMetaData| format!("{} rows", file.file_metadata().num_rows());
    if rows(old) != rows(new) {
        walk.push(Difference::new(at, rows(old), rows(new)));
    }
    let facts = |file: &ParquetMetaData| -> Vec<(String, String)> {
        let mut facts = vec![
            (
                "written by".to_owned(),
                file.file_metadata()
                    .created_by()
                    .unwrap_or(ABSENT)
                    .to_owned(),
            ),
            ("row groups".to_owned(), file.num_row_groups().to_string()),
        ];
        let first = file
            .row_groups()
            .first()
            .and_then(|group| group.columns().first());
        let codec = first.map_or_else(String::new, |column| format!("{:?}", column.compression()));
        facts.push(("compression".to_owned(), codec));
        for entry in file
            .file_metadata()
            .key_value_metadata()
            .into_iter()
            .flatten()
        {
            let value = entry.value.clone().unwrap_or_default();
            facts.push((format!("metadata `{}`", shown(&entry.key)), value));
        }
        facts
    };
    let (left, right) = (facts(old), facts(new));
    let value = |facts: &[(String, String)], name: &str| -> Option<String> {
        facts
            .iter()
            .find(|(other, _)| other == name)
            .map(|(_, value)| value.clone())
    };
    let more = right
        .iter()
        .filter(|(name, _)| value(&left, name).is_none());
    for (name, _) in left.iter().chain(more) {
        let (was, is) = (value(&left, name), value(&right, name));
        if was != is {
            let show =
                |side: Option<String>| side.map_or_else(|| ABSENT.to_owned(), |text| shown(&text));
            walk.push(
                Difference::new(at, show(was), show(is))
                    .note(name.clone())
                    .metadata(),
            );
        }
    }
}

type Side<'a> = (&'a SerializedFileReader<Chunks>, usize);

fn column(walk: &mut Walk, at: &str, kind: Type, old: Side, new: Side) -> Result<(), Fault> {
    match kind {
        Type::BOOLEAN => typed::<BoolType>(walk, at, old, new),
        Type::INT32 => typed::<Int32Type>(walk, at, old, new),
        Type::INT64 => typed::<Int64Type>(walk, at, old, new),
        Type::INT96 => typed::<Int96Type>(walk, at, old, new),
        Type::FLOAT => typed::<FloatType>(walk, at, old, new),
        Type::DOUBLE => typed::<DoubleType>(walk, at, old, new),
        Type::BYTE_ARRAY => typed::<ByteArrayType>(walk, at, old, new),
        Type::FIXED_LEN_BYTE_ARRAY => typed::<FixedLenByteArrayType>(walk, at, old, new),
    }
}

fn typed<T: DataType>(walk: &mut Walk, at: &str, old: Side, new: Side) -> Result<(), Fault>
where
    T::T: Value,
{
    let elements = |(file, column): Side| -> u64 {
        let groups = file.metadata().row_groups().iter();
        let counts = groups.filter_map(|group| group.columns().get(column));
        counts
            .map(|column| u64::try_from(column.num_values()).unwrap_or(0))
            .sum()
    };
    let counts = (elements(old), elements(new));
    let mut tally = Tally::new(counts.0.min(counts.1));
    let (mut left, mut right) = (Values::<T>::new(old), Values::<T>::new(new));
    let (mut position, mut shape) = (0, None);
    loop {
        let (was, is) = (left.next()?, right.next()?);
        let (Some(was), Some(is)) = (was, is) else {
            break;
        };
        if was.levels != is.levels && shape.is_none() {
            shape = Some(position);
        }
        let same = match (&was.value, &is.value) {
            (Some(was), Some(is)) => was.is_same(is),
            (None, None) => true,
            _ => false,
        };
        if !same {
            let scalar = |value: Option<T::T>| value.map_or(Scalar::Null, |value| value.scalar());
            tally.differ(position, scalar(was.value), scalar(is.value));
        }
        position += 1;
    }
    if let Some(difference) = tally.finish(at, |position| vec![position]) {
        walk.push(difference);
    } else if let Some(position) = shape {
        let difference = Difference::new(&format!("{at}[{position}]"), "", "");
        walk.push(difference.note("lists are cut otherwise from this value on"));
    }
    if counts.0 != counts.1 {
        let counts = (
            format!("{} values", counts.0),
            format!("{} values", counts.1),
        );
        walk.push(Difference::new(at, counts.0, counts.1));
    }
    Ok(())
}

/// A value and its place within lists and structures (definition and repetition level).
struct Item<T> {
    levels: (i16, i16),
    value: Option<T>,
}

/// The values of a column, one after another through all row groups.
struct Values<'a, T: DataType> {
    file: &'a SerializedFileReader<Chunks>,
    column: usize,
    group: usize,
    reader: Option<ColumnReaderImpl<T>>,
    deepest: i16,
    definitions: Vec<i16>,
    repetitions: Vec<i16>,
    values: std::vec::IntoIter<T::T>,
    at: usize,
    levels: usize,
}

impl<'a, T: DataType> Values<'a, T> {
    fn new((file, column): Side<'a>) -> Self {
        let schema = file.metadata().file_metadata().schema_descr();
        Self {
            file,
            column,
            group: 0,
            reader: None,
            deepest: schema.column(column).max_def_level(),
            definitions: Vec::new(),
            repetitions: Vec::new(),
            values: Vec::new().into_iter(),
            at: 0,
            levels: 0,
        }
    }

    fn next(&mut self) -> Result<Option<Item<T::T>>, Fault> {
        while self.at == self.levels {
            if !self.fill()? {
                return Ok(None);
            }
        }
        let level = |levels: &[i16], absent| levels.get(self.at).copied().unwrap_or(absent);
        let levels = (
            level(&self.definitions, self.deepest),
            level(&self.repetitions, 0),
        );
        self.at += 1;
        let value = if levels.0 == self.deepest {
            self.values.next()
        } else {
            None
        };
        Ok(Some(Item { levels, value }))
    }

    fn fill(&mut self) -> Result<bool, Fault> {
        if self.reader.is_none() {
            if self.group == self.file.num_row_groups() {
                return Ok(false);
            }
            let group = self.file.get_row_group(self.group).map_err(Fault::of)?;
            let pages = group
                .get_column_page_reader(self.column)
                .map_err(Fault::of)?;
            let schema = self.file.metadata().file_metadata().schema_descr();
            let reader = get_column_reader(schema.column(self.column), pages);
            self.reader = Some(get_typed_column_reader(reader));
            self.group += 1;
        }
        self.definitions.clear();
        self.repetitions.clear();
        self.at = 0;
        let mut values = Vec::new();
        let Some(reader) = &mut self.reader else {
            return Ok(false);
        };
        let (definitions, repetitions) = (&mut self.definitions, &mut self.repetitions);
        let read = reader.read_records(RECORDS, Some(definitions), Some(repetitions), &mut values);
        let (records, _, levels) = read.map_err(Fault::of)?;
        self.levels = levels;
        self.values = values.into_iter();
        if records == 0 {
            self.reader = None;
            self.levels = 0;
        }
        Ok(true)
    }
}

/// A value of a column.
trait Value {
    fn is_same(&self, other: &Self) -> bool;
    fn scalar(&self) -> Scalar;
}

impl Value for bool {
    fn is_same(&self, other: &Self) -> bool {
        self == other
    }
    fn scalar(&self) -> Scalar {
        Scalar::Bool(*self)
    }
}

impl Value for i32 {
    fn is_same(&self, other: &Self) -> bool {
        self == other
    }
    fn scalar(&self) -> Scalar {
        Scalar::Int(i128::from(*self))
    }
}

impl Value for i64 {
    fn is_same(&self, other: &Self) -> bool {
        self == other
    }
    fn scalar(&self) -> Scalar {
        Scalar::Int(i128::from(*self))
    }
}

impl Value for Int96 {
    fn is_same(&self, other: &Self) -> bool {
        self.data() == other.data()
    }
    fn scalar(&self) -> Scalar {
        Scalar::Time(i128::from(self.to_nanos()), "ns since 1970".to_owned())
    }
}

impl Value for f32 {
    fn is_same(&self, other: &Self) -> bool {
        self.to_bits() == other.to_bits()
    }
    fn scalar(&self) -> Scalar {
        Scalar::Float(Float::F32, u128::from(self.to_bits()))
    }
}

impl Value for f64 {
    fn is_same(&self, other: &Self) -> bool {
        self.to_bits() == other.to_bits()
    }
    fn scalar(&self) -> Scalar {
        Scalar::f64(*self)
    }
}

impl Value for ByteArray {
    fn is_same(&self, other: &Self) -> bool {
        self.data() == other.data()
    }
    fn scalar(&self) -> Scalar {
        match std::str::from_utf8(self.data()) {
            Ok(text) => Scalar::Text(text.to_owned()),
            Err(_) => Scalar::Bytes(self.data().to_vec()),
        }
    }
}

impl Value for FixedLenByteArray {
    fn is_same(&self, other: &Self) -> bool {
        self.data() == other.data()
    }
    fn scalar(&self) -> Scalar {
        Scalar::Bytes(self.data().to_vec())
    }
}

/// What the reader reads from.
struct Chunks(Source);

impl Length for Chunks {
    fn len(&self) -> u64 {
        self.0.len()
    }
}

impl ChunkReader for Chunks {
    type T = Cursor;

    fn get_read(&self, start: u64) -> ParquetResult<Cursor> {
        let rest = self.0.len().saturating_sub(start);
        Ok(self.0.slice(start, rest).map_err(outside)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        let part = self.0.slice(start, length as u64).map_err(outside)?;
        Ok(Bytes::from(part.whole(u64::MAX).map_err(outside)?))
    }
}

fn outside(fault: Fault) -> parquet::errors::ParquetError {
    parquet::errors::ParquetError::General(fault.to_string())
}
