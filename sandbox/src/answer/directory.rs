//! Directories in the order of their names.
//!
//! The position in a directory is kept where the kernel keeps it, in the open file that forks and
//! duplicates share; it counts entries here. A listing is read whole at its beginning and kept
//! until its end is asked for.
//!
//! A container may forbid to take the open file of another process (`pidfd_getfd`, as Docker's default
//! profile does). Then the step is given one of ours in its place, which we have too.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, SeekFrom, fstat, fstatfs, seek, stat};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use super::entropy::group;
use super::status::Entries;
use crate::sys::memory;
use crate::sys::notify::{self, Answer, Notification};
use crate::sys::read_proc_text;

/// How many listings are kept.
const KEPT: usize = 64;

/// Listings that are being read.
#[derive(Debug, Default)]
pub struct Directories {
    open: Vec<Listing>,
    asked: Option<Asked>,
}

/// Whose directories were asked for last: most often it is who asks next. The number of a process is
/// nobody else's while the process can be opened; that of another thread could be.
#[derive(Debug)]
struct Asked {
    process: u32,
    pidfd: OwnedFd,
}

#[derive(Debug)]
struct Listing {
    place: Place,
    entries: Vec<Entry>,
    /// The open file, if we gave it to the step.
    given: Option<OwnedFd>,
}

/// A directory that a process reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    process: u32,
    descriptor: u64,
    device: u64,
    inode: u64,
}

/// A `struct linux_dirent64`.
#[derive(Clone, Debug)]
struct Entry {
    inode: u64,
    kind: u8,
    name: Vec<u8>,
}

/// Offset of the name in an entry.
const NAME: usize = 19;

impl Directories {
    /// Answers `getdents64`, with numbers of ours if there are some.
    pub fn read(
        &mut self,
        listener: BorrowedFd<'_>,
        call: &Notification,
        numbers: Option<&Entries<'_>>,
    ) -> Answer {
        let answer = self.sorted(listener, call, numbers);
        answer.unwrap_or(Answer::Continue)
    }

    fn sorted(
        &mut self,
        listener: BorrowedFd<'_>,
        call: &Notification,
        numbers: Option<&Entries<'_>>,
    ) -> io::Result<Answer> {
        /// `PROC_SUPER_MAGIC`; its order is that of the numbers.
        const PROC: i64 = 0x9fa0;
        let [descriptor, address, size, ..] = call.arguments;
        let (process, taken) = self.borrow(call.thread, descriptor);
        let (directory, given) = match taken {
            Err(error) if is_refusal(&error) => {
                (self.give(listener, call, process, descriptor)?, true)
            }
            directory => (directory?, false),
        };
        let status = fstat(&directory)?;
        let place = Place {
            process,
            descriptor,
            device: status.st_dev,
            inode: status.st_ino,
        };
        let position = seek(&directory, SeekFrom::Current(0))?;
        let kept = self.open.iter().position(|kept| kept.place == place);
        let kept = kept.map(|index| self.open.remove(index).entries);
        let entries = match kept.filter(|_| position > 0) {
            Some(entries) => entries,
            None if fstatfs(&directory)?.f_type as i64 == PROC => return Ok(Answer::Continue),
            None => list(&directory, numbers)?,
        };
        if position >= entries.len() as u64 {
            return Ok(Answer::Value(0));
        }
        let (bytes, next) = pack(&entries, position as usize, size as usize);
        if bytes.is_empty() && next < entries.len() {
            return Ok(Answer::Error(libc::EINVAL));
        }
        seek(&directory, SeekFrom::Start(next as u64))?;
        if memory::write(call.thread, address, &bytes).is_err() {
            seek(&directory, SeekFrom::Start(position))?;
            return Ok(Answer::Error(libc::EFAULT));
        }
        self.open.truncate(KEPT - 1);
        let listing = Listing {
            place,
            entries,
            given: given.then_some(directory),
        };
        self.open.insert(0, listing);
        Ok(Answer::Value(bytes.len() as i64))
    }

    /// Takes the open file behind a descriptor of a thread's process. Returns that process too.
    fn borrow(&mut self, thread: u32, descriptor: u64) -> (u32, io::Result<OwnedFd>) {
        // An error may be that this process is gone, and its number another's.
        if let Some(asked) = self.asked.as_ref().filter(|asked| asked.process == thread)
            && let Ok(taken) = file_of(&asked.pidfd, descriptor)
        {
            return (thread, Ok(taken));
        }
        let (process, opened) = open_process(thread);
        let taken = opened.and_then(|pidfd| {
            let taken = file_of(&pidfd, descriptor);
            self.asked = (process == thread).then_some(Asked { process, pidfd });
            Ok(taken?)
        });
        (process, taken)
    }

