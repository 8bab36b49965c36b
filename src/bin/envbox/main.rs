//! The `envbox` command: arguments to options, `envbox::ops`, results to text.
//!
//! Data flows `args` → `ambient` → `commands` → `render`. Only this program reads the environment
//! (in `ambient`) and prints (in `render`).

mod ambient;
mod args;
mod commands;
mod exit;
mod render;

use clap::Parser as _;

fn main() -> std::process::ExitCode {
    render::error::install_panic_hook();
    let args = match args::Args::try_parse() {
        Ok(args) => args,
        Err(error) => return exit::of_usage(&error),
    };
    commands::dispatch(args)
}
