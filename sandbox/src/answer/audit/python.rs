//! Where a Python program is, read from the memory of its interpreter.
//!
//! Nothing runs in the program for it, so what it computes, and where its objects lie, is as in a
//! run that is not audited. A thread that waits for our answer stands still; others may change
//! what is read, so everything that does not fit is taken for "not known".

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::tables::{Layout, Lines};
use super::{Origin, Place, code, elf};
use crate::sys::{memory, read_proc_text};

/// How deep a stack is looked at.
const DEPTH: usize = 1000;

/// Where a draw came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    pub origin: Origin,
    pub place: Option<Place>,
    pub through: Option<Place>,
}

impl Position {
    /// That of a program which is not Python.
    pub fn unknown() -> Position {
        Position {
            origin: Origin::Program,
            place: None,
            through: None,
        }
    }
}

impl Position {
    /// That of a line of the step's own.
    fn own(imports: bool, place: Place, through: Option<Place>) -> Position {
        let origin = if imports {
            Origin::Import
        } else {
            Origin::Code
        };
        Position {
            origin,
            place: Some(place),
            through,
        }
    }
}

/// A CPython in a process.
#[derive(Debug)]
pub struct Interpreter {
    /// The address of `_PyRuntime`.
    runtime: u64,
    layout: Layout,
}

impl Interpreter {
    /// Finds the interpreter in a thread's process; none if it has none yet, or one of a version
    /// that is not known.
    pub fn find(thread: u32) -> Option<Interpreter> {
        let maps = read_proc_text(format!("/proc/{thread}/maps")).ok()?;
        let mut seen: BTreeMap<&str, u64> = BTreeMap::new();
        for line in maps.lines() {
            let path = line.find('/').map_or("", |at| &line[at..]);
            let start = line.split('-').next()?;
            if minor(path).is_some() {
                // The lowest is the first.
                let start = u64::from_str_radix(start, 16).ok()?;
                seen.entry(path).or_insert(start);
            }
        }
        seen.into_iter()
            .find_map(|(path, base)| Interpreter::in_file(thread, path, base))
    }

    fn in_file(thread: u32, path: &str, base: u64) -> Option<Interpreter> {
        let file = PathBuf::from(format!("/proc/{thread}/root{path}"));
        let symbol = elf::symbol(&file, "_PyRuntime")?;
        let runtime = match symbol.absolute {
            true => symbol.value,
            false => base + symbol.value,
        };
        let layout = match Layout::of(minor(path)?) {
            Some(layout) => layout,
            None => {
                let mut told = vec![0; Layout::TOLD];
                memory::read(thread, runtime, &mut told).ok()?;
                Layout::told(&told)?
            }
        };
        Some(Interpreter { runtime, layout })
    }

    /// Says where a thread is.
    pub fn position(&self, thread: u32) -> Position {
        let next = self.frame(thread).unwrap_or(0);
        let frames = Frames {
            memory: Memory(thread),
            layout: &self.layout,
            files: BTreeMap::new(),
            next,
            left: DEPTH,
        };
        position(frames)
    }

    /// Returns the innermost frame of a thread.
    fn frame(&self, thread: u32) -> Option<u64> {
        let (memory, layout) = (Memory(thread), &self.layout);
        let interpreter = memory.pointer(self.runtime + layout.interpreters)?;
        let head = memory.pointer(interpreter + layout.threads)?;
        let next = |state: &u64| memory.pointer(state + layout.next);
        let states: Vec<u64> = std::iter::successors(Some(head), next).take(4096).collect();
        if let [only] = states.as_slice() {
            return self.frame_of(memory, *only);
        }
        let own = inner_number(thread)?;
        let is_own = |state: &&u64| memory.number(**state + layout.pthread) == Some(own);
        // A thread that starts another has made its state already, under its own number.
        let own = states.iter().filter(is_own);
        { own }.find_map(|state| self.frame_of(memory, *state))
    }

    fn frame_of(&self, memory: Memory, state: u64) -> Option<u64> {
        let (offset, indirect) = self.layout.frame;
        let frame = memory.pointer(state + offset)?;
        match indirect {
            Some(offset) => memory.pointer(frame + offset),
            None => Some(frame),
        }
    }
}

/// The minor version in the name of a program or library of Python: `python3.11`,
/// `libpython3.11.so.1.0`.
fn minor(path: &str) -> Option<u8> {
    let name = Path::new(path).file_name()?.to_str()?;
    let rest = name.strip_prefix("lib").unwrap_or(name);
    let rest = rest.strip_prefix("python3.")?;
    let end = rest.find(|c: char| !c.is_ascii_digit());
    rest[..end.unwrap_or(rest.len())].parse().ok()
}

