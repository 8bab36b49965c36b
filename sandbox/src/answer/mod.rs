//! What a step is told instead of the truth: the supervisor's side of seccomp user notification.
//!
//! Comes in: a [`World`] (what the step shall believe) and notifications. Goes out: answers. The
//! rules say by which calls we are asked; everything that is frequent is answered inside the step
//! instead, by the clock in its vDSO, which is put there when a new program makes its first calls.
//!
//! **Invariant:** a call that we cannot answer is made (`Reply::Answer(Answer::Continue)`): nothing
//! hangs because of us (`what_is_invalid_is_the_kernels_to_refuse`).

mod asked;
mod audit;
mod cancel;
mod clock;
mod count;
mod directory;
mod discipline;
mod entropy;
mod faults;
mod files;
mod frame;
mod machine;
mod note;
mod opens;
mod pauses;
mod ports;
mod processor;
mod programs;
mod random;
mod sites;
mod status;
mod unwind;
mod usage;
mod vdso;
mod waits;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

pub use audit::{Finding, Origin, Place, Places, Source};
pub use faults::{Cpuid, CpuidRefusal};
pub use files::is_told_without_mounts;
pub use machine::{Baseline, Machine};
pub use note::Note;
pub use status::Looks;
pub use vdso::{Mode, VdsoError};
pub use world::World;

use self::audit::Audit;
use self::clock::Clocks;
use self::directory::Directories;
use self::entropy::Entropy;
use self::faults::Faults;
use self::files::Files;
use self::note::{Notes, program};
use self::ports::Ports;
use self::random::Devices;
use self::sites::Sites;
use self::status::Status;
use self::status::target::Target;
use self::vdso::{Bases, Reads, Vdso};
use rustix::event::PollFlags;
use rustix::process::{Pid, Signal, kill_process};

use crate::init::filter::Rule;
use crate::init::filter::abi::AUDIT_ARCH_X86_64;
use crate::sys::memory;
use crate::sys::notify::{self, Answer, Notification};
use crate::sys::processor::counter;

/// Answers the calls of one sandbox.
#[derive(Debug)]
pub struct Answers {
    listener: Option<OwnedFd>,
    world: World,
    clocks: Option<Clocks>,
    entropy: Option<Entropy>,
    devices: Option<Devices>,
    ports: Ports,
    directories: Directories,
    files: Option<Files>,
    status: Option<Status>,
    /// Where programs look at files without us.
    sites: Option<Sites>,
    /// What the clocks of a process showed when it executed another program.
    carried: BTreeMap<u32, Bases>,
    /// The threads whose next exec is the one that was looked at.
    looked: BTreeSet<u32>,
    /// How instructions are answered that fault.
    faults: Option<Faults>,
    /// Whether that is as the policy says.
    cpuid: Cpuid,
    /// Where the vDSO of the last program was.
    last_vdso: u64,
    notes: Notes,
    audit: Option<Audit>,
}

/// What becomes of a call.
enum Reply {
    /// It is told this.
    Answer(Answer),
    /// Its thread was sent on already.
    Done,
}

const CONTINUE: Reply = Reply::Answer(Answer::Continue);

impl Answers {
    /// Prepares answers.
    ///
    /// # Errors
    /// Fails if the kernel's vDSO cannot be used.
    pub fn new(world: World) -> Result<Answers, VdsoError> {
        let reads = match world.audit {
            Some(_) => Reads::Asked,
            None => Reads::Inside,
        };
        let mut vdso = match world.has_page() {
            true => Some(Vdso::new(world.clock, reads)?),
            false => None,
        };
        let (faults, cpuid) = match &mut vdso {
            Some(vdso) => programs::faulting(&world, vdso)?,
            None => (None, Cpuid::Host),
        };
        let looks = world.files.filter(|it| !it.whole);
        let sites = looks.zip(vdso.as_mut()).and_then(|(looks, vdso)| {
            let epoch = i64::try_from(world.epoch).unwrap_or(i64::MAX);
            Sites::new(&looks, epoch, world.audit.is_some(), vdso)
        });
        if let Some(vdso) = &mut vdso {
            vdso.describe();
        }
        let mut epoch = world.epoch.saturating_mul(1_000_000_000);
        if world.clock == Mode::Ticking {
            // To this the monotonic clock is added.
            epoch = epoch.wrapping_sub(world.began);
        }
        let clocks = vdso.map(|vdso| Clocks::new(vdso, epoch, world.offset));
        Ok(Answers {
            listener: None,
            clocks,
            entropy: world.seed.map(Entropy::new),
            devices: None,
            ports: Ports::default(),
            files: world.tells_files().then(|| Files::new(&world)),
            audit: world.audit.clone().map(Audit::new),
            directories: Directories::default(),
            status: world
                .files
                .map(|looks| Status::new(world.clock, world.epoch, looks)),
            sites,
            world,
            carried: BTreeMap::new(),
            looked: BTreeSet::new(),
            faults,
            cpuid,
            last_vdso: 0,
            notes: Notes::default(),
        })
    }

