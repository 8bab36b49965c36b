//! The vDSO page that a step's processes get: the kernel's, with our clock in its padding.
//!
//! The kernel maps the same code into every 64-bit process (`arch/x86/entry/vdso`), so ours is the
//! original. Symbols are redirected, code is not changed: what our clock does not answer is still
//! answered by the kernel's own, at its own speed. `getrandom` is taken away, for it would draw
//! from the host's entropy without a system call; libraries then make the call.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use super::unwind;
use crate::sys::memory::vdso_code;
use crate::sys::read_proc_text;

/// How the wall clock of a step moves, as `inside/vdso.s` numbers it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u64)]
pub enum Mode {
    /// It is the kernel's.
    #[default]
    Real = 0,
    /// It moves by what the thread slept.
    Frozen = 1,
    /// It moves by what the thread slept and by how often it looked, and so do the other clocks.
    Logical = 2,
    /// It moves.
    Ticking = 3,
}

/// Who answers reads of a clock that go through the vDSO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// The code in it.
    Inside,
    /// The supervisor. Where the clock is ours, until it has heard enough of a process ([`Vdso::asks`]);
    /// where it is the kernel's, there is no function that reads one, so libraries make the call.
    Asked,
}

/// Words of the header in `inside/vdso.s`, in its order.
const CLOCK_GETTIME: usize = 1;
const GETTIMEOFDAY: usize = 2;
const TIME: usize = 3;
const WAIT: usize = 4;
/// From the word of a function to that of the one that asks.
const ASKED: usize = 4;
const FRAMES: usize = 8;
const MODE: usize = 9;
const ORIGINAL: usize = 12;
const ASKS: usize = 13;
const WORDS: usize = 14;

/// The page, ready to be written into a process.
#[derive(Debug)]
pub struct Vdso {
    bytes: Vec<u8>,
    /// Where our code starts.
    header: usize,
    /// Where there is room behind it.
    end: usize,
    /// Where there is room behind what was put there.
    free: usize,
    /// Where the kernel's `getrandom` was, which nobody calls any more.
    unused: Range<usize>,
    /// Where other code of ours is described: its offset, and that of the descriptions in it.
    described: Vec<(usize, usize)>,
    mode: Mode,
}

/// What the clocks of a process show at a count of zero, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bases {
    /// Time since 1970.
    pub wall: u64,
    /// Time since the step began.
    pub monotonic: u64,
}

