//! Programs that begin and that execute another: what they get in their vDSO, and what goes on.

use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::FileExt;

use super::clock::{self, Auxiliary};
use super::faults::{Cpuid, Faults};
use super::vdso::{Mode, Vdso, VdsoError};
use super::{Answers, CONTINUE, Reply, World, count, entropy};
use crate::sys::memory;
use crate::sys::notify::{self, Answer, Notification};
use crate::sys::trace::{Registers, Stopped};

impl Answers {
    /// Gives a new program its clock and its first random bytes, if it has not got them.
    pub(super) fn begin(&mut self, call: &Notification) -> io::Result<Reply> {
        let Some(clocks) = &mut self.clocks else {
            return Ok(CONTINUE);
        };
        // Without randomisation it is nearly always where it was in the last program.
        if clocks.page_at(call.thread, self.last_vdso).is_some() {
            return Ok(CONTINUE);
        }
        let auxiliary = Auxiliary::of(call.thread)?;
        if auxiliary.vdso == 0 || clocks.page_at(call.thread, auxiliary.vdso).is_some() {
            return Ok(CONTINUE);
        }
        self.last_vdso = auxiliary.vdso;
        let memory = memory::open(call.thread)?;
        // Only the thread that executed it is left, under the number of the process.
        let carried = self.carried.remove(&call.thread);
        let bases = carried.unwrap_or(clocks.start());
        memory.write_all_at(clocks.vdso.bytes(bases), auxiliary.vdso)?;
        if let Some(entropy) = &mut self.entropy {
            let mut bytes = [0; 16];
            let draw = entropy.draw(call.thread, &mut bytes);
            memory.write_all_at(&bytes, auxiliary.random)?;
            entropy.commit(draw);
        }
        if let Some(sites) = &self.sites {
            sites.begin(&memory, auxiliary.vdso)?;
        }
        let Some(faults) = &self.faults else {
            return Ok(CONTINUE);
        };
        // Last: if the program cannot be stopped, all else is held.
        let at = clocks.vdso.added(auxiliary.vdso);
        faults.enter(at, call, &memory).map(|()| Reply::Done)
    }

    /// Lets the place that a call comes from which makes a process do that without being cut short.
    pub(super) fn forks(
        &mut self,
        listener: BorrowedFd<'_>,
        call: &Notification,
    ) -> io::Result<()> {
        let (Some(sites), Some(clocks)) = (&mut self.sites, &self.clocks) else {
            return Ok(());
        };
        let Some(page) = clocks.page_near(call.thread, self.last_vdso) else {
            return Ok(());
        };
        match sites.count(call, page.base).is_none() && notify::is_waiting(listener, call.id) {
            true => sites.learn(call, page.base),
            false => Ok(()),
        }
    }

    /// Answers a look at a file whose times are told by what the clock of its thread shows; `None` if they
    /// are not. Lets the place that it comes from look without us.
    pub(super) fn looks(
        &mut self,
        listener: BorrowedFd<'_>,
        call: &Notification,
    ) -> io::Result<Option<Reply>> {
        let (Some(sites), Some(clocks), Some(status)) =
            (&mut self.sites, &self.clocks, &mut self.status)
        else {
            return Ok(None);
        };
        let Some(page) = clocks.page_near(call.thread, self.last_vdso) else {
            return Ok(None);
        };
        let count = sites.count(call, page.base);
        if count.is_none() && notify::is_waiting(listener, call.id) {
            sites.learn(call, page.base)?;
        }
        status.set_now(
            clocks.carried(page, count.unwrap_or(0)).wall,
            count.is_some(),
        );
        let Some(found) = status.find(call).ok().flatten() else {
            return Ok(Some(CONTINUE));
        };
        let asks = count.is_none() && self.world.clock == Mode::Logical;
        // A thread that a debugger holds is told without.
        if asks
            && status.is_changed(&found)
            && let Ok(stopped) = clock::stop(call)
        {
            let Some((stopped, registers)) = stopped else {
                return Ok(Some(Reply::Done));
            };
            let wall = clocks.carried(page, registers.gs_base).wall;
            status.set_now(wall, true);
            let told = status.tell_times(call, &found);
            return goes_on(&stopped, registers, told).map(Some);
        }
        if !notify::is_waiting(listener, call.id) {
            return Ok(Some(Reply::Done));
        }
        // To our code this says how far the clock moves.
        let moved = status.tell_times(call, &found)?;
        Ok(Some(Reply::Answer(Answer::Value(moved.cast_signed()))))
    }

