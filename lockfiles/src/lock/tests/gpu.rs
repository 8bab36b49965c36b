use std::path::Path;

use crate::base::{DottedVersion, Explain as _, Platform};
use crate::lock::tests::{
    AMD64, ARM64, conda, conda_package, full, grouped, parse, plain, text, wheel,
};
use crate::lock::{
    DriverMatch, GpuPinError, GpuSource, Groups, HostGpu, LockedDevice, LockedDriver, LockedGpu,
    LockedVirtualPackage, Lockfile, Request, diff, gpu_requirements,
};
use crate::manifest::{DevicePin, DriverPin, Gpu, GpuVendor, Manifest};

fn version(text: &str) -> DottedVersion {
    text.parse().unwrap()
}

fn host(driver: &str) -> HostGpu {
    HostGpu {
        driver: version(driver),
        name: Some("NVIDIA H100 80GB HBM3".to_owned()),
        compute_capability: Some(version("9.0")),
        multiprocessors: Some(132),
        mig: Some(false),
    }
}

fn with_wheels(wheels: &[(&str, &str)]) -> Lockfile {
    let mut lock = plain();
    let wheels = wheels.iter();
    lock.python = wheels
        .map(|(name, version)| wheel(name, version, "py3-none-any", &[AMD64]))
        .collect();
    lock.sort();
    lock
}

/// Returns the reasons as `name version >=driver >=api`.
fn told(lock: &Lockfile) -> Vec<String> {
    let requirements = gpu_requirements(lock);
    let because = requirements.because.iter();
    because
        .map(|reason| format!("{reason} >={} >={}", reason.driver, reason.cuda_api))
        .collect()
}

/// A lock that uses every key of `[gpu]`.
pub(super) fn gpu() -> Lockfile {
    let mut lock = full();
    lock.python = vec![
        wheel(
            "cupy-cuda12x",
            "13.6.0",
            "cp312-cp312-manylinux2014_aarch64",
            &[ARM64],
        ),
        wheel(
            "nvidia-cuda-runtime",
            "13.0.96",
            "py3-none-manylinux2014_x86_64",
            &[AMD64],
        ),
    ];
    lock.request.gpu = Some(Gpu {
        vendor: GpuVendor::Nvidia,
        cuda: Some(version("12.4")),
        driver: DriverPin::Branch,
        device: DevicePin::Require,
    });
    lock.pin_gpu(&host("580.159.04")).unwrap();
    lock
}

#[test]
fn each_wheel_tells_its_cuda() {
    for (name, locked, driver, api) in [
        ("nvidia-cuda-runtime", "13.0.96", "580", "13.0"),
        ("nvidia-cuda-runtime", "13.5.37", "580", "13.0"),
        ("nvidia-cuda-runtime", "12.9.79", "525.60.13", "12.0"),
        ("nvidia-cuda-runtime", "14.1.2", "580", "14.0"),
        ("nvidia-cuda-runtime-cu12", "12.8.90", "525.60.13", "12.0"),
        ("nvidia-cuda-runtime-cu11", "11.8.89", "450.80.02", "11.0"),
        ("nvidia-cuda-runtime-cu117", "11.7.60", "450.80.02", "11.0"),
        ("nvidia-cuda-runtime-cu110", "11.0.228", "450.36.06", "11.0"),
        ("cuda-toolkit", "13.0.2", "580", "13.0"),
        ("cuda-toolkit", "12.8.1", "525.60.13", "12.0"),
        ("torch", "2.9.1+cu130", "580", "13.0"),
        ("torch", "2.6.0+cu124", "525.60.13", "12.0"),
        ("torch", "2.0.1+cu118", "450.80.02", "11.0"),
        ("torch", "1.7.0+cu110", "450.36.06", "11.0"),
        ("torch", "1.8.0+cu102", "440.33", "10.2"),
        ("torch", "1.7.1+cu101", "418.39", "10.1"),
        ("torch", "1.2.0+cu100", "410.48", "10.0"),
        ("torch", "1.7.1+cu92", "396.26", "9.2"),
        ("torch", "1.0.0+cu91", "390.46", "9.1"),
        ("torch", "1.1.0+cu90", "384.81", "9.0"),
        ("torch", "1.0.0+cu80", "375.26", "8.0"),
        ("jaxlib", "0.4.14+cuda12.cudnn89", "525.60.13", "12.0"),
        (
            "flash-attn",
            "2.8.3+cu12torch2.8cxx11abitrue",
            "525.60.13",
            "12.0",
        ),
        ("jax-cuda12-plugin", "0.8.0", "525.60.13", "12.0"),
        ("jax-cuda13-plugin", "0.8.0", "580", "13.0"),
        ("jax-cuda13-pjrt", "0.8.0", "580", "13.0"),
        ("cupy-cuda12x", "13.6.0", "525.60.13", "12.0"),
        ("cupy-cuda11x", "13.6.0", "450.80.02", "11.0"),
        ("cupy-cuda102", "12.3.0", "440.33", "10.2"),
        ("cudf-cu12", "25.10.0", "525.60.13", "12.0"),
        ("nvidia-nccl-cu12", "2.27.5", "525.60.13", "12.0"),
        ("nvidia-nccl-cu13", "2.28.9", "580", "13.0"),
    ] {
        let expected = format!("{name} {locked} >={driver} >={api}");
        assert_eq!(told(&with_wheels(&[(name, locked)])), [expected]);
    }
}

