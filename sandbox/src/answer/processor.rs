//! The processor that a step believes to have: `/proc/cpuinfo` and CPUID, from one table.
//!
//! Each baseline is a processor that was sold: Nehalem, Haswell and Skylake-X, without what is not
//! the same on every host that has the baseline, and without what gives random numbers.

use super::machine::{Baseline, Machine};

/// Where CPUID tells of a feature.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    /// Leaf 1, EDX.
    Basic,
    /// Leaf 1, ECX.
    More,
    /// Leaf 7, EBX.
    Structured,
    /// Leaf 0x80000001, EDX.
    Extended,
    /// Leaf 0x80000001, ECX.
    ExtendedMore,
    /// Nowhere: the kernel's own.
    Kernel,
}

/// A feature: the name that `/proc/cpuinfo` has for it (none, if it has none), where CPUID has it,
/// and since which baseline.
struct Feature(&'static str, Word, u32, Baseline);

use Baseline::{V2, V3, V4};
use Word::{Basic, Extended, ExtendedMore, Kernel, More, Structured};

/// In the kernel's order. AES and PCLMULQDQ are in no baseline, but in every processor of the third.
const FEATURES: &[Feature] = &[
    Feature("fpu", Basic, 0, V2),
    Feature("vme", Basic, 1, V2),
    Feature("de", Basic, 2, V2),
    Feature("pse", Basic, 3, V2),
    Feature("tsc", Basic, 4, V2),
    Feature("msr", Basic, 5, V2),
    Feature("pae", Basic, 6, V2),
    Feature("mce", Basic, 7, V2),
    Feature("cx8", Basic, 8, V2),
    Feature("apic", Basic, 9, V2),
    Feature("sep", Basic, 11, V2),
    Feature("mtrr", Basic, 12, V2),
    Feature("pge", Basic, 13, V2),
    Feature("mca", Basic, 14, V2),
    Feature("cmov", Basic, 15, V2),
    Feature("pat", Basic, 16, V2),
    Feature("pse36", Basic, 17, V2),
    Feature("clflush", Basic, 19, V2),
    Feature("mmx", Basic, 23, V2),
    Feature("fxsr", Basic, 24, V2),
    Feature("sse", Basic, 25, V2),
    Feature("sse2", Basic, 26, V2),
    Feature("ht", Basic, 28, V2),
    Feature("syscall", Extended, 11, V2),
    Feature("nx", Extended, 20, V2),
    Feature("lm", Extended, 29, V2),
    Feature("constant_tsc", Kernel, 0, V2),
    Feature("nopl", Kernel, 0, V2),
    Feature("cpuid", Kernel, 0, V2),
    Feature("pni", More, 0, V2),
    Feature("pclmulqdq", More, 1, V3),
    Feature("ssse3", More, 9, V2),
    Feature("fma", More, 12, V3),
    Feature("cx16", More, 13, V2),
    Feature("sse4_1", More, 19, V2),
    Feature("sse4_2", More, 20, V2),
    Feature("movbe", More, 22, V3),
    Feature("popcnt", More, 23, V2),
    Feature("aes", More, 25, V3),
    Feature("xsave", More, 26, V3),
    Feature("", More, 27, V3), // OSXSAVE
    Feature("avx", More, 28, V3),
    Feature("f16c", More, 29, V3),
    Feature("lahf_lm", ExtendedMore, 0, V2),
    Feature("abm", ExtendedMore, 5, V3),
    Feature("bmi1", Structured, 3, V3),
    Feature("avx2", Structured, 5, V3),
    Feature("bmi2", Structured, 8, V3),
    Feature("avx512f", Structured, 16, V4),
    Feature("avx512dq", Structured, 17, V4),
    Feature("avx512cd", Structured, 28, V4),
    Feature("avx512bw", Structured, 30, V4),
    Feature("avx512vl", Structured, 31, V4),
];

/// A model of family 6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Model {
    /// Its number.
    pub number: u32,
    /// Its stepping.
    pub stepping: u32,
}

impl Model {
    /// The model that stands for a baseline; compilers and libraries know it by its number.
    pub fn of(baseline: Baseline) -> Model {
        let (number, stepping) = match baseline {
            V2 => (26, 5),
            V3 => (60, 3),
            V4 => (85, 4),
        };
        Model { number, stepping }
    }

    /// As leaf 1 has it in EAX.
    fn signature(self) -> u32 {
        const FAMILY: u32 = 6 << 8;
        (self.number >> 4) << 16 | FAMILY | (self.number & 15) << 4 | self.stepping
    }
}

/// The names that `/proc/cpuinfo` has for what a baseline includes.
pub fn flags(baseline: Baseline) -> String {
    let has = |feature: &&Feature| feature.3 <= baseline && !feature.0.is_empty();
    let names: Vec<&str> = FEATURES.iter().filter(has).map(|it| it.0).collect();
    names.join(" ")
}

