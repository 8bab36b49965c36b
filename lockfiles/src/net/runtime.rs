//! The one runtime under all asynchronous code.

use std::future::Future;
use std::sync::LazyLock;
use std::thread;

use tokio::runtime::{Builder, Runtime};

/// The uv crates' futures outgrow the usual 2 MiB in builds without optimisation. Memory that is
/// never touched costs nothing.
const STACK: usize = 16 * 1024 * 1024;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    Builder::new_multi_thread()
        .thread_name("envbox-io")
        .thread_stack_size(STACK)
        .enable_all()
        .build()
        .expect("a runtime needs only memory, threads and an epoll descriptor")
});

/// Runs `future` to its end on this thread; what it spawns runs on the shared runtime.
///
/// Must not be called from within a future.
pub fn block_on<F: Future>(future: F) -> F::Output {
    RUNTIME.block_on(future)
}

/// Runs the future that `make` returns on a thread of its own with a large stack. For futures that
/// are neither small nor [`Send`].
pub fn block_on_large_stack<F: Future>(make: impl FnOnce() -> F + Send) -> F::Output
where
    F::Output: Send,
{
    thread::scope(|scope| {
        let thread = thread::Builder::new()
            .name("envbox-large".to_owned())
            .stack_size(STACK)
            .spawn_scoped(scope, || RUNTIME.block_on(make()))
            .expect("a thread needs only memory");
        match thread.join() {
            Ok(output) => output,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}
