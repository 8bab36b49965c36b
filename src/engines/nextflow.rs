//! A pipeline of Nextflow: a process, and the configuration of those who run its container.

use std::fmt::Write as _;

use crate::engines::notes::{Outputs, Told, comment, notes};
use crate::engines::step::PROJECT;
use crate::engines::{Code, EngineError, EngineStep, Network};

/// What Nextflow is called in messages.
const ENGINE: &str = "Nextflow";

/// The two files of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextflowPipeline {
    /// `main.nf`.
    pub main: String,
    /// `nextflow.config`.
    pub config: String,
}

/// What Nextflow starts tasks with, which the image must have.
pub const SHELL: &str = "bash";

/// Returns a pipeline with the step for its only process. Nextflow brings the project's files into a
/// directory of its own for each task, and fetches the outputs from there.
///
/// # Errors
/// Returns [`EngineError`].
pub fn nextflow_pipeline(
    step: &EngineStep,
    has_bash: bool,
) -> Result<NextflowPipeline, EngineError> {
    step.check()?;
    let lacks = |what| EngineError::NoWords {
        engine: ENGINE,
        what,
    };
    if step.directory != PROJECT {
        return Err(lacks("a working directory"));
    }
    if step.code == Code::Image {
        return Err(lacks("a project that the image has"));
    }
    if !has_bash {
        return Err(EngineError::NoProgram {
            engine: ENGINE,
            program: SHELL,
        });
    }
    let told = Told {
        format: "nextflow",
        outputs: Outputs::Fetched,
        network: "Not held with the profile k8s: the network, which docker and podman take.",
    };
    let mut lines = notes(step, told);
    lines.push("Not held: the working directory, which Nextflow makes for each task.".to_owned());
    let head = comment(&lines, "//");
    Ok(NextflowPipeline {
        main: format!("{head}{}", main(step)),
        config: format!("{head}{}", config(step)),
    })
}

fn main(step: &EngineStep) -> String {
    let process = process_name(step);
    let words: Vec<String> = step.argv().iter().map(|word| shell_word(word)).collect();
    let script = groovy(&words.join(" "));
    let mut text = format!(
        "process {process} {{\n    container {}\n",
        string(&step.image())
    );
    let _ = writeln!(text, "    cpus {}", step.cpus);
    if let Some(memory) = &step.memory {
        let _ = writeln!(text, "    memory {}", string(&memory.nextflow()));
    }
    if let Some(gpu) = &step.gpu {
        let _ = writeln!(
            text,
            "    accelerator {}, type: {}",
            gpu.count,
            string(gpu.resource)
        );
    }
    // Links would lead out of the container.
    text += "    stageInMode 'copy'\n    publishDir params.outdir, mode: 'copy'\n\n";
    text += "    input:\n    path '*'\n\n";
    if !step.outputs.is_empty() {
        text += "    output:\n";
        for output in &step.outputs {
            let _ = writeln!(text, "    path {}", string(output.trim_end_matches('/')));
        }
        text.push('\n');
    }
    // From the first column: of lines that are all indented Nextflow takes the indent away, in words of
    // the command as well.
    let _ = write!(
        text,
        "    script:\n    '''\n{}{script}\n'''\n}}\n\n\
         workflow {{\n    if (!params.project) {{\n        error('say with --project where the files of the project are')\n    }}\n    {process}(channel.fromPath(\"${{params.project}}/*\", type: 'any').collect())\n}}\n",
        exports(step)
    );
    text
}

/// Sets the variables that the image does not have.
fn exports(step: &EngineStep) -> String {
    let variables = step.container_variables();
    variables
        .map(|(name, value)| format!("export {name}={}\n", groovy(&shell_word(value))))
        .collect()
}

fn config(step: &EngineStep) -> String {
    let network = match step.network {
        Network::None => " --network none",
        Network::Container => "",
    };
    let options = format!(
        "--entrypoint '' --hostname {}{network} --cap-drop ALL --security-opt no-new-privileges \
         --read-only --tmpfs /tmp --tmpfs /run/envbox --tmpfs /home/envbox",
        step.hostname
    );
    // Files of the task belong to whoever runs Nextflow.
    let docker = string(&format!("{options} -u $(id -u):$(id -g)"));
    let podman = string(&format!("{options} --userns keep-id"));
    let claims: String = step
        .claims
        .iter()
        .map(|claim| {
            let (name, path) = (string(&claim.name), string(&claim.path));
            let end = if claim.read_only {
                ", readOnly: true"
            } else {
                ""
            };
            format!("            [volumeClaim: {name}, mountPath: {path}{end}],\n")
        })
        .collect();
    format!(
        "// The directory with the project's files: --project DIR.\nparams.project = null\nparams.outdir = 'results'\n\n\
         profiles {{\n    \
         docker {{\n        docker.enabled = true\n        docker.runOptions = {docker}\n    }}\n    \
         podman {{\n        podman.enabled = true\n        podman.runOptions = {podman}\n    }}\n    \
         k8s {{\n        process.executor = 'k8s'\n        process.pod = [\n\
         {claims}            [automountServiceAccountToken: false],\n        ]\n    }}\n}}\n"
    )
}

/// Processes are written in capitals.
fn process_name(step: &EngineStep) -> String {
    let name = step.name.as_str().to_ascii_uppercase().replace('-', "_");
    match name.starts_with(|c: char| c.is_ascii_digit()) {
        true => format!("STEP_{name}"),
        false => name,
    }
}

/// Returns a string of Groovy's in which nothing is replaced.
fn string(text: &str) -> String {
    format!("'{}'", groovy(text))
}

/// Escapes what ends such a string.
fn groovy(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('\'', "\\'");
    escaped.replace('\n', "\\n").replace('\r', "\\r")
}

/// Returns a word of a POSIX shell.
fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}