/// The number that a thread has for itself.
fn inner_number(thread: u32) -> Option<u32> {
    let text = read_proc_text(format!("/proc/{thread}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    line.split_whitespace().next_back()?.parse().ok()
}

/// Memory of a process.
#[derive(Clone, Copy)]
struct Memory(u32);

impl Memory {
    fn read<const SIZE: usize>(self, address: u64) -> Option<[u8; SIZE]> {
        let mut bytes = [0; SIZE];
        memory::read(self.0, address, &mut bytes).ok()?;
        Some(bytes)
    }

    fn word(self, address: u64) -> Option<u64> {
        self.read(address).map(u64::from_le_bytes)
    }

    /// Reads a pointer that is not null.
    fn pointer(self, address: u64) -> Option<u64> {
        self.word(address).and_then(untagged)
    }

    /// Reads the number of the thread that a `pthread_t` is: `struct pthread.tid`, which is at this
    /// place in all of glibc's versions for x86-64.
    fn number(self, address: u64) -> Option<u32> {
        const TID: u64 = 720;
        let thread = self.pointer(address)?;
        self.read(thread + TID).map(u32::from_le_bytes)
    }

    /// Reads a `str`.
    fn text(self, object: u64, layout: &Layout) -> Option<String> {
        /// No path is longer.
        const MOST: u64 = 4096;
        /// Nearly all fit into this, which is read at once if there is as much.
        const USUAL: usize = 192;
        let head = self.read::<USUAL>(object);
        let (length, state) = match &head {
            Some(head) => (word(head, 16), head[32]),
            None => (self.word(object + 16)?, self.read::<1>(object + 32)?[0]),
        };
        // Bits: how it is interned (2), bytes of a character (3), whether it follows, is ASCII.
        let width = u64::from(state >> 2 & 7);
        let (follows, ascii) = (state & 0x20 != 0, state & 0x40 != 0);
        if length > MOST || !follows || ![1, 2, 4].contains(&width) {
            return None;
        }
        let start = if ascii { layout.ascii } else { layout.compact };
        let size = (length * width) as usize;
        let usual = head.as_ref();
        let usual = usual.and_then(|head| head.get(start as usize..start as usize + size));
        let bytes = match usual {
            Some(bytes) => bytes.to_vec(),
            None => {
                let mut bytes = vec![0; size];
                memory::read(self.0, object + start, &mut bytes).ok()?;
                bytes
            }
        };
        if ascii {
            return String::from_utf8(bytes).ok();
        }
        let character = |bytes: &[u8]| {
            let number = bytes.iter().rev();
            let number = number.fold(0, |number, byte| number << 8 | u32::from(*byte));
            char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER)
        };
        Some(bytes.chunks_exact(width as usize).map(character).collect())
    }

    /// Reads a `bytes`.
    fn bytes(self, object: u64) -> Option<Vec<u8>> {
        const MOST: u64 = 1 << 20;
        let size = self.word(object + 16).filter(|size| *size <= MOST)?;
        let mut bytes = vec![0; size as usize];
        memory::read(self.0, object + 32, &mut bytes).ok()?;
        Some(bytes)
    }
}

/// A pointer that is not null. Since 3.14 the lowest bits of some are a tag.
fn untagged(word: u64) -> Option<u64> {
    const TAG: u64 = 7;
    Some(word & !TAG).filter(|word| *word != 0)
}

fn word(bytes: &[u8], at: u64) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at as usize..at as usize + 8]);
    u64::from_le_bytes(word)
}

/// The frames of a stack, the innermost first.
struct Frames<'a> {
    memory: Memory,
    layout: &'a Layout,
    /// The files of frames that were seen: those of one module share theirs.
    files: BTreeMap<u64, Arc<str>>,
    next: u64,
    left: usize,
}

/// A frame whose line has not been looked for.
struct Frame {
    file: Arc<str>,
    code: u64,
    address: u64,
}

impl Iterator for Frames<'_> {
    type Item = Frame;

    fn next(&mut self) -> Option<Frame> {
        let (memory, layout) = (self.memory, self.layout);
        while self.next != 0 && self.left > 0 {
            self.left -= 1;
            let address = self.next;
            // All that is wanted of a frame lies close together.
            let mut bytes = vec![0; layout.frame_size()];
            memory::read(memory.0, address, &mut bytes).ok()?;
            self.next = untagged(word(&bytes, layout.previous)).unwrap_or(0);
            if let Some((offset, foreign)) = layout.owner
                && bytes[offset as usize] >= foreign
            {
                continue;
            }
            let code = untagged(word(&bytes, layout.code))?;
            let file = memory.pointer(code + layout.file)?;
            let file = match self.files.get(&file) {
                Some(known) => known.clone(),
                None => {
                    let text: Arc<str> = memory.text(file, layout)?.into();
                    self.files.insert(file, text.clone());
                    text
                }
            };
            return Some(Frame {
                file,
                code,
                address,
            });
        }
        None
    }
}

