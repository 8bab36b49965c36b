//! A busy host.

use std::hint::black_box;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

/// Keeps one processor busy while it lives.
pub(super) struct Load {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Load {
    pub(super) fn begin() -> io::Result<Self> {
        let over = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&over);
        let work = move || {
            let mut sum = 0_u64;
            while !seen.load(Ordering::Relaxed) {
                for number in 0..10_000_u64 {
                    sum = black_box(sum.wrapping_mul(31).wrapping_add(number));
                }
            }
        };
        let thread = thread::Builder::new().name("load".to_owned()).spawn(work)?;
        Ok(Self {
            over,
            thread: Some(thread),
        })
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It cannot panic, and there is nobody to tell.
            drop(thread.join());
        }
    }
}
