//! Two arrays, read in step.

use crate::array::elements::{Elements, count, index};
use crate::array::{ElementType, Field, Layout, Tally};
use crate::base::{Difference, Fault, Source, Walk};

/// Elements read at a time; large elements are fewer.
const BLOCK: u64 = 1 << 20;

/// An array in some file.
#[derive(Debug, Clone)]
pub(crate) struct Array {
    pub(crate) element: ElementType,
    pub(crate) shape: Vec<u64>,
    pub(crate) layout: Layout,
    pub(crate) bytes: Source,
}

impl Array {
    /// Returns `float32 (3, 17)`.
    pub(crate) fn title(&self) -> String {
        format!("{} {}", self.element, shape(&self.shape))
    }
}

fn shape(shape: &[u64]) -> String {
    let lengths: Vec<String> = shape.iter().take(16).map(u64::to_string).collect();
    format!("({})", lengths.join(", "))
}

/// Tells in what two arrays differ.
pub(crate) fn compare(walk: &mut Walk, at: &str, old: &Array, new: &Array) -> Result<(), Fault> {
    if !same_type(walk, at, &old.element, &new.element) {
        return Ok(());
    }
    if old.layout != new.layout {
        let difference = Difference::new(at, layout(&old.layout), layout(&new.layout));
        walk.push(
            difference
                .note("order of the elements in the file")
                .metadata(),
        );
    }
    let mut compared = old.shape.clone();
    if old.shape != new.shape {
        let difference = Difference::new(at, shape(&old.shape), shape(&new.shape));
        let rows = match (old.shape.split_first(), new.shape.split_first()) {
            (Some((old, rest)), Some((new, other))) if rest == other => Some((*old).min(*new)),
            _ => None,
        };
        let Some(rows) = rows else {
            walk.push(difference.note("shapes differ"));
            return Ok(());
        };
        walk.push(difference.note(format!("shapes differ; the first {rows} rows are compared")));
        compared[0] = rows;
    }
    values(walk, at, (old, new), &compared)
}

/// Returns whether elements can be set against each other, after telling how types differ.
fn same_type(walk: &mut Walk, at: &str, old: &ElementType, new: &ElementType) -> bool {
    if old == new {
        return true;
    }
    let little = |element: &ElementType| element.clone().big_endian(false);
    if little(old) == little(new) {
        let order = |big| if big { "big-endian" } else { "little-endian" };
        let difference = Difference::new(at, order(old.big_endian), order(new.big_endian));
        walk.push(difference.note("order of bytes").metadata());
        return true;
    }
    let difference = Difference::new(at, old.to_string(), new.to_string());
    walk.push(difference.note("types of the elements differ"));
    old.is_number() && new.is_number()
}

fn layout(layout: &Layout) -> String {
    match layout {
        Layout::C => "rows first".to_owned(),
        Layout::Fortran => "columns first".to_owned(),
        Layout::Strided { offset, strides } => format!("from {offset} in steps {strides:?}"),
    }
}

/// One side: how its elements are read and what they are.
struct Side {
    elements: Elements,
    size: usize,
    columns: Vec<Field>,
    block: Vec<u8>,
}

impl Side {
    fn new(array: &Array, straight: bool, limits: &crate::Limits) -> Result<Self, Fault> {
        let size = array.element.size;
        let bytes = count(&array.shape)?.checked_mul(size as u64);
        let strided = matches!(array.layout, Layout::Strided { .. });
        if bytes.is_none_or(|bytes| bytes > array.bytes.len()) && !strided {
            let (title, there) = (array.title(), array.bytes.len());
            return Err(Fault::malformed(format!(
                "{title} does not fit into {there} bytes"
            )));
        }
        let elements = if straight {
            Elements::in_order(&array.bytes, 0)
        } else {
            let limit = limits.in_memory;
            if count(&array.shape)? > limit {
                let what = "the number of elements that are picked".to_owned();
                return Err(Fault::TooMuch { what, limit });
            }
            Elements::gathered(&array.bytes, size, &array.shape, &array.layout, limit)?
        };
        Ok(Self {
            elements,
            size,
            columns: array.element.columns(limits.members)?,
            block: Vec::new(),
        })
    }

    fn fill(&mut self, elements: usize) -> Result<(), Fault> {
        self.block.resize(elements * self.size, 0);
        self.elements.fill(&mut self.block)
    }

    fn get(&self, element: usize, column: usize, of: usize) -> &[u8] {
        let field = &self.columns[column];
        let start = element * self.size + field.offset + of * field.element.size;
        self.block
            .get(start..start + field.element.size)
            .unwrap_or_default()
    }
}

fn values(
    walk: &mut Walk,
    at: &str,
    (old, new): (&Array, &Array),
    compared: &[u64],
) -> Result<(), Fault> {
    let total = count(compared)?;
    // Two that lie alike are read straight on; then the index is counted as they lie.
    let whole = compared == old.shape && compared == new.shape;
    let backwards = whole && old.layout == Layout::Fortran && new.layout == Layout::Fortran;
    let straight = |array: &Array| backwards || array.layout == Layout::C;
    let mut a = Side::new(old, straight(old), walk.limits)?;
    let mut b = Side::new(new, straight(new), walk.limits)?;
    if a.size == 0 || b.size == 0 {
        return Ok(());
    }
    let plain = old.element == new.element;
    let mut tallies: Vec<Tally> = a
        .columns
        .iter()
        .map(|field| Tally::new(total.saturating_mul(field.count as u64)))
        .collect();
    let step = (BLOCK / a.size.max(b.size) as u64).max(1);
    let mut done = 0;
    while done < total {
        let now = step.min(total - done);
        let elements = usize::try_from(now).map_err(Fault::of)?;
        a.fill(elements)?;
        b.fill(elements)?;
        if !plain || a.block != b.block {
            for (column, tally) in tallies.iter_mut().enumerate() {
                count_block(&a, &b, (column, elements, done), tally);
            }
        }
        done += now;
    }
    let lengths: Vec<u64> = if backwards {
        compared.iter().rev().copied().collect()
    } else {
        compared.to_vec()
    };
    for (field, tally) in a.columns.iter().zip(tallies) {
        let place = |element: u64| {
            let count = (field.count as u64).max(1);
            let mut place = index(&lengths, element / count);
            if backwards {
                place.reverse();
            }
            if count > 1 {
                place.push(element % count);
            }
            place
        };
        if let Some(difference) = tally.finish(&format!("{at}{}", field.name), place) {
            walk.push(difference);
        }
    }
    Ok(())
}

/// Counts what differs in one column of the blocks.
fn count_block(
    a: &Side,
    b: &Side,
    (column, elements, done): (usize, usize, u64),
    tally: &mut Tally,
) {
    let (Some(left), Some(right)) = (a.columns.get(column), b.columns.get(column)) else {
        return;
    };
    let plain = left.element == right.element;
    for element in 0..elements {
        for of in 0..left.count.min(right.count) {
            let (old, new) = (a.get(element, column, of), b.get(element, column, of));
            if plain && old == new {
                continue;
            }
            let (old, new) = (left.element.scalar(old), right.element.scalar(new));
            let same = if plain || left.element.kind == right.element.kind {
                old == new
            } else {
                // Types differ, so only the numbers can be the same.
                old.number() == new.number()
            };
            if !same {
                let at = (done + element as u64) * left.count as u64 + of as u64;
                tally.differ(at, old, new);
            }
        }
    }
}
