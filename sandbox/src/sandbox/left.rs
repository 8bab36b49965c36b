//! What is left of a sandbox whose step has ended: a pid 1 that the kernel takes apart.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use crate::sys::{reap, wait_child};

/// Those for whose end nobody waits. They are reaped when the next sandbox is started, or by the
/// kernel when this process ends.
static LEFT: Mutex<Vec<OwnedFd>> = Mutex::new(Vec::new());

/// The pid 1 of a step that ended, by its pidfd. Dropping it does not wait.
#[derive(Debug)]
pub struct Left(Option<OwnedFd>);

impl Left {
    pub fn new(pid_1: OwnedFd) -> Left {
        Left(Some(pid_1))
    }

    /// Waits until nothing of the sandbox is left.
    pub fn wait(mut self) -> io::Result<()> {
        match self.0.take() {
            Some(pid_1) => wait_child(pid_1.as_fd()),
            None => Ok(()),
        }
    }
}

impl Drop for Left {
    fn drop(&mut self) {
        if let Some(pid_1) = self.0.take() {
            let mut left = LEFT.lock().unwrap_or_else(PoisonError::into_inner);
            left.push(pid_1);
        }
    }
}

/// Reaps those that are gone by now.
pub fn reap_left() {
    let mut left = LEFT.lock().unwrap_or_else(PoisonError::into_inner);
    left.retain(|pid_1| !reap(pid_1.as_fd()));
}
