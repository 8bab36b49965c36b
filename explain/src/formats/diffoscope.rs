//! What no reader here understands, asked of `diffoscope`.

use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::base::{Diffoscope, Fault, Mark, Source, Walk, shown};
use crate::formats::Pair;

/// Lines of its answer that are told.
const LINES: usize = 40;

/// How often it is asked whether it is done.
const PAUSE: Duration = Duration::from_millis(20);

/// Says what `diffoscope` says about both, if it may be asked. What keeps it from answering is said
/// too, for the bytes were told already.
pub(crate) fn ask(walk: &mut Walk, pair: Pair, since: Mark) {
    let (Some(diffoscope), Some(scratch)) = (&walk.limits.diffoscope, &walk.limits.scratch) else {
        return;
    };
    let note = match answer(diffoscope, scratch, pair, walk.limits.in_memory) {
        Ok(answer) => format!("diffoscope: {answer}"),
        Err(fault) => format!("diffoscope gave no answer: {}", shown(&fault.to_string())),
    };
    walk.annotate(since, &note);
}

fn answer(
    diffoscope: &Diffoscope,
    scratch: &Path,
    pair: Pair,
    limit: u64,
) -> Result<String, Fault> {
    let directory = tempfile::tempdir_in(scratch)?;
    // Its readers go by the ending, too.
    let ending = Path::new(pair.name)
        .extension()
        .and_then(|ending| ending.to_str());
    let ending = ending.filter(|ending| ending.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    let written = |name: &str, source: &Source| -> Result<_, Fault> {
        let mut path = directory.path().join(name);
        path.set_extension(ending.unwrap_or("bin"));
        let mut file = std::fs::File::create(&path)?;
        file.write_all(&source.whole(limit)?)?;
        Ok(path)
    };
    let (old, new) = (written("old", pair.old)?, written("new", pair.new)?);
    let text = directory.path().join("answer.txt");
    let mut command = Command::new(&diffoscope.program);
    command
        .arg("--no-progress")
        .arg("--text")
        .arg(&text)
        .args([old, new]);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    run(&mut command, diffoscope.timeout)?;
    let answer = Source::open(&text)?.head(64 << 10)?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let lines = answer
        .lines()
        .skip_while(|line| line.starts_with("---") || line.starts_with("+++"));
    let lines: Vec<String> = lines.take(LINES).map(shown).collect();
    Ok(lines.join("\n"))
}

/// Runs it to its end or to the end of its time.
fn run(command: &mut Command, timeout: Duration) -> Result<(), Fault> {
    let mut child = command.spawn()?;
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return match status.code() {
                // 1 says that it found differences.
                Some(0 | 1) => Ok(()),
                _ => Err(Fault::Io(io::Error::other(format!(
                    "it ended with {status}"
                )))),
            };
        }
        if begun.elapsed() > timeout {
            child.kill()?;
            child.wait()?;
            let what = "the time it takes, in seconds,".to_owned();
            return Err(Fault::TooMuch {
                what,
                limit: timeout.as_secs(),
            });
        }
        sleep(PAUSE);
    }
}
