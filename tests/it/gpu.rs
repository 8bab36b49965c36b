//! `envbox gpu`, and `--gpu` of `run`, on whatever host this is.

use std::fs;

use crate::support::{User, World};
use crate::tools::for_both;

/// The nodes of NVIDIA's that are there.
fn nodes() -> Vec<String> {
    let entries = fs::read_dir("/dev").unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.starts_with("nvidia")).collect();
    names.sort();
    names
}

/// A step that asked for a GPU does not run without one.
#[test]
fn a_step_that_asks_for_a_gpu_gets_one_or_does_not_run() {
    for_both(|tools| {
        let before = nodes();
        let usable = tools.world.run(&["gpu"]).code() == Some(0);
        let run = tools.run_with(&["--gpu"], &["sh", "-c", "echo ran"]);
        if usable {
            assert_eq!(run.stdout(), "ran\n", "{}", run.stderr());
        } else {
            assert_eq!(run.code(), Some(125), "{}", run.stdout());
            assert_eq!(run.stdout(), "");
            assert!(run.stderr().contains("hint: "), "{}", run.stderr());
        }
        assert_eq!(nodes(), before);
    });
}

#[test]
fn options_of_gpus_are_checked_first() {
    let world = World::new(User::Current);
    for (options, told) in [
        (&["--gpu=first"][..], "`first` names no GPU"),
        (&["--driver=compatible"], "--gpu"),
        (&["--gpu", "--driver=any"], "compatible"),
        (&["--gpu", "--cdi=always"], "require"),
    ] {
        let run = world.run(&[&["run"], options, &["--", "true"]].concat());
        assert_eq!(run.code(), Some(2), "{}", run.stderr());
        assert!(run.stderr().contains(told), "{}", run.stderr());
    }
}

#[test]
fn a_host_is_told_of_in_words_and_as_a_document() {
    for user in User::ALL {
        let world = World::new(user);
        let told = world.run(&["gpu"]);
        let document = world.run(&["--json", "gpu"]);
        assert_eq!(document.code(), told.code());
        let document: serde_json::Value = serde_json::from_str(&document.stdout()).unwrap();
        assert_eq!(document["schema"], "envbox.gpu/1");
        match told.code() {
            Some(0) => assert!(told.stdout().contains("usable: "), "{}", told.stdout()),
            Some(1) => {
                let why = document["refused"].as_str().unwrap();
                let remedy = document["remedy"].as_str().unwrap();
                let end = format!("not usable: {why}\nremedy: {remedy}\n");
                assert!(told.stdout().ends_with(&end), "{}", told.stdout());
            }
            other => panic!("{other:?}: {}", told.stderr()),
        }
    }
}
