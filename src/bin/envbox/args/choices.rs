//! Which words there are, for whoever typed another.

use clap::CommandFactory as _;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::Args;

/// Adds to a complaint about an unknown word behind a command which words there are. Of the commands
/// themselves there are too many: `--help` has them.
pub(crate) fn with_choices(mut error: clap::Error) -> clap::Error {
    let Some(ContextValue::StyledStr(usage)) = error.get(ContextKind::Usage) else {
        return error;
    };
    if error.kind() != ErrorKind::InvalidSubcommand {
        return error;
    }
    // `Usage: envbox export [OPTIONS] <COMMAND>`
    let usage = usage.to_string();
    let mut command = Args::command();
    let mut depth = 0;
    for word in usage.split_whitespace().skip(2) {
        let Some(found) = command.find_subcommand(word) else {
            break;
        };
        command = found.clone();
        depth += 1;
    }
    let names = command.get_subcommands().filter(|it| !it.is_hide_set());
    let names: Vec<String> = names.map(|it| format!("`{}`", it.get_name())).collect();
    if depth > 0 && !names.is_empty() {
        let there = format!("there are {}", names.join(", "));
        let there = ContextValue::StyledStrs(vec![there.into()]);
        error.insert(ContextKind::Suggested, there);
    }
    error
}
