//! Run records in words.

use envbox::ops::diff_runs::RunsDiff;
use envbox::ops::runs::{RunState, RunSummary, RunsReport};
use envbox::record::{
    Block, Comparison, Difference, EndedRecord, Ending, Firmness, Output, OutputDifference,
    RunRecord,
};
use envbox_explain::Explanation;
use jiff::{SignedDuration, Timestamp};

use crate::render::size;

/// How long a value may be in a list.
const WIDTH: usize = 60;

/// How many outputs or differences are shown.
const SHOWN: usize = 20;

/// Returns a list of runs.
pub(crate) fn list(report: &RunsReport, all: bool, now: Timestamp) -> String {
    let mut text: String = report.runs.iter().map(|run| line(run, all, now)).collect();
    for unreadable in &report.unreadable {
        text += &format!("{unreadable}\n");
    }
    if report.runs.is_empty() && report.unreadable.is_empty() {
        text += match all {
            true => "no run is on record\n",
            false => "no run of this project is on record; `--all` lists those of others\n",
        };
    }
    if report.more {
        text += "there are more: `-n NUMBER` shows them\n";
    }
    text
}

fn line(run: &RunSummary, all: bool, now: Timestamp) -> String {
    let id = run.run.short();
    let state = self::state(run.state);
    let age = age(now.duration_since(run.started));
    let argv = shortened(&run.argv.join(" "));
    let mut text = format!("{id}  {age:>10}  {state:<10}  {argv}");
    if !run.tags.is_empty() {
        text += &format!("  [{}]", run.tags.join(", "));
    }
    if let (true, Some(project)) = (all, &run.project) {
        text += &format!("  in {}", project.display());
    }
    text + "\n"
}

fn state(state: RunState) -> String {
    match state {
        RunState::Running => "running".to_owned(),
        RunState::Killed => "killed".to_owned(),
        RunState::Ended(ending) => self::ending(ending),
    }
}

fn ending(ending: Ending) -> String {
    match ending {
        Ending::Code(0) => "done".to_owned(),
        Ending::Code(code) => format!("status {code}"),
        Ending::Signal(signal) => format!("signal {signal}"),
    }
}

fn age(age: SignedDuration) -> String {
    let seconds = age.as_secs().max(0);
    for (length, name) in [(86_400, "d"), (3600, "h"), (60, "min")] {
        if seconds >= length {
            return format!("{} {name} ago", seconds / length);
        }
    }
    format!("{seconds} s ago")
}

fn shortened(text: &str) -> String {
    let line = text.replace('\n', " ");
    match line.char_indices().nth(WIDTH) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// Returns a whole record.
pub(crate) fn whole(record: &RunRecord, state: RunState) -> String {
    let tower = &record.tower;
    let mut text = format!(
        "run         {}\nstarted     {}\nstate       {}\ncommand     {}\n",
        record.run,
        record.started,
        self::state(state),
        tower.parameters.seen.argv.join(" ")
    );
    if let Some(project) = &record.project {
        text += &format!("project     {}\n", project.display());
    }
    text += "\n";
    text += &code(record);
    text += &block("parameters", &tower.parameters, &parameters(record));
    text += &block(
        "libraries",
        &tower.libraries,
        &[format!("lock {}", tower.libraries.seen.lock)],
    );
    text += &block("compute", &tower.compute, &compute(record));
    text += &block("data", &tower.data, &data(record));
    text += &block("entropy", &tower.entropy, &entropy(record));
    if let Some(ended) = &record.ended {
        text += &format!("\n{}", self::ended(ended));
    }
    text
}

fn firmness(state: Firmness) -> &'static str {
    match state {
        Firmness::Held => "held",
        Firmness::Recorded => "recorded",
        Firmness::NotHeld => "NOT HELD",
    }
}

