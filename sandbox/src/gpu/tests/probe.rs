//! What the probe says, read.

use proptest::prelude::*;

use crate::Exit;
use crate::gpu::probe::{PROBE, judge, parse};
use crate::gpu::{CudaError, ProbeError, Untold};

#[test]
fn every_ending_has_its_error() {
    let library = "failed dlopen libcuda.so.1: cannot open";
    let loader = "error while loading shared libraries: libc.so.6";
    for (exit, said, expected) in [
        (
            Exit::Code(10),
            library,
            "`libcuda.so.1` does not load in the sandbox: libcuda.so.1: cannot open",
        ),
        (
            Exit::Code(11),
            "failed cuInit 0",
            "`libcuda.so.1` has no function `cuInit`",
        ),
        (
            Exit::Code(12),
            "failed cuInit 100",
            "`cuInit` fails in the sandbox with 100 (CUDA_ERROR_NO_DEVICE)",
        ),
        (
            Exit::Code(12),
            "error nvml.init 18\nfailed cuInit 803",
            "`cuInit` fails in the sandbox with 803 (CUDA_ERROR_SYSTEM_DRIVER_MISMATCH); NVML says that kernel module and libraries are of different versions",
        ),
        (
            Exit::Code(12),
            "error nvml.init 9\nfailed cuInit 100",
            "`cuInit` fails in the sandbox with 100 (CUDA_ERROR_NO_DEVICE); NVML fails with 9 (NVML_ERROR_DRIVER_NOT_LOADED)",
        ),
        (
            Exit::Code(13),
            "failed cuDeviceGetCount 46",
            "`cuDeviceGetCount` fails in the sandbox with 46 (CUDA_ERROR_DEVICE_UNAVAILABLE)",
        ),
        (
            Exit::Code(14),
            "failed cuDeviceGetCount 0",
            "CUDA starts in the sandbox, but sees no GPU",
        ),
        (
            Exit::Code(127),
            "",
            "the driver cannot be tried: the environment has no glibc (error while loading shared libraries: libc.so.6)",
        ),
        (
            Exit::Code(12),
            "",
            "the driver's libraries end the process that tries them (Code(12)): error while loading",
        ),
        (
            Exit::Signal(11),
            "cuda.version 13000",
            "the driver's libraries end the process that tries them (Signal(11))",
        ),
    ] {
        let error = judge(exit, said, loader).unwrap_err();
        assert!(error.to_string().starts_with(expected), "{error}");
        assert!(error.remedy().is_some_and(|it| !it.is_empty()));
    }
}

/// A symbol with a version would keep the probe from older environments.
#[test]
fn the_probe_names_no_version_of_libc() {
    let has = |text: &[u8]| PROBE.windows(text.len()).any(|it| it == text);
    assert!(has(b"/lib64/ld-linux-x86-64.so.2") && has(b"libc.so.6") && has(b"dlopen"));
    assert!(!has(b"GLIBC_"));
    let home: &[u8] = env!("CARGO_MANIFEST_DIR").as_bytes();
    assert!(!has(home), "nothing of the machine that compiled it");
}

#[test]
fn a_mismatch_that_nvml_knows_of_has_its_remedy() {
    let error = judge(Exit::Code(12), "error nvml.init 18\nfailed cuInit 999", "").unwrap_err();
    assert!(matches!(
        error,
        ProbeError::Failed {
            error: CudaError(999),
            nvml: Some(18),
            ..
        }
    ));
    assert_eq!(error.remedy().as_deref(), Some(CudaError(803).remedy()));
}

#[test]
fn lines_of_others_are_passed_over() {
    let said = "hello\ncuda.version x\ncuda.5.name far\ncuda.0.name one\ncuda.1.name two\nmissing nvml.init\nerror a\n";
    let probed = parse(said);
    assert_eq!(probed.cuda_version, None);
    assert_eq!(probed.devices.len(), 2);
    assert_eq!(probed.devices[1].name, "two");
    assert_eq!(probed.untold["nvml.init"], Untold::Missing);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_words_of_a_library_panic(
        said in "((cuda|nvml|missing|error|failed)[. ]|[0-9]{1,12}[. ]|name|uuid|clock-|\n|.){0,40}",
        code in any::<u8>(),
    ) {
        let _ = judge(Exit::Code(code), &said, &said);
        prop_assert!(serde_json::to_string(&parse(&said)).is_ok());
    }
}
