//! Looking without the powers of root: the step has none.

use std::io;

use rustix::process::{Gid, geteuid, getgroups};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_thread_groups,
};

/// This thread sees what a step of its user sees, until this is dropped.
#[derive(Debug)]
pub struct Lowered {
    before: CapabilitySets,
    groups: Vec<Gid>,
}

impl Lowered {
    /// Gives up what lets root look where the modes of directories do not; `None` if there is
    /// nothing to give up.
    ///
    /// # Errors
    /// Fails if the kernel refuses.
    pub fn now() -> io::Result<Option<Lowered>> {
        let powers = CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH;
        let before = capabilities(None)?;
        if !geteuid().is_root() && !before.effective.intersects(powers) {
            return Ok(None);
        }
        let groups = getgroups()?;
        // Init does the same to the step, where it may.
        let _ = set_thread_groups(&[]);
        let effective = before.effective - powers;
        set_capabilities(
            None,
            CapabilitySets {
                effective,
                ..before
            },
        )?;
        Ok(Some(Lowered { before, groups }))
    }
}

impl Drop for Lowered {
    fn drop(&mut self) {
        // Both were had a moment ago, and what was permitted still is.
        let _ = set_capabilities(None, self.before);
        let _ = set_thread_groups(&self.groups);
    }
}
