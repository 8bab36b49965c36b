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

use std::panic::catch_unwind;
use std::process::ExitCode;

use envbox_sandbox::{HeadStart, Policy};

fn main() -> ExitCode {
    render::error::install_panic_hook();
    let words = ambient::words();
    // Before the words are understood: on another processor it is done when they are.
    let head_start = args::may_run(&words).then(|| HeadStart::begin(&Policy::default()));
    match args::parse(&words) {
        // The hook has told the user; the code is all that is left to give.
        Ok(args) => {
            let code = catch_unwind(|| commands::dispatch(args, head_start.flatten()));
            render::events::finish();
            code.unwrap_or_else(|_| ExitCode::from(exit::INTERNAL))
        }
        Err(error) => render::error::usage(&args::with_choices(error), ambient::asks_for_json()),
    }
}