impl Frames<'_> {
    /// Looks for the line and the function of a frame.
    fn place(&self, frame: Frame) -> Option<Place> {
        let (memory, layout) = (self.memory, self.layout);
        let function = memory.pointer(frame.code + layout.name)?;
        let instruction = frame.address + layout.instruction;
        let position = match layout.lines {
            Lines::Pairs | Lines::Ranges => {
                // -1 before the first.
                let last = i32::from_le_bytes(memory.read(instruction)?);
                u64::try_from(last).unwrap_or(0)
            }
            Lines::Locations(start) => memory.word(instruction)?.saturating_sub(frame.code + start),
        };
        let table = memory.bytes(memory.pointer(frame.code + layout.table)?)?;
        let first = u32::from_le_bytes(memory.read(frame.code + layout.first_line)?);
        Some(Place {
            line: code::line(layout.lines, &table, first, position),
            function: memory.text(function, layout)?,
            file: frame.file.to_string(),
        })
    }
}

/// Judges a stack.
fn position(mut frames: Frames<'_>) -> Position {
    let (mut innermost, mut imports) = (None, false);
    // The last frame that was seen, which is the outermost in the end.
    let (mut outermost, mut program) = (Arc::from(""), None);
    while let Some(frame) = frames.next() {
        outermost = frame.file.clone();
        let (own, text) = (is_own(&frame.file), is_text(&frame.file));
        program = None;
        if is_import(&frame.file) {
            imports = true;
        } else if own || text || innermost.is_none() {
            let place = frames.place(frame);
            match place {
                Some(place) if own => return Position::own(imports, place, innermost),
                place if text => program = place,
                place => innermost = innermost.or(place),
            }
        }
    }
    // Libraries execute texts, too, but what is outermost is the step's program.
    if let Some(place) = program {
        return Position::own(imports, place, innermost);
    }
    let origin = match () {
        () if is_start(&outermost) => Origin::Start,
        () if imports => Origin::Import,
        () => Origin::Code,
    };
    Position {
        origin,
        place: innermost.filter(|_| origin != Origin::Start),
        through: None,
    }
}

/// Whether code is the step's own: not the environment's, and not the interpreter's.
fn is_own(file: &str) -> bool {
    const ENVIRONMENT: [&str; 4] = ["/usr/", "/opt/", "/lib/", "<"];
    const PACKAGES: [&str; 2] = ["/site-packages/", "/dist-packages/"];
    let environment = ENVIRONMENT.iter().any(|start| file.starts_with(start));
    let package = PACKAGES.iter().any(|part| file.contains(part));
    !environment && !package
}

/// Whether code was in no file: `python -c`, or what a library executes.
fn is_text(file: &str) -> bool {
    ["<string>", "<stdin>"].contains(&file)
}

fn is_import(file: &str) -> bool {
    let names = ["<frozen importlib", "<frozen zipimport"];
    let frozen = names.iter().any(|name| file.starts_with(name));
    frozen || file.contains("/importlib/_bootstrap") || file.ends_with("/zipimport.py")
}

/// Whether the interpreter itself was about it, of no one's wish: no frame at all, or a stack that
/// began before the program.
fn is_start(outermost: &str) -> bool {
    let early = ["<frozen site>", "<frozen getpath>", "<frozen codecs>"];
    let files = ["/site.py", "/encodings/__init__.py", "/codecs.py"];
    outermost.is_empty()
        || is_import(outermost)
        || early.contains(&outermost)
        || files.iter().any(|file| outermost.ends_with(file))
}

#[cfg(test)]
mod tests {
    use super::{is_own, minor};

    #[test]
    fn a_version_is_in_the_name() {
        for (path, expected) in [
            ("/usr/bin/python3.11", Some(11)),
            ("/opt/python/lib/libpython3.13t.so.1.0", Some(13)),
            ("/usr/lib/libpython3.8.so.1.0", Some(8)),
            ("/usr/bin/python3", None),
            ("/usr/bin/bash", None),
            ("/usr/lib/python3.11/lib-dynload/_ssl.so", None),
        ] {
            assert_eq!(minor(path), expected, "{path}");
        }
    }

    #[test]
    fn the_steps_own_code_is_told_from_the_environments() {
        for own in ["/project/train.py", "train.py", "/tmp/a.py"] {
            assert!(is_own(own), "{own}");
        }
        for other in [
            "/usr/lib/python3.11/random.py",
            "/opt/env/lib/python3.11/site-packages/numpy/__init__.py",
            "/project/venv/lib/python3.11/site-packages/x.py",
            "<frozen importlib._bootstrap>",
            "<__array_function__ internals>",
            "<string>",
        ] {
            assert!(!is_own(other), "{other}");
        }
    }
}
