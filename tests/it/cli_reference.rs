//! The help texts, all of them, as the reference of the command line.

use crate::support::{User, World};

#[test]
fn help_of_every_command() {
    let world = World::new(User::Current);
    let mut reference = String::new();
    let commands: &[&[&str]] = &[
        &[],
        &["init"],
        &["lock"],
        &["add"],
        &["remove"],
        &["tree"],
        &["why"],
        &["diff"],
        &["import"],
        &["fetch"],
        &["mirror"],
        &["build"],
        &["export"],
        &["export", "bundle"],
        &["export", "pylock"],
        &["export", "requirements"],
        &["export", "conda-explicit"],
        &["export", "conda-lock"],
        &["export", "environment.yml"],
        &["export", "dockerfile"],
        &["export", "k8s-job"],
        &["export", "argo"],
        &["export", "airflow"],
        &["export", "kubeflow"],
        &["export", "nextflow"],
        &["run"],
        &["audit"],
        &["verify"],
        &["inside"],
        &["shell"],
        &["sbom"],
        &["report"],
        &["provenance"],
        &["verify-attestation"],
        &["key"],
        &["key", "generate"],
        &["version"],
        &["doctor"],
        &["store"],
        &["store", "du"],
        &["store", "verify"],
        &["store", "gc"],
    ];
    for command in commands {
        let run = world.run(&[*command, &["--help"]].concat());
        assert_eq!(run.code(), Some(0));
        reference.push_str(&format!(
            "# envbox {}\n\n{}\n",
            command.join(" "),
            run.stdout()
        ));
    }
    insta::assert_snapshot!(reference);
}
