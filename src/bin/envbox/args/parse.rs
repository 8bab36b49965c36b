//! From words to arguments.

use std::ffi::OsString;

use clap::{Args as _, FromArgMatches as _, Parser as _};

use super::{Args, Global, Inside, RunAnywhere};

/// Parses the program's name and arguments.
///
/// Making all commands, each with its copy of every global option, takes a good part of the time in
/// which a sandbox is made. So where one of those that start a step seems to be meant, it is first tried
/// alone. What that does not accept, and calls for help, are for all commands together to judge.
pub(crate) fn parse(words: &[OsString]) -> Result<Args, clap::Error> {
    match alone(words).and_then(|command| command.try_get_matches_from(words).ok()) {
        Some(matches) => Args::from_arg_matches(&matches),
        None => Args::try_parse_from(words),
    }
}

/// Says whether the words may be those of `envbox run`.
pub(crate) fn may_run(words: &[OsString]) -> bool {
    words.iter().skip(1).any(|word| word == "run")
}

/// Returns what can be typed with the command that starts a step, if there is one among the words.
fn alone(words: &[OsString]) -> Option<clap::Command> {
    let step = words.iter().skip(1).find_map(|word| match word.to_str() {
        Some("run") => Some(RunAnywhere::augment_args(clap::Command::new("run"))),
        Some("inside") => Some(Inside::augment_args(clap::Command::new("inside"))),
        _ => None,
    })?;
    let program = Global::augment_args(clap::Command::new("envbox"));
    Some(program.subcommand(step).subcommand_required(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn one_command_reads_what_all_together_read() {
        for line in [
            "envbox run -- python train.py",
            "envbox --quiet run --frozen --seed 7 -- store du",
            "envbox run lock",
            "envbox --project run lock --check",
            "envbox --json store du",
            "envbox export bundle --output x",
            "envbox gpu cdi",
            "envbox gpu --json",
            "envbox diff --quiet a b --color never",
            "envbox key -- run",
            "envbox inside --no-pty -- run",
            "envbox --project inside run -- python",
        ] {
            let words = words(line);
            let all = format!("{:?}", Args::try_parse_from(&words));
            assert_eq!(format!("{:?}", parse(&words)), all, "{line}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_told_as_by_all_together() {
        for line in [
            "envbox",
            "envbox rnu",
            "envbox run",
            "envbox run --help",
            "envbox -h",
            "envbox --version",
            "envbox lock --no-such",
            "envbox store dx",
            "envbox --project run",
            "envbox --jsn lock",
        ] {
            let words = words(line);
            let all = Args::try_parse_from(&words).unwrap_err();
            let error = parse(&words).unwrap_err();
            assert_eq!(error.to_string(), all.to_string(), "{line}");
            assert_eq!(error.kind(), all.kind(), "{line}");
        }
    }

    #[test]
    fn a_step_is_tried_alone() {
        let command = alone(&words("envbox --quiet run -- true")).unwrap();
        let names: Vec<_> = command
            .get_subcommands()
            .map(clap::Command::get_name)
            .collect();
        assert_eq!(names, ["run"]);
        assert!(alone(&words("envbox lock")).is_none());
    }
}