#[test]
fn placeholders_tell_nothing() {
    for (name, version) in [
        ("nvidia-cuda-runtime-cu13", "0.0.1"),
        ("nvidia-cuda-runtime-cu13", "0.0.0a0"),
        ("nvidia-cublas-cu13", "0.0.1"),
        ("nvidia-nccl-cu13", "0.0.1"),
        ("nvidia-cuda-runtime", "0.0.1.dev5"),
        ("cuda-toolkit", "0.0.1"),
        // The others come with the runtime, which tells more.
        ("nvidia-cublas-cu12", "12.8.4.1"),
        ("nvidia-cudnn-cu13", "9.13.0.50"),
        ("torch", "2.9.1"),
        ("torch", "2.9.1+cpu"),
        ("torch", "2.9.1+rocm6.4"),
        ("torch", "2.9.1+xpu"),
        ("jaxlib", "0.8.3"),
        ("jaxlib", "0.4.1+cudnn89"),
        ("cupy", "13.6.0"),
        ("jax-cuda-plugin", "0.1"),
        ("some-cute", "1"),
        ("some-cu12x-tool", "1"),
        ("aws-cu1", "1"),
        ("tensorflow-cpu", "2.20.0"),
    ] {
        assert_eq!(
            told(&with_wheels(&[(name, version)])),
            [""; 0],
            "{name} {version}"
        );
    }
}

#[test]
fn conda_packages_and_declarations_tell_their_cuda() {
    let package = |name: &str, version: &str| {
        let mut package = conda_package(name, "h1_0", "linux-64", &[AMD64]);
        package.artifact.file = package.artifact.file.replace("1.26.4", version);
        package.version = version.to_owned();
        package
    };
    for (name, version, expected) in [
        ("cuda-version", "12.9", Some("525.60.13 >=12.0")),
        ("cuda-version", "13.0", Some("580 >=13.0")),
        ("cuda-cudart", "12.4.127", Some("525.60.13 >=12.0")),
        ("cudatoolkit", "11.8.0", Some("450.80.02 >=11.0")),
        ("cudatoolkit", "11.0.3", Some("450.36.06 >=11.0")),
        ("cudatoolkit", "10.2.89", Some("440.33 >=10.2")),
        ("pytorch-cuda", "12.1", Some("525.60.13 >=12.0")),
        ("cuda-nvcc", "12.4.1", None),
        ("pytorch", "2.5.1", None),
    ] {
        let mut lock = plain();
        lock.python.clear();
        lock.conda.packages = vec![package(name, version)];
        let expected = expected.map(|bounds| format!("{name} {version} >={bounds}"));
        assert_eq!(told(&lock), Vec::from_iter(expected), "{name} {version}");
    }
    for (version, driver, api) in [
        ("13", "580", "13.0"),
        ("12", "525.60.13", "12.0"),
        ("12.0", "525.60.13", "12.0"),
        ("12.4", "550.54.14", "12.4"),
        ("12.4.1", "550.54.14", "12.4"),
        // There was no such toolkit; drivers tell of it.
        ("12.7", "560.28.03", "12.7"),
        ("13.9", "595.45.04", "13.9"),
        ("11.8", "520.61.05", "11.8"),
        ("9", "384.81", "9.0"),
    ] {
        let mut lock = plain();
        lock.conda.virtual_packages = vec![LockedVirtualPackage {
            name: "__cuda".parse().unwrap(),
            version: version.to_owned(),
            build: "0".to_owned(),
            platforms: vec![AMD64],
        }];
        assert_eq!(
            told(&lock),
            [format!("__cuda {version} >={driver} >={api}")]
        );
        // What the manifest says is said once.
        lock.request.gpu = Some(Gpu {
            cuda: version.parse().ok(),
            ..Gpu::default()
        });
        lock.derive_gpu(None);
        assert_eq!(
            told(&lock),
            [format!(
                "`cuda = \"{version}\"` of [gpu] >={driver} >={api}"
            )]
        );
    }
}

