//! Two files, member by member.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hdf5_reader::error::{Error, Result as Hdf5Result};
use hdf5_reader::group::Group;
use hdf5_reader::{Attribute, ByteOrder, Dataset, Datatype, Hdf5File, OpenOptions};

use crate::array::{self, Array, ElementType, Field, Float, Kind, Layout, Scalar, Tally};
use crate::base::{ABSENT, Difference, Fault, Source, Walk, shown};
use crate::formats::Pair;
use crate::formats::hdf5::rows;

/// Groups within groups; a group may hold itself.
const DEPTH: usize = 64;

/// Tells in what two files differ.
pub(crate) fn compare(walk: &mut Walk, pair: Pair) -> Result<(), Fault> {
    let limit = walk.limits.in_memory;
    let open = |source: &Source| -> Result<Group, Fault> {
        let bytes = usize::try_from(limit).unwrap_or(usize::MAX);
        // Larger datasets are read by rows.
        let options = OpenOptions::default()
            .with_max_read_bytes(bytes)
            .with_max_chunk_bytes(bytes);
        let storage = Arc::new(Range(source.clone()));
        let file = Hdf5File::from_storage_with_options(storage, options).map_err(Fault::of)?;
        file.root_group().map_err(Fault::of)
    };
    let (old, new) = (open(pair.old)?, open(pair.new)?);
    let mut files = Files {
        walk,
        seen: BTreeSet::new(),
    };
    files.groups(pair.at, &old, &new, 0)
}

/// What the reader reads from.
struct Range(Source);

impl hdf5_reader::Storage for Range {
    fn len(&self) -> u64 {
        self.0.len()
    }

    fn read_range(&self, offset: u64, length: usize) -> Hdf5Result<hdf5_reader::StorageBuffer> {
        let part = self
            .0
            .slice(offset, length as u64)
            .and_then(|part| part.whole(u64::MAX));
        let bytes = part.map_err(|fault| Error::InvalidData(fault.to_string()))?;
        Ok(hdf5_reader::StorageBuffer::from_vec(bytes))
    }
}

struct Files<'a, 'l> {
    walk: &'a mut Walk<'l>,
    /// Groups that were walked, by their addresses: links may lead back.
    seen: BTreeSet<(u64, u64)>,
}

impl Files<'_, '_> {
    fn groups(&mut self, at: &str, old: &Group, new: &Group, depth: usize) -> Result<(), Fault> {
        if !self.seen.insert((old.address(), new.address())) {
            return Ok(());
        }
        if depth > DEPTH {
            return Err(Fault::malformed("groups lie too deep within groups"));
        }
        let attributes = (
            old.attributes().map_err(Fault::of)?,
            new.attributes().map_err(Fault::of)?,
        );
        self.attributes(at, &attributes.0, &attributes.1)?;
        let (left, right) = (names(old)?, names(new)?);
        let all: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
        if all.len() > self.walk.limits.members {
            let what = "the number of members of a group".to_owned();
            return Err(Fault::TooMuch {
                what,
                limit: self.walk.limits.members as u64,
            });
        }
        for name in all {
            let place = format!("{at}/{}", shown(name));
            match (left.get(name), right.get(name)) {
                (Some(true), Some(true)) => {
                    let groups = (old.group(name), new.group(name));
                    let (left, right) =
                        (groups.0.map_err(Fault::of)?, groups.1.map_err(Fault::of)?);
                    self.groups(&place, &left, &right, depth + 1)?;
                }
                (Some(false), Some(false)) => {
                    let sets = (old.dataset(name), new.dataset(name));
                    let (left, right) = (sets.0.map_err(Fault::of)?, sets.1.map_err(Fault::of)?);
                    self.datasets(&place, &left, &right)?;
                }
                (left, right) => {
                    let title = |kind: Option<&bool>| match kind {
                        Some(true) => "group",
                        Some(false) => "dataset",
                        None => ABSENT,
                    };
                    self.walk
                        .push(Difference::new(&place, title(left), title(right)));
                }
            }
        }
        Ok(())
    }

    fn datasets(&mut self, at: &str, old: &Dataset, new: &Dataset) -> Result<(), Fault> {
        self.attributes(at, &old.attributes(), &new.attributes())?;
        if old.chunks() != new.chunks() {
            let chunks = |set: &Dataset| {
                set.chunks()
                    .map_or_else(|| "one piece".to_owned(), |c| format!("chunks {c:?}"))
            };
            self.walk
                .push(Difference::new(at, chunks(old), chunks(new)).metadata());
        }
        let texts = |set: &Dataset| matches!(set.dtype(), Datatype::VarLen { .. });
        if texts(old) && texts(new) {
            let read = |set: &Dataset| set.read_strings().map_err(Fault::of);
            let shapes = (old.shape().to_vec(), new.shape().to_vec());
            strings(
                self.walk,
                at,
                (&read(old)?, &shapes.0),
                (&read(new)?, &shapes.1),
            );
            return Ok(());
        }
        let (old, new) = (self.array(old)?, self.array(new)?);
        array::compare(self.walk, at, &old, &new)
    }

