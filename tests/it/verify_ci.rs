//! What we have for others' pipelines: read as they read it, and its shell lines run.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::support::{Run, User};
use crate::tools::{Tools, for_both};

fn integration(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("integrations")
        .join(name);
    fs::read_to_string(path).unwrap()
}

/// A composite action, as GitHub's "metadata syntax" has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Action {
    name: String,
    description: String,
    branding: BTreeMap<String, String>,
    inputs: BTreeMap<String, Input>,
    outputs: BTreeMap<String, Output>,
    runs: Runs,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    description: String,
    #[serde(default)]
    required: bool,
    default: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Output {
    description: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Runs {
    using: String,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    id: String,
    shell: String,
    env: BTreeMap<String, String>,
    run: String,
}

fn action() -> Action {
    let action: Action = serde_saphyr::from_str(&integration("github/action.yml")).unwrap();
    assert_eq!(action.runs.using, "composite");
    action
}

/// What `${{ inputs.NAME }}` names, if a text is that and nothing else.
fn named(text: &str) -> Option<&str> {
    text.strip_prefix("${{ inputs.")?.strip_suffix(" }}")
}

#[test]
fn the_action_is_one_and_takes_nothing_as_code() {
    let action = action();
    assert!(!action.name.is_empty() && !action.description.is_empty());
    assert_eq!(action.branding.len(), 2);
    let texts = action.inputs.values().map(|input| &input.description);
    let texts = texts.chain(action.outputs.values().map(|output| &output.description));
    texts.for_each(|text| assert!(!text.is_empty()));
    let mut used: Vec<&str> = Vec::new();
    for step in &action.runs.steps {
        // An expression in a script would be pasted into it before a shell reads it.
        assert!(!step.run.contains("${{"), "{}", step.run);
        used.extend(step.env.values().map(|value| named(value).unwrap()));
    }
    used.sort_unstable();
    let inputs: Vec<&str> = action.inputs.keys().map(String::as_str).collect();
    assert_eq!(used, inputs);
    for input in action.inputs.values() {
        assert_ne!(input.required, input.default.is_some());
    }
    let ids: Vec<&str> = action.runs.steps.iter().map(|step| &*step.id).collect();
    assert_eq!(
        action.outputs["verdict"].value,
        "${{ steps.verify.outputs.verdict }}"
    );
    assert_eq!(ids, ["verify"]);
}

/// A project with its registry configured, so that a pipeline needs no option for it.
fn world() -> Tools {
    let tools = Tools::new(User::Unprivileged);
    let (name, url) = tools.registry.split_once('=').unwrap();
    let config = format!("[registries]\n{name} = \"{url}\"\n");
    tools
        .world
        .write_home(".config/envbox/config.toml", &config);
    tools.world.write("data", "1");
    tools
}

/// Runs the action's step with inputs, as the runner does.
fn act(tools: &Tools, inputs: &[(&str, &str)]) -> (Run, PathBuf) {
    let action = action();
    let step = &action.runs.steps[0];
    assert_eq!(step.shell, "bash");
    let output = tools.world.path().join("home/output");
    let bash = "exec bash --noprofile --norc -e -o pipefail -c \"$STEP\"";
    let mut command = tools.world.shell(bash);
    command.env("STEP", &step.run);
    for (variable, value) in &step.env {
        let name = named(value).unwrap();
        let given = inputs.iter().find(|(input, _)| *input == name);
        let default = action.inputs[name].default.as_deref();
        command.env(
            variable,
            given.map(|(_, value)| *value).or(default).unwrap(),
        );
    }
    command.env("ENVBOX", tools.world.program());
    command.env("GITHUB_OUTPUT", &output);
    command.env("GITHUB_WORKSPACE", tools.world.project());
    command.env(
        "GITHUB_STEP_SUMMARY",
        tools.world.path().join("home/summary.md"),
    );
    (tools.world.finished(command), output)
}

#[test]
fn the_action_passes_verdicts_on() {
    let tools = world();
    let cases = [
        ("bash -c 'echo $RANDOM > \"a b\"'", "", 0, "identical"),
        ("stat -c %Y data", "--vary times", 1, "diverged"),
        ("no-such-command", "", 2, "not-verified"),
        // Words, not code.
        (
            "env printf %s $(touch pwned) `touch pwned` ; touch pwned",
            "",
            0,
            "identical",
        ),
    ];
    for (command, arguments, code, verdict) in cases {
        let inputs = [("command", command), ("arguments", arguments)];
        let (run, output) = act(&tools, &inputs);
        assert_eq!(
            run.code(),
            Some(code),
            "{command}: {}{}",
            run.stdout(),
            run.stderr()
        );
        let said = fs::read_to_string(&output).unwrap();
        assert_eq!(said, format!("verdict={verdict}\n"));
        fs::remove_file(output).unwrap();
        let junit = tools.world.project().join("envbox-verify.xml");
        assert!(fs::read_to_string(&junit).unwrap().starts_with("<?xml "));
        assert_eq!(code < 2, run.stdout().starts_with("::"), "{}", run.stdout());
    }
    assert!(!tools.world.project().join("pwned").exists());
    let summary = fs::read_to_string(tools.world.path().join("home/summary.md")).unwrap();
    assert_eq!(
        summary.matches("### envbox verify: ").count(),
        3,
        "{summary}"
    );
}

/// A job of GitLab's, as far as it is used.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Job {
    variables: BTreeMap<String, String>,
    script: Vec<String>,
    artifacts: serde_json::Value,
}