    /// Returns the open file that the step was given, or gives it one.
    fn give(
        &mut self,
        listener: BorrowedFd<'_>,
        call: &Notification,
        process: u32,
        descriptor: u64,
    ) -> io::Result<OwnedFd> {
        let information = read_proc_text(format!("/proc/{process}/fdinfo/{descriptor}"))?;
        let field = |name| {
            let line = information.lines().find_map(|line| line.strip_prefix(name));
            line.map(str::trim).ok_or(io::ErrorKind::InvalidData)
        };
        let number = |_| io::Error::from(io::ErrorKind::InvalidData);
        let position: u64 = field("pos:")?.parse().map_err(number)?;
        let flags = u32::from_str_radix(field("flags:")?, 8).map_err(number)?;
        let theirs = format!("/proc/{process}/fd/{descriptor}");
        let status = stat(&theirs)?;
        let is_kept = |kept: &Listing| {
            let Place { device, inode, .. } = kept.place;
            (kept.place.process, kept.place.descriptor) == (process, descriptor)
                && (device, inode) == (status.st_dev, status.st_ino)
        };
        let kept = self.open.iter_mut().find(|kept| is_kept(kept));
        // One that the step opened anew is elsewhere.
        if let Some(file) = kept.and_then(|kept| kept.given.take())
            && seek(&file, SeekFrom::Current(0))? == position
        {
            return Ok(file);
        }
        let access = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let file = rustix::fs::open(&theirs, access, Mode::empty())?;
        seek(&file, SeekFrom::Start(position))?;
        let (descriptor, flags) = (descriptor as u32, flags as i32);
        notify::replace(listener, call.id, file.as_fd(), descriptor, flags)?;
        Ok(file)
    }
}

/// Whether a container forbids to take open files.
fn is_refusal(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EPERM | libc::EACCES | libc::ENOSYS)
    )
}

/// Takes the open file behind a descriptor of a thread's process.
pub(super) fn take(thread: u32, descriptor: u64) -> io::Result<OwnedFd> {
    let (_, process) = open_process(thread);
    Ok(file_of(&process?, descriptor)?)
}

fn file_of(process: &OwnedFd, descriptor: u64) -> rustix::io::Result<OwnedFd> {
    match descriptor as i32 {
        // None of a process's, and not to be asked for.
        ..0 => Err(Errno::BADF),
        number => pidfd_getfd(process, number, PidfdGetfdFlags::empty()),
    }
}

/// Opens the process of a thread. Returns its number too.
fn open_process(thread: u32) -> (u32, io::Result<OwnedFd>) {
    let open = |process: u32| -> io::Result<OwnedFd> {
        let pid = Pid::from_raw(process as i32).ok_or(io::ErrorKind::NotFound)?;
        Ok(pidfd_open(pid, PidfdFlags::empty())?)
    };
    // The kernel opens processes, and no other threads of theirs. Most have one, and to ask of
    // which process another is takes longer than all else here.
    match open(thread) {
        Ok(opened) => (thread, Ok(opened)),
        Err(_) => {
            let process = group(thread).unwrap_or(thread);
            (process, open(process))
        }
    }
}

/// Reads a whole directory, sorted.
fn list(directory: &OwnedFd, numbers: Option<&Entries<'_>>) -> io::Result<Vec<Entry>> {
    seek(directory, SeekFrom::Start(0))?;
    let mut buffer = Vec::with_capacity(64 << 10);
    let mut reader = rustix::fs::RawDir::new(directory.as_fd(), buffer.spare_capacity_mut());
    let mut entries = Vec::new();
    while let Some(entry) = reader.next() {
        let entry = entry?;
        let (inode, name) = (entry.ino(), entry.file_name().to_bytes().to_vec());
        entries.push(Entry {
            inode: numbers.map_or(inode, |numbers| numbers.number(inode, &name)),
            kind: kind(entry.file_type()),
            name,
        });
    }
    entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

/// The `DT_*` of a file.
fn kind(file: rustix::fs::FileType) -> u8 {
    use rustix::fs::FileType;
    match file {
        FileType::Fifo => libc::DT_FIFO,
        FileType::CharacterDevice => libc::DT_CHR,
        FileType::Directory => libc::DT_DIR,
        FileType::BlockDevice => libc::DT_BLK,
        FileType::RegularFile => libc::DT_REG,
        FileType::Symlink => libc::DT_LNK,
        FileType::Socket => libc::DT_SOCK,
        FileType::Unknown => libc::DT_UNKNOWN,
    }
}

/// Packs entries from a position on into so many bytes. Returns them and the position after.
fn pack(entries: &[Entry], position: usize, size: usize) -> (Vec<u8>, usize) {
    let (mut bytes, mut next) = (Vec::new(), position);
    for entry in entries.iter().skip(position) {
        let length = (NAME + entry.name.len() + 1).next_multiple_of(8);
        if bytes.len() + length > size {
            break;
        }
        next += 1;
        let start = bytes.len();
        bytes.extend(entry.inode.to_le_bytes());
        bytes.extend((next as u64).to_le_bytes());
        bytes.extend((length as u16).to_le_bytes());
        bytes.push(entry.kind);
        bytes.extend(&entry.name);
        bytes.resize(start + length, 0);
    }
    (bytes, next)
}
