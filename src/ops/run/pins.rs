//! What holds the libraries that choose their code when they run: by instructions and by threads.
//!
//! Sums are split by both, so their last bits depend on both. A library that has a variable for it
//! is held by that; what took is read back inside (`rootfs/inside/_envbox/libraries.py`).

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

use envbox_lockfiles::manifest::CpuBaseline;

/// Variables by which numeric libraries choose a number of threads.
const THREADS: [&str; 6] = [
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMEXPR_MAX_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "RAYON_NUM_THREADS",
];

/// Variables that keep a library from taking fewer threads than it was told, or other ones.
const FIXED: [(&str, &str); 7] = [
    // Else the same product may be split differently on another stream.
    ("CUBLAS_WORKSPACE_CONFIG", ":4096:8"),
    ("KMP_DETERMINISTIC_REDUCTION", "1"),
    ("MKL_DYNAMIC", "FALSE"),
    // Else it adds the processor's own features to those of `NUMBA_CPU_NAME`.
    ("NUMBA_CPU_FEATURES", ""),
    ("OMP_DYNAMIC", "FALSE"),
    // Kibibytes of the second cache. By the processor's own, 0.3.34 splits sums otherwise on AMD's with
    // AVX-512, whatever code it is told to use, and writes past the buffer of Haswell's (issue 6021).
    ("OPENBLAS_L2_SIZE", "256"),
    ("TOKENIZERS_PARALLELISM", "false"),
];

/// Instructions beyond each baseline, by NumPy's names before 2.4 and since.
const NUMPY_BEYOND_V4: &str = "AVX512_KNL AVX512_KNM AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR";
const NUMPY_V4: &str = "X86_V4 AVX512F AVX512CD AVX512_SKX";
const NUMPY_V3: &str = "X86_V3 AVX F16C FMA3 AVX2";

/// What glibc calls them (`sysdeps/x86/cpu-features.c`, `cpu-tunables.c`). FMA4 is AMD's, of 2011.
const GLIBC_V4: &str = "-AVX512F,-AVX512CD,-AVX512BW,-AVX512DQ,-AVX512VL,-FMA4";
const GLIBC_V3: &str = "-AVX,-AVX2,-FMA";

/// The variable with the C library's settings, and the one by which it is kept from instructions.
const TUNABLES: &str = "GLIBC_TUNABLES";
const HWCAPS: &str = "glibc.cpu.hwcaps";

/// Returns the variables of a number of processors and of a baseline.
pub(super) fn variables(cpus: u32, baseline: CpuBaseline) -> Vec<(&'static str, String)> {
    let mut all: Vec<(&str, String)> = THREADS.map(|name| (name, cpus.to_string())).into();
    all.extend(FIXED.map(|(name, value)| (name, value.to_owned())));
    all.extend(by_level(baseline).map(|(name, value)| (name, value.to_owned())));
    if cpus == 1 {
        // Tasks one after another: processes would race for them, and each draws from another stream.
        all.push(("JOBLIB_MULTIPROCESSING", "0".to_owned()));
    }
    let numpy = match baseline {
        CpuBaseline::V4 => NUMPY_BEYOND_V4.to_owned(),
        CpuBaseline::V3 => format!("{NUMPY_V4} {NUMPY_BEYOND_V4}"),
        CpuBaseline::V2 => format!("{NUMPY_V3} {NUMPY_V4} {NUMPY_BEYOND_V4}"),
    };
    let opencv = match baseline {
        CpuBaseline::V4 => None,
        CpuBaseline::V3 => Some("AVX512-SKX"),
        CpuBaseline::V2 => Some("AVX512-SKX,AVX2,FP16,AVX"),
    };
    all.extend(opencv.map(|names| ("OPENCV_CPU_DISABLE", names.to_owned())));
    all.push(("NPY_DISABLE_CPU_FEATURES", numpy));
    all.push((TUNABLES, tunable(baseline)));
    // RDRAND, and RDSEED in the next word, which no sandbox can answer.
    all.push(("OPENSSL_ia32cap", "~0x4000000000000000:~0x40000".to_owned()));
    all
}

fn tunable(baseline: CpuBaseline) -> String {
    let features = match baseline {
        CpuBaseline::V4 => "-FMA4".to_owned(),
        CpuBaseline::V3 => GLIBC_V4.to_owned(),
        CpuBaseline::V2 => format!("{GLIBC_V3},{GLIBC_V4}"),
    };
    format!("{HWCAPS}={features}")
}

/// Returns what a variable is when somebody sets it. The C library has all its settings in one: those
/// that are not the pin's stand beside it.
pub(super) fn beside(name: &OsStr, value: OsString, baseline: CpuBaseline) -> OsString {
    let names_it = memchr::memmem::find(value.as_bytes(), HWCAPS.as_bytes()).is_some();
    if name != TUNABLES || names_it {
        return value;
    }
    let separator = if value.is_empty() { "" } else { ":" };
    let mut all = value;
    all.push(separator);
    all.push(tunable(baseline));
    all
}

/// What each library calls a baseline.
fn by_level(baseline: CpuBaseline) -> [(&'static str, &'static str); 8] {
    let [v2, v3, v4] = [0, 1, 2];
    let level = match baseline {
        CpuBaseline::V2 => v2,
        CpuBaseline::V3 => v3,
        CpuBaseline::V4 => v4,
    };
    [
        ("ARROW_USER_SIMD_LEVEL", ["SSE4_2", "AVX2", "AVX512"]),
        ("ATEN_CPU_CAPABILITY", ["default", "avx2", "avx512"]),
        // Penryn, Haswell and Skylake by number (`bli_type_defs.h`): before 2.0 a name counts as 0,
        // which is Skylake. AMD's own library counts otherwise and has none of the three: it aborts.
        ("BLIS_ARCH_TYPE", ["5", "3", "0"]),
        ("MKL_CBWR", ["SSE4_2", "AVX2", "AVX512"]),
        ("MKL_ENABLE_INSTRUCTIONS", ["SSE4_2", "AVX2", "AVX512"]),
        ("NUMBA_CPU_NAME", ["nehalem", "haswell", "skylake-avx512"]),
        ("ONEDNN_MAX_CPU_ISA", ["SSE41", "AVX2", "AVX512_CORE"]),
        ("OPENBLAS_CORETYPE", ["Nehalem", "Haswell", "SkylakeX"]),
    ]
    .map(|(name, values)| (name, values[level]))
}
