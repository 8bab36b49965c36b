//! Debian's `docker-registry`, on a port that nobody has.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

/// Starts it with a configuration of a directory of its own, and returns where it listens. `more` is added to the
/// configuration.
pub fn serve(directory: &Path, more: &str) -> (Child, String) {
    let config = format!(
        "version: 0.1\nlog: {{level: info}}\n\
         storage: {{filesystem: {{rootdirectory: {}}}, delete: {{enabled: true}}}}\n\
         http: {{addr: '127.0.0.1:0'}}\n{more}",
        directory.join("data").display()
    );
    fs::write(directory.join("config.yml"), config).unwrap();
    let mut process = Command::new("docker-registry")
        .arg("serve")
        .arg(directory.join("config.yml"))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the package docker-registry is installed");
    let mut log = BufReader::new(process.stderr.take().unwrap());
    let host = address(&mut log);
    // Read on, or the registry stops when the pipe is full.
    thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    (process, host)
}

/// Reads the log up to where the registry says where it listens.
fn address(log: &mut impl BufRead) -> String {
    let mut read = String::new();
    for line in log.lines() {
        let line = line.unwrap();
        if let Some((_, rest)) = line.split_once("listening on ") {
            let end = rest.find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | ':'));
            return rest[..end.unwrap_or(rest.len())].to_owned();
        }
        read += &(line + "\n");
    }
    panic!("the registry did not start:\n{read}");
}
