use std::fs;
use std::path::Path;

use crate::base::Platform;
use crate::manifest::tests::{HEAD, parse, parse_all};
use crate::manifest::{
    CpuBaseline, InterpreterSource, Manifest, OutputTimes, Prerelease, StepClock, StepCpuid,
    StepFileStatus, StepNetwork,
};

#[test]
fn a_whole_manifest_is_read() {
    let manifest = parse(
        r#"
        [python]
        requirements = ["Scikit_Learn == 1.5.2", "pandas>=2 ; python_version > '3.8'"]
        constraints = ["NumPy<3"]
        overrides = ["attrs==24.1"]
        exclude-newer = "2026-11-01"
        prerelease = "if-necessary"
        index-url = "https://pypi.example/simple"
        extra-index-urls = ["https://example.org/simple", { name = "own", url = "https://own.example/simple" }]
        find-links = ["wheels", { name = "more", url = "/srv/more" }]
        no-build = true
        [debian]
        suite = "bookworm"
        snapshot = "20261101T000000Z"
        packages = ["libgomp1"]
        security = false
        mirror = "https://deb.example/debian"
        security-mirror = "https://deb.example/security"
        [sandbox]
        hostname = "box"
        epoch = 1980-01-01
        seed = 0x10
        clock = "ticking"
        cpus = 2
        cpu-baseline = "x86-64-v2"
        framework-knobs = ["torch", "jax"]
        cpuid = "host"
        file-status = "fixed"
        output-times = "epoch"
        network = "loopback"
        outputs = ["model.pkl", "metrics/"]
        env = { OMP_NUM_THREADS = "1" }
        pass-env = ["HTTPS_PROXY"]
        "#,
    )
    .unwrap();
    insta::assert_debug_snapshot!(manifest.sandbox, @r#"
    SandboxPolicy {
        hostname: "box",
        epoch: 1980-01-01T00:00:00Z,
        clock: Ticking,
        seed: 16,
        cpus: 2,
        cpu_baseline: V2,
        framework_knobs: Only(
            [
                Torch,
                Jax,
            ],
        ),
        cpuid: Host,
        file_status: Fixed,
        output_times: Epoch,
        network: Loopback,
        outputs: [
            "model.pkl",
            "metrics/",
        ],
        env: {
            "OMP_NUM_THREADS": "1",
        },
        pass_env: [
            "HTTPS_PROXY",
        ],
    }
    "#);
    insta::assert_debug_snapshot!(manifest.debian, @r#"
    Debian {
        suite: Some(
            "bookworm",
        ),
        snapshot: Some(
            "20261101T000000Z",
        ),
        packages: [
            DebianName(
                "libgomp1",
            ),
        ],
        security: Some(
            false,
        ),
        mirror: Some(
            "https://deb.example/debian",
        ),
        security_mirror: Some(
            "https://deb.example/security",
        ),
    }
    "#);
    let python = &manifest.python;
    let expected = [
        "scikit-learn==1.5.2",
        "pandas>=2 ; python_full_version >= '3.9'",
    ];
    assert_eq!(python.requirements, expected);
    assert_eq!(python.constraints, ["numpy<3"]);
    assert_eq!(python.overrides, ["attrs==24.1"]);
    assert_eq!(python.prerelease, Prerelease::IfNecessary);
    let time = python.exclude_newer.unwrap().to_string();
    assert_eq!(time, "2026-11-01T00:00:00Z");
    let index = python.index_url.as_deref();
    assert_eq!(index, Some("https://pypi.example/simple"));
    let names = python.extra_indexes.iter().chain(&python.find_links);
    let names: Vec<_> = names.map(|index| index.name.as_str()).collect();
    assert_eq!(names, ["extra-1", "own", "find-links-1", "more"]);
    let beside = std::path::absolute(Path::new("wheels")).unwrap();
    let beside = format!("file://{}/", beside.display());
    assert_eq!(python.find_links[0].url, beside);
    assert_eq!(python.find_links[1].url, "file:///srv/more/");
}

#[test]
fn what_is_not_said_has_its_default() {
    let manifest = parse_all("[environment]\nname = \"iris\"\n").unwrap();
    assert_eq!(manifest.environment.python, None);
    assert_eq!(manifest.environment.platforms, [Platform::LinuxAmd64]);
    let (python, sandbox) = (&manifest.python, &manifest.sandbox);
    assert!(python.no_build && python.requirements.is_empty());
    assert_eq!(python.prerelease, Prerelease::IfNecessaryOrExplicit);
    assert_eq!(manifest.debian, crate::manifest::Debian::default());
    assert_eq!(sandbox.hostname, "envbox");
    assert_eq!(sandbox.epoch.to_string(), "2020-01-01T00:00:00Z");
    assert_eq!(sandbox.clock, StepClock::Logical);
    assert_eq!(sandbox.cpu_baseline, CpuBaseline::V3);
    assert_eq!(sandbox.cpuid, StepCpuid::Masked);
    assert_eq!(sandbox.file_status, StepFileStatus::Times);
    assert_eq!(sandbox.output_times, OutputTimes::Real);
    assert_eq!(
        (sandbox.seed, sandbox.cpus, sandbox.network),
        (0, 1, StepNetwork::None)
    );
}

#[test]
fn a_default_can_be_written_down() {
    let written = parse(
        r#"
        [sandbox]
        seed = 0
        clock = "logical"
        cpus = 1
        cpu-baseline = "x86-64-v3"
        framework-knobs = true
        cpuid = "masked"
        file-status = "times"
        output-times = "real"
        network = "none"
        "#,
    );
    let left_out = parse("");
    assert_eq!(
        format!("{:?}", written.unwrap().sandbox),
        format!("{:?}", left_out.unwrap().sandbox)
    );
}

#[test]
fn a_python_is_a_text_or_a_table() {
    for (written, version, from) in [
        ("\"3.11\"", "3.11", None),
        ("\"3.11.9\"", "3.11.9", None),
        ("{ version = \"3.13\" }", "3.13", None),
        (
            "{ version = \"3.11\", from = \"debian\" }",
            "3.11",
            Some(InterpreterSource::Debian),
        ),
        (
            "{ version = \"3.12.1\", from = \"standalone\" }",
            "3.12.1",
            Some(InterpreterSource::Standalone),
        ),
    ] {
        let text = format!("[environment]\nname = \"iris\"\npython = {written}\n");
        let python = parse_all(&text).unwrap().environment.python.unwrap();
        let found = (python.version.to_string(), python.from);
        assert_eq!(found, (version.to_owned(), from), "{written}");
    }
}

#[test]
fn platforms_are_sorted_and_each_is_there_once() {
    let text = "[environment]\nname = \"iris\"\nplatforms = [\"linux/arm64\", \"linux/amd64\", \"linux/arm64\"]\n";
    let platforms = parse_all(text).unwrap().environment.platforms;
    assert_eq!(platforms, [Platform::LinuxAmd64, Platform::LinuxArm64]);
}

#[test]
fn times_mean_the_same_everywhere() {
    let start = "2026-11-01T00:00:00Z";
    for (written, expected) in [
        ("\"2026-11-01\"", Some(start)),
        ("2026-11-01", Some(start)),
        ("2026-11-01T00:00:00Z", Some(start)),
        ("\"2026-11-01T02:00:00+02:00\"", Some(start)),
        ("2026-11-01 02:00:00+02:00", Some(start)),
        ("\"2026-11-01T00:00:00\"", None),
        ("2026-11-01T00:00:00", None),
        ("00:00:00", None),
    ] {
        let found = parse(&format!("[python]\nexclude-newer = {written}\n"))
            .ok()
            .map(|manifest| manifest.python.exclude_newer.unwrap().to_string());
        assert_eq!(found.as_deref(), expected, "{written}");
    }
}

#[test]
fn line_ends_and_a_byte_order_mark_mean_nothing() {
    let text = format!("{}[python]\nrequirements = [\"numpy\"]\n", super::HEAD);
    let expected = parse_all(&text).unwrap();
    let windows = text.replace('\n', "\r\n");
    assert_eq!(parse_all(&windows).unwrap(), expected);
    assert_eq!(parse_all(&format!("\u{feff}{windows}")).unwrap(), expected);
    let project = super::Project::new(&[("envbox.toml", &format!("\u{feff}{windows}"))]);
    assert_eq!(project.manifest().unwrap(), expected);
}

#[test]
fn images_are_named_without_their_hosts() {
    let digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    for (image, reference, place) in [
        ("debian", "images/debian", None),
        ("library/debian:12", "images/library/debian", None),
        (
            "registry.example/team/debian:12",
            "images/team/debian",
            Some("https://registry.example/"),
        ),
        (
            "localhost:5000/debian",
            "images/debian",
            Some("http://localhost:5000/"),
        ),
        (
            "oci:/srv/my/layout",
            "images/layout",
            Some("file:///srv/my/layout/"),
        ),
    ] {
        let manifest = parse(&format!("[base]\nimage = \"{image}@{digest}\"\n")).unwrap();
        let base = manifest.base.unwrap();
        assert_eq!(base.reference.to_string(), format!("{reference}@{digest}"));
        assert_eq!(base.place.as_deref(), place, "{image}");
    }
    let named = format!("[base]\nimage = \"a@{digest}\"\nregistry = \"own\"\n");
    let base = parse(&named).unwrap().base.unwrap();
    assert_eq!(base.reference.registry.as_str(), "own");
}

#[test]
fn an_image_brings_no_python() {
    let base = "[base]\nimage = \"a@sha256:\
                e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"\n";
    let head = |python: &str| format!("[environment]\nname = \"x\"\npython = {python}\n{base}");
    for good in ["\"3.11\"", "{ version = \"3.11\", from = \"standalone\" }"] {
        assert!(parse_all(&head(good)).is_ok(), "{good}");
    }
    let bad = head("{ version = \"3.11\", from = \"debian\" }");
    let error = parse_all(&bad).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("cannot have its Python from `debian`")
    );
}

#[test]
fn groups_have_requirements_files_and_packages_of_their_own() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("envbox.toml");
    fs::write(directory.path().join("test.txt"), "pytest\n").unwrap();
    let text = format!(
        "{HEAD}[python]\nrequirements = [\"numpy\"]\n[groups.Dev_Tools]\n\
         requirements = [\"Black >=1\"]\nrequirements-from = [\"test.txt\"]\ndebian = [\"git\"]\n\
         [groups.empty]\n"
    );
    let manifest = Manifest::parse(&text, &file).unwrap();
    assert_eq!(manifest.python.requirements, ["numpy"]);
    let names: Vec<_> = manifest.groups.keys().map(|name| name.as_str()).collect();
    assert_eq!(names, ["dev-tools", "empty"]);
    let dev = &manifest.groups[&"dev-tools".parse().unwrap()];
    assert_eq!(dev.requirements, ["black>=1", "pytest"]);
    assert_eq!(dev.debian, ["git".parse().unwrap()]);
}