    /// Answers `rt_sigaction` for SIGSEGV.
    pub(super) fn action(&mut self, call: &Notification) -> io::Result<Answer> {
        let (Some(faults), Some(clocks)) = (&self.faults, &self.clocks) else {
            return Ok(Answer::Continue);
        };
        match clocks.page_near(call.thread, self.last_vdso) {
            Some(page) => faults.action(clocks.vdso.added(page.base), call),
            None => Ok(Answer::Continue),
        }
    }

    /// Remembers what the clocks of a thread show that is about to execute another program.
    pub(super) fn carry(&mut self, call: &Notification) -> io::Result<Reply> {
        let Some(clocks) = &self.clocks else {
            return Ok(CONTINUE);
        };
        if self.looked.remove(&call.thread) {
            return Ok(CONTINUE);
        }
        let Some(page) = clocks.page(call.thread) else {
            return Ok(CONTINUE);
        };
        let Some((stopped, mut registers)) = clock::stop(call)? else {
            return Ok(Reply::Done);
        };
        let process = entropy::group(call.thread).unwrap_or(call.thread);
        let bases = clocks.carried(page, registers.gs_base);
        self.carried.insert(process, bases);
        self.looked.insert(call.thread);
        // Made again by going back to it: a signal that arrives now must not end it.
        const SYSCALL: u64 = 2;
        let at = clocks.vdso.added(page.base);
        let faults = self.faults.as_ref();
        match faults.and_then(|faults| faults.exec(at, call.thread)) {
            Some(entry) => {
                registers.rcx = registers.rip;
                registers.rip = entry;
            }
            None => registers.rip -= SYSCALL,
        }
        registers.rax = call.call as u64;
        registers.orig_rax = u64::MAX;
        stopped.set_registers(&registers)?;
        Ok(Reply::Done)
    }
}

/// Lets a stopped thread go on behind a look at a file, with its clock so many microseconds later.
fn goes_on(stopped: &Stopped, registers: Registers, told: io::Result<u64>) -> io::Result<Reply> {
    let answer = match told {
        Ok(_) => Answer::Value(0),
        Err(_) => Answer::Error(libc::EFAULT),
    };
    let gs_base = count::later(registers.gs_base, told.unwrap_or(0));
    let registers = Registers {
        gs_base,
        ..registers
    };
    clock::finish(stopped, registers, answer)
}

/// Prepares for the instructions that shall fault.
pub(super) fn faulting(
    world: &World,
    vdso: &mut Vdso,
) -> Result<(Option<Faults>, Cpuid), VdsoError> {
    let no_room = VdsoError::Shape("no room to count reads of the time-stamp counter");
    let counter = world.audit.is_some() && world.counter;
    let machine = world.machine.as_ref().filter(|machine| machine.cpuid);
    let cpuid = match machine.map(|machine| Faults::new(machine, counter, vdso)) {
        Some(Ok(faults)) => return Ok((Some(faults), Cpuid::Held)),
        Some(Err(reason)) => Cpuid::NotHeld(reason),
        None => Cpuid::Host,
    };
    match counter {
        true => Ok((Some(Faults::counter(vdso).ok_or(no_room)?), cpuid)),
        false => Ok((None, cpuid)),
    }
}
