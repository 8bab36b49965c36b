//! What is exported of a run, as other people's validators see it.

use std::fs;

use crate::downloads;
use crate::golden::world_of;
use crate::support::{User, World};

const VALIDATORS: &str = r#"
[environment]
name = "validators"
python = "3.11"

[python]
requirements = [
    "in-toto-attestation==0.9.3",
    "jsonschema==4.26.0",
    "openlineage-python==1.54.0",
    "roc-validator==0.13.0",
]
"#;

fn succeeds(world: &World, arguments: &[&str]) -> String {
    let run = world.run(arguments);
    let printed = (run.stdout(), run.stderr());
    assert_eq!(run.code(), Some(0), "{arguments:?}: {printed:?}");
    printed.0
}

#[test]
fn net_documents_of_runs_are_valid() {
    let validators = World::new(User::Unprivileged);
    validators.write("envbox.toml", VALIDATORS);
    validators.write("validate.py", include_str!("standards/validate.py"));
    validators.write("schema.json", include_str!("../../src/record/schema.json"));
    downloads::share(&validators);
    let world = world_of("sklearn", User::Unprivileged);
    let to = |name: &str| validators.project().join(name).display().to_string();
    succeeds(&world, &["run", "--", "python", "train.py"]);
    fs::write(to("record.json"), succeeds(&world, &["--json", "show"])).unwrap();
    for (format, name) in [("slsa", "slsa.json"), ("openlineage", "openlineage.json")] {
        fs::write(to(name), succeeds(&world, &["export", format, "@1"])).unwrap();
    }
    succeeds(&world, &["export", "ro-crate", "@1", "crate"]);
    fs::rename(world.project().join("crate"), to("crate")).unwrap();
    let printed = succeeds(&validators, &["run", "--", "python", "validate.py"]);
    let expected = "record valid\nslsa valid\nopen_lineage valid\nro_crate valid\n";
    assert_eq!(printed, expected);
    downloads::keep(&validators);
    downloads::keep(&world);
}