#[test]
fn the_job_for_gitlab_passes_verdicts_on() {
    let text = integration("gitlab/envbox-verify.yml");
    let jobs: BTreeMap<String, Job> = serde_saphyr::from_str(&text).unwrap();
    let job = &jobs[".envbox-verify"];
    let junit =
        serde_json::json!({ "when": "always", "reports": { "junit": "envbox-verify.xml" } });
    assert_eq!(job.artifacts, junit);
    let tools = world();
    for (command, arguments, code) in [
        ("bash -c 'echo $RANDOM > \"a b\"'", "", 0),
        ("stat -c %Y data", "--vary times", 1),
        ("stat -c %Y data", "--ignore stdout --vary times", 0),
        ("no-such-command", "", 2),
        (
            "env printf %s $(touch pwned) `touch pwned` ; touch pwned",
            "",
            0,
        ),
    ] {
        // The runner puts the lines one after the other, in a shell that ends at the first failure.
        let script = format!("set -eu\n{}", job.script.join("\n"));
        let mut shell = tools.world.shell(&script);
        shell.envs(&job.variables);
        shell.env("ENVBOX", tools.world.program());
        shell
            .env("VERIFY_COMMAND", command)
            .env("VERIFY_ARGUMENTS", arguments);
        let run = tools.world.finished(shell);
        assert_eq!(
            run.code(),
            Some(code),
            "{command}: {}{}",
            run.stdout(),
            run.stderr()
        );
    }
    assert!(!tools.world.project().join("pwned").exists());
}

#[test]
fn runs_see_what_is_bound_and_begin_where_they_are_told() {
    for_both(|tools| {
        tools.world.write_home("data/list", "1\n");
        tools.world.write("below/kept", "");
        let home = tools.world.path().join("home");
        let verify = |options: &[&str], script: &str| {
            let step = ["--", "bash", "-c", script];
            let head = ["verify", "--registry", tools.registry.as_str()];
            let arguments = [&head, options, &step].concat();
            tools
                .world
                .finished(tools.world.command_in(&home, &arguments))
        };
        let project = tools.world.project();
        let there = ["--project", project.to_str().unwrap()];
        let seen = [
            "--bind",
            "data:/data",
            "--workdir",
            "below",
            "--network",
            "loopback",
        ];
        let script = "cat /data/list > copy; pwd; cat /sys/class/net/lo/operstate || true";
        let same = verify(&[&there[..], &seen, &["--json"]].concat(), script);
        assert_eq!(same.code(), Some(0), "{}{}", same.stdout(), same.stderr());
        for seen in ["below/copy", "this is the host's, and was bound"] {
            assert!(same.stdout().contains(seen), "{}", same.stdout());
        }
        let missing = verify(&[&there[..], &["--bind", "nothing:/data"]].concat(), script);
        assert_eq!(missing.code(), Some(2), "{}", missing.stderr());
        assert!(
            missing.stderr().contains("failed to bind"),
            "{}",
            missing.stderr()
        );
        let written = verify(&[&there[..], &["--bind-rw", "data:/data"]].concat(), script);
        assert_eq!(written.code(), Some(2), "{}", written.stderr());
        let told = "bind it with `--bind`, and let the step write to the project";
        assert!(written.stderr().contains(told), "{}", written.stderr());
    });
}