    /// What the step shall believe.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// Returns the rules by which we are asked; none if the step shall see the truth.
    pub fn rules(&self) -> Vec<Rule> {
        self.world.rules(self.faults.is_some())
    }

    /// Whether CPUID tells of the policy's machine.
    pub fn cpuid(&self) -> Cpuid {
        self.cpuid
    }

    /// Begins to listen.
    pub fn listen(&mut self, listener: OwnedFd) {
        notify::wake_in_place(listener.as_fd());
        if let Some(status) = &mut self.status {
            status.start();
        }
        self.listener = Some(listener);
    }

    /// Takes over the FIFO that lies in place of the random devices.
    ///
    /// # Errors
    /// Passes on what the kernel says of it.
    pub fn supply(&mut self, fifo: OwnedFd) -> io::Result<()> {
        if let Some(entropy) = &self.entropy {
            let all = self.world.has_whole_files();
            self.devices = Some(Devices::of_fifo(fifo, all, entropy)?);
        }
        Ok(())
    }

    /// Stands in for the kernel's random devices, if there is nothing of ours in their place.
    ///
    /// # Errors
    /// Fails if no pipe can be had.
    pub fn stand_in(&mut self) -> io::Result<()> {
        if let Some(entropy) = &self.entropy
            && self.world.bare
        {
            let all = self.world.has_whole_files();
            self.devices = Some(Devices::of_kernel(all, entropy)?);
        }
        Ok(())
    }

    /// What to poll, and for what.
    pub fn interests(&self) -> impl Iterator<Item = (BorrowedFd<'_>, PollFlags)> {
        let listener = self.listener.as_ref().map(|it| (it.as_fd(), PollFlags::IN));
        let devices = self.devices.iter().flat_map(Devices::interests);
        listener.into_iter().chain(devices)
    }

    /// Handles what was polled, in the same order.
    ///
    /// # Errors
    /// Passes on what the kernel says of the descriptors.
    pub fn happened(&mut self, flags: &[PollFlags]) -> io::Result<()> {
        let listening = usize::from(self.listener.is_some());
        let (listener, devices) = flags.split_at(listening.min(flags.len()));
        if let Some(own) = &mut self.devices {
            own.happened(devices)?;
        }
        let flags = listener.first().copied().unwrap_or(PollFlags::empty());
        if flags.contains(PollFlags::IN) {
            self.serve()
        } else if !flags.is_empty() {
            // Everybody who could ask is gone.
            self.listener = None;
            Ok(())
        } else {
            Ok(())
        }
    }

    /// Takes what the user should know and has not been told yet.
    pub fn notes(&mut self) -> Vec<Note> {
        self.notes.take()
    }

    /// The `boot_id` of a seed, and what `/proc/sys/kernel/random/uuid` has in it.
    pub fn uuids(seed: u64) -> [String; 2] {
        let entropy = Entropy::new(seed);
        ["boot", "uuid"].map(|name| entropy.uuid(name))
    }

    /// Takes what the step drew, if that was counted.
    pub fn findings(&mut self) -> Vec<Finding> {
        self.audit.take().map_or(Vec::new(), Audit::findings)
    }