fn block<S, N>(name: &str, block: &Block<S, N>, lines: &[String]) -> String {
    let mut text = format!("{name:<11} {:<9}", firmness(block.state));
    let mut lines = lines.iter();
    if let Some(first) = lines.next() {
        text += &format!(" {first}");
    }
    text = text.trim_end().to_owned() + "\n";
    let because = block.because.iter().map(|why| format!("because {why}"));
    for line in lines.cloned().chain(because) {
        text += &format!("{:22}{line}\n", "");
    }
    text
}

fn code(record: &RunRecord) -> String {
    let code = &record.tower.code;
    let noted = &code.noted;
    let files = format!("{} files, {}", noted.files, size(noted.bytes));
    let mut lines = vec![format!("{} ({files})", code.seen.tree)];
    if let Some(commit) = &noted.commit {
        lines.push(match noted.dirty {
            Some(true) => format!("commit {commit}, with changes"),
            _ => format!("commit {commit}"),
        });
    }
    if !noted.left_out.is_empty() {
        let names = noted
            .left_out
            .iter()
            .take(SHOWN)
            .map(|one| format!("{} ({})", one.path, word(one.reason)));
        let names: Vec<String> = names.collect();
        lines.push(format!("content not kept: {}", names.join(", ")));
    }
    if !noted.changed.is_empty() {
        lines.push(format!("changed meanwhile: {}", noted.changed.join(", ")));
    }
    block("code", code, &lines)
}

fn word(reason: envbox::snapshot::LeftOutReason) -> &'static str {
    use envbox::snapshot::LeftOutReason;
    match reason {
        LeftOutReason::Large => "large",
        LeftOutReason::Full => "no room",
        LeftOutReason::Secret => "looks like a secret",
    }
}

fn parameters(record: &RunRecord) -> Vec<String> {
    let seen = &record.tower.parameters.seen;
    let mut lines = vec![format!("in {}", seen.directory.display())];
    lines.extend(
        seen.env
            .iter()
            .map(|(name, value)| shortened(&format!("{name}={value}"))),
    );
    lines.extend(
        seen.passed
            .keys()
            .map(|name| format!("{name} from the caller")),
    );
    lines.extend(
        seen.files
            .iter()
            .map(|(path, digest)| format!("{path} {digest}")),
    );
    lines
}

fn compute(record: &RunRecord) -> Vec<String> {
    let compute = &record.tower.compute;
    let (seen, noted) = (&compute.seen, &compute.noted);
    let cpu = noted.cpu.as_deref().unwrap_or("unknown");
    let mut lines = vec![
        format!("{} processors, {}", seen.cpus, seen.baseline),
        format!("on {cpu}, Linux {}", noted.kernel),
    ];
    lines.extend(seen.gpu.as_ref().map(ToString::to_string));
    lines
}

fn data(record: &RunRecord) -> Vec<String> {
    let data = &record.tower.data;
    let inputs = data.seen.inputs.iter();
    let mut lines: Vec<String> = inputs
        .map(|(path, digest)| format!("{path} {digest}"))
        .collect();
    match &data.noted.opened {
        None => lines.push("what else was read was not looked at: `envbox audit` does".to_owned()),
        Some(opened) if opened.is_empty() => lines.push("nothing else was read".to_owned()),
        Some(opened) => lines.push(format!("read besides: {}", opened.join(", "))),
    }
    lines
}

fn entropy(record: &RunRecord) -> Vec<String> {
    let entropy = &record.tower.entropy;
    let seen = &entropy.seen;
    let mut lines = vec![format!(
        "seed {}, {} clock from {}, network {}",
        seen.seed, seen.clock, seen.epoch, seen.network
    )];
    for source in entropy.noted.consumed.iter().flatten() {
        lines.push(format!(
            "{} {}, {} times",
            source.source, source.held, source.count
        ));
        lines.extend(source.by.iter().take(3).map(|by| format!("  {by}")));
    }
    lines
}

