//! The variables a step gets, built from nothing.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use envbox_lockfiles::base::Digest;
use envbox_lockfiles::manifest::{FrameworkKnobs, SandboxPolicy};
use envbox_sandbox::Terminal;

use crate::ops::run::pins;
use crate::ops::run::{RunError, RunOptions, Variable};

/// The step's home directory.
pub(in crate::ops) const HOME: &str = "/home/envbox";

/// The step's user.
const USER: &str = "envbox";

/// The environment's programs first, then the base's.
const PATH: &str = "/opt/env/bin:/usr/bin:/bin";

/// Variables that a step can rely on, which is why nobody else may set them.
const OURS: [&str; 7] = [
    "ENVBOX",
    "ENVBOX_CPUS",
    "ENVBOX_CPU_BASELINE",
    "ENVBOX_FRAMEWORK_KNOBS",
    "ENVBOX_LOCK_DIGEST",
    "ENVBOX_SEED",
    // Set by `gpu`.
    GPU,
];

/// Whose GPUs a step was given.
pub(in crate::ops::run) const GPU: &str = "ENVBOX_GPU";

/// What programs take to be a terminal when the caller's kind is not known.
const TERMINAL: &str = "xterm-256color";

/// What of the caller's a step may get.
#[derive(Debug, Clone, Copy)]
pub(in crate::ops) struct Callers<'a> {
    /// The caller's whole environment.
    pub(in crate::ops) variables: &'a BTreeMap<OsString, OsString>,
    /// `--env`.
    pub(in crate::ops) asked: &'a [Variable],
    /// Whether the step gets a terminal of its own.
    pub(in crate::ops) terminal: Terminal,
    /// What becomes of variables that nobody named.
    pub(in crate::ops) rest: Rest,
}

/// What becomes of variables of the caller's that nobody named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rest {
    /// The step does not get them.
    #[default]
    Cleared,
    /// The step gets those that envbox does not set.
    Kept,
}

/// Says whether a variable is one that nobody else may set.
pub(in crate::ops) fn is_ours(name: &str) -> bool {
    OURS.contains(&name)
}

