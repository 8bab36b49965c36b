//! Seccomp filters (classic BPF, `linux/bpf_common.h`): rules and their translation.

/// A rule about one system call.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The number of the call.
    pub call: libc::c_long,
    /// What must hold of the arguments.
    pub tests: Vec<Test>,
    /// What happens then. If a test fails, later rules are tried.
    pub verdict: Verdict,
}

/// A condition on an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Test {
    /// The low 32 bits are this.
    Is(u32, u32),
    /// The low 32 bits, under a mask, are one of these.
    Among(u32, u32, &'static [u32]),
    /// The low 32 bits have one of these bits.
    Any(u32, u32),
    /// The low 32 bits have none of these bits.
    None(u32, u32),
    /// The high 32 bits are not this.
    HighIsNot(u32, u32),
    /// The argument is not zero.
    NonZero(u32),
    /// The argument is zero.
    Zero(u32),
    /// The low 32 bits are above zero, as a signed number.
    Positive(u32),
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It fails with this error number.
    Error(i32),
    /// The supervisor is asked.
    Ask,
}

/// Values from `linux/seccomp.h` and `linux/audit.h`, and classic BPF instructions.
pub mod abi {
    pub const RET_KILL_PROCESS: u32 = 0x8000_0000;
    pub const RET_ERRNO: u32 = 0x0005_0000;
    pub const RET_ASK: u32 = 0x7fc0_0000;
    pub const RET_ALLOW: u32 = 0x7fff_0000;
    pub const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;
    /// Set in the number of every x32 call.
    pub const X32: u32 = 0x4000_0000;
    pub const LOAD: u64 = 0x20;
    pub const AND: u64 = 0x54;
    pub const JUMP_EQUAL: u64 = 0x15;
    pub const JUMP_ABOVE: u64 = 0x25;
    pub const JUMP_AT_LEAST: u64 = 0x35;
    pub const JUMP_BITS: u64 = 0x45;
    pub const RETURN: u64 = 0x06;
    /// Offsets in `struct seccomp_data`.
    pub const NUMBER: u32 = 0;
    pub const ARCH: u32 = 4;
    pub const ARGUMENTS: u32 = 16;
}

impl Verdict {
    /// The value that a filter returns.
    pub fn value(self) -> u32 {
        match self {
            Verdict::Error(number) => abi::RET_ERRNO | number.unsigned_abs(),
            Verdict::Ask => abi::RET_ASK,
        }
    }
}

/// Translates rules, one `struct sock_filter` per word. What no rule names is allowed; the kernel
/// answers those calls, and those that only have rules without tests, from a bitmap (Linux 5.11).
pub fn assemble<'a>(rules: impl IntoIterator<Item = &'a Rule>) -> Vec<u64> {
    let rules: Vec<&Rule> = rules.into_iter().collect();
    // Whoever is asked anyway kills it too, and can tell.
    let foreign = match rules.iter().any(|rule| rule.verdict == Verdict::Ask) {
        true => abi::RET_ASK,
        false => abi::RET_KILL_PROCESS,
    };
    let mut program = vec![
        load(abi::ARCH),
        jump(abi::JUMP_EQUAL, abi::AUDIT_ARCH_X86_64, 1, 0),
        // Another architecture numbers its calls differently: the rules below would mean nothing.
        give(foreign),
        load(abi::NUMBER),
        jump(abi::JUMP_AT_LEAST, abi::X32, 0, 1),
        give(Verdict::Error(libc::ENOSYS).value()),
    ];
    for rule in rules {
        let mut body: Vec<Step> = rule.tests.iter().flat_map(|test| test.steps()).collect();
        body.push(Step::Do(give(rule.verdict.value())));
        let size = body.len() as u8;
        // A failed test goes on behind the body, where the number has to be loaded again.
        let reload = u8::from(!rule.tests.is_empty());
        program.push(jump(abi::JUMP_EQUAL, rule.call as u32, 0, size + reload));
        for (index, step) in body.iter().enumerate() {
            program.push(step.word(size - 1 - index as u8));
        }
        if reload == 1 {
            program.push(load(abi::NUMBER));
        }
    }
    program.push(give(abi::RET_ALLOW));
    program
}

