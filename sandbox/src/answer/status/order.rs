//! In which order a step changed its files.
//!
//! The kernel gives a file the time of the last tick of its clock, so which changes have one time
//! depends on how fast the host is. We hear of each before it is made, and count.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use rustix::time::{ClockId, clock_gettime};

use super::change::Change;
use super::lookup::{Found, Home};
use super::target::Target;
use super::times::{Instant, real};

/// The changes that were announced.
#[derive(Debug, Default)]
pub struct Order {
    count: u64,
    /// How many there had been at the end of each tick of the kernel's clock that had one.
    ticks: Vec<(Instant, u64)>,
    /// By the paths of what was changed.
    files: BTreeMap<PathBuf, File>,
}

/// One that was announced: how many there had been with it, and what the kernel's clock showed.
type Event = (u64, Instant);

/// What was announced of a file.
#[derive(Clone, Copy, Debug, Default)]
struct File {
    /// The last change of its content, which may not have come to anything, and the time of its content
    /// before.
    written: Option<(Event, Instant)>,
    /// The one before.
    earlier: Option<Event>,
    /// The last change of its path.
    moved: Option<Event>,
}

/// So many files are remembered: more than most steps write. Of others the order is the kernel's.
const REMEMBERED: usize = 1 << 17;

/// So many ticks are, an hour at least.
const TICKS: usize = 1 << 20;

/// What the kernel's clock for files shows.
pub fn tick() -> Instant {
    let now = clock_gettime(ClockId::RealtimeCoarse);
    (now.tv_sec, now.tv_nsec as u32)
}

impl Order {
    /// How many changes there have been.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Something is about to change.
    pub fn add(&mut self) -> u64 {
        self.count += 1;
        let now = tick();
        match self.ticks.last_mut() {
            Some((tick, count)) if *tick >= now => *count = self.count,
            _ => self.ticks.push((now, self.count)),
        }
        if self.ticks.len() > TICKS {
            self.ticks.drain(..TICKS / 2);
        }
        self.count
    }

    /// A thread is about to make the last change of these files.
    ///
    /// # Errors
    /// Fails if they cannot be found without the thread.
    pub fn note(&mut self, home: &mut Home, thread: u32, change: &Change) -> io::Result<()> {
        if self.files.len() >= REMEMBERED {
            self.files.clear();
        }
        match change {
            Change::Write { target, makes } => match home.find(thread, target) {
                Ok(found) => self.written(&found),
                Err(_) if *makes => self.made(home, thread, target),
                Err(error) => Err(error),
            },
            Change::Make(target) => match home.find(thread, target) {
                Ok(_) => Ok(()),
                Err(_) => self.made(home, thread, target),
            },
            Change::Remove(target) => {
                let path = self.parent(home, thread, target)?;
                self.files.remove(&path);
                Ok(())
            }
            Change::Move(from, to) => {
                let old = self.parent(home, thread, from)?;
                let new = self.parent(home, thread, to)?;
                self.move_all(&old, &new);
                self.file(new).moved = Some(self.event());
                Ok(())
            }
            Change::Link(from, to) => {
                let old = home.find(thread, from)?.path()?;
                if home.find(thread, to).is_ok() {
                    return Ok(());
                }
                let new = self.parent(home, thread, to)?;
                let event = self.event();
                let file = self.file(old);
                file.moved = Some(event);
                let file = *file;
                *self.file(new) = file;
                Ok(())
            }
        }
    }

    /// Which change of the content of a file, and of its status, made its times what they are.
    pub fn of(&self, path: &Path, modified: Instant, changed: Instant) -> [u64; 2] {
        let file = self.files.get(path).copied().unwrap_or_default();
        let content = match file.written {
            Some((event, before)) if before != modified => Some(event),
            _ => file.earlier,
        };
        let made = |event: &Event| event.1 <= modified;
        let content = content.filter(made).map(|event| event.0);
        let moved = file.moved.filter(|event| event.1 <= changed);
        let content = content.unwrap_or_else(|| self.until(modified));
        let status = moved.map_or(0, |event| event.0);
        [content, content.max(status)]
    }

    /// How many there had been when the kernel's clock showed this.
    fn until(&self, time: Instant) -> u64 {
        let later = self.ticks.partition_point(|(tick, _)| *tick <= time);
        later.checked_sub(1).map_or(0, |last| self.ticks[last].1)
    }

    fn event(&self) -> Event {
        (self.count, self.ticks.last().map_or((0, 0), |last| last.0))
    }

    fn file(&mut self, path: PathBuf) -> &mut File {
        self.files.entry(path).or_default()
    }

    fn written(&mut self, found: &Found) -> io::Result<()> {
        let event = self.event();
        let before = real(&found.status.stx_mtime);
        let file = self.file(found.path()?);
        if let Some((last, seen)) = file.written
            && seen != before
        {
            file.earlier = Some(last);
        }
        file.written = Some((event, before));
        Ok(())
    }

    /// Something is made that is not there yet.
    fn made(&mut self, home: &mut Home, thread: u32, target: &Target) -> io::Result<()> {
        let path = self.parent(home, thread, target)?;
        let written = Some((self.event(), (0, 0)));
        *self.file(path) = File {
            written,
            ..File::default()
        };
        Ok(())
    }

    /// The directory of something changes. Returns the path of that.
    fn parent(&mut self, home: &mut Home, thread: u32, target: &Target) -> io::Result<PathBuf> {
        let (parent, name) = target.split().ok_or(io::ErrorKind::NotFound)?;
        let found = home.find(thread, &parent)?;
        self.written(&found)?;
        Ok(found.path()?.join(name))
    }

    /// What is known by a path, or by one below it, is known by another.
    fn move_all(&mut self, old: &Path, new: &Path) {
        if old == new {
            return;
        }
        let below = self.files.range(old.to_owned()..);
        let below = below.take_while(|(path, _)| path.starts_with(old));
        let paths: Vec<PathBuf> = below.map(|(path, _)| path.clone()).collect();
        self.files.remove(new);
        for path in paths {
            if let (Ok(rest), Some(file)) = (path.strip_prefix(old), self.files.get(&path).copied())
            {
                let moved = match rest.as_os_str().is_empty() {
                    true => new.to_owned(),
                    false => new.join(rest),
                };
                self.files.remove(&path);
                self.files.insert(moved, file);
            }
        }
    }
}
