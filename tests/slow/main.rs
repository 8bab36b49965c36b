//! The tier that takes gigabytes: `cargo test --workspace --test slow` runs it; CI does when there
//! is time.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::{Mutex, PoisonError};

#[path = "../net/downloads.rs"]
mod downloads;
#[path = "../net/golden.rs"]
mod golden;
#[path = "../it/support.rs"]
#[expect(dead_code, reason = "each tier uses a part")]
mod support;

/// Held by a test that has an environment of PyTorch on the disk: 10 GB, so one at a time.
static DISK: Mutex<()> = Mutex::new(());

#[test]
fn net_torch() {
    let _alone = DISK.lock().unwrap_or_else(PoisonError::into_inner);
    golden::same_outputs_twice_and_as_two_users("torch");
}

/// What MKL and oneDNN, which are linked into PyTorch, say of themselves.
#[test]
fn net_torch_reads_its_pins_back() {
    let _alone = DISK.lock().unwrap_or_else(PoisonError::into_inner);
    let mut held = vec![("ONEDNN_MAX_CPU_ISA", "SSE4.1")];
    // Elsewhere MKL chooses for itself, and that is told.
    let processor = std::fs::read_to_string("/proc/cpuinfo").unwrap();
    if processor.contains("GenuineIntel") {
        held.push(("MKL_CBWR", "SSE4_2"));
    }
    let slips = [
        ("MKL_CBWR=AVX_2", "MKL_CBWR"),
        ("ONEDNN_MAX_CPU_ISA=AVX_2", "ONEDNN_MAX_CPU_ISA"),
    ];
    golden::pins_are_read_back("torch", "import torch", &held, &slips);
}
