//! The `envbox` command: arguments to options, `envbox::ops`, results to text.
//!
//! Data flows `args` → `ambient` → `commands` → `render`. Only this program reads the environment
//! (in `ambient`) and prints (in `render`).

mod ambient;
mod args;
mod commands;
mod config;
mod exit;
mod password;
mod render;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use envbox::ops::run::head_start;

fn main() -> ExitCode {
    render::error::install_panic_hook();
    let words = ambient::words();
    // Before the words are understood: on another processor it is done when they are.
    let head_start = args::may_run(&words).then(head_start);
    match args::parse(&words) {
        // The hook has told the user; the code is all that is left to give.
        Ok(args) => {
            let run = AssertUnwindSafe(|| commands::dispatch(args, head_start.flatten()));
            let code = catch_unwind(run);
            render::events::finish();
            code.unwrap_or_else(|_| ExitCode::from(exit::INTERNAL))
        }
        Err(error) => render::error::usage(&args::with_choices(error), ambient::asks_for_json()),
    }
}