#[test]
fn the_golden_torch_needs_what_its_wheels_say() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let read = |name: &str| Lockfile::read(&golden.join(name).join("envbox.lock")).unwrap();
    let torch = read("torch");
    assert_eq!(
        told(&torch),
        [
            "nvidia-cuda-runtime-cu12 12.8.90 >=525.60.13 >=12.0",
            "nvidia-nccl-cu12 2.27.5 >=525.60.13 >=12.0",
        ]
    );
    let requirements = gpu_requirements(&torch);
    assert_eq!(
        requirements.driver().unwrap().to_string(),
        "nvidia-cuda-runtime-cu12 12.8.90"
    );
    assert!(requirements.on(ARM64).because.is_empty());
    assert_eq!(torch.gpu, None);
    for name in ["jax", "sklearn", "tensorflow"] {
        assert_eq!(told(&read(name)), [""; 0], "{name}");
    }
}

#[test]
fn the_highest_bound_holds_on_each_platform() {
    let lock = gpu();
    let requirements = gpu_requirements(&lock);
    let bounds = |platform: Platform| {
        let on = requirements.on(platform);
        let (driver, api) = (on.driver().unwrap(), on.cuda_api().unwrap());
        (driver.driver.to_string(), api.cuda_api.to_string())
    };
    assert_eq!(bounds(AMD64), ("580".to_owned(), "13.0".to_owned()));
    assert_eq!(bounds(ARM64), ("550.54.14".to_owned(), "12.4".to_owned()));
    assert_eq!(requirements.driver().unwrap().source, GpuSource::Python);
}

#[test]
fn a_host_is_pinned_as_the_manifest_says() {
    for (driver, device, shown) in [
        (DriverPin::Exact, DevicePin::Record, Some("580.159.04")),
        (DriverPin::Branch, DevicePin::Require, Some("580.*")),
        (DriverPin::None, DevicePin::Record, None),
    ] {
        let mut lock = plain();
        lock.request.gpu = Some(Gpu {
            driver,
            device,
            ..Gpu::default()
        });
        lock.pin_gpu(&host("580.159.04")).unwrap();
        let gpu = lock.gpu.as_ref().unwrap();
        assert_eq!(gpu.pin.as_ref().map(ToString::to_string).as_deref(), shown);
        let found = gpu.device.as_ref().unwrap();
        assert_eq!(found.policy, device);
        assert_eq!(
            found.to_string(),
            "NVIDIA H100 80GB HBM3, compute capability 9.0, 132 multiprocessors"
        );
        assert_eq!(parse(&text(&lock)).unwrap(), lock);
    }
}

#[test]
fn a_pin_stays_until_it_is_replaced_or_taken_out() {
    let mut lock = plain();
    lock.pin_gpu(&host("580.159.04")).unwrap();
    let pinned = lock.gpu.clone();
    // As resolving anew does.
    let derived = |change: &dyn Fn(&mut Lockfile)| {
        let mut next = plain();
        change(&mut next);
        next.derive_gpu(lock.gpu.as_ref());
        next
    };
    assert_eq!(derived(&|_| {}).gpu, pinned);
    let branch = derived(&|next| {
        next.request.gpu = Some(Gpu {
            driver: DriverPin::Branch,
            ..Gpu::default()
        });
    });
    let pin = branch.gpu.unwrap().pin.unwrap();
    let expected = LockedDriver {
        driver: version("580.159.04"),
        precision: DriverMatch::Branch,
    };
    assert_eq!(pin, expected);
    let none = derived(&|next| {
        next.request.gpu = Some(Gpu {
            driver: DriverPin::None,
            ..Gpu::default()
        });
    });
    let gpu = none.gpu.unwrap();
    assert!(gpu.pin.is_none() && gpu.device.is_some());
    let other = derived(&|next| {
        next.request.gpu = Some(Gpu {
            vendor: GpuVendor::Amd,
            ..Gpu::default()
        });
    });
    let gpu = other.gpu.unwrap();
    assert!(gpu.pin.is_none() && gpu.device.is_none());
    lock.pin_gpu(&host("580.65.06")).unwrap();
    assert_eq!(
        lock.gpu.as_ref().unwrap().pin.as_ref().unwrap().to_string(),
        "580.65.06"
    );
    lock.unpin_gpu();
    assert_eq!(lock, plain());
    let mut asked = gpu_lock_without_pin();
    asked.unpin_gpu();
    assert_eq!(asked, gpu_lock_without_pin());
}

