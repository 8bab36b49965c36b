//! What is left of a sandbox whose step has ended: a pid 1 that the kernel takes apart.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::sys::{reap, wait_child};

/// Those for whose end nobody waits. They are reaped when the next sandbox is started, or by the host's
/// init when this process ends.
static LEFT: Mutex<Vec<OwnedFd>> = Mutex::new(Vec::new());

/// The pid 1 of a step that ended, by its pidfd. Dropping it does not wait, where it is reaped all the
/// same.
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
        let Some(pid_1) = self.0.take() else { return };
        if init_reaps(Path::new("/proc/self/ns/pid")) {
            let mut left = LEFT.lock().unwrap_or_else(PoisonError::into_inner);
            left.push(pid_1);
        } else {
            let _ = wait_child(pid_1.as_fd());
        }
    }
}

/// Reaps those that are gone by now.
pub fn reap_left() {
    let mut left = LEFT.lock().unwrap_or_else(PoisonError::into_inner);
    left.retain(|pid_1| !reap(pid_1.as_fd()));
}

/// Says whether this process is in the host's own pid namespace, whose init reaps what it gets. That of a
/// container may be anything, and would collect the dead.
fn init_reaps(namespace: &Path) -> bool {
    /// `PROC_PID_INIT_INO` of the kernel's `include/linux/proc_ns.h`.
    const FIRST: &str = "pid:[4026531836]";
    fs::read_link(namespace).is_ok_and(|link| link == Path::new(FIRST))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::process::Command;

    use rustix::process::{Pid, PidfdFlags, pidfd_open};

    use super::*;

    #[test]
    fn init_reaps_in_the_first_namespace_alone() {
        let directory = tempfile::tempdir().unwrap();
        let link = directory.path().join("pid");
        assert!(!init_reaps(&link));
        symlink("pid:[4026531836]", &link).unwrap();
        assert!(init_reaps(&link));
        fs::remove_file(&link).unwrap();
        symlink("pid:[4026532301]", &link).unwrap();
        assert!(!init_reaps(&link));
    }

    #[test]
    #[expect(clippy::zombie_processes, reason = "what is tested reaps it")]
    fn what_was_left_is_reaped_by_the_next() {
        let child = Command::new("true").spawn().unwrap();
        let process = Pid::from_child(&child);
        drop(Left::new(pidfd_open(process, PidfdFlags::empty()).unwrap()));
        while pidfd_open(process, PidfdFlags::empty()).is_ok() {
            reap_left();
            std::thread::yield_now();
        }
    }
}
