//! Inode numbers that do not depend on the host.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::Statx;

use super::times::{Instant, Stamp, real};

/// An inode number as the step sees it. It fits a double, which is all that some languages have.
pub type Number = u64;

const BITS: u32 = 52;

/// The files that the step changed, and what else has no path.
#[derive(Debug, Default)]
pub struct Numbers {
    files: BTreeMap<Identity, (Number, Stamps)>,
    /// The last file of each kernel's number.
    inodes: BTreeMap<(u32, u64), Number>,
    taken: BTreeSet<Number>,
    anonymous: u64,
}

/// What tells files apart on the host. A number of a file that is gone is given to another, so the
/// time of birth belongs to it; that of a directory in an overlay changes with what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Identity {
    mount: u32,
    device: (u32, u32),
    inode: u64,
    born: Option<Instant>,
}

/// The times of a file, as the kernel and as we tell them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stamps {
    /// Of its content.
    pub modified: Stamp,
    /// Of its status.
    pub changed: Stamp,
    /// When it was first seen.
    pub born: Option<Instant>,
}

impl Stamps {
    fn of_old([modified, changed]: [Stamp; 2], before: Instant) -> Stamps {
        Stamps {
            modified,
            changed,
            born: Some(before),
        }
    }
}

impl Identity {
    fn of(mount: u32, status: &Statx) -> Identity {
        let directory = u32::from(status.stx_mode) & libc::S_IFMT == libc::S_IFDIR;
        Identity {
            mount,
            device: (status.stx_dev_major, status.stx_dev_minor),
            inode: status.stx_ino,
            born: (!directory).then(|| real(&status.stx_btime)),
        }
    }
}

impl Numbers {
    /// Finds a file that was seen.
    pub fn known(&mut self, mount: u32, status: &Statx) -> Option<(Number, &mut Stamps)> {
        let (number, stamps) = self.files.get_mut(&Identity::of(mount, status))?;
        Some((*number, stamps))
    }

    /// Adds a file that is seen for the first time.
    pub fn add(&mut self, mount: u32, status: &Statx, path: &Path) -> (Number, &mut Stamps) {
        let mut number = of_path(path);
        // Not the first of this name.
        for generation in 1.. {
            if self.taken.insert(number) {
                break;
            }
            number = hash(path.as_os_str().as_bytes(), generation);
        }
        self.insert(Identity::of(mount, status), number)
    }

    /// Adds a directory that was there before the step.
    pub fn begin(
        &mut self,
        mount: u32,
        status: &Statx,
        path: &Path,
        stamps: [Stamp; 2],
        before: Instant,
    ) {
        *self.add(mount, status, path).1 = Stamps::of_old(stamps, before);
    }

    /// The same, where only its times matter.
    pub fn begin_anonymous(&mut self, status: &Statx, stamps: [Stamp; 2], before: Instant) {
        *self.anonymous(status).1 = Stamps::of_old(stamps, before);
    }

    /// Finds or adds something that has no path inside.
    pub fn anonymous(&mut self, status: &Statx) -> (Number, &mut Stamps) {
        let identity = Identity::of(0, status);
        if !self.files.contains_key(&identity) {
            self.anonymous += 1;
            let number = self.anonymous;
            self.insert(identity, number);
        }
        let (number, stamps) = self.files.entry(identity).or_default();
        (*number, stamps)
    }

    /// The number of the file that the kernel gave one.
    pub fn of_inode(&self, mount: u32, inode: u64) -> Option<Number> {
        self.inodes.get(&(mount, inode)).copied()
    }

    fn insert(&mut self, identity: Identity, number: Number) -> (Number, &mut Stamps) {
        self.inodes.insert((identity.mount, identity.inode), number);
        let entry = self.files.entry(identity);
        let (number, stamps) = entry.or_insert((number, Stamps::default()));
        (*number, stamps)
    }
}

/// The number of a file that was there before the step.
pub fn of_path(path: &Path) -> Number {
    hash(path.as_os_str().as_bytes(), 0)
}

/// FNV-1a, and the last step of `MurmurHash3` to spread it.
fn hash(bytes: &[u8], generation: u64) -> Number {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ generation;
    for byte in bytes {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash = (hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ hash >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    // Zero means "no file" to many.
    (hash >> (64 - BITS)).max(1)
}
