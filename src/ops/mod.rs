//! One file per verb: what each command does, without its arguments and its rendering.

pub mod run;
