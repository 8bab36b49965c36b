//! `envbox export` of a step for engines: what is written, and what is refused. The lock is one of the
//! golden examples', so nothing is asked of a registry.

use std::fs;
use std::path::Path;

use crate::support::{Run, User, World};

const IMAGE: &str = "registry.example/team/iris@sha256:4355a46b19d348dc2f57c046f8ef63d4538ebb936000f3c9ee954a27460dd865";

fn world() -> World {
    let world = World::new(User::Current);
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("lockfiles/golden/sklearn");
    for name in ["envbox.toml", "envbox.lock"] {
        world.write(name, &fs::read_to_string(golden.join(name)).unwrap());
    }
    world
}

fn export(world: &World, engine: &str, words: &[&str]) -> Run {
    world.run(&[&["export", engine, "--frozen"], words].concat())
}

#[test]
fn a_step_is_written_for_each_engine() {
    let world = world();
    let words = [
        "--image",
        IMAGE,
        "--volume",
        "work:/project",
        "--",
        "python",
        "train.py",
    ];
    for (engine, told) in [
        ("k8s-job", "apiVersion: batch/v1\n"),
        ("argo", "apiVersion: argoproj.io/v1alpha1\n"),
        ("airflow", "from airflow.sdk import DAG\n"),
        ("kubeflow", "@dsl.container_component\n"),
    ] {
        let run = export(&world, engine, &words);
        assert_eq!(
            (run.code(), run.stderr()),
            (Some(0), String::new()),
            "{engine}"
        );
        assert!(run.stdout().contains(told), "{}", run.stdout());
        assert!(run.stdout().contains(IMAGE) && run.stdout().contains("sklearn"));
        let written = export(
            &world,
            engine,
            &[&["--output", "file"][..], &words].concat(),
        );
        assert_eq!(written.stdout(), "wrote `[ROOT]/project/file`\n");
        let file = fs::read_to_string(world.project().join("file")).unwrap();
        assert_eq!(file, run.stdout());
    }
    let run = export(&world, "nextflow", &[&["flow"][..], &words].concat());
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    let main = fs::read_to_string(world.project().join("flow/main.nf")).unwrap();
    assert!(main.contains("path 'model.joblib'") && main.contains("inside -- python train.py\n"));
    assert!(world.project().join("flow/nextflow.config").is_file());
}

#[test]
fn gpus_bring_what_the_lock_and_the_sandbox_say_of_them() {
    let world = world();
    let words = [
        "--image",
        IMAGE,
        "--gpu",
        "2",
        "--env",
        "NCCL_ALGO=Tree",
        "--",
        "python",
    ];
    let text = export(&world, "k8s-job", &words).stdout();
    for part in [
        "nvidia.com/gpu: \"2\"",
        "\"NCCL_ALGO=Tree\"",
        "\"NVIDIA_TF32_OVERRIDE=0\"",
        "\"XLA_FLAGS=--xla_gpu_deterministic_ops=true\"",
        "key: nvidia.com/gpu",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // The image has what the manifest sets.
    let manifest = fs::read_to_string(world.project().join("envbox.toml")).unwrap();
    world.write(
        "envbox.toml",
        &format!("{manifest}env = {{ NCCL_ALGO = \"Tree\" }}\n"),
    );
    let text = export(
        &world,
        "k8s-job",
        &["--image", IMAGE, "--gpu", "--", "python"],
    )
    .stdout();
    assert!(
        !text.contains("NCCL_ALGO") && text.contains("nvidia.com/gpu: \"1\""),
        "{text}"
    );
    let text = export(&world, "k8s-job", &["--image", IMAGE, "--", "python"]).stdout();
    assert!(!text.contains("nvidia"), "{text}");
}

#[test]
fn each_mistake_has_one_clear_error() {
    let world = world();
    let lost = export(&world, "k8s-job", &["--image", IMAGE, "--", "python"]);
    assert_eq!(lost.code(), Some(0));
    assert!(
        lost.stderr()
            .contains("/project/model.joblib, /project/metrics.json will be lost with the pod")
    );
    let mut shown = String::new();
    for words in [
        &["--", "python"][..],
        &["--image", "registry.example/team/iris:v1", "--", "python"],
        &[
            "--unsupervised",
            "--image",
            "registry.example/team/iris",
            "--",
            "python",
        ],
        &["--image", IMAGE],
        &["--image", IMAGE, "--name", "Iris_2", "--", "python"],
        &["--image", IMAGE, "--memory", "8GB", "--", "python"],
        &["--image", IMAGE, "--volume", "data", "--", "python"],
        &["--image", IMAGE, "--volume", "data:/usr", "--", "python"],
        &["--image", IMAGE, "--env", "HOME", "--", "python"],
        &["--image", IMAGE, "--env", "ENVBOX_SEED=1", "--", "python"],
        &["--image", IMAGE, "--", "echo", "{{x}}"],
    ] {
        let run = export(&world, "argo", words);
        assert_eq!(
            (run.code(), run.stdout()),
            (Some(10), String::new()),
            "{words:?}"
        );
        shown += &run.stderr();
        shown.push('\n');
    }
    insta::assert_snapshot!(shown, @r"
    error: there is no image to run the command in

    hint: push it with `envbox build --supervised --push REPOSITORY:TAG`, and give what that prints: `--image REPOSITORY@sha256:…`

    error: `registry.example/team/iris:v1` names no digest, and a tag may lead to another image tomorrow

    hint: push it with `envbox build --supervised --push registry.example/team/iris:v1`, and give what that prints: `--image registry.example/team/iris@sha256:…`

    error: `registry.example/team/iris` names no digest, and a tag may lead to another image tomorrow

    hint: push it with `envbox build --push registry.example/team/iris`, and give what that prints: `--image registry.example/team/iris@sha256:…`
    hint: or write the image to the lockfile as well, with `--record`: then it is found in the repository by that

    error: there is no command to run

    hint: write it behind `--`: `-- python train.py`

    error: `Iris_2` cannot be the name: it must be of 1 to 63 lower-case letters, digits and `-`, beginning and ending with a letter or digit

    hint: use `--name iris-2`

    error: `8GB` is no amount of memory

    hint: write it as `512Mi`, `8Gi` or `1Ti`

    error: `data` is not CLAIM:PATH or CLAIM:PATH:ro

    hint: write it as `--volume data:/data:ro`

    error: no volume can be at `/usr`: it would hide `/usr`

    hint: choose `/project`, a directory below it, or one of your own: `/data`

    error: `--env` needs NAME=VALUE here: a template cannot pass on the caller's variables

    error: the variable `ENVBOX_SEED` is set by envbox alone

    hint: use another name

    error: `{{x}}` has `{{`, which Argo takes for an expression of its own

    hint: put it into a file of the project, and run that
    ");
}

#[test]
fn another_engine_is_told_which_there_are() {
    let world = world();
    let run = world.run(&["export", "kubernetes"]);
    assert_eq!(run.code(), Some(2));
    insta::assert_snapshot!(run.stderr(), @r"
    error: unrecognized subcommand 'kubernetes'

      tip: a similar subcommand exists: 'requirements'
      tip: there are `bundle`, `pylock`, `requirements`, `conda-explicit`, `conda-lock`, `environment.yml`, `dockerfile`, `k8s-job`, `argo`, `airflow`, `kubeflow`, `nextflow`, `slsa`, `openlineage`, `ro-crate`

    Usage: envbox export [OPTIONS] <COMMAND>

    For more information, try '--help'.
    ");
}
