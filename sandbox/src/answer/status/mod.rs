//! What `stat` and its relatives say of a file: the same on every host.
//!
//! Comes in: a call that looks at a file, changes one, or leaves the sandbox's own view of files.
//! Goes out: what the call is told; `None` leaves it to the kernel.
//!
//! - Times. What was there before the step, and everything that is read-only, is as old as the
//!   second before the step begins. What the step changed lies in that second, later by a
//!   microsecond for each time that the step had opened a file for writing, made, moved or removed
//!   one before ([`order`]): so nothing is newer than the step's clock, and what was opened for writing
//!   later is newer. A time that the step sets itself is kept to the nanosecond.
//!
//! A step that pays for times alone ([`Looks::whole`] is false) asks only about what it has changed; the
//! rest is told by the code in the vDSO ([`super::sites`]). So:
//!
//! - What was there before keeps its time, a multiple of sixteen years earlier: it is older than what
//!   the step does, and `make` still sees what is new.
//! - A change has the time at which somebody first looked at one that came with it or later, on the clock
//!   of who looked. Each takes a microsecond of a logical clock, so it is neither older than a read before
//!   it nor newer than one after. On another clock it is a hundredth of a second earlier. What is written to
//!   a file that stays open is told when the clock has moved since.
//!
//! Else there is more:
//!
//! - Numbers. A file's inode number is a hash of its path when it was first seen; it follows the
//!   file through renames and links. A device is a mount, in the order of their paths.
//! - Sizes of directories, blocks, links of what the step did not link, and free space are fixed.
//!
//! Errors are the kernel's: a call that finds nothing is made. So is one on `/proc`, and one of a
//! thread with another root, mount namespace or user namespace than the step's.
//!
//! **Invariant:** what a look tells is a function of the step's own calls
//! (`a_file_looks_the_same_everywhere`).
//!
//! **Invariant:** nobody learns more by it than the kernel would tell
//! (`what_cannot_be_seen_is_the_kernels_to_refuse`).

mod change;
pub(super) mod lookup;
mod mounts;
mod numbers;
mod order;
mod privilege;
mod rules;
pub(super) mod target;
mod tell;
mod times;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use rustix::fs::{StatFs, Statx, fstatfs};
use rustix::process::{getegid, geteuid};

use self::change::Change;
use self::lookup::{Found, Home};
use self::mounts::{Kind, Mounts};
use self::numbers::{Number, Numbers};
use self::privilege::Lowered;
use self::rules::SPACES;
pub use self::rules::{LOOKS, rules};
use self::target::Target;
use self::tell::Told;
pub use self::times::oldest;
use self::times::{Instant, Stamp, Times, real};
use super::vdso::Mode;
use crate::sys::memory;
use crate::sys::notify::{Answer, Notification};

/// What a step learns of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Looks {
    /// Whether that is everything; else it is their times, and the rest is the kernel's.
    pub whole: bool,
    /// The user that it has.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Whether all others are nobody, as in a user namespace.
    pub alone: bool,
    /// From when on what the kernel's clock for files shows is a change of the step's, if it is their times.
    pub since: Instant,
    /// What the host's wall clock showed when the step's clocks began, if it is their times.
    pub began: Instant,
}

/// What the files of a step look like.
#[derive(Debug)]
pub struct Status {
    times: Times,
    numbers: Numbers,
    looks: Looks,
    user: (u32, u32),
    group: (u32, u32),
    /// What is known since the step's first call.
    view: Option<View>,
    /// Whether somebody may have another root or namespace than the step.
    nested: bool,
    _lowered: Option<Lowered>,
}

/// The step's view of files.
#[derive(Debug)]
struct View {
    home: Home,
    mounts: Mounts,
    /// What was told of files of the root, by their own paths and by whether a link was followed.
    /// Nothing in it changes, and no way to it leads through what does.
    root: [BTreeMap<PathBuf, Told>; 2],
}

impl View {
    /// What the mount is that a file is on.
    fn kind(&self, found: &Found) -> Option<Kind> {
        self.mounts.find(found.status.stx_mnt_id).map(|it| it.kind)
    }
}

/// So many files are remembered.
const REMEMBERED: usize = 1 << 16;