fn gpu_lock_without_pin() -> Lockfile {
    let mut lock = gpu();
    let gpu = lock.gpu.as_mut().unwrap();
    (gpu.pin, gpu.device) = (None, None);
    lock
}

#[test]
fn a_driver_that_does_not_run_it_is_not_pinned() {
    let mut lock = with_wheels(&[("nvidia-cuda-runtime", "13.0.96")]);
    let before = lock.clone();
    let error = lock.pin_gpu(&host("550.163.01")).unwrap_err();
    assert_eq!(lock, before);
    assert_eq!(
        error.to_string(),
        "nvidia-cuda-runtime 13.0.96 needs the NVIDIA driver 580 or newer, but 550.163.01 is pinned"
    );
    assert_eq!(error.hints().len(), 3);
    // A pin that was right before the packages moved.
    let mut older = with_wheels(&[("nvidia-cuda-runtime-cu12", "12.8.90")]);
    older.pin_gpu(&host("550.163.01")).unwrap();
    lock.derive_gpu(older.gpu.as_ref());
    assert!(matches!(lock.check_gpu(), Err(GpuPinError::TooOld { .. })));
    assert_eq!(older.check_gpu(), Ok(()));
    let mut amd = plain();
    amd.request.gpu = Some(Gpu {
        vendor: GpuVendor::Amd,
        ..Gpu::default()
    });
    let error = amd.pin_gpu(&host("6.10.5")).unwrap_err();
    assert!(
        error.to_string().starts_with("`[gpu] vendor` is `amd`"),
        "{error}"
    );
}

#[test]
fn groups_that_are_not_chosen_need_nothing() {
    let mut lock = grouped();
    let mut runtime = wheel("nvidia-cuda-runtime", "13.0.96", "py3-none-any", &[AMD64]);
    runtime.required_by = vec!["pandas".to_owned()];
    lock.python.push(runtime);
    lock.sort();
    let whole = |lock: &Lockfile, groups: &Groups| told(&lock.select(groups).unwrap());
    for asked in [None, Some(Gpu::default())] {
        lock.request.gpu = asked;
        lock.derive_gpu(None);
        assert_eq!(whole(&lock, &Groups::None), [""; 0]);
        assert_eq!(
            whole(&lock, &Groups::All),
            ["nvidia-cuda-runtime 13.0.96 >=580 >=13.0"]
        );
    }
    let selected = lock.select(&Groups::None).unwrap();
    assert_eq!(parse(&text(&selected)).unwrap(), selected);
}

#[test]
fn a_diff_tells_of_drivers_and_gpus() {
    let (old, mut new) = (gpu(), gpu());
    new.pin_gpu(&HostGpu {
        name: Some("NVIDIA H200".to_owned()),
        ..host("595.45.04")
    })
    .unwrap();
    let changes = diff(&old, &new);
    let shown: Vec<_> = changes
        .iter()
        .map(|change| {
            (
                change.name.as_str(),
                change.before.join(", "),
                change.after.join(", "),
            )
        })
        .collect();
    let device =
        |name: &str| format!("{name}, compute capability 9.0, 132 multiprocessors, required");
    assert_eq!(
        shown,
        [
            (
                "gpu device",
                device("NVIDIA H100 80GB HBM3"),
                device("NVIDIA H200")
            ),
            ("gpu driver", "580.*".to_owned(), "595.*".to_owned()),
        ]
    );
    assert_eq!(diff(&conda(), &conda()), []);
    let names = |changes: Vec<crate::lock::Change>| -> Vec<String> {
        changes.into_iter().map(|change| change.name).collect()
    };
    let mut without = gpu();
    (without.request.gpu, without.gpu) = (None, None);
    let all = ["gpu device", "gpu driver", "gpu requires", "gpu vendor"];
    assert_eq!(names(diff(&without, &gpu())), all);
}

