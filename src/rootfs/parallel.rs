//! Work on all packages, or layers, several side by side.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use envbox_lockfiles::base::{Context, Event};

/// One piece of work.
pub(crate) struct Task<'a> {
    /// What it is on, for messages.
    pub(crate) name: &'a str,
    /// How long it takes, measured against the others.
    pub(crate) weight: u64,
}

/// Does `work` for the index of every task and returns what it gives, in the order of the tasks.
/// The first failure ends all.
pub(crate) fn in_parallel<T: Send, E: Send>(
    context: &Context,
    stage: &str,
    tasks: &[Task<'_>],
    work: impl Fn(usize) -> Result<T, E> + Sync,
) -> Result<Vec<T>, E> {
    context.report(Event::StageStarted {
        stage: stage.to_owned(),
        total: Some(tasks.len() as u64),
    });
    // Greatest first: one that takes long and begins last would leave the others idle.
    let mut order: Vec<usize> = (0..tasks.len()).collect();
    order.sort_by_key(|&task| std::cmp::Reverse(tasks[task].weight));
    let next = AtomicUsize::new(0);
    let results: Vec<_> = order.iter().map(|_| Mutex::new(None)).collect();
    thread::scope(|scope| {
        for _ in 0..context.jobs.clamp(1, order.len().max(1)) {
            scope.spawn(|| {
                while let Some(&task) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = work(task);
                    if result.is_err() {
                        // The others would be thrown away.
                        next.store(order.len(), Ordering::Relaxed);
                    }
                    context.report(Event::ItemFinished {
                        stage: stage.to_owned(),
                        item: tasks[task].name.to_owned(),
                    });
                    *results[task].lock().expect("no holder panics") = Some(result);
                }
            });
        }
    });
    let results = results
        .into_iter()
        .filter_map(|result| result.into_inner().expect("no holder panicked"));
    let results = results.collect::<Result<Vec<_>, _>>()?;
    context.report(Event::StageFinished {
        stage: stage.to_owned(),
    });
    Ok(results)
}