/// No look moves a clock further: a second.
const MOST_MOVED: u64 = 1_000_000;

/// The owner that every other user and group shows as.
const NOBODY: u32 = 65_534;

/// The size of a page, and of a block.
const BLOCK: u64 = 4096;

impl Status {
    /// Begins, for a step whose wall clock starts at `epoch` seconds.
    pub fn new(mode: Mode, epoch: u64, looks: Looks) -> Status {
        Status {
            times: Times::new(mode, epoch, &looks),
            numbers: Numbers::default(),
            looks,
            user: (geteuid().as_raw(), looks.uid),
            group: (getegid().as_raw(), looks.gid),
            view: None,
            nested: false,
            _lowered: None,
        }
    }

    /// The step is about to start: what changes from now on is its work.
    pub fn start(&mut self) {
        self.times.start(self.looks.whole);
    }

    /// Who looks next sees this on the wall clock, in nanoseconds, which may move by the look.
    pub fn set_now(&mut self, wall: u64, moves: bool) {
        self.times.set_now(wall, moves);
    }

    /// What a call looks at; `None` if that is for the kernel to tell.
    fn target(&mut self, call: &Notification) -> io::Result<Option<Target>> {
        let Some(target) = Target::of(call)? else {
            return Ok(None);
        };
        self.view(call.thread)?;
        let home = self.view.as_ref().map(|view| &view.home);
        let ours = home.is_some_and(|home| !self.nested || home.is_of(call.thread));
        Ok(ours.then_some(target))
    }

    /// The file that a call looks at; `None` if that is for the kernel to tell of.
    ///
    /// # Errors
    /// Fails if it cannot be found without the thread.
    pub fn find(&mut self, call: &Notification) -> io::Result<Option<Found>> {
        let target = self.target(call)?;
        let (Some(target), Some(view)) = (target, &mut self.view) else {
            return Ok(None);
        };
        let found = view.home.find(call.thread, &target)?;
        Ok((view.kind(&found) != Some(Kind::Kernels)).then_some(found))
    }

    /// Whether a file is the step's own and has changed.
    pub fn is_changed(&self, found: &Found) -> bool {
        let kind = self.view.as_ref().and_then(|view| view.kind(found));
        self.times.is_changed(&found.status, kind)
    }

    /// Tells of a file to a step that pays for times alone. Returns by how many microseconds the clock of
    /// who looks moves.
    ///
    /// # Errors
    /// Fails if it has no memory for that.
    pub fn tell_times(&mut self, call: &Notification, found: &Found) -> io::Result<u64> {
        let told = self.with_times(found);
        tell(call, &told)?;
        Ok(self.times.take_moved().min(MOST_MOVED))
    }

    /// Handles a call. `None` if it is not for us or has to be made.
    pub fn reply(&mut self, call: &Notification) -> Option<Answer> {
        let number = i64::from(call.call);
        if LOOKS.contains(&number) || SPACES.contains(&number) {
            return self.look(call).ok().flatten();
        }
        match number {
            libc::SYS_chroot | libc::SYS_pivot_root | libc::SYS_setns | libc::SYS_unshare => {
                self.nested = true;
            }
            libc::SYS_clone => {
                const NAMESPACES: u64 = (libc::CLONE_NEWNS | libc::CLONE_NEWUSER) as u64;
                self.nested |= call.arguments[0] & NAMESPACES != 0;
            }
            _ => self.changes(call),
        }
        None
    }