#[test]
fn a_table_that_cannot_be_is_told_with_its_line() {
    let whole = text(&gpu());
    for (found, replaced, problem) in [
        (
            "driver = \"580.159.04\"",
            "driver = \"58O.159.04\"",
            "gpu.pin: `driver = \"58O.159.04\"` is not 2 or 3 numbers with dots between them",
        ),
        (
            "driver = \"580.159.04\"",
            "driver = \"580\"",
            "gpu.pin: `driver = \"580\"` is not 2 or 3 numbers with dots between them",
        ),
        (
            "match = \"branch\"",
            "match = \"exact\"",
            "gpu.pin: the request has `driver = \"branch\"`",
        ),
        (
            "match = \"require\"",
            "match = \"record\"",
            "gpu.device: the request has `device = \"require\"`",
        ),
        (
            "cc = \"9.0\"",
            "cc = \"sm_90\"",
            "gpu.device: `cc = \"sm_90\"` is not 2 numbers with dots between them",
        ),
        (
            "[gpu.requires]\ndriver = \">=580\"",
            "[gpu.requires]\ndriver = \">=525\"",
            "gpu.requires: it is not what `[[gpu.because]]` comes to",
        ),
        (
            "[gpu.requires]\ndriver = \">=580\"",
            "[gpu.requires]\ndriver = \"580\"",
            "gpu.requires: `driver = \"580\"` is no bound like `>=580`",
        ),
        (
            "cuda = \"12.4\"",
            "cuda = \"12.x\"",
            "request.gpu: `cuda = \"12.x\"` is not 1 or 2 numbers with dots between them",
        ),
        (
            "[gpu]\nvendor = \"nvidia\"",
            "[gpu]\nvendor = \"amd\"",
            "gpu: the request is for a GPU of `nvidia`",
        ),
    ] {
        assert!(whole.contains(found), "{found}");
        let changed = whole.replacen(found, replaced, 1);
        let last = replaced.lines().last().unwrap();
        let at = changed.find(replaced).unwrap() + replaced.len() - last.len();
        let line = 1 + changed[..at].matches('\n').count();
        let error = parse(&changed).unwrap_err();
        let sentence =
            format!("line {line} of `envbox.lock` says something of a GPU that cannot be");
        assert_eq!(error.to_string(), sentence);
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(cause, problem);
        assert!(error.hints()[0].contains("envbox lock --gpu"));
    }
    // A value that could be is found by the seal.
    let changed = whole.replacen("\"580.159.04\"", "\"580.126.09\"", 1);
    let error = parse(&changed).unwrap_err().to_string();
    assert!(error.contains("was edited by hand"), "{error}");
}

#[test]
fn a_table_that_nobody_wants_is_refused() {
    let mut bare = plain();
    bare.gpu = Some(LockedGpu {
        vendor: GpuVendor::Nvidia,
        pin: None,
        device: None,
        requires: gpu_requirements(&bare),
    });
    assert!(parse(&text(&bare)).is_err());
    let mut other = plain();
    other.request.gpu = Some(Gpu {
        vendor: GpuVendor::Intel,
        ..Gpu::default()
    });
    other.derive_gpu(None);
    assert_eq!(parse(&text(&other)).unwrap(), other);
    other.gpu.as_mut().unwrap().device = Some(LockedDevice {
        name: None,
        compute_capability: None,
        multiprocessors: None,
        mig: None,
        policy: DevicePin::Record,
    });
    assert!(parse(&text(&other)).is_err());
    let mut missing = gpu();
    missing.gpu = None;
    let error = parse(&text(&missing)).unwrap_err();
    assert!(
        std::error::Error::source(&error)
            .unwrap()
            .to_string()
            .contains("the lock has not")
    );
}

#[test]
fn conda_is_told_of_the_cuda_that_is_needed() {
    let declared = |gpu: &str, own: &str| {
        let head = "[environment]\nname = \"iris\"\n";
        let text = format!("{head}{gpu}[conda]\nchannels = [\"conda-forge\"]\n{own}");
        let request = Request::of(&Manifest::parse(&text, Path::new("envbox.toml")).unwrap());
        request.conda.unwrap().virtual_packages
    };
    let machine = "__archspec=x86_64_v3";
    for (gpu, own, expected) in [
        ("", "", None),
        ("[gpu]\n", "", None),
        ("[gpu]\ncuda = \"13\"\n", "", Some("__cuda=13")),
        (
            "[gpu]\ncuda = \"12\"\n",
            "virtual-packages = { __cuda = \"12.8\" }\n",
            Some("__cuda=12.8"),
        ),
        (
            "[gpu]\ncuda = \"12\"\n",
            "virtual-packages = { __cuda = \"13.0\" }\n",
            Some("__cuda=13.0"),
        ),
        (
            "[gpu]\n",
            "virtual-packages = { __cuda = \"12.8\" }\n",
            Some("__cuda=12.8"),
        ),
    ] {
        let expected: Vec<_> = [machine].into_iter().chain(expected).collect();
        assert_eq!(declared(gpu, own), expected, "{gpu}{own}");
    }
}
