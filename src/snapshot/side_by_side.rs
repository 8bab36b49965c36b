//! Work on many items by few threads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// How many items a thread takes at a time: few enough to end together, many enough not to meet.
const CHUNK: usize = 16;

/// Returns what `work` makes of each item, in the order of the items, or the error of one. Up to
/// `jobs` threads work, one for every `worth` items: starting one for fewer takes longer than they do.
pub(super) fn side_by_side<T: Sync, R: Send, E: Send>(
    jobs: usize,
    worth: usize,
    items: &[T],
    work: impl Fn(&T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let jobs = jobs.min(items.len() / worth).max(1);
    if jobs == 1 {
        return items.iter().map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let some = || {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(CHUNK, Ordering::Relaxed);
            let Some(rest) = items.get(at..).filter(|rest| !rest.is_empty()) else {
                return Ok(done);
            };
            let chunk = rest[..rest.len().min(CHUNK)].iter().map(&work);
            match chunk.collect::<Result<Vec<R>, E>>() {
                Ok(results) => done.push((at, results)),
                Err(error) => {
                    next.store(items.len(), Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
    };
    let mut done = Vec::new();
    thread::scope(|scope| {
        let others: Vec<_> = (1..jobs).map(|_| scope.spawn(some)).collect();
        let mut failed = some().map(|own| done = own).err();
        for other in others {
            match other.join() {
                Ok(Ok(theirs)) => done.extend(theirs),
                Ok(Err(error)) => failed = Some(error),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        failed.map_or(Ok(()), Err)
    })?;
    done.sort_unstable_by_key(|(at, _)| *at);
    Ok(done.into_iter().flat_map(|(_, results)| results).collect())
}