/// Returns the step's whole environment, sorted, so that the block of memory it is in is the same
/// everywhere. What is set in several places is taken from the last of: the defaults, `env` of the
/// manifest, `pass-env` of the manifest, the options. What activating a prefix of conda's sets counts as a
/// default.
///
/// # Errors
/// Returns [`RunError::Reserved`] when somebody sets a variable that is envbox's.
pub(in crate::ops) fn environment(
    policy: &SandboxPolicy,
    callers: Callers<'_>,
    activation: &BTreeMap<String, String>,
    lock: Option<&Digest>,
) -> Result<Vec<(OsString, OsString)>, RunError> {
    let mut all = defaults(policy, callers);
    all.extend(
        activation
            .iter()
            .map(|(name, value)| (name.into(), value.into())),
    );
    let mut set = |name: &OsStr, value: OsString| {
        if OURS.iter().any(|ours| name == *ours) {
            let name = name.to_owned();
            return Err(RunError::Reserved { name });
        }
        let value = pins::beside(name, value, policy.cpu_baseline);
        all.insert(name.to_owned(), value);
        Ok(())
    };
    for (name, value) in &policy.env {
        set(OsStr::new(name), value.into())?;
    }
    for name in &policy.pass_env {
        if let Some(value) = callers.variables.get(OsStr::new(name)) {
            set(OsStr::new(name), value.clone())?;
        }
    }
    for variable in callers.asked {
        match variable {
            Variable::Set(name, value) => set(name, value.clone())?,
            Variable::Pass(name) => {
                if let Some(value) = callers.variables.get(name) {
                    set(name, value.clone())?;
                }
            }
        }
    }
    let [envbox, cpus, baseline, knobs, digest, seed, _] = OURS;
    all.insert(envbox.into(), "1".into());
    all.insert(cpus.into(), policy.cpus.to_string().into());
    all.insert(baseline.into(), policy.cpu_baseline.name().into());
    // All that the hook knows, if it is not there.
    if let FrameworkKnobs::Only(libraries) = &policy.framework_knobs {
        let names: Vec<_> = libraries.iter().map(|one| one.module()).collect();
        all.insert(knobs.into(), names.join(",").into());
    }
    all.extend(lock.map(|lock| (digest.into(), lock.to_string().into())));
    all.insert(seed.into(), policy.seed.to_string().into());
    if callers.rest == Rest::Kept {
        for (name, value) in callers.variables {
            if !OURS.iter().any(|ours| name == ours) {
                all.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
    }
    Ok(all.into_iter().collect())
}

/// Returns the variables of an image's config: those of a step whose caller passes nothing.
///
/// # Errors
/// As [`environment`].
pub(in crate::ops) fn image_environment(
    policy: &SandboxPolicy,
    activation: &BTreeMap<String, String>,
    lock: &Digest,
) -> Result<Vec<(String, String)>, RunError> {
    let nothing = RunOptions::default();
    let all = environment(policy, nothing.callers(), activation, Some(lock))?;
    let text = |text: OsString| {
        let text = text.into_string();
        text.expect("manifests and our own values are UTF-8")
    };
    Ok(all
        .into_iter()
        .map(|(name, value)| (text(name), text(value)))
        .collect())
}

fn defaults(policy: &SandboxPolicy, callers: Callers<'_>) -> BTreeMap<OsString, OsString> {
    let epoch = policy.epoch.as_second().to_string();
    // Python takes 32 bits.
    let hash_seed = (policy.seed & u64::from(u32::MAX)).to_string();
    let mut all: BTreeMap<OsString, OsString> = [
        ("HOME", HOME),
        ("LANG", "C.UTF-8"),
        ("LC_ALL", "C.UTF-8"),
        ("LOGNAME", USER),
        ("PATH", PATH),
        // The environment has its own; what a step compiled would hold the sources' real times.
        ("PYTHONDONTWRITEBYTECODE", "1"),
        ("PYTHONHASHSEED", &hash_seed),
        ("SOURCE_DATE_EPOCH", &epoch),
        ("TZ", "UTC"),
        ("USER", USER),
    ]
    .into_iter()
    .map(|(name, value)| (name.into(), value.into()))
    .collect();
    let pins = pins::variables(policy.cpus, policy.cpu_baseline);
    all.extend(
        pins.into_iter()
            .map(|(name, value)| (name.into(), value.into())),
    );
    if callers.terminal == Terminal::Pty {
        let own = callers.variables.get(OsStr::new("TERM")).cloned();
        all.insert("TERM".into(), own.unwrap_or_else(|| TERMINAL.into()));
    } else {
        // Else the width of the caller's terminal would be the width of tables.
        all.insert("COLUMNS".into(), "80".into());
        all.insert("LINES".into(), "24".into());
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::run::tests::policy;

    #[test]
    fn settings_of_the_c_library_stand_beside_the_pin() {
        let set = |value: &str| {
            let mut policy = policy();
            policy
                .env
                .insert("GLIBC_TUNABLES".to_owned(), value.to_owned());
            let shown = show(&policy, &RunOptions::default());
            let line = shown
                .lines()
                .find(|line| line.starts_with("GLIBC_TUNABLES"));
            line.unwrap().to_owned()
        };
        let ours = "glibc.cpu.hwcaps=-AVX512F,-AVX512CD,-AVX512BW,-AVX512DQ,-AVX512VL,-FMA4";
        assert_eq!(
            set("glibc.malloc.check=1"),
            format!("GLIBC_TUNABLES=glibc.malloc.check=1:{ours}")
        );
        let own = "glibc.cpu.hwcaps=-AVX2";
        assert_eq!(set(own), format!("GLIBC_TUNABLES={own}"));
    }

    fn show(policy: &SandboxPolicy, options: &RunOptions) -> String {
        environment(
            policy,
            options.callers(),
            &BTreeMap::new(),
            Some(&Digest::of(b"")),
        )
        .unwrap()
        .into_iter()
        .map(|(name, value)| format!("{}={}\n", name.display(), value.display()))
        .collect()
    }

    #[test]
    fn nothing_of_the_callers_is_in_it() {
        let mut options = RunOptions::default();
        for name in ["TERM", "LD_PRELOAD", "LANG", "OMP_NUM_THREADS"] {
            options.host_env.insert(name.into(), "the caller's".into());
        }
        insta::assert_snapshot!(show(&policy(), &options), @r#"
    ARROW_USER_SIMD_LEVEL=AVX2
    ATEN_CPU_CAPABILITY=avx2
    BLIS_ARCH_TYPE=3
    COLUMNS=80
    CUBLAS_WORKSPACE_CONFIG=:4096:8
    ENVBOX=1
    ENVBOX_CPUS=1
    ENVBOX_CPU_BASELINE=x86-64-v3
    ENVBOX_LOCK_DIGEST=sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
    ENVBOX_SEED=0
    GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX512F,-AVX512CD,-AVX512BW,-AVX512DQ,-AVX512VL,-FMA4
    HOME=/home/envbox
    JOBLIB_MULTIPROCESSING=0
    KMP_DETERMINISTIC_REDUCTION=1
    LANG=C.UTF-8
    LC_ALL=C.UTF-8
    LINES=24
    LOGNAME=envbox
    MKL_CBWR=AVX2
    MKL_DYNAMIC=FALSE
    MKL_ENABLE_INSTRUCTIONS=AVX2
    MKL_NUM_THREADS=1
    NPY_DISABLE_CPU_FEATURES=X86_V4 AVX512F AVX512CD AVX512_SKX AVX512_KNL AVX512_KNM AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR
    NUMBA_CPU_FEATURES=
    NUMBA_CPU_NAME=haswell
    NUMEXPR_MAX_THREADS=1
    NUMEXPR_NUM_THREADS=1
    OMP_DYNAMIC=FALSE
    OMP_NUM_THREADS=1
    ONEDNN_MAX_CPU_ISA=AVX2
    OPENBLAS_CORETYPE=Haswell
    OPENBLAS_L2_SIZE=256
    OPENBLAS_NUM_THREADS=1
    OPENCV_CPU_DISABLE=AVX512-SKX
    OPENSSL_ia32cap=~0x4000000000000000:~0x40000
    PATH=/opt/env/bin:/usr/bin:/bin
    PYTHONDONTWRITEBYTECODE=1
    PYTHONHASHSEED=0
    RAYON_NUM_THREADS=1
    SOURCE_DATE_EPOCH=1577836800
    TOKENIZERS_PARALLELISM=false
    TZ=UTC
    USER=envbox
    "#);
    }

    #[test]
    fn the_last_of_defaults_manifest_and_options_wins() {
        let mut policy = policy();
        policy.cpus = 2;
        policy.seed = (1 << 32) + 7;
        policy.env.insert("OMP_NUM_THREADS".into(), "4".into());
        policy.env.insert("LANG".into(), "C".into());
        policy.pass_env = vec!["LANG".into(), "TOKEN".into(), "ABSENT".into()];
        let mut options = RunOptions {
            terminal: Terminal::Pty,
            env: vec![
                Variable::Pass("TOKEN".into()),
                Variable::Set("A".into(), "1=2".into()),
                Variable::Set("A".into(), "3".into()),
                Variable::Pass("ABSENT".into()),
            ],
            ..RunOptions::default()
        };
        for name in ["LANG", "TOKEN", "A"] {
            options.host_env.insert(name.into(), "the caller's".into());
        }
        insta::assert_snapshot!(show(&policy, &options), @r#"
    A=3
    ARROW_USER_SIMD_LEVEL=AVX2
    ATEN_CPU_CAPABILITY=avx2
    BLIS_ARCH_TYPE=3
    CUBLAS_WORKSPACE_CONFIG=:4096:8
    ENVBOX=1
    ENVBOX_CPUS=2
    ENVBOX_CPU_BASELINE=x86-64-v3
    ENVBOX_LOCK_DIGEST=sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
    ENVBOX_SEED=4294967303
    GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX512F,-AVX512CD,-AVX512BW,-AVX512DQ,-AVX512VL,-FMA4
    HOME=/home/envbox
    KMP_DETERMINISTIC_REDUCTION=1
    LANG=the caller's
    LC_ALL=C.UTF-8
    LOGNAME=envbox
    MKL_CBWR=AVX2
    MKL_DYNAMIC=FALSE
    MKL_ENABLE_INSTRUCTIONS=AVX2
    MKL_NUM_THREADS=2
    NPY_DISABLE_CPU_FEATURES=X86_V4 AVX512F AVX512CD AVX512_SKX AVX512_KNL AVX512_KNM AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR
    NUMBA_CPU_FEATURES=
    NUMBA_CPU_NAME=haswell
    NUMEXPR_MAX_THREADS=2
    NUMEXPR_NUM_THREADS=2
    OMP_DYNAMIC=FALSE
    OMP_NUM_THREADS=4
    ONEDNN_MAX_CPU_ISA=AVX2
    OPENBLAS_CORETYPE=Haswell
    OPENBLAS_L2_SIZE=256
    OPENBLAS_NUM_THREADS=2
    OPENCV_CPU_DISABLE=AVX512-SKX
    OPENSSL_ia32cap=~0x4000000000000000:~0x40000
    PATH=/opt/env/bin:/usr/bin:/bin
    PYTHONDONTWRITEBYTECODE=1
    PYTHONHASHSEED=7
    RAYON_NUM_THREADS=2
    SOURCE_DATE_EPOCH=1577836800
    TERM=xterm-256color
    TOKEN=the caller's
    TOKENIZERS_PARALLELISM=false
    TZ=UTC
    USER=envbox
    "#);
    }

    #[test]
    fn what_is_kept_replaces_nothing() {
        let mut options = RunOptions::default();
        for name in ["LANG", "ENVBOX_SEED", "ENVBOX_LOCK_DIGEST", "TOKEN"] {
            options.host_env.insert(name.into(), "the caller's".into());
        }
        let callers = Callers {
            rest: Rest::Kept,
            ..options.callers()
        };
        let all = environment(&policy(), callers, &BTreeMap::new(), None).unwrap();
        let value = |name| all.iter().find(|(found, _)| found == name).map(|it| &it.1);
        assert_eq!(value("TOKEN").unwrap(), "the caller's");
        assert_eq!(value("LANG").unwrap(), "C.UTF-8");
        assert_eq!(value("ENVBOX_SEED").unwrap(), "0");
        assert_eq!(value("ENVBOX_LOCK_DIGEST"), None);
    }

    #[test]
    fn envboxs_own_variables_cannot_be_set() {
        for name in OURS {
            let options = RunOptions {
                env: vec![Variable::Set(name.into(), "x".into())],
                ..RunOptions::default()
            };
            let lock = Digest::of(b"");
            let error = environment(&policy(), options.callers(), &BTreeMap::new(), Some(&lock))
                .unwrap_err();
            assert!(matches!(error, RunError::Reserved { .. }), "{name}");
        }
    }

    #[test]
    fn variables_are_read_from_arguments() {
        let read = |text: &str| Variable::try_from(OsString::from(text)).ok();
        let set = |name: &str, value: &str| Some(Variable::Set(name.into(), value.into()));
        assert_eq!(read("A=1=2"), set("A", "1=2"));
        assert_eq!(read("A="), set("A", ""));
        assert_eq!(read("A"), Some(Variable::Pass("A".into())));
        assert_eq!((read(""), read("=x")), (None, None));
    }
}
