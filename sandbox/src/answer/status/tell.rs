//! What a look at a file writes into the step's memory.

use rustix::fs::StatFs;

use super::BLOCK;
use super::mounts::Kind;
use super::times::Instant;

/// Everything that is told of a file.
#[derive(Clone, Copy, Debug, Default)]
pub struct Told {
    /// Major and minor number.
    pub device: (u32, u32),
    pub inode: u64,
    pub links: u64,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub special: (u32, u32),
    pub size: u64,
    pub blocks: u64,
    /// What is read at once.
    pub block: u64,
    pub attributes: u64,
    pub mount: u64,
    pub accessed: Instant,
    pub modified: Instant,
    pub changed: Instant,
    pub born: Instant,
}

/// The device of what is on none that the step can see.
pub fn device(mode: u32) -> u32 {
    /// Above every mount.
    const FIRST: u32 = 0x1000;
    FIRST
        + match mode & libc::S_IFMT {
            libc::S_IFIFO => 0,
            libc::S_IFSOCK => 1,
            _ => 2,
        }
}

impl Told {
    /// Tells of one time for all.
    pub fn set_times(&mut self, time: Instant) {
        (self.accessed, self.modified) = (time, time);
        (self.changed, self.born) = (time, time);
    }

    /// `struct stat`.
    pub fn stat(&self) -> Vec<u8> {
        let mut out = Out(Vec::with_capacity(144));
        out.u64(number(self.device.0, self.device.1));
        out.u64(self.inode);
        out.u64(self.links);
        for word in [self.mode, self.uid, self.gid, 0] {
            out.u32(word);
        }
        out.u64(number(self.special.0, self.special.1));
        for word in [self.size, self.block, self.blocks] {
            out.u64(word);
        }
        for (seconds, rest) in [self.accessed, self.modified, self.changed] {
            out.u64(seconds as u64);
            out.u64(u64::from(rest));
        }
        out.0.resize(144, 0);
        out.0
    }

    /// `struct statx`, for the fields that were asked for.
    pub fn statx(&self, asked: u32) -> Vec<u8> {
        const ALWAYS: u32 = libc::STATX_BASIC_STATS;
        const OPTIONAL: u32 = libc::STATX_BTIME | libc::STATX_MNT_ID;
        /// Others tell of the file system.
        const MOUNT_ROOT: u64 = libc::STATX_ATTR_MOUNT_ROOT as u64;
        let mut out = Out(Vec::with_capacity(256));
        out.u32(ALWAYS | asked & OPTIONAL);
        out.u32(self.block as u32);
        out.u64(self.attributes & MOUNT_ROOT);
        for word in [self.links as u32, self.uid, self.gid, self.mode] {
            out.u32(word);
        }
        for word in [self.inode, self.size, self.blocks, MOUNT_ROOT] {
            out.u64(word);
        }
        let born = if asked & libc::STATX_BTIME != 0 {
            self.born
        } else {
            (0, 0)
        };
        for (seconds, rest) in [self.accessed, born, self.changed, self.modified] {
            out.u64(seconds as u64);
            out.u64(u64::from(rest));
        }
        for word in [self.special.0, self.special.1, self.device.0, self.device.1] {
            out.u32(word);
        }
        out.u64(if asked & libc::STATX_MNT_ID != 0 {
            self.mount
        } else {
            0
        });
        out.0.resize(256, 0);
        out.0
    }
}

/// `struct statfs`: a terabyte, half of it free.
pub fn space(space: &StatFs, kind: Option<Kind>) -> Vec<u8> {
    const BLOCKS: u64 = 1 << 28;
    const FILES: u64 = 1 << 26;
    /// What files of the host are on, if anybody asks: `EXT4_SUPER_MAGIC`.
    const HOSTS: u64 = 0xef53;
    const LONGEST_NAME: u64 = 255;
    let magic = match kind {
        Some(Kind::ReadOnly | Kind::Writable) => HOSTS,
        _ => space.f_type as u64,
    };
    let mut out = Out(Vec::with_capacity(120));
    for word in [
        magic,
        BLOCK,
        BLOCKS,
        BLOCKS / 2,
        BLOCKS / 2,
        FILES,
        FILES / 2,
    ] {
        out.u64(word);
    }
    out.u64(0);
    for word in [LONGEST_NAME, BLOCK, space.f_flags as u64] {
        out.u64(word);
    }
    out.0.resize(120, 0);
    out.0
}

struct Out(Vec<u8>);

impl Out {
    fn u32(&mut self, word: u32) {
        self.0.extend(word.to_le_bytes());
    }

    fn u64(&mut self, word: u64) {
        self.0.extend(word.to_le_bytes());
    }
}

/// A device number, as `struct stat` has it.
fn number(major: u32, minor: u32) -> u64 {
    libc::makedev(major, minor)
}