/// Returns a feature that is told of with a baseline and that this processor lacks, though it has
/// the baseline.
pub fn lacking(baseline: Baseline) -> Option<&'static str> {
    use std::arch::is_x86_feature_detected as has;
    let told = [
        ("aes", has!("aes")),
        ("pclmulqdq", has!("pclmulqdq")),
        ("xsave", has!("xsave")),
    ];
    let missing = told.into_iter().find(|(_, has)| !has);
    missing.map(|it| it.0).filter(|_| baseline >= V3)
}

/// What CPUID answers for a leaf: in EAX, EBX, ECX and EDX.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The leaf, which is asked for in EAX.
    pub leaf: u32,
    /// What is asked for in ECX; `None` if that does not matter.
    pub part: Option<u32>,
    /// The answer.
    pub words: [u32; 4],
}

/// The size of a line of every cache.
const LINE: u32 = 64;

/// Returns what CPUID answers; zeros to all else. `state` tells the host's leaf 13: programs save
/// their state where that says, so it must hold for the host.
pub fn leaves(machine: &Machine, state: impl Fn(u32) -> [u32; 4]) -> Vec<Leaf> {
    let baseline = machine.baseline;
    let cpus = machine.cpus.clamp(1, 255);
    let word = |word| {
        let of = |it: &&Feature| it.1 == word && it.3 <= baseline;
        FEATURES
            .iter()
            .filter(of)
            .fold(0, |bits, it| bits | 1 << it.2)
    };
    let text = |bytes: &[u8]| {
        let words = bytes.chunks_exact(4);
        let mut words = words.map(|it| it.iter().rev().fold(0, |all, b| all << 8 | u32::from(*b)));
        [(); 4].map(|()| words.next().unwrap_or(0))
    };
    let leaf = |leaf, words| Leaf {
        leaf,
        part: None,
        words,
    };
    let part = |leaf, part, words| Leaf {
        leaf,
        part: Some(part),
        words,
    };
    let [b, d, c, _] = text(b"GenuineIntel\0\0\0\0");
    let last = if baseline == V2 { 11 } else { 13 };
    let signature = Model::of(baseline).signature();
    // The line in units of eight bytes, and how many threads share the package.
    let package = ((LINE / 8) << 8) | cpus << 16;
    let mut brand = [0; 48];
    brand[..baseline.name().len()].copy_from_slice(baseline.name().as_bytes());
    let shift = cpus.next_power_of_two().trailing_zeros();
    let mut all = vec![
        leaf(0, [last, b, c, d]),
        leaf(1, [signature, package, word(More), word(Basic)]),
        // By descriptors instead of "see leaf 4" glibc asks a third as often: L1 instructions and
        // data 32 KiB, L2 256 KiB, L3 8 MiB.
        leaf(2, [0x212c_3001, 0xe4, 0, 0]),
        part(4, 0, cache(1, 1, 8, 64, cpus, 1)),
        part(4, 1, cache(2, 1, 8, 64, cpus, 1)),
        part(4, 2, cache(3, 2, 8, 512, cpus, 1)),
        part(4, 3, cache(3, 3, 16, 8192, cpus, cpus)),
        part(11, 0, [0, 1, 1 << 8, 0]),
        part(11, 1, [shift, cpus, 2 << 8 | 1, 0]),
        leaf(0x8000_0000, [0x8000_0008, 0, 0, 0]),
        leaf(0x8000_0001, [0, 0, word(ExtendedMore), word(Extended)]),
        leaf(0x8000_0002, text(&brand[..16])),
        leaf(0x8000_0003, text(&brand[16..32])),
        leaf(0x8000_0004, text(&brand[32..])),
        // L2: size in KiB, 8 ways, line.
        leaf(0x8000_0006, [0, 0, 256 << 16 | 6 << 12 | LINE, 0]),
        // The time stamp counter does not stop.
        leaf(0x8000_0007, [0, 0, 0, 1 << 8]),
        // 46 bits of physical and 48 of virtual addresses.
        leaf(0x8000_0008, [48 << 8 | 46, 0, 0, 0]),
    ];
    if baseline >= V3 {
        all.push(part(7, 0, [0, word(Structured), 0, 0]));
        all.extend(state_area(baseline, state));
    }
    all
}

/// Leaf 4.
fn cache(kind: u32, level: u32, ways: u32, sets: u32, cpus: u32, sharing: u32) -> [u32; 4] {
    const SELF_INITIALISING: u32 = 1 << 8;
    // Six bits; both are numbers of a power of two.
    let cores = cpus.next_power_of_two().min(64) - 1;
    let sharing = sharing.next_power_of_two() - 1;
    let eax = kind | level << 5 | SELF_INITIALISING | sharing << 14 | cores << 26;
    [eax, (ways - 1) << 22 | (LINE - 1), sets - 1, 0]
}

