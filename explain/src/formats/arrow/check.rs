//! The lengths that a file gives, before anybody believes them.
//! Source: Arrow's columnar format, "IPC File Format", "IPC Streaming Format", "Compression".

use arrow_ipc::{Message, RecordBatch, root_as_footer, root_as_message};

use crate::base::{Fault, Source};

/// What begins and ends a file, and the length of its footer before the latter.
const MAGIC: &[u8; 6] = b"ARROW1";

/// What stands before the length of a message.
const CONTINUATION: [u8; 4] = [0xff; 4];

/// Checks all messages that the footer of a file lists.
pub(super) fn check_file(source: &Source, limit: u64) -> Result<(), Fault> {
    let tail = source
        .len()
        .checked_sub(10)
        .ok_or_else(|| Fault::malformed("it is cut"))?;
    let mut end = [0; 10];
    source.read_exact_at(tail, &mut end)?;
    let (length, magic) = end.split_at(4);
    if magic != MAGIC {
        return Err(Fault::malformed("its end is not that of a file of Arrow's"));
    }
    let length = u64::from(u32::from_le_bytes([
        length[0], length[1], length[2], length[3],
    ]));
    let start = tail
        .checked_sub(length)
        .ok_or_else(|| Fault::malformed("its footer is cut"))?;
    let footer = source.slice(start, length)?.whole(limit)?;
    let footer = root_as_footer(&footer).map_err(Fault::of)?;
    let blocks = [footer.dictionaries(), footer.recordBatches()];
    for block in blocks.into_iter().flatten().flatten() {
        let wrong = |_| Fault::malformed("a block lies before the file");
        let offset = u64::try_from(block.offset()).map_err(wrong)?;
        let metadata = u64::try_from(block.metaDataLength()).map_err(wrong)?;
        let body = u64::try_from(block.bodyLength()).map_err(wrong)?;
        let message = source.slice(offset, metadata)?;
        let after = offset.saturating_add(metadata);
        let body = source.slice(after, body)?;
        let prefix = prefix(&message)?;
        let message = message
            .slice(prefix, message.len() - prefix)?
            .whole(limit)?;
        check_message(&root_as_message(&message).map_err(Fault::of)?, &body, limit)?;
    }
    Ok(())
}

/// Returns how many bytes stand before a message: older writers left the marker out.
fn prefix(message: &Source) -> Result<u64, Fault> {
    let mut first = [0; 4];
    message.read_exact_at(0, &mut first)?;
    let prefix = if first == CONTINUATION { 8 } else { 4 };
    Ok(prefix.min(message.len()))
}

/// Checks all messages of a stream.
pub(super) fn check_stream(source: &Source, limit: u64) -> Result<(), Fault> {
    let mut at = 0;
    while at < source.len() {
        let mut head = [0; 8];
        source.read_exact_at(at, &mut head)?;
        let (marker, length) = head.split_at(4);
        if marker != CONTINUATION {
            return Err(Fault::malformed(format!("no message begins at {at}")));
        }
        let length = u64::from(u32::from_le_bytes([
            length[0], length[1], length[2], length[3],
        ]));
        // The end is a message of nothing.
        if length == 0 {
            return Ok(());
        }
        let message = source.slice(at + 8, length)?.whole(limit)?;
        let message = root_as_message(&message).map_err(Fault::of)?;
        let body = u64::try_from(message.bodyLength()).map_err(Fault::of)?;
        let start = at + 8 + length;
        check_message(&message, &source.slice(start, body)?, limit)?;
        at = start + body;
    }
    Ok(())
}

fn check_message(message: &Message, body: &Source, limit: u64) -> Result<(), Fault> {
    let dictionary = message.header_as_dictionary_batch();
    let batch = message.header_as_record_batch();
    match batch.or_else(|| dictionary.and_then(|dictionary| dictionary.data())) {
        Some(batch) => check_batch(&batch, body, limit),
        None => Ok(()),
    }
}

/// Checks the buffers of a batch: where they lie, and what they unpack to, all together.
fn check_batch(batch: &RecordBatch, body: &Source, limit: u64) -> Result<(), Fault> {
    let mut unpacked = 0_u64;
    for buffer in batch.buffers().into_iter().flatten() {
        let wrong = |_| Fault::malformed("a buffer lies before its message");
        let offset = u64::try_from(buffer.offset()).map_err(wrong)?;
        let length = u64::try_from(buffer.length()).map_err(wrong)?;
        let buffer = body.slice(offset, length)?;
        if batch.compression().is_none() || length == 0 {
            continue;
        }
        let mut said = [0; 8];
        buffer.read_exact_at(0, &mut said)?;
        // -1 says that this one was left as it was.
        let said = i64::from_le_bytes(said);
        let said = if said == -1 {
            length
        } else {
            u64::try_from(said).map_err(wrong)?
        };
        unpacked = unpacked.saturating_add(said);
    }
    if unpacked > limit {
        let what = "what a batch unpacks to".to_owned();
        return Err(Fault::TooMuch { what, limit });
    }
    Ok(())
}