    fn array(&mut self, set: &Dataset) -> Result<Array, Fault> {
        let element = element(set.dtype())?;
        let large = set.raw_byte_len().map_err(Fault::of)? as u64 > self.walk.limits.in_memory;
        let (element, bytes) = match large {
            true => (element.big_endian(false), rows::unpack(self.walk, set)?),
            false => {
                let bytes = set.read_raw_bytes().map_err(Fault::of)?;
                (element, Source::memory(bytes))
            }
        };
        Ok(Array {
            element,
            shape: set.shape().to_vec(),
            layout: Layout::C,
            bytes,
        })
    }

    fn attributes(&mut self, at: &str, old: &[Attribute], new: &[Attribute]) -> Result<(), Fault> {
        let named = |attributes: &[Attribute]| -> BTreeMap<String, usize> {
            let names = attributes.iter().enumerate();
            names
                .map(|(index, attribute)| (attribute.name.clone(), index))
                .collect()
        };
        let (left, right) = (named(old), named(new));
        for name in left.keys().chain(right.keys()).collect::<BTreeSet<_>>() {
            let place = format!("{at}@{}", shown(name));
            let (was, is) = match (left.get(name), right.get(name)) {
                (Some(was), Some(is)) => (&old[*was], &new[*is]),
                (was, _) => {
                    let there = |there: bool| if there { "attribute" } else { ABSENT };
                    self.walk.push(Difference::new(
                        &place,
                        there(was.is_some()),
                        there(was.is_none()),
                    ));
                    continue;
                }
            };
            if let (Some(before), Some(after)) = (&was.decoded_strings, &is.decoded_strings) {
                strings(self.walk, &place, (before, &was.shape), (after, &is.shape));
                continue;
            }
            let array = |attribute: &Attribute| -> Result<Array, Fault> {
                Ok(Array {
                    element: element(&attribute.datatype)?,
                    shape: attribute.shape.clone(),
                    layout: Layout::C,
                    bytes: Source::memory(attribute.raw_data.clone()),
                })
            };
            array::compare(self.walk, &place, &array(was)?, &array(is)?)?;
        }
        Ok(())
    }
}

/// Returns the members' names, and whether each is a group.
fn names(group: &Group) -> Result<BTreeMap<String, bool>, Fault> {
    let (groups, datasets) = group.member_names().map_err(Fault::of)?;
    let groups = groups.into_iter().map(|name| (name, true));
    Ok(groups
        .chain(datasets.into_iter().map(|name| (name, false)))
        .collect())
}

fn strings(walk: &mut Walk, at: &str, old: (&[String], &[u64]), new: (&[String], &[u64])) {
    if old.1 != new.1 {
        let shapes = (format!("{:?}", old.1), format!("{:?}", new.1));
        walk.push(Difference::new(at, shapes.0, shapes.1).note("shapes differ"));
    }
    let mut tally = Tally::new(old.0.len().min(new.0.len()) as u64);
    for (position, (was, is)) in old.0.iter().zip(new.0).enumerate() {
        if was != is {
            tally.differ(
                position as u64,
                Scalar::Text(was.clone()),
                Scalar::Text(is.clone()),
            );
        }
    }
    let scalar = old.1.is_empty();
    let index = |position| if scalar { Vec::new() } else { vec![position] };
    if let Some(difference) = tally.finish(at, index) {
        walk.push(difference);
    }
}

fn element(kind: &Datatype) -> Result<ElementType, Fault> {
    let big = |order: &ByteOrder| matches!(order, ByteOrder::BigEndian);
    Ok(match kind {
        Datatype::FixedPoint {
            size,
            signed,
            byte_order,
        } => ElementType::int(usize::from(*size), *signed).big_endian(big(byte_order)),
        Datatype::FloatingPoint { size, byte_order } => {
            let float = match size {
                2 => Float::F16,
                4 => Float::F32,
                8 => Float::F64,
                16 => Float::X87,
                _ => return Err(Fault::Unsupported(format!("a number of {size} bytes"))),
            };
            ElementType::float(float).big_endian(big(byte_order))
        }
        Datatype::String {
            size: hdf5_reader::StringSize::Fixed(size),
            ..
        } => ElementType::new(Kind::Bytes, usize::try_from(*size).map_err(Fault::of)?),
        Datatype::Compound { size, fields } => {
            let fields = fields.iter().map(|field| -> Result<Field, Fault> {
                let (inner, count) = match &field.datatype {
                    Datatype::Array { base, dims } => (&**base, array::count(dims)?),
                    other => (other, 1),
                };
                Ok(Field {
                    name: field.name.clone(),
                    offset: usize::try_from(field.byte_offset).map_err(Fault::of)?,
                    element: element(inner)?,
                    count: usize::try_from(count).map_err(Fault::of)?,
                })
            });
            let fields = fields.collect::<Result<_, Fault>>()?;
            ElementType::new(
                Kind::Record(fields),
                usize::try_from(*size).map_err(Fault::of)?,
            )
        }
        Datatype::Enum { base, .. } => element(base)?,
        Datatype::Opaque { size, .. } => {
            ElementType::new(Kind::Opaque, usize::try_from(*size).map_err(Fault::of)?)
        }
        Datatype::Bitfield { size, byte_order } => {
            ElementType::int(usize::from(*size), false).big_endian(big(byte_order))
        }
        Datatype::Reference { size, .. } => ElementType::new(Kind::Opaque, usize::from(*size)),
        _ => return Err(Fault::Unsupported("a type of the dataset".to_owned())),
    })
}