/// Leaf 13: the parts that a baseline has, and an area that is large enough for all parts of the
/// host, as XSAVE without a mask saves all.
fn state_area(baseline: Baseline, state: impl Fn(u32) -> [u32; 4]) -> Vec<Leaf> {
    /// The end of what Intel's processors without AMX have.
    const LEAST: u32 = 2696;
    const X87_SSE_AVX: u32 = 7;
    const AVX512: [u32; 3] = [5, 6, 7];
    let size = LEAST.max(state(0)[1]);
    let wide = baseline >= V4;
    let parts = if wide {
        X87_SSE_AVX | 0xe0
    } else {
        X87_SSE_AVX
    };
    let leaf = |part, words| Leaf {
        leaf: 13,
        part: Some(part),
        words,
    };
    let mut all = vec![
        leaf(0, [parts, size, size, 0]),
        // 256 bytes from 576 on, in every processor.
        leaf(2, [256, 576, 0, 0]),
    ];
    let host = |part: u32| leaf(part, [state(part)[0], state(part)[1], 0, 0]);
    all.extend(AVX512.into_iter().filter(|_| wide).map(host));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(baseline: Baseline, cpus: u32) -> String {
        let machine = Machine {
            baseline,
            cpus,
            ..Machine::default()
        };
        let state = |part| [part, 100 * part, 0, 0];
        let line = |leaf: &Leaf| {
            let words = leaf.words.map(|word| format!("{word:08x}")).join(" ");
            let part = leaf.part.map_or(String::new(), |part| format!(".{part}"));
            format!("{:x}{part} {words}\n", leaf.leaf)
        };
        leaves(&machine, state).iter().map(line).collect()
    }

    #[test]
    fn a_baseline_is_one_processor() {
        insta::assert_snapshot!(show(V2, 1), @r#"
    0 0000000b 756e6547 6c65746e 49656e69
    1 000106a5 00010800 00982201 178bfbff
    2 212c3001 000000e4 00000000 00000000
    4.0 00000121 01c0003f 0000003f 00000000
    4.1 00000122 01c0003f 0000003f 00000000
    4.2 00000143 01c0003f 000001ff 00000000
    4.3 00000163 03c0003f 00001fff 00000000
    b.0 00000000 00000001 00000100 00000000
    b.1 00000000 00000001 00000201 00000000
    80000000 80000008 00000000 00000000 00000000
    80000001 00000000 00000000 00000001 20100800
    80000002 2d363878 762d3436 00000032 00000000
    80000003 00000000 00000000 00000000 00000000
    80000004 00000000 00000000 00000000 00000000
    80000006 00000000 00000000 01006040 00000000
    80000007 00000000 00000000 00000000 00000100
    80000008 0000302e 00000000 00000000 00000000
    "#);
        insta::assert_snapshot!(show(V3, 1), @r#"
    0 0000000d 756e6547 6c65746e 49656e69
    1 000306c3 00010800 3ed83203 178bfbff
    2 212c3001 000000e4 00000000 00000000
    4.0 00000121 01c0003f 0000003f 00000000
    4.1 00000122 01c0003f 0000003f 00000000
    4.2 00000143 01c0003f 000001ff 00000000
    4.3 00000163 03c0003f 00001fff 00000000
    b.0 00000000 00000001 00000100 00000000
    b.1 00000000 00000001 00000201 00000000
    80000000 80000008 00000000 00000000 00000000
    80000001 00000000 00000000 00000021 20100800
    80000002 2d363878 762d3436 00000033 00000000
    80000003 00000000 00000000 00000000 00000000
    80000004 00000000 00000000 00000000 00000000
    80000006 00000000 00000000 01006040 00000000
    80000007 00000000 00000000 00000000 00000100
    80000008 0000302e 00000000 00000000 00000000
    7.0 00000000 00000128 00000000 00000000
    d.0 00000007 00000a88 00000a88 00000000
    d.2 00000100 00000240 00000000 00000000
    "#);
        insta::assert_snapshot!(show(V4, 6), @r#"
    0 0000000d 756e6547 6c65746e 49656e69
    1 00050654 00060800 3ed83203 178bfbff
    2 212c3001 000000e4 00000000 00000000
    4.0 1c000121 01c0003f 0000003f 00000000
    4.1 1c000122 01c0003f 0000003f 00000000
    4.2 1c000143 01c0003f 000001ff 00000000
    4.3 1c01c163 03c0003f 00001fff 00000000
    b.0 00000000 00000001 00000100 00000000
    b.1 00000003 00000006 00000201 00000000
    80000000 80000008 00000000 00000000 00000000
    80000001 00000000 00000000 00000021 20100800
    80000002 2d363878 762d3436 00000034 00000000
    80000003 00000000 00000000 00000000 00000000
    80000004 00000000 00000000 00000000 00000000
    80000006 00000000 00000000 01006040 00000000
    80000007 00000000 00000000 00000000 00000100
    80000008 0000302e 00000000 00000000 00000000
    7.0 00000000 d0030128 00000000 00000000
    d.0 000000e7 00000a88 00000a88 00000000
    d.2 00000100 00000240 00000000 00000000
    d.5 00000005 000001f4 00000000 00000000
    d.6 00000006 00000258 00000000 00000000
    d.7 00000007 000002bc 00000000 00000000
    "#);
    }

    #[test]
    fn what_gives_random_numbers_is_told_of_nowhere() {
        for baseline in Baseline::ALL {
            let flags = flags(baseline);
            assert!(
                !flags.contains("rdrand") && !flags.contains("rdseed"),
                "{flags}"
            );
        }
    }
}