fn ended(ended: &EndedRecord) -> String {
    let usage = &ended.usage;
    let seconds = |micros: u64| format!("{:.2} s", micros as f64 / 1e6);
    let mut text = format!(
        "{}; {}, processor {}, memory {}\n",
        ending(ended.exit),
        seconds(usage.wall_us),
        seconds(usage.user_us + usage.system_us),
        size(usage.max_rss)
    );
    let outputs = ended.outputs.as_deref();
    match outputs {
        None => text += "what it wrote is not known: it wrote to the project itself\n",
        Some([]) => text += "it wrote nothing\n",
        Some(outputs) => {
            text += &outputs.iter().take(SHOWN).map(output).collect::<String>();
            if outputs.len() > SHOWN {
                text += &format!("  and {} more\n", outputs.len() - SHOWN);
            }
        }
    }
    for warning in &ended.warnings {
        text += &format!("warning: {warning}\n");
    }
    text
}

fn output(output: &Output) -> String {
    let kind = format!("{:?}", output.kind).to_lowercase();
    match (output.sha256, output.size) {
        (Some(digest), Some(bytes)) => {
            format!("  {kind:<9} {} {digest} ({})\n", output.path, size(bytes))
        }
        _ => format!("  {kind:<9} {}\n", output.path),
    }
}

/// Returns how two runs differ, and in what their outputs do.
pub(crate) fn difference(diff: &RunsDiff) -> String {
    let mut text = comparison(&diff.comparison);
    for output in &diff.explained {
        let told = output.explanation.iter().flat_map(Explanation::render);
        let lines: Vec<String> = told.chain(output.unopened.clone()).collect();
        text += &format!("\n{}: {}\n", output.path, lines.join("\n  "));
    }
    text
}

/// Returns how two runs differ.
fn comparison(comparison: &Comparison) -> String {
    let mut text = String::new();
    for block in &comparison.blocks {
        let name = block.block.name();
        text += &match block.same {
            true => format!("{name:<11} same\n"),
            false => format!("{name:<11} DIFFERS\n"),
        };
        text += &block.seen.iter().map(moved).collect::<String>();
        let noted = block
            .noted
            .iter()
            .filter(|one| !block.same || one.name != "products");
        let noted: Vec<&Difference> = noted.collect();
        if !noted.is_empty() {
            let names: Vec<&str> = noted.iter().map(|one| one.name.as_str()).collect();
            text += &format!("{:12}not seen by the step: {}\n", "", names.join(", "));
        }
    }
    if let Some(ended) = &comparison.ended {
        text += &moved(ended);
    }
    text += &match &comparison.outputs {
        None => {
            "outputs     not known: a run wrote to the project itself, or did not end\n".to_owned()
        }
        Some(outputs) if outputs.is_empty() => "outputs     same\n".to_owned(),
        Some(outputs) => {
            let lines: String = outputs.iter().take(SHOWN).map(changed).collect();
            format!("outputs     DIFFER\n{lines}")
        }
    };
    match (comparison.is_same(), comparison.lowest) {
        (true, _) => text,
        (false, Some(block)) => {
            text + &format!("\nthe lowest block that moved: {}\n", block.name())
        }
        (false, None) => {
            text + "\nno block moved: what differs came from something that no block holds; \
                    `envbox verify` looks for it\n"
        }
    }
}

fn moved(difference: &Difference) -> String {
    let text = |side: &Option<String>| side.as_deref().map_or("nothing".to_owned(), shortened);
    let (name, old, new) = (
        &difference.name,
        text(&difference.old),
        text(&difference.new),
    );
    format!("{:12}{name}: {old} -> {new}\n", "")
}

fn changed(changed: &OutputDifference) -> String {
    let text = |side: &Option<Output>| match side {
        None => "nothing".to_owned(),
        Some(output) => match (output.sha256, &output.target) {
            (Some(digest), _) => digest.to_string()[..19].to_owned(),
            (None, Some(target)) => format!("a link to {target}"),
            (None, None) => "nothing".to_owned(),
        },
    };
    format!(
        "  {}: {} -> {}\n",
        changed.path,
        text(&changed.old),
        text(&changed.new)
    )
}
