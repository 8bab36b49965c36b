//! Tables in text: CSV, TSV.

use csv::{ByteRecord, Reader, ReaderBuilder};

use crate::array::{Scalar, Tally};
use crate::base::{Cursor, Difference, Fault, Source, Walk, shown};
use crate::formats::{Pair, text};

/// Tells in what two tables differ, column by column.
pub(crate) fn compare(walk: &mut Walk, pair: Pair, delimiter: u8) -> Result<(), Fault> {
    let rows = (count(pair.old, delimiter)?, count(pair.new, delimiter)?);
    let (mut old, mut new) = (reader(pair.old, delimiter), reader(pair.new, delimiter));
    let (mut left, mut right) = (ByteRecord::new(), ByteRecord::new());
    let there = old.read_byte_record(&mut left).map_err(Fault::of)?
        && new.read_byte_record(&mut right).map_err(Fault::of)?;
    if rows.0 != rows.1 {
        let counts = (format!("{} rows", rows.0), format!("{} rows", rows.1));
        walk.push(Difference::new(pair.at, counts.0, counts.1));
        // Which rows came or went, the lines tell better than cells that moved.
        return text::compare(walk, pair);
    }
    if left.len() != right.len() {
        let counts = (
            format!("{} columns", left.len()),
            format!("{} columns", right.len()),
        );
        walk.push(Difference::new(pair.at, counts.0, counts.1));
        return text::compare(walk, pair);
    }
    if !there || left.len() > walk.limits.members {
        return text::compare(walk, pair);
    }
    // The first row is a header when both have it and no cell of it is a number.
    let number = |cell: &[u8]| String::from_utf8_lossy(cell).trim().parse::<f64>().is_ok();
    let header = left == right && !left.iter().any(number);
    let names: Vec<String> = if header {
        left.iter()
            .map(|cell| format!("['{}']", shown(&String::from_utf8_lossy(cell))))
            .collect()
    } else {
        (0..left.len())
            .map(|column| format!("column {column}: "))
            .collect()
    };
    let before = u64::from(header);
    let mut tallies: Vec<Tally> = names.iter().map(|_| Tally::new(rows.0 - before)).collect();
    for row in 0..rows.0 {
        if row >= before {
            cells(&mut tallies, row - before, &left, &right)?;
        }
        let more = old.read_byte_record(&mut left).map_err(Fault::of)?;
        if !more || !new.read_byte_record(&mut right).map_err(Fault::of)? {
            break;
        }
    }
    for (name, tally) in names.iter().zip(tallies) {
        if let Some(difference) = tally.finish(&format!("{}{name}", pair.at), |row| vec![row]) {
            walk.push(difference);
        }
    }
    Ok(())
}

fn reader(source: &Source, delimiter: u8) -> Reader<Cursor> {
    let mut builder = ReaderBuilder::new();
    builder
        .delimiter(delimiter)
        .has_headers(false)
        .flexible(true);
    builder.from_reader(source.reader())
}

fn count(source: &Source, delimiter: u8) -> Result<u64, Fault> {
    let (mut reader, mut record, mut rows) = (reader(source, delimiter), ByteRecord::new(), 0);
    while reader.read_byte_record(&mut record).map_err(Fault::of)? {
        rows += 1;
    }
    Ok(rows)
}

fn cells(tallies: &mut [Tally], row: u64, old: &ByteRecord, new: &ByteRecord) -> Result<(), Fault> {
    if old.len() != new.len() || old.len() > tallies.len() {
        return Err(Fault::malformed(format!(
            "row {row} has another number of cells"
        )));
    }
    for ((tally, left), right) in tallies.iter_mut().zip(old).zip(new) {
        if left == right {
            continue;
        }
        let (old, new) = (
            String::from_utf8_lossy(left),
            String::from_utf8_lossy(right),
        );
        match (old.parse::<i128>(), new.parse::<i128>()) {
            // `007` is not `7`: it may well be a name.
            (Ok(left), Ok(right)) if left != right => {
                tally.differ(row, Scalar::Int(left), Scalar::Int(right));
                continue;
            }
            (Err(_), _) | (_, Err(_)) => {
                if let (Ok(left), Ok(right)) = (old.parse::<f64>(), new.parse::<f64>()) {
                    if left.to_bits() != right.to_bits() {
                        tally.differ(row, Scalar::f64(left), Scalar::f64(right));
                    }
                    continue;
                }
            }
            _ => {}
        }
        tally.differ(
            row,
            Scalar::Text(old.into_owned()),
            Scalar::Text(new.into_owned()),
        );
    }
    Ok(())
}
