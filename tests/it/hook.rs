//! The import hook, run by the host's Python over stand-ins for the libraries.

use std::fs;

use crate::stand_ins::{BLIS, CTYPES, Case, NUMPY, OTHER_LIBC, STEP, TORCH, text};

#[test]
fn libraries_are_set_and_read_back() {
    let case = Case::new();
    let program = "import numpy, torch, jaxlib, os\n\
         print(torch.told, torch.backends.cudnn.benchmark, os.environ['XLA_FLAGS'])\n\
         print(type(torch.__loader__).__name__, 'exec_module' in vars(torch.__loader__))\n\
         os.environ['XLA_FLAGS'] = '--other=1'\nfrom jaxlib import xla_client\nprint(torch.verbose, xla_client.make_cpu_client(a=1))\n";
    let output = case.python(program, &[&STEP[..], &[("XLA_FLAGS", "--own=1")]].concat());
    assert_eq!(text(&output.stderr), "");
    insta::assert_snapshot!(text(&output.stdout), @r#"
not oneDNN's
[(True, True)] False --xla_cpu_max_isa=AVX2 --own=1
SourceFileLoader False
[1, 0] ('client', {'a': 1})
"#);
    insta::assert_snapshot!(case.told(), @r#"
glibc GLIBC_TUNABLES: SSE2 FMA AVX AVX2 (held)
numpy NPY_DISABLE_CPU_FEATURES: X86_V2 X86_V3 (held)
numpy OPENBLAS_CORETYPE: not read back (set)
torch use_deterministic_algorithms: warn only (held)
torch backends.cudnn.deterministic: True (held)
torch backends.cudnn.benchmark: False (held)
torch ATEN_CPU_CAPABILITY: AVX2 (held)
torch OMP_NUM_THREADS: 1 (held)
torch get_num_interop_threads: 2 (not-held)
torch MKL_CBWR: not read back (set)
torch ONEDNN_MAX_CPU_ISA: AVX2 (held)
jaxlib --xla_cpu_max_isa: not read back (set)
jaxlib --xla_cpu_max_isa: AVX2 (held)
"#);
}

#[test]
fn a_pin_that_did_not_take_ends_the_import() {
    let case = Case::new();
    fs::write(case.path("numpy.py"), NUMPY.replace("V4,", "True,")).unwrap();
    let program = "try:\n    import numpy\nexcept ImportError:\n    print('passed over')\n";
    let output = case.python(program, &STEP);
    let said = text(&output.stderr);
    insta::assert_snapshot!(said.lines().last().unwrap(), @r#"_envbox.NotHeld: numpy 9.1 computes with instructions beyond x86-64-v3, the baseline of this step: NPY_DISABLE_CPU_FEATURES is X86_V4. Do not set that variable in `env` of `[sandbox]` or with `--env`; or set `cpu-baseline` in the manifest."#);
    assert_eq!(
        (output.status.code(), text(&output.stdout)),
        (Some(1), String::new())
    );
    assert!(case.told().contains("X86_V4 (failed)"), "{}", case.told());
}

/// Each is an error that names what it is about.
#[test]
fn every_pin_of_a_framework_ends_the_step_that_it_does_not_hold() {
    let case = Case::new();
    let wide = "AVX-512 with float16, Intel DL Boost and bfloat16 support ";
    let client = "from jaxlib import xla_client; xla_client.make_cpu_client()";
    for (isa, variable, program, said) in [
        (
            wide,
            ("", ""),
            "import torch",
            "ONEDNN_MAX_CPU_ISA is AVX-512 with float16",
        ),
        (
            "AVX2",
            ("MKL_CBWR", "AVX_2"),
            "import torch",
            "MKL_CBWR is AVX_2.",
        ),
        (
            "AVX2",
            ("MKL_CBWR", ""),
            "import torch",
            "MKL_CBWR is not set.",
        ),
        (
            "AVX2",
            ("ONEDNN_MAX_CPU_ISA", "AVX_2"),
            "import tensorflow",
            "ONEDNN_MAX_CPU_ISA is AVX_2.",
        ),
        (
            wide,
            ("ONEDNN_MAX_CPU_ISA", "AVX2"),
            "import tensorflow; tensorflow.constant(1)",
            "ONEDNN_MAX_CPU_ISA is AVX-512 with float16",
        ),
        (
            "AVX2",
            ("XLA_FLAGS", "--xla_cpu_max_isa=AVX_2"),
            client,
            "--xla_cpu_max_isa is AVX_2.",
        ),
        (
            "AVX2",
            ("XLA_FLAGS", "--xla_cpu_max_isa="),
            client,
            "--xla_cpu_max_isa is no limit.",
        ),
    ] {
        fs::write(case.path("torch.py"), TORCH.replace("ISA", isa)).unwrap();
        case.write_tensorflow("9.3", isa);
        let variables: Vec<_> = STEP
            .into_iter()
            .chain([variable])
            .filter(|(name, _)| !name.is_empty())
            .collect();
        let output = case.python(program, &variables);
        let error = text(&output.stderr);
        assert!(
            output.status.code() == Some(1) && error.contains(said),
            "{said}: {error}"
        );
        assert!(error.contains("_envbox.NotHeld: "), "{error}");
    }
}

/// With the host's own C library. Every host that tests run on has FMA, which makes libm compute
/// otherwise, and the lowest baseline has not.
#[test]
fn a_pin_of_the_c_library_that_did_not_take_ends_python() {
    let case = Case::new();
    let run = |tunables: &str| {
        let older = [
            ("ENVBOX_CPU_BASELINE", "x86-64-v2"),
            ("GLIBC_TUNABLES", tunables),
        ];
        case.python("print('ran')", &[&STEP[..], &older].concat())
    };
    let right = format!("{},-AVX,-AVX2,-FMA", STEP[3].1);
    let output = run(&right);
    assert_eq!(
        (text(&output.stdout), text(&output.stderr)),
        ("ran\n".to_owned(), String::new())
    );
    for slip in [
        right.replace("hwcaps", "hwcap"),
        right.replace("-FMA", "-FMA3"),
        "glibc.malloc.arena_max=1".to_owned(),
        String::new(),
    ] {
        let output = run(&slip);
        let said = text(&output.stderr);
        assert_eq!(
            (output.status.code(), text(&output.stdout)),
            (Some(1), String::new()),
            "{slip}: {said}"
        );
        assert!(
            said.starts_with("_envbox.NotHeld: glibc 2.")
                && said.contains(": GLIBC_TUNABLES is FMA"),
            "{slip}: {said}"
        );
    }
}

#[test]
fn a_c_library_that_cannot_be_asked_is_passed_over() {
    for (asks, said) in [
        (
            OTHER_LIBC,
            "OSError: undefined symbol: __x86_get_cpuid_feature_leaf",
        ),
        ("raise ImportError('not built')", "ImportError: not built"),
    ] {
        let case = Case::new();
        fs::write(case.path("_ctypes.py"), asks).unwrap();
        let program = "print('ran'); import numpy";
        let output = case.python(program, &[&STEP[..], &[("GLIBC_TUNABLES", "")]].concat());
        assert_eq!(text(&output.stdout), "ran\n", "{}", text(&output.stderr));
        let told = case.told();
        let line = format!("glibc GLIBC_TUNABLES: {said} (unknown)\n");
        assert!(told.starts_with(&line), "{told}");
    }
}

/// Versions that do not know the variable choose by the processor, which no variable can change.
#[test]
fn blis_says_what_it_chose() {
    let case = Case::new();
    fs::create_dir(case.path("blis")).unwrap();
    fs::write(case.path("blis/__init__.py"), "from . import cy").unwrap();
    fs::write(case.path("blis/cy.py"), BLIS).unwrap();
    let (knows, does_not) = ("\0BLIS_ARCH_TYPE\0", "BLIS_ARCH_DEBUG");
    for (choice, linked, told) in [
        ("haswell", knows, "haswell (held)"),
        ("generic", knows, "generic (held)"),
        ("skx", knows, "skx (failed)"),
        ("haswell", does_not, "haswell (held)"),
        (
            "skx",
            does_not,
            "skx, its own choice for this processor (not-held)",
        ),
        (
            "zen3",
            does_not,
            "zen3, its own choice for this processor (not-held)",
        ),
    ] {
        fs::write(case.path("ctypes.py"), CTYPES.replace("CHOICE", choice)).unwrap();
        fs::write(case.path("blis/linked"), linked).unwrap();
        fs::write(case.path("held"), "").unwrap();
        let output = case.python("import blis", &STEP);
        let error = text(&output.stderr);
        let line = format!("\nblis BLIS_ARCH_TYPE: {told}\n");
        assert!(case.told().contains(&line), "{}{error}", case.told());
        let failed = error.contains("_envbox.NotHeld: blis computes with instructions beyond");
        assert_eq!(failed, told.ends_with("(failed)"), "{told}: {error}");
        assert_eq!(output.status.success(), !failed, "{told}: {error}");
    }
}

/// Where no wheel brought one, the one that all packages share is asked.
#[test]
fn a_shared_library_of_linear_algebra_is_asked() {
    let case = Case::new();
    for (choice, told) in [("haswell", "haswell (held)"), ("skx", "skx (failed)")] {
        fs::write(case.path("ctypes.py"), CTYPES.replace("CHOICE", choice)).unwrap();
        let output = case.python("import numpy", &STEP);
        let error = text(&output.stderr);
        let line = format!("\nnumpy BLIS_ARCH_TYPE: {told}\n");
        assert!(case.told().contains(&line), "{}{error}", case.told());
        assert_eq!(output.status.success(), choice == "haswell", "{error}");
    }
}

/// What asks must change nothing for the program.
#[test]
fn tensorflow_is_asked_behind_the_start_of_its_runtime() {
    let case = Case::new();
    let isa = ("ONEDNN_MAX_CPU_ISA", "AVX2");
    let program = "import os, tensorflow as tf\n\
         for _ in range(2):\n    \
             try: tf.constant(1)\n    \
             except RuntimeError as error: print(type(error).__name__)\n\
         print(os.environ.get('ONEDNN_VERBOSE'))\n";
    for (version, said, variable, printed, told) in [
        ("9.3", "AVX2", ("", ""), "None\n", "AVX2 (set) AVX2 (held)"),
        (
            "9.3",
            "AVX10",
            ("", ""),
            "NotHeld\nNotHeld\nNone\n",
            "AVX2 (set) AVX10 (failed)",
        ),
        ("2.15.1", "AVX10", ("", ""), "None\n", "AVX2 (set)"),
        ("9.3", "AVX10", ("ONEDNN_VERBOSE", "1"), "1\n", "AVX2 (set)"),
    ] {
        case.write_tensorflow(version, said);
        fs::write(case.path("held"), "").unwrap();
        let mut variables = STEP.to_vec();
        variables.extend([isa, variable].iter().filter(|(name, _)| !name.is_empty()));
        let output = case.python(program, &variables);
        assert_eq!(text(&output.stdout), printed, "{}", text(&output.stderr));
        let all = case.told();
        let lines = all
            .lines()
            .filter_map(|line| line.strip_prefix("tensorflow ONEDNN_MAX_CPU_ISA: "));
        let found = lines.collect::<Vec<_>>().join(" ");
        assert_eq!(found.replace("not read back", "AVX2"), told, "{all}");
    }
}

#[test]
fn what_is_repeated_until_it_takes_long_enough_is_done_once_on_a_clock_that_stands() {
    let case = Case::new();
    let timer = "class Timer:\n    \
         def __init__(self, timer): self._timer = timer\n    \
         def _estimate_block_size(self, least): return 'estimated'\n\
         timer = None\n";
    fs::write(case.path("timer.py"), timer).unwrap();
    let program = format!(
        "import itertools, time, types\nreads, done = itertools.count(1), []\n\
         time.perf_counter = lambda: next(reads) / 1e6\nimport timeit\n\
         def ranged(**own):\n    \
             done.clear()\n    \
             timer = timeit.Timer('done.append(1)', globals=globals(), **own)\n    \
             return timer.autorange(lambda *told: print('told', *told)), len(done)\n\
         print(ranged())\nprint(ranged(timer=lambda: len(done) / 20))\n\
         for name in ('', '.utils', '.utils.benchmark', '.utils.benchmark.utils'):\n    \
             module = sys.modules['torch' + name] = types.ModuleType('torch' + name)\n    \
             module.__path__ = [{:?}]\n\
         from torch.utils.benchmark.utils.timer import Timer\n\
         for clock in (time.perf_counter, lambda: 0):\n    \
             print(Timer(types.SimpleNamespace(timer=clock))._estimate_block_size(0.2))\n",
        case.path("")
    );
    let output = case.python(&program, &STEP);
    assert_eq!(text(&output.stderr), "");
    insta::assert_snapshot!(text(&output.stdout), @r#"
told 1 9.999999999999997e-07
((1, 9.999999999999997e-07), 1)
told 1 0.05
told 2 0.09999999999999999
told 5 0.25
((5, 0.25), 8)
1
estimated
"#);
    let told = case.told();
    let told: Vec<&str> = told
        .lines()
        .filter(|line| line.starts_with("timeit"))
        .collect();
    assert_eq!(
        told,
        [
            "timeit Timer.autorange: not read back (set)",
            "timeit torch.utils.benchmark.Timer: not read back (set)"
        ]
    );
}

/// A condition of a manager is waited for in the manager's process, and the clock that shows it is there.
#[test]
fn what_another_process_waited_for_is_over() {
    let case = Case::new();
    let program = "import itertools, time\nreads = itertools.count(1)\n\
         def stands(): return next(reads) / 1e6\n\
         def moves(): return float(next(reads))\n\
         time.monotonic = stands\n\
         from multiprocessing.managers import ConditionProxy\n\
         class Condition(ConditionProxy):\n    \
             def __init__(self): self.waits = 0\n    \
             def wait(self, timeout=None):\n        \
                 self.waits += 1\n        \
                 return self.waits < 3\n\
         def look(met, timeout):\n    \
             it = Condition()\n    \
             return it.wait_for(lambda: it.waits == met, timeout), it.waits\n\
         print(look(2, 0.1), look(3, 0.1), look(9, 0.1), look(9, 0))\n\
         time.monotonic = moves\n\
         print(look(5, None), look(9, 5))\n";
    let output = case.python(program, &STEP);
    assert_eq!(text(&output.stderr), "");
    let printed = "(True, 2) (True, 3) (False, 3) (False, 0)\n(True, 5) (False, 4)\n";
    assert_eq!(text(&output.stdout), printed);
    let knob = "multiprocessing ConditionProxy.wait_for: not read back (set)\n";
    assert!(case.told().contains(knob), "{}", case.told());
}

/// A timer's thread says what the host's speed decides, and allocates beside the main thread.
#[test]
fn nothing_is_done_because_real_time_is_over() {
    let case = Case::new();
    fs::create_dir(case.path("matplotlib")).unwrap();
    fs::write(case.path("matplotlib/__init__.py"), "").unwrap();
    let fonts = "import threading\ntimer = threading.Timer(0, print, ['slow'])\n\
         timer.start()\nthreading.Event().wait(0.1)\ntimer.cancel()\n";
    fs::write(case.path("matplotlib/font_manager.py"), fonts).unwrap();
    fs::write(
        case.path("tqdm.py"),
        "class tqdm:\n    monitor_interval = 10\n",
    )
    .unwrap();
    let program = "import threading\ntimer = threading.Timer\n\
         from matplotlib import font_manager\nimport tqdm\n\
         print(threading.Timer is timer, tqdm.tqdm.monitor_interval)\n";
    let output = case.python(program, &STEP);
    assert_eq!(text(&output.stderr), "");
    assert_eq!(text(&output.stdout), "True 0\n");
    let told = case.told();
    assert!(
        told.contains("matplotlib threading.Timer: not read back (set)\n"),
        "{told}"
    );
    assert!(
        told.contains("tqdm tqdm.monitor_interval: 0 (held)\n"),
        "{told}"
    );
    let off = [("ENVBOX_FRAMEWORK_KNOBS", "torch")];
    let output = case.python(program, &[&STEP[..], &off].concat());
    assert_eq!(text(&output.stdout), "slow\nTrue 10\n");
}

#[test]
fn joblib_says_whether_it_has_processes() {
    let serial = [("JOBLIB_MULTIPROCESSING", "0")];
    for (mp, told) in [
        ("None", "joblib JOBLIB_MULTIPROCESSING: 0 (held)\n"),
        ("1", "joblib JOBLIB_MULTIPROCESSING: 1 (not-held)\n"),
    ] {
        let case = Case::new();
        let module = format!("import types\nparallel = types.SimpleNamespace(mp={mp})\n");
        fs::write(case.path("joblib.py"), module).unwrap();
        let output = case.python("import joblib", &[&STEP[..], &serial].concat());
        assert_eq!(text(&output.stderr), "");
        assert!(case.told().contains(told), "{}", case.told());
    }
}

#[test]
fn knobs_can_be_turned_off() {
    let case = Case::new();
    let only = [("ENVBOX_FRAMEWORK_KNOBS", "jax,cv2")];
    let program = "import torch, jaxlib, os; print(torch.told, os.environ.get('XLA_FLAGS'))";
    let output = case.python(program, &[&STEP[..], &only].concat());
    assert_eq!(
        text(&output.stdout),
        "not oneDNN's\n[] --xla_cpu_max_isa=AVX2\n"
    );
    // What is only read back is still.
    assert!(case.told().contains("AVX2 (held)"), "{}", case.told());
}

#[test]
fn the_hook_breaks_nothing() {
    let case = Case::new();
    // A library of which nothing is there that the hook asks for.
    fs::write(case.path("torch.py"), "").unwrap();
    fs::write(case.path("cv2.py"), "raise ValueError('its own')").unwrap();
    let program = "import torch, importlib.util\n\
         for name in ('cv2', 'broken', 'polars'):\n    \
             try: importlib.import_module(name)\n    \
             except Exception as error: print(type(error).__name__, error)\n\
         print(importlib.util.find_spec('numpy').name, importlib.reload(torch) is torch)\n";
    let output = case.python(program, &STEP);
    assert_eq!(text(&output.stderr), "");
    insta::assert_snapshot!(text(&output.stdout), @r#"
ValueError its own
ImportError its own
ModuleNotFoundError No module named 'polars'
numpy True
"#);
    assert!(
        case.told().contains("torch hook: AttributeError"),
        "{}",
        case.told()
    );
}

#[test]
fn outside_a_step_there_is_no_hook() {
    let case = Case::new();
    let program = "import torch; print(torch.told, _envbox.Finder in sys.meta_path)";
    let output = case.python(program, &STEP[1..]);
    assert_eq!(text(&output.stdout), "[] False\n");
    assert_eq!(case.told(), "");
}
