//! Paths of the host that a caller wants a step to see besides: `--bind` and `--bind-rw`.
//!
//! Comes in: [`HostBind`]s as they were typed. Goes out: [`Bound`]s, each of which can be mounted.
//! What is in them is the host's: recorded by path, and not held unless `[data]` declares it.
//!
//! **Invariant:** no bind hides what the sandbox itself has (`tests::what_is_the_sandboxs_own_stays`).

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use envbox_lockfiles::base::{Explain, Kind};
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2};

use crate::data::Input;
use crate::ops::run::environment::HOME;
use crate::ops::run::guest_paths::{PROJECT, normal};
use crate::ops::run::{Access, Mounted};
use crate::record::EntryType;

/// What the sandbox has of its own: neither it, nor what is below it or around it.
const OWN: [&str; 10] = [
    "/dev",
    "/etc/envbox",
    "/etc/group",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/resolv.conf",
    "/proc",
    "/run/envbox",
    "/sys",
];

/// What may have something bound below it, and not on it or around it.
const WHOLE: [&str; 2] = ["/opt/env", PROJECT];

/// Where mount points are made as a sandbox starts.
const MADE: [&str; 4] = ["/dev/shm", "/run", "/tmp", HOME];

/// A host path that a step is to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostBind {
    /// The host path, absolute.
    pub source: PathBuf,
    /// The guest path, as it was typed; the same as on the host if there is none.
    pub target: Option<PathBuf>,
    /// Whether the step may write to it.
    pub writable: bool,
}

/// A bind that can be mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bound {
    /// The host path.
    pub(super) source: PathBuf,
    /// The same without links.
    pub(super) real: PathBuf,
    /// The guest path.
    pub(super) target: PathBuf,
    pub(super) kind: EntryType,
    pub(super) directory: bool,
    pub(super) writable: bool,
    /// Whether it hides something of the environment's.
    pub(super) covers: bool,
}

impl From<&Bound> for Mounted {
    fn from(bind: &Bound) -> Self {
        Self {
            source: bind.source.clone(),
            target: bind.target.clone(),
            writable: bind.writable,
        }
    }
}

/// A host path cannot be bound.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The host has no such path.
    #[error("failed to bind `{}`", path.display())]
    Source {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is a device.
    #[error("failed to bind `{}`: it is a device, which a step cannot open", path.display())]
    Type {
        /// The path.
        path: PathBuf,
    },
    /// The guest path is relative.
    #[error("the target `{}` of a bind is not an absolute path", target.display())]
    Relative {
        /// The guest path.
        target: PathBuf,
    },
    /// It would hide what the sandbox has of its own.
    #[error("a bind on `{}` would hide `{own}`, which is the sandbox's own", target.display())]
    Own {
        /// The guest path.
        target: PathBuf,
        /// What is the sandbox's.
        own: &'static str,
    },
    /// There are two of one guest path.
    #[error("two binds have the target `{}`", target.display())]
    Twice {
        /// The guest path.
        target: PathBuf,
    },
    /// `[data]` says what is there.
    #[error("a bind on `{}` would hide `{}`, which `[data]` declares", target.display(), data.display())]
    Data {
        /// The guest path.
        target: PathBuf,
        /// The declared path.
        data: PathBuf,
    },
    /// A file cannot be bound on a directory, nor the other way round.
    #[error("`{}` cannot be bound on `{}`: one is a directory, and the other is not", source_path.display(), target.display())]
    Kind {
        /// The host path.
        source_path: PathBuf,
        /// The guest path.
        target: PathBuf,
    },
    /// Something on the way is no directory.
    #[error("`{}`, on the way to the target `{}` of a bind, is no directory", path.display(), target.display())]
    OnTheWay {
        /// What is on the way.
        path: PathBuf,
        /// The guest path.
        target: PathBuf,
    },
    /// What it lies in is the host's and has nothing to mount on.
    #[error("there is nothing at `{}` to bind on, and `{}` is not envbox's to make it in", target.display(), within.display())]
    Point {
        /// The guest path.
        target: PathBuf,
        /// What it lies in.
        within: PathBuf,
    },
    /// The step would write to the store.
    #[error("the store `{}` is in `{}`, and a step must not write to it", store.display(), path.display())]
    Store {
        /// The host path.
        path: PathBuf,
        /// The store.
        store: PathBuf,
    },
}