/// An instruction of a test. A test that holds falls through.
#[derive(Clone, Copy)]
enum Step {
    Do(u64),
    /// Jumps if the comparison holds, and else if it does not.
    Branch(u64, u32, To, To),
}

#[derive(Clone, Copy)]
enum To {
    /// Over so many instructions.
    Over(u8),
    /// To the end of the rule.
    Fail,
}

impl Step {
    fn word(self, rest: u8) -> u64 {
        let offset = |to| match to {
            To::Over(count) => count,
            To::Fail => rest,
        };
        match self {
            Step::Do(word) => word,
            Step::Branch(code, value, then, otherwise) => {
                jump(code, value, offset(then), offset(otherwise))
            }
        }
    }
}

impl Test {
    fn steps(self) -> Vec<Step> {
        use To::{Fail, Over};
        let low = |index: u32| Step::Do(load(abi::ARGUMENTS + 8 * index));
        let high = |index: u32| Step::Do(load(abi::ARGUMENTS + 8 * index + 4));
        let branch = Step::Branch;
        match self {
            Test::Is(index, value) => {
                vec![low(index), branch(abi::JUMP_EQUAL, value, Over(0), Fail)]
            }
            Test::Among(index, mask, values) => {
                let mut steps = vec![low(index), Step::Do(abi::AND | u64::from(mask) << 32)];
                let last = values.len() - 1;
                for (at, value) in values.iter().enumerate() {
                    let otherwise = if at == last { Fail } else { Over(0) };
                    let then = Over((last - at) as u8);
                    steps.push(branch(abi::JUMP_EQUAL, *value, then, otherwise));
                }
                steps
            }
            Test::Any(index, bits) => {
                vec![low(index), branch(abi::JUMP_BITS, bits, Over(0), Fail)]
            }
            Test::None(index, bits) => {
                vec![low(index), branch(abi::JUMP_BITS, bits, Fail, Over(0))]
            }
            Test::HighIsNot(index, value) => {
                vec![high(index), branch(abi::JUMP_EQUAL, value, Fail, Over(0))]
            }
            Test::NonZero(index) => vec![
                low(index),
                branch(abi::JUMP_EQUAL, 0, Over(0), Over(2)),
                high(index),
                branch(abi::JUMP_EQUAL, 0, Fail, Over(0)),
            ],
            Test::Zero(index) => vec![
                low(index),
                branch(abi::JUMP_EQUAL, 0, Over(0), Fail),
                high(index),
                branch(abi::JUMP_EQUAL, 0, Over(0), Fail),
            ],
            Test::Positive(index) => vec![
                low(index),
                branch(abi::JUMP_EQUAL, 0, Fail, Over(0)),
                branch(abi::JUMP_ABOVE, i32::MAX as u32, Fail, Over(0)),
            ],
        }
    }
}

fn load(offset: u32) -> u64 {
    abi::LOAD | u64::from(offset) << 32
}

fn jump(code: u64, value: u32, then: u8, otherwise: u8) -> u64 {
    code | u64::from(then) << 16 | u64::from(otherwise) << 24 | u64::from(value) << 32
}

fn give(value: u32) -> u64 {
    abi::RETURN | u64::from(value) << 32
}

/// Runs a filter as the kernel would.
#[cfg(test)]
pub fn judge(program: &[u64], arch: u32, number: u32, arguments: [u64; 6]) -> u32 {
    let mut data = [0_u32; 16];
    (data[0], data[1]) = (number, arch);
    for (index, argument) in arguments.into_iter().enumerate() {
        data[4 + 2 * index] = argument as u32;
        data[5 + 2 * index] = (argument >> 32) as u32;
    }
    let (mut at, mut value) = (0, 0);
    loop {
        let word = program[at];
        let operand = (word >> 32) as u32;
        let offset = |holds| (if holds { word >> 16 } else { word >> 24 } & 255) as usize;
        at += 1;
        match word & 0xffff {
            abi::LOAD => value = data[operand as usize / 4],
            abi::AND => value &= operand,
            abi::JUMP_EQUAL => at += offset(value == operand),
            abi::JUMP_ABOVE => at += offset(value > operand),
            abi::JUMP_AT_LEAST => at += offset(value >= operand),
            abi::JUMP_BITS => at += offset(value & operand != 0),
            abi::RETURN => return operand,
            other => panic!("no such instruction: {other:#x}"),
        }
    }
}
