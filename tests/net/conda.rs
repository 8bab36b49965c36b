//! Locks of conda packages beside the solutions of py-rattler, on the same channels.

use std::fs;
use std::path::Path;

use envbox::lock::Lockfile;
use serde_json::{Value, json};

use crate::downloads;
use crate::support::{User, World};

/// A channel of `fixtures/conda`, what is asked of it and what is declared.
struct Problem {
    channel: &'static str,
    specs: &'static [&'static str],
    declared: &'static [(&'static str, &'static str)],
    solvable: bool,
}

const fn problem(channel: &'static str, specs: &'static [&'static str]) -> Problem {
    Problem {
        channel,
        specs,
        declared: &[],
        solvable: true,
    }
}

const PROBLEMS: [Problem; 11] = [
    problem("conda-forge-slice", &["qgis", "python 3.12.*"]),
    problem(
        "conda-forge-slice",
        &["numpy", "pandas", "scipy", "python 3.12.*"],
    ),
    problem("conda-forge-slice", &["numpy <2", "python"]),
    problem("conda-forge-slice", &["pytorch"]),
    problem("anaconda-2017-index4", &["pandas", "python 3.6.*"]),
    problem("anaconda-2017-index4", &["notebook", "python 2.7.*"]),
    problem("tiny-channel", &["gpulib"]),
    problem("tiny-channel", &["mytool", "python 3.11.*"]),
    Problem {
        declared: &[("__cuda", "12.4"), ("__glibc", "2.39")],
        ..problem("tiny-channel", &["mytool"])
    },
    Problem {
        solvable: false,
        ..problem("tiny-channel", &["mytool >=0.4", "python <3.12"])
    },
    Problem {
        solvable: false,
        ..problem("sudoku", &["sudoku_0_0 ==5", "sudoku_0_1 ==5"])
    },
];

fn directory() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/net/conda"))
}

/// Writes the channels of the fixtures below `directory`.
fn unpack(directory: &Path) {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/conda");
    for channel in fs::read_dir(fixtures).unwrap() {
        let channel = channel.unwrap().path();
        if !channel.is_dir() {
            continue;
        }
        for subdir in ["linux-64", "noarch"] {
            let target = directory.join(channel.file_name().unwrap()).join(subdir);
            fs::create_dir_all(&target).unwrap();
            let text = match fs::read(channel.join(format!("{subdir}.json.zst"))) {
                Ok(packed) => zstd::decode_all(packed.as_slice()).unwrap(),
                Err(_) => fs::read(channel.join(subdir).join("repodata.json")).unwrap(),
            };
            fs::write(target.join("repodata.json"), text).unwrap();
        }
    }
}

/// Locks `problem` and returns the files of the packages, sorted; none without a solution. Also
/// returns what was declared.
fn locked(world: &World, problem: &Problem) -> (Option<Vec<String>>, Vec<String>) {
    let quoted = |texts: &[&str]| {
        let texts: Vec<_> = texts.iter().map(|text| format!("{text:?}")).collect();
        texts.join(", ")
    };
    let declared = problem.declared.iter();
    let declared: Vec<_> = declared
        .map(|(name, version)| format!("{name} = {version:?}"))
        .collect();
    let manifest = format!(
        "[environment]\nname = \"problem\"\n[conda]\nbase = \"glibc\"\n\
         channels = [{{ name = \"own\", url = \"channels/{}\" }}]\ndependencies = [{}]\n\
         virtual-packages = {{ {} }}\n",
        problem.channel,
        quoted(problem.specs),
        declared.join(", ")
    );
    world.write("envbox.toml", &manifest);
    let lock = world.project().join("envbox.lock");
    // What the last problem chose would be kept where it fits this one.
    let last = fs::read(&lock).ok();
    let _ = fs::remove_file(&lock);
    let run = world.run(&["lock"]);
    if run.code() != Some(0) {
        assert!(
            run.stderr().contains("no set of packages fulfils"),
            "{}",
            run.stderr()
        );
        if let Some(last) = last {
            fs::write(&lock, last).unwrap();
        }
        let lock = Lockfile::read(&lock).unwrap();
        return (None, shown(&lock));
    }
    let lock = Lockfile::read(&lock).unwrap();
    let packages = lock.conda.packages.iter();
    let mut files: Vec<_> = packages
        .map(|package| package.artifact.file.clone())
        .collect();
    files.sort();
    (Some(files), shown(&lock))
}

fn shown(lock: &Lockfile) -> Vec<String> {
    let packages = lock.conda.virtual_packages.iter();
    packages
        .map(|p| format!("{}={}={}", p.name, p.version, p.build))
        .collect()
}

#[test]
fn net_locks_are_what_py_rattler_solves() {
    let ours = World::new(User::Unprivileged);
    unpack(&ours.project().join("channels"));
    let (mut problems, mut expected) = (Vec::new(), Vec::new());
    for problem in &PROBLEMS {
        let (files, declared) = locked(&ours, problem);
        assert_eq!(files.is_some(), problem.solvable, "{:?}", problem.specs);
        let channel = format!("channels/{}", problem.channel);
        let asked = json!({"channel": channel, "specs": problem.specs, "virtual": declared});
        problems.push(asked.to_string());
        expected.push(json!(files));
    }
    let theirs = World::new(User::Unprivileged);
    unpack(&theirs.project().join("channels"));
    for name in ["envbox.toml", "solve.py"] {
        theirs.write(name, &fs::read_to_string(directory().join(name)).unwrap());
    }
    downloads::share(&theirs);
    let lock = theirs.run(&["lock"]);
    assert_eq!(lock.code(), Some(0), "{}", lock.stderr());
    let words = ["run", "--frozen", "--", "python", "solve.py"];
    let problems: Vec<_> = problems.iter().map(String::as_str).collect();
    let run = theirs.run(&[&words[..], &problems].concat());
    assert_eq!(run.code(), Some(0), "{}{}", run.stdout(), run.stderr());
    let found: Vec<Value> = serde_json::from_str(&run.stdout()).unwrap();
    for ((problem, found), expected) in PROBLEMS.iter().zip(found).zip(expected) {
        assert_eq!(found, expected, "{} {:?}", problem.channel, problem.specs);
    }
    downloads::keep(&theirs);
}