impl Explain for BindError {
    fn kind(&self) -> Kind {
        Kind::User
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::Source { .. } => "name a file or a directory that is on this host".to_owned(),
            Self::Type { .. } => "leave it out".to_owned(),
            Self::Relative { .. } => {
                "write `--bind SOURCE:TARGET` with a target that begins with `/`".to_owned()
            }
            Self::Own { .. } => "choose another target, as `--bind SOURCE:/mnt/NAME`".to_owned(),
            Self::Twice { .. } => "leave one of them out, or give it another target".to_owned(),
            Self::Data { .. } => "leave the bind out, or the entry of `[data]`".to_owned(),
            Self::Kind { .. } | Self::OnTheWay { .. } => {
                "choose another target, as `--bind SOURCE:/mnt/NAME`".to_owned()
            }
            Self::Point { target, within } => format!(
                "make what `{}` is inside `{}` on the host first, or choose a target outside of it",
                target.display(),
                within.display()
            ),
            Self::Store { .. } => {
                "bind a directory without the store in it, or use `--bind`, which \
                                   the step cannot write to"
                    .to_owned()
            }
        };
        vec![hint]
    }
}

impl HostBind {
    /// Reads `SOURCE` or `SOURCE:TARGET`. A colon belongs to the source where what follows is no
    /// absolute path and the host has a file of the whole name. A relative source is looked for in
    /// `current`.
    ///
    /// # Errors
    /// Returns [`BindError::Relative`].
    pub fn parse(text: &OsStr, writable: bool, current: &Path) -> Result<Self, BindError> {
        let bytes = text.as_bytes();
        let path = |bytes| PathBuf::from(OsStr::from_bytes(bytes));
        let bind = |source: PathBuf, target| Self {
            source: normal(&current.join(source)),
            target,
            writable,
        };
        if let Some(at) = bytes.windows(2).rposition(|pair| pair == b":/") {
            return Ok(bind(path(&bytes[..at]), Some(path(&bytes[at + 1..]))));
        }
        match bytes.iter().rposition(|byte| *byte == b':') {
            Some(at) if fs::symlink_metadata(current.join(text)).is_err() => {
                Err(BindError::Relative {
                    target: path(&bytes[at + 1..]),
                })
            }
            _ => Ok(bind(path(bytes), None)),
        }
    }
}

/// What binds are mounted into.
pub(super) struct Around<'a> {
    pub(super) rootfs: &'a Path,
    pub(super) project: &'a Path,
    pub(super) store: &'a Path,
    pub(super) access: Access,
    pub(super) inputs: &'a [Input],
}

impl Around<'_> {
    /// Checks binds, and sorts them so that one that lies in another follows it.
    pub(super) fn check(&self, binds: &[HostBind]) -> Result<Vec<Bound>, BindError> {
        let mut all: Vec<Bound> = binds.iter().map(opened).collect::<Result<_, _>>()?;
        all.sort_by(|a, b| a.target.cmp(&b.target));
        if let Some(pair) = all.windows(2).find(|pair| pair[0].target == pair[1].target) {
            let target = pair[0].target.clone();
            return Err(BindError::Twice { target });
        }
        for index in 0..all.len() {
            let (before, rest) = all.split_at_mut(index);
            self.check_one(&mut rest[0], before)?;
        }
        Ok(all)
    }

    fn check_one(&self, bind: &mut Bound, before: &[Bound]) -> Result<(), BindError> {
        refuse_own(&bind.target)?;
        if bind.writable && self.store.starts_with(&bind.real) {
            return Err(BindError::Store {
                path: bind.source.clone(),
                store: self.store.to_path_buf(),
            });
        }
        let around = before.iter().rev();
        let mut around = around.filter(|other| bind.target.starts_with(&other.target));
        if let Some(other) = around.next() {
            return point_within(bind, &other.source, &other.target, false);
        }
        if let Ok(below) = bind.target.strip_prefix(PROJECT) {
            let overlaps =
                |input: &&Input| input.path.starts_with(below) || below.starts_with(&input.path);
            if let Some(input) = self.inputs.iter().find(overlaps) {
                return Err(BindError::Data {
                    target: bind.target.clone(),
                    data: input.path.clone(),
                });
            }
            let can_make = self.access == Access::Overlay;
            return point_within(bind, self.project, Path::new(PROJECT), can_make);
        }
        match MADE.iter().any(|made| bind.target.starts_with(made)) {
            true => Ok(()),
            false => self.point_in_rootfs(bind),
        }
    }

    fn point_in_rootfs(&self, bind: &mut Bound) -> Result<(), BindError> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let open = |path: &Path| {
            let root = openat(CWD, self.rootfs, flags | OFlags::DIRECTORY, Mode::empty())?;
            let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
            let found = openat2(root, path, flags, Mode::empty(), resolve)?;
            Ok::<_, rustix::io::Errno>(FileType::from_raw_mode(fstat(&found)?.st_mode))
        };
        for above in bind.target.ancestors() {
            let Ok(found) = open(above) else { continue };
            let directory = found == FileType::Directory;
            if above != bind.target {
                return match directory {
                    true => Ok(()),
                    false => Err(BindError::OnTheWay {
                        path: above.to_path_buf(),
                        target: bind.target.clone(),
                    }),
                };
            }
            require_alike(bind, directory)?;
            bind.covers = !directory || self.has_entries(above);
            return Ok(());
        }
        Ok(())
    }

    fn has_entries(&self, directory: &Path) -> bool {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let list = || {
            let root = openat(CWD, self.rootfs, flags, Mode::empty()).ok()?;
            let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
            let found = openat2(root, directory, flags, Mode::empty(), resolve).ok()?;
            let mut entries = rustix::fs::Dir::read_from(found).ok()?;
            let other = |name: &std::ffi::CStr| !matches!(name.to_bytes(), b"." | b"..");
            Some(entries.any(|entry| entry.is_ok_and(|entry| other(entry.file_name()))))
        };
        // What cannot be listed is taken to have something in it.
        list().unwrap_or(true)
    }
}