    /// Returns the inode numbers for the entries of a directory of a thread: of its path, the
    /// kernel's number and the name. `None` if they are the kernel's.
    pub fn directory(&mut self, thread: u32, descriptor: u64) -> Option<Entries<'_>> {
        if !self.looks.whole {
            return None;
        }
        self.view(thread).ok()?;
        if self.nested && !self.view.as_ref()?.home.is_of(thread) {
            return None;
        }
        let home = &mut self.view.as_mut()?.home;
        let found = home.descriptor(thread, descriptor as i32).ok()?;
        let path = found.path().ok()?;
        let view = self.view.as_ref()?;
        let mount = view.mounts.find(found.status.stx_mnt_id)?;
        (mount.kind != Kind::Kernels).then_some(Entries {
            path,
            mount: mount.number,
            numbers: &self.numbers,
        })
    }

    /// Hears of a change, if a call makes one.
    fn changes(&mut self, call: &Notification) {
        // What cannot be read or found changes nothing, or is in the order of the kernel.
        let Ok(Some(change)) = Change::of(call) else {
            return;
        };
        // Before the first change, so that it is known what was there.
        let _ = self.view(call.thread);
        self.times.order().add();
        if let Some(view) = &mut self.view
            && self.times.are_ordered()
            && (!self.nested || view.home.is_of(call.thread))
        {
            let _ = self
                .times
                .order()
                .note(&mut view.home, call.thread, &change);
        }
        for time in change::times_set(call) {
            self.times.set_by_step(time);
        }
    }

    fn look(&mut self, call: &Notification) -> io::Result<Option<Answer>> {
        if !self.looks.whole {
            let Some(found) = self.find(call)? else {
                return Ok(None);
            };
            self.tell_times(call, &found)?;
            return Ok(Some(Answer::Value(0)));
        }
        let target = self.target(call)?;
        let (Some(target), Some(view)) = (target, &mut self.view) else {
            return Ok(None);
        };
        let space = SPACES.contains(&i64::from(call.call));
        let follow = usize::from(target.follow);
        if let Some(told) = view.root[follow].get(&target.path).filter(|_| !space) {
            return tell(call, told).map(Some);
        }
        let found = view.home.find(call.thread, &target)?;
        let kind = view.kind(&found);
        if kind == Some(Kind::Kernels) {
            return Ok(None);
        }
        if space {
            let space: StatFs = fstatfs(found.descriptor()?)?;
            let bytes = tell::space(&space, kind);
            memory::write(call.thread, call.arguments[1], &bytes)?;
            return Ok(Some(Answer::Value(0)));
        }
        let told = self.told(&found)?;
        if let Some(view) = &mut self.view
            && found.is_named()
            && view.mounts.is_root(found.status.stx_mnt_id)
            && view.root[follow].len() < REMEMBERED
        {
            view.root[follow].insert(target.path, told);
        }
        tell(call, &told).map(Some)
    }

    /// What the kernel tells of a file, but for its times.
    fn with_times(&mut self, found: &Found) -> Told {
        let (times, status) = (&self.times, &found.status);
        let mut told = Told {
            device: (status.stx_dev_major, status.stx_dev_minor),
            inode: status.stx_ino,
            links: u64::from(status.stx_nlink),
            size: status.stx_size,
            blocks: status.stx_blocks,
            block: u64::from(status.stx_blksize),
            mount: status.stx_mnt_id,
            ..self.outside(status, false)
        };
        if self.is_changed(found) {
            let path = found.path().unwrap_or_default();
            let (_, stamps) = self.numbers.anonymous(status);
            self.times.show(&mut told, stamps, status, &path);
            return told;
        }
        // The kernel made what is special when the host was started; a pipe, or what the caller of the
        // sandbox opened, is no file of the step's.
        let time = match times::is_plain(status) {
            true => times.input(real(&status.stx_mtime)),
            false => times.before(),
        };
        told.set_times(time);
        told
    }

    /// What a look at a file tells.
    fn told(&mut self, found: &Found) -> io::Result<Told> {
        let status = &found.status;
        let mount = self
            .view
            .as_ref()
            .and_then(|view| view.mounts.find(status.stx_mnt_id));
        let directory = u32::from(status.stx_mode) & libc::S_IFMT == libc::S_IFDIR;
        let mut told = self.outside(status, directory);
        let (changed, modified) = (real(&status.stx_ctime), real(&status.stx_mtime));
        let Some(mount) = mount else {
            // A pipe, a socket, or what the caller of the sandbox opened.
            told.device = (0, tell::device(u32::from(status.stx_mode)));
            told.inode = self.numbers.anonymous(status).0;
            told.set_times(self.times.before());
            return Ok(told);
        };
        (told.device, told.mount) = ((0, mount.number), u64::from(mount.number));
        let special = told.mode & libc::S_IFMT == libc::S_IFCHR;
        if special && mount.kind != Kind::Memory {
            // The host's root owns it, who is somebody inside only if it is the caller.
            (told.uid, told.gid) = (NOBODY, NOBODY);
        }
        let read_only = mount.kind == Kind::ReadOnly;
        let path = found.path()?;
        if !read_only && let Some((number, stamps)) = self.numbers.known(mount.number, status) {
            told.inode = number;
            self.times.show(&mut told, stamps, status, &path);
        } else if read_only || !self.times.is_after_start(changed) {
            told.inode = numbers::of_path(&path);
            told.links = 1;
            let kept = !read_only && self.times.is_of_step(modified);
            told.modified = if kept { modified } else { self.times.before() };
            told.accessed = told.modified;
            (told.changed, told.born) = (self.times.before(), self.times.before());
        } else {
            let (number, stamps) = self.numbers.add(mount.number, status, &path);
            told.inode = number;
            self.times.show(&mut told, stamps, status, &path);
        }
        Ok(told)
    }

    /// What does not depend on where a file is.
    fn outside(&self, status: &Statx, directory: bool) -> Told {
        let shown = |id, (outer, inner)| match id == outer {
            true => inner,
            false if self.looks.alone => NOBODY,
            false => id,
        };
        let regular = u32::from(status.stx_mode) & libc::S_IFMT == libc::S_IFREG;
        Told {
            mode: u32::from(status.stx_mode),
            links: if directory {
                1
            } else {
                u64::from(status.stx_nlink)
            },
            uid: shown(status.stx_uid, self.user),
            gid: shown(status.stx_gid, self.group),
            size: if directory { BLOCK } else { status.stx_size },
            blocks: match (directory, regular) {
                (true, _) => BLOCK / 512,
                (_, true) => status.stx_size.div_ceil(BLOCK) * (BLOCK / 512),
                _ => 0,
            },
            block: BLOCK,
            special: (status.stx_rdev_major, status.stx_rdev_minor),
            attributes: status.stx_attributes.bits(),
            ..Told::default()
        }
    }

    /// Looks at the sandbox as the step finds it, on its first call.
    fn view(&mut self, thread: u32) -> io::Result<()> {
        if self.view.is_some() {
            return Ok(());
        }
        self._lowered = Lowered::now()?;
        let mut home = Home::of(thread)?;
        let mounts = Mounts::of(thread)?;
        for (path, mount) in mounts.writable() {
            // The mount points that the sandbox made are inputs, whatever the kernel's clock says.
            let found = home.find(thread, &Target::absolute(path.clone()))?;
            let before = self.times.before();
            let stamps = &[real(&found.status.stx_mtime), real(&found.status.stx_ctime)];
            let stamps = stamps.map(|real| Stamp {
                real,
                shown: before,
                change: 0,
            });
            match self.looks.whole {
                true => self
                    .numbers
                    .begin(mount, &found.status, &path, stamps, before),
                false => self.numbers.begin_anonymous(&found.status, stamps, before),
            }
        }
        let root = Default::default();
        self.view = Some(View { home, mounts, root });
        Ok(())
    }
}

/// Tells a look at a file.
fn tell(call: &Notification, told: &Told) -> io::Result<Answer> {
    let (bytes, out) = match i64::from(call.call) {
        libc::SYS_statx => (told.statx(call.arguments[3] as u32), call.arguments[4]),
        libc::SYS_newfstatat => (told.stat(), call.arguments[2]),
        _ => (told.stat(), call.arguments[1]),
    };
    memory::write(call.thread, out, &bytes)?;
    Ok(Answer::Value(0))
}

/// The inode numbers of what is in a directory.
#[derive(Debug)]
pub struct Entries<'a> {
    path: PathBuf,
    mount: u32,
    numbers: &'a Numbers,
}

impl Entries<'_> {
    /// The number of an entry for which the kernel says `inode`.
    pub fn number(&self, inode: u64, name: &[u8]) -> Number {
        use std::os::unix::ffi::OsStrExt;
        let path = match name {
            b"." => self.path.clone(),
            b".." => self.path.parent().unwrap_or(&self.path).to_owned(),
            name => self.path.join(std::ffi::OsStr::from_bytes(name)),
        };
        let known = self.numbers.of_inode(self.mount, inode);
        known.unwrap_or_else(|| numbers::of_path(&path))
    }
}