    /// Answers one call.
    fn serve(&mut self) -> io::Result<()> {
        let Some(listener) = self.listener.take() else {
            return Ok(());
        };
        let served = match notify::receive(listener.as_fd()) {
            Ok(Some(call)) => self.answer(listener.as_fd(), &call),
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        self.listener = Some(listener);
        served
    }

    fn answer(&mut self, listener: BorrowedFd<'_>, call: &Notification) -> io::Result<()> {
        if call.arch != AUDIT_ARCH_X86_64 {
            let program = program(call.thread);
            if let Some(audit) = &mut self.audit {
                audit.draw(call.thread, Source::ThirtyTwoBit, program.clone());
            }
            self.notes.add(Note::ThirtyTwoBit { program });
            kill(call.thread);
            return notify::answer(listener, call.id, Answer::Error(libc::ENOSYS)).map(drop);
        }
        let reads = self.audit.as_mut().and_then(|audit| audit.note(call));
        if reads.is_some_and(|reads| reads.is_multiple_of(audit::SPIN)) {
            self.spins(call.thread);
        }
        if reads == Some(audit::ENOUGH) {
            // Else it goes on as it is.
            let _quiet = self.ask_no_more(call.thread);
        }
        if i64::from(call.call) == libc::SYS_getrandom {
            return self.random(listener, call);
        }
        if ports::is_asked(call) {
            return self.port(listener, call);
        }
        if opens::plain(call, self.world.asks_all()).is_some() {
            return match self.give(listener, call) {
                true => Ok(()),
                // It changes nothing that others have to hear of.
                false => notify::answer(listener, call.id, Answer::Continue).map(drop),
            };
        }
        match self.reply(listener, call) {
            Ok(Reply::Answer(answer)) => notify::answer(listener, call.id, answer).map(drop),
            Ok(Reply::Done) => Ok(()),
            Err(error) => {
                // A debugger inside traces it; else it is dead.
                if error.raw_os_error() == Some(libc::EPERM) {
                    let program = program(call.thread);
                    self.notes.add(Note::Traced { program });
                }
                notify::answer(listener, call.id, Answer::Continue).map(drop)
            }
        }
    }

    /// Gives a file of ours for an open of one that stands for it. Returns whether it was one, and
    /// was given.
    fn give(&mut self, listener: BorrowedFd<'_>, call: &Notification) -> bool {
        let Ok(target) = Target::opened(call) else {
            return false;
        };
        let files = self.files.as_ref();
        if files.is_some_and(|files| files.give(listener, call, &target)) {
            return true;
        }
        let (Some(devices), Some(entropy)) = (&mut self.devices, &mut self.entropy) else {
            return false;
        };
        devices.give(listener, call, &target, entropy)
    }

    /// Lets a process read its clock without us, if it is ours.
    fn ask_no_more(&self, thread: u32) -> io::Result<()> {
        let Some(clocks) = &self.clocks else {
            return Ok(());
        };
        match clocks
            .page(thread)
            .and_then(|page| clocks.vdso.asks(page.base))
        {
            Some(asks) => memory::open(thread)?.write_all_at(&[0; 8], asks),
            None => Ok(()),
        }
    }

    /// Hears of another 100,000 reads of a thread's clock.
    fn spins(&mut self, thread: u32) {
        if self.notes.spins(thread)
            && let Some(audit) = &mut self.audit
        {
            audit.draw(thread, Source::Spinning, "reads of a clock".to_owned());
        }
    }

    fn reply(&mut self, listener: BorrowedFd<'_>, call: &Notification) -> io::Result<Reply> {
        if status::LOOKS.contains(&i64::from(call.call)) {
            // Else it asks again the next time.
            if let Some(reply) = self.looks(listener, call).ok().flatten() {
                return Ok(reply);
            }
        }
        if let Some(answer) = self.status.as_mut().and_then(|status| status.reply(call)) {
            return Ok(Reply::Answer(answer));
        }
        let machine = self.world.machine.as_ref();
        match (i64::from(call.call), machine, &self.clocks) {
            (libc::SYS_brk | libc::SYS_arch_prctl, ..) => self.begin(call),
            (libc::SYS_rt_sigaction, ..) => self.action(call).map(Reply::Answer),
            (libc::SYS_execve | libc::SYS_execveat, ..) => self.carry(call),
            (libc::SYS_fork | libc::SYS_vfork | libc::SYS_clone, ..) => {
                if sites::forks(call) {
                    // Else it is as it was.
                    let _quiet = self.forks(listener, call);
                }
                if let Some(entropy) = &mut self.entropy
                    && !is_thread(call)
                {
                    entropy.forks(call.thread);
                }
                Ok(CONTINUE)
            }
            (libc::SYS_times | libc::SYS_getrusage, _, Some(clocks))
                if self.world.clock == Mode::Logical =>
            {
                usage::answer(clocks, call)
            }
            (libc::SYS_adjtimex | libc::SYS_clock_adjtime, _, Some(clocks)) => {
                // The kernel would tell of the host, or let it be tuned.
                let refused = Reply::Answer(Answer::Error(libc::EPERM));
                Ok(discipline::answer(clocks, call).unwrap_or(refused))
            }
            (libc::SYS_getdents64, ..) if self.world.sorted => {
                let status = self.status.as_mut();
                let entries = status.and_then(|it| it.directory(call.thread, call.arguments[0]));
                let answer = self.directories.read(listener, call, entries.as_ref());
                Ok(Reply::Answer(answer))
            }
            (libc::SYS_uname, Some(machine), _) => {
                let (host, domain) = (&self.world.hostname, &self.world.domainname);
                Ok(Reply::Answer(machine::uname(machine, host, domain, call)))
            }
            (libc::SYS_sysinfo, Some(machine), _) => {
                Ok(Reply::Answer(machine::sysinfo(machine, call)))
            }
            (libc::SYS_sched_getaffinity, Some(machine), _) => {
                Ok(Reply::Answer(machine::affinity(machine, call)))
            }
            (libc::SYS_clock_gettime, _, Some(_)) if call.arguments[0] == vdso::SPIN => {
                self.spins(call.thread);
                Ok(Reply::Answer(Answer::Value(0)))
            }
            (libc::SYS_clock_gettime, _, Some(_)) if call.arguments[0] == faults::READ => {
                Ok(Reply::Answer(Answer::Value(counter().cast_signed())))
            }
            (libc::SYS_clock_gettime, _, Some(_)) if call.arguments[0] == vdso::PAUSE => {
                self.notes.pauses(call.thread);
                Ok(Reply::Answer(Answer::Value(0)))
            }
            (_, _, Some(clocks)) => match waits::find(call.call) {
                Some(wait) => clocks.wait(call, wait),
                None => clocks.read(call),
            },
            _ => Ok(CONTINUE),
        }
    }

    fn port(&mut self, listener: BorrowedFd<'_>, call: &Notification) -> io::Result<()> {
        let answer = match &mut self.entropy {
            // What cannot be looked at is the kernel's to choose for.
            Some(entropy) => self.ports.answer(call, entropy).unwrap_or(Answer::Continue),
            None => Answer::Continue,
        };
        if !notify::answer(listener, call.id, answer)? {
            self.ports.unheard(call, answer);
        }
        Ok(())
    }

    fn random(&mut self, listener: BorrowedFd<'_>, call: &Notification) -> io::Result<()> {
        /// `getrandom` gives no more at once.
        const MOST: u64 = 32 << 20;
        const KNOWN_FLAGS: u64 = 7;
        let [address, size, flags, ..] = call.arguments;
        let Some(entropy) = self.entropy.as_mut().filter(|_| flags & !KNOWN_FLAGS == 0) else {
            return notify::answer(listener, call.id, Answer::Continue).map(drop);
        };
        let mut bytes = vec![0; size.min(MOST) as usize];
        let draw = entropy.draw(call.thread, &mut bytes);
        let answer = match memory::write(call.thread, address, &bytes) {
            Ok(()) => Answer::Value(bytes.len() as i64),
            Err(_) => Answer::Error(libc::EFAULT),
        };
        // A signal may have come between: then the call is made again.
        if notify::answer(listener, call.id, answer)? {
            entropy.commit(draw);
        }
        Ok(())
    }
}

/// Whether a call makes a thread, and no process.
fn is_thread(call: &Notification) -> bool {
    let [flags, ..] = call.arguments;
    i64::from(call.call) == libc::SYS_clone && flags & libc::CLONE_THREAD as u64 != 0
}

/// Kills a process as the kernel would that finds a call for another architecture.
fn kill(thread: u32) {
    let process = entropy::group(thread).unwrap_or(thread);
    if let Some(process) = Pid::from_raw(process as i32) {
        // One that is dead already needs no more.
        let _ = kill_process(process, Signal::SYS);
    }
}