/// Why the kernel's vDSO cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum VdsoError {
    /// It cannot be read.
    #[error("cannot read the vDSO of this process")]
    Read(#[source] io::Error),
    /// It is not what the kernel's sources say.
    #[error("the vDSO of this kernel has {0}")]
    Shape(&'static str),
}

impl Vdso {
    /// Makes the page from the one of this process.
    ///
    /// # Errors
    /// Fails if there is none, or one without the symbols or the room that we need.
    pub fn new(mode: Mode, reads: Reads) -> Result<Vdso, VdsoError> {
        patch(own().map_err(VdsoError::Read)?, mode, reads)
    }

    /// How its clock moves.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Returns where in a process our code starts.
    pub fn header(&self, base: u64) -> u64 {
        base + self.header as u64
    }

    /// Adds code behind the clock. Returns whether there was room.
    pub fn append(&mut self, code: &[u8]) -> bool {
        let end = self.end + code.len();
        let room = self.bytes.get_mut(self.end..end);
        let fits = room.map(|room| room.copy_from_slice(code)).is_some();
        self.free = if fits { end } else { self.free };
        fits
    }

    /// Puts code that is described `frames` bytes into it where there is room, and returns its offset.
    pub fn place(&mut self, code: &[u8], frames: usize) -> Option<usize> {
        const ALIGNMENT: usize = 64;
        let unused = self.unused.start.next_multiple_of(ALIGNMENT);
        let padding = self.free.next_multiple_of(ALIGNMENT);
        let at = match unused + code.len() <= self.unused.end {
            true => unused,
            false => padding,
        };
        let room = self.bytes.get_mut(at..at + code.len())?;
        room.copy_from_slice(code);
        if at == padding {
            self.free = at + code.len();
        }
        self.described.push((at, frames));
        Some(at)
    }

    /// Lets unwinders find how the clock's code is described, behind all other code. Without room for
    /// that the clock is no less right.
    pub fn describe(&mut self) {
        let at = self.free.next_multiple_of(4);
        let mut all = frames(
            &self.bytes,
            self.header,
            u64_at(vdso_code(), 8 * FRAMES) as usize,
        );
        for (code, described) in &self.described {
            all.extend(frames(&self.bytes, *code, *described));
        }
        let _ = unwind::extend(&mut self.bytes, at, &self.unused, &all);
    }

    /// Returns where in a process the added code starts.
    pub fn added(&self, base: u64) -> u64 {
        base + self.end as u64
    }

    /// Returns where in a process a timed wait is entered.
    pub fn wait_entry(&self, base: u64) -> u64 {
        self.header(base) + self.word(WAIT)
    }

    /// Returns where in a process it says that the supervisor is asked for the clock: a word, until it
    /// is zero. `None` if it is always so.
    pub fn asks(&self, base: u64) -> Option<u64> {
        let at = self.header + 8 * ASKS;
        (u64_at(&self.bytes, at) != 0).then_some(base + at as u64)
    }

    /// Returns the bytes of the page for a process.
    pub fn bytes(&mut self, bases: Bases) -> &[u8] {
        let at = self.header + 8 * (MODE + 1);
        self.bytes[at..at + 8].copy_from_slice(&bases.wall.to_le_bytes());
        self.bytes[at + 8..at + 16].copy_from_slice(&bases.monotonic.to_le_bytes());
        &self.bytes
    }

    /// Reads what the header of a process says; `None` if it does not have our page.
    pub fn bases(&self, header: &[u8; HEADER_SIZE]) -> Option<Bases> {
        let word = |index: usize| u64_at(header, 8 * index);
        (header[..8] == self.bytes[self.header..self.header + 8]).then(|| Bases {
            wall: word(MODE + 1),
            monotonic: word(MODE + 2),
        })
    }

    fn word(&self, index: usize) -> u64 {
        u64_at(&self.bytes, self.header + 8 * index)
    }
}

/// The clock id by which the code tells that a thread reads a clock very often.
pub const SPIN: u64 = 0x6562_7370;
/// That by which it tells that a thread reads a clock in another second than before.
pub const PAUSE: u64 = 0x6562_7061;

/// The size of the header of our code.
pub const HEADER_SIZE: usize = 8 * WORDS;

/// Copies the vDSO of this process.
fn own() -> io::Result<Vec<u8>> {
    let maps = read_proc_text("/proc/self/maps")?;
    let line = maps.lines().find(|line| line.ends_with("[vdso]"));
    let range = line.and_then(range).ok_or(io::ErrorKind::NotFound)?;
    let mut bytes = vec![0; (range.end - range.start) as usize];
    File::open("/proc/self/mem")?.read_exact_at(&mut bytes, range.start)?;
    Ok(bytes)
}

fn range(line: &str) -> Option<Range<u64>> {
    let (start, end) = line.split_whitespace().next()?.split_once('-')?;
    let number = |text| u64::from_str_radix(text, 16).ok();
    Some(number(start)?..number(end)?)
}

fn patch(mut bytes: Vec<u8>, mode: Mode, reads: Reads) -> Result<Vdso, VdsoError> {
    let code = vdso_code();
    let elf = Elf::parse(&bytes).ok_or(VdsoError::Shape("a form that is not ELF's"))?;
    if bytes.windows(8).any(|word| word == &code[..8]) {
        return Err(VdsoError::Shape("a fixed clock already"));
    }
    let header = elf.end.next_multiple_of(64);
    if header + code.len() > bytes.len() {
        return Err(VdsoError::Shape("no room for a clock"));
    }
    let entry = |index: usize| header as u64 + u64_at(code, 8 * index);
    let asks = reads == Reads::Asked && matches!(mode, Mode::Frozen | Mode::Logical);
    let (mut original, mut unused) = (None, 0..0);
    for (name, symbol) in &elf.symbols {
        let mut redirect = |index: usize| {
            let index = if asks { index + ASKED } else { index };
            let value = symbol + VALUE..symbol + VALUE + 8;
            let kernels = u64_at(&bytes, value.start);
            if mode != Mode::Real {
                bytes[value].copy_from_slice(&entry(index).to_le_bytes());
            }
            kernels
        };
        let name = name.strip_prefix("__vdso_").unwrap_or(name);
        match name {
            "clock_gettime" => {
                let kernels = redirect(CLOCK_GETTIME);
                // The symbol has two names.
                original = original.or(Some(kernels));
            }
            "gettimeofday" => drop(redirect(GETTIMEOFDAY)),
            "time" => drop(redirect(TIME)),
            _ => {}
        }
        let gone = match reads {
            Reads::Inside => false,
            Reads::Asked => name == "getcpu" || !asks && CLOCKS.contains(&name),
        };
        if name == "getrandom" {
            let start = u64_at(&bytes, symbol + VALUE) as usize;
            unused = start..start + u64_at(&bytes, symbol + SIZE) as usize;
        }
        if gone || name == "getrandom" {
            // Undefined and without a name.
            bytes[*symbol..symbol + 4].fill(0);
            bytes[symbol + SECTION..symbol + SECTION + 2].fill(0);
        }
    }
    let original = original.ok_or(VdsoError::Shape("no `__vdso_clock_gettime`"))?;
    bytes[header..header + code.len()].copy_from_slice(code);
    let mut set = |index: usize, value: u64| {
        let at = header + 8 * index;
        bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
    };
    set(MODE, mode as u64);
    set(ORIGINAL, original.wrapping_sub(header as u64));
    set(ASKS, asks.into());
    let end = header + code.len();
    Ok(Vdso {
        bytes,
        header,
        end,
        free: end,
        unused,
        described: Vec::new(),
        mode,
    })
}

/// Where code begins and where it is described, in a page that has it at `header` and its descriptions
/// `described` bytes behind.
fn frames(page: &[u8], header: usize, described: usize) -> Vec<[u32; 2]> {
    let word = |at: usize| {
        let bytes = page.get(at..at + 4).and_then(|it| it.try_into().ok());
        u32::from_le_bytes(bytes.unwrap_or_default())
    };
    let (mut at, mut all) = (header + described, Vec::new());
    // A description begins with its size, which of padding is zero; what is common to all has no code.
    while word(at) != 0 {
        let start = (at as u32 + 8).wrapping_add(word(at + 8));
        if word(at + 4) != 0 {
            all.push([start, at as u32]);
        }
        at += 4 + word(at) as usize;
    }
    all
}

/// The functions that read a clock, without `__vdso_`.
const CLOCKS: [&str; 3] = ["clock_gettime", "gettimeofday", "time"];

/// Offsets in `Elf64_Sym`.
const SECTION: usize = 6;
const VALUE: usize = 8;
const SIZE: usize = 16;
const SYMBOL_SIZE: usize = 24;

/// What we need of the ELF file that a vDSO is; addresses in it are offsets.
struct Elf {
    /// The end of what is used.
    end: usize,
    /// The name of each symbol and where its entry is.
    symbols: Vec<(String, usize)>,
}

impl Elf {
    fn parse(bytes: &[u8]) -> Option<Elf> {
        const PT_LOAD: u64 = 1;
        const PT_DYNAMIC: u64 = 2;
        const DT_HASH: u64 = 4;
        const DT_STRTAB: u64 = 5;
        const DT_SYMTAB: u64 = 6;
        const DT_GNU_HASH: u64 = 0x6fff_fef5;
        let word = |at: usize| Some(u64_at(bytes.get(at..at + 8)?, 0));
        let half = |at: usize| Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
        if bytes.get(..4)? != b"\x7fELF" {
            return None;
        }
        let (table, count) = (word(32)? as usize, half(56)?);
        let (mut end, mut dynamic) = (0, None);
        for index in 0..usize::from(count) {
            let at = table + 56 * index;
            let (offset, size) = (word(at + 8)? as usize, word(at + 32)? as usize);
            match word(at)? & 0xffff_ffff {
                PT_LOAD => end = end.max(offset + size),
                PT_DYNAMIC => dynamic = Some(offset..offset + size),
                _ => {}
            }
        }
        let (mut names, mut symbols, mut hash) = (None, None, None);
        for at in dynamic?.step_by(16) {
            let value = word(at + 8)? as usize;
            match word(at)? {
                DT_STRTAB => names = Some(value),
                DT_SYMTAB => symbols = Some(value),
                DT_HASH | DT_GNU_HASH => hash = hash.or(Some(value)),
                0 => break,
                _ => {}
            }
        }
        let (names, symbols) = (names?, symbols?);
        // The string table follows the symbols, in every vDSO that there has been.
        let count = names.checked_sub(symbols)? / SYMBOL_SIZE;
        let name = |entry: usize| {
            let at = names + (word(entry)? & 0xffff_ffff) as usize;
            let text = bytes.get(at..)?.split(|byte| *byte == 0).next()?;
            Some((String::from_utf8(text.to_vec()).ok()?, entry))
        };
        let entries = (0..count).map(|index| symbols + SYMBOL_SIZE * index);
        let symbols = entries.map(name).collect::<Option<Vec<_>>>()?;
        Some(Elf { end, symbols })
    }
}

/// Reads a word that lies there.
pub fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}
