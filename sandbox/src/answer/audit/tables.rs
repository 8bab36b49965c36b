//! Where CPython keeps what, version by version: `Include/cpython/` and `Include/internal/` of
//! each. The layout of these structs is the same in all releases of a minor version; from 3.13 on
//! the runtime itself tells most of it (`_Py_DebugOffsets`, PEP 768).

/// Offsets in the structs of an interpreter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// `_PyRuntimeState.interpreters.head`.
    pub interpreters: u64,
    /// `PyInterpreterState.threads.head`.
    pub threads: u64,
    /// `PyThreadState.next`.
    pub next: u64,
    /// `PyThreadState.thread_id`, a `pthread_t`.
    pub pthread: u64,
    /// Where in a thread state, and in what that points to if it does, the frame is.
    pub frame: (u64, Option<u64>),
    /// The frame that called a frame.
    pub previous: u64,
    /// The code of a frame.
    pub code: u64,
    /// Where in its code a frame is.
    pub instruction: u64,
    /// Where a frame says who owns it, and from which value on it is C code's.
    pub owner: Option<(u64, u8)>,
    /// How a frame says where it is, and how its code tells the lines.
    pub lines: Lines,
    /// `PyCodeObject.co_linetable` or `co_lnotab`.
    pub table: u64,
    /// `PyCodeObject.co_firstlineno`.
    pub first_line: u64,
    /// `PyCodeObject.co_filename`.
    pub file: u64,
    /// `PyCodeObject.co_name`.
    pub name: u64,
    /// The size of `PyASCIIObject`.
    pub ascii: u64,
    /// The size of `PyCompactUnicodeObject`.
    pub compact: u64,
}

/// How lines are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lines {
    /// Offsets in bytes (`Objects/lnotab_notes.txt` of 3.9).
    Pairs,
    /// Offsets in instructions (the same of 3.10).
    Ranges,
    /// Addresses, from this offset of the code object on (`Objects/locations.md` of 3.11).
    Locations(u64),
}

const V3_8: Layout = Layout {
    interpreters: 32,
    threads: 8,
    next: 8,
    pthread: 176,
    frame: (24, None),
    previous: 24,
    code: 32,
    instruction: 104,
    owner: None,
    lines: Lines::Pairs,
    table: 120,
    first_line: 40,
    file: 104,
    name: 112,
    ascii: 48,
    compact: 72,
};

const V3_10: Layout = Layout {
    instruction: 96,
    lines: Lines::Ranges,
    ..V3_8
};

const V3_11: Layout = Layout {
    interpreters: 40,
    threads: 16,
    next: 8,
    pthread: 152,
    frame: (56, Some(8)),
    previous: 48,
    code: 32,
    instruction: 56,
    owner: None,
    lines: Lines::Locations(184),
    table: 136,
    first_line: 72,
    file: 112,
    name: 120,
    ascii: 48,
    compact: 72,
};

const V3_12: Layout = Layout {
    threads: 72,
    pthread: 136,
    frame: (56, Some(0)),
    previous: 8,
    code: 0,
    // `FRAME_OWNED_BY_CSTACK`.
    owner: Some((70, 3)),
    lines: Lines::Locations(192),
    first_line: 68,
    ascii: 40,
    compact: 56,
    ..V3_11
};

impl Layout {
    /// The layout of a minor version before 3.13.
    pub fn of(minor: u8) -> Option<Layout> {
        match minor {
            8 | 9 => Some(V3_8),
            10 => Some(V3_10),
            11 => Some(V3_11),
            12 => Some(V3_12),
            _ => None,
        }
    }

    /// How much of a frame has all that is wanted of it. It may lie at the end of what is mapped.
    pub fn frame_size(&self) -> usize {
        let owner = self.owner.map_or(0, |(offset, _)| offset + 1);
        owner.max(self.previous + 8).max(self.code + 8) as usize
    }

    /// The layout that a runtime tells of itself, in the first bytes of `_PyRuntime`.
    pub fn told(offsets: &[u8]) -> Option<Layout> {
        /// The 8 bytes before the version.
        const COOKIE: &[u8] = b"xdebugpy";
        if offsets.get(..8)? != COOKIE {
            return None;
        }
        let word = |index: usize| {
            let bytes = offsets.get(8 * index..8 * index + 8)?;
            Some(u64::from_le_bytes(bytes.try_into().ok()?))
        };
        // `PY_VERSION_HEX`. Words in the order of the two declarations.
        let (thread, frame, code, text) = match word(1)? >> 16 {
            0x030d => (21, 29, 35, 70),
            0x030e => (24, 32, 40, 80),
            _ => return None,
        };
        let bytecode = code + 8;
        Some(Layout {
            interpreters: word(5)?,
            threads: word(9)?,
            next: word(thread)?,
            pthread: word(thread + 3)?,
            frame: (word(thread + 2)?, None),
            previous: word(frame)?,
            code: word(frame + 1)?,
            instruction: word(frame + 2)?,
            owner: Some((word(frame + 4)?, 3)),
            lines: Lines::Locations(word(bytecode)?),
            table: word(code + 3)?,
            first_line: word(code + 4)?,
            file: word(code)?,
            name: word(code + 1)?,
            ascii: word(text)?,
            // `utf8_length` and `utf8`.
            compact: word(text)? + 16,
        })
    }

    /// How many bytes [`Layout::told`] wants.
    pub const TOLD: usize = 8 * 81;
}

#[cfg(test)]
mod tests {
    use super::{Layout, Lines};

    /// The start of `_PyRuntime` of CPython 3.13.0.
    fn of_3_13() -> Vec<u8> {
        let mut words = [0_u64; 81];
        words[0] = u64::from_le_bytes(*b"xdebugpy");
        words[1] = 0x030d_00f0;
        let told = [
            (5, 632),
            (9, 7344),
            (21, 8),
            (23, 72),
            (24, 152),
            (29, 8),
            (30, 0),
            (31, 56),
            (33, 70),
            (35, 112),
            (36, 120),
            (38, 136),
            (39, 68),
            (43, 200),
            (70, 40),
        ];
        for (index, value) in told {
            words[index] = value;
        }
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn a_runtime_tells_its_own_layout() {
        let told = Layout::told(&of_3_13()).unwrap();
        assert_eq!((told.frame, told.owner), ((72, None), Some((70, 3))));
        assert_eq!(told.lines, Lines::Locations(200));
        assert_eq!((told.ascii, told.compact), (40, 56));
    }

    #[test]
    fn an_unknown_version_is_left_alone() {
        let mut told = of_3_13();
        told[10] = 0x20;
        assert_eq!(Layout::told(&told), None);
        assert_eq!(Layout::told(b"no runtime at all"), None);
        assert_eq!(Layout::of(7), None);
    }
}
