//! Says in what two files or directories differ: `cargo run -p envbox-explain --example explain -- OLD NEW`.

use std::io::Write;
use std::path::Path;

use envbox_explain::{Limits, explain};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let paths: Vec<String> = std::env::args().skip(1).collect();
    let [old, new] = paths.as_slice() else {
        return Err("two paths are expected".into());
    };
    let explanation = explain(Path::new(old), Path::new(new), &Limits::default())?;
    let mut out = std::io::stdout().lock();
    for line in explanation.render() {
        writeln!(out, "{line}")?;
    }
    Ok(())
}