fn opened(bind: &HostBind) -> Result<Bound, BindError> {
    let failed = |source| BindError::Source {
        path: bind.source.clone(),
        source,
    };
    let real = fs::canonicalize(&bind.source).map_err(failed)?;
    let found = fs::metadata(&real).map_err(failed)?;
    // Devices would be there and could not be opened.
    let kind = found.file_type();
    if kind.is_char_device() || kind.is_block_device() {
        return Err(BindError::Type {
            path: bind.source.clone(),
        });
    }
    let target = bind.target.as_deref().unwrap_or(&bind.source);
    if !target.is_absolute() {
        let target = target.to_path_buf();
        return Err(BindError::Relative { target });
    }
    Ok(Bound {
        source: bind.source.clone(),
        real,
        target: normal(target),
        kind: match found.file_type() {
            kind if kind.is_dir() => EntryType::Directory,
            kind if kind.is_file() => EntryType::File,
            _ => EntryType::Special,
        },
        directory: found.is_dir(),
        writable: bind.writable,
        covers: false,
    })
}

fn refuse_own(target: &Path) -> Result<(), BindError> {
    let refuse = |own| {
        Err(BindError::Own {
            target: target.to_path_buf(),
            own,
        })
    };
    let around = |own: &&str| Path::new(own).starts_with(target);
    // The one directory there that a step may write to, and that programs share memory by.
    let shared = target.starts_with("/dev/shm");
    let below = |own: &&str| target.starts_with(own) && !shared;
    if let Some(own) = OWN.iter().find(|own| around(own) || below(own)) {
        return refuse(own);
    }
    if let Some(own) = WHOLE.iter().find(|own| around(own)) {
        return refuse(own);
    }
    match Path::new(HOME) != target && Path::new(HOME).starts_with(target) {
        true => refuse(HOME),
        false => Ok(()),
    }
}

/// Checks that there is something to mount on in a directory of the host's, or that it can be made.
fn point_within(bind: &Bound, host: &Path, guest: &Path, can_make: bool) -> Result<(), BindError> {
    let below = bind.target.strip_prefix(guest).unwrap_or(Path::new(""));
    if let Ok(found) = fs::symlink_metadata(host.join(below)) {
        return require_alike(bind, found.is_dir());
    }
    for above in below.ancestors().skip(1) {
        if fs::symlink_metadata(host.join(above)).is_ok_and(|found| !found.is_dir()) {
            return Err(BindError::OnTheWay {
                path: guest.join(above),
                target: bind.target.clone(),
            });
        }
    }
    match can_make {
        true => Ok(()),
        false => Err(BindError::Point {
            target: bind.target.clone(),
            within: guest.to_path_buf(),
        }),
    }
}

fn require_alike(bind: &Bound, directory: bool) -> Result<(), BindError> {
    match bind.directory == directory {
        true => Ok(()),
        false => Err(BindError::Kind {
            source_path: bind.source.clone(),
            target: bind.target.clone(),
        }),
    }
}

#[cfg(test)]
mod tests;
