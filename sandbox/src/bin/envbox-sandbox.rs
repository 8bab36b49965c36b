//! Runs one command in a sandbox, without the rest of envbox: for auditors, tests and measurements.
//!
//! Every option stands for a field of `Policy` or `Step`; see their documentation.
#![expect(clippy::print_stderr, clippy::print_stdout, reason = "a command")]

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::ExitCode;

use envbox_sandbox::gpu::{
    DriverPolicy, HostFs, HostNodes, LibraryPlaces, Pinned, discover, try_inside, verdict,
};
use envbox_sandbox::{
    Baseline, Bind, Clock, Cover, CoverContent, Device, Exit, FileStatus, HostFacts, Isolation,
    Link, Machine, Network, Orphans, Outcome, Policy, Project, Sandbox, SandboxError, Step,
    Terminal, mirror_signal,
};

const USAGE: &str = "\
usage: envbox-sandbox [OPTION...] ROOTFS COMMAND [ARGUMENT...]
       envbox-sandbox --bare [OPTION...] COMMAND [ARGUMENT...]
       envbox-sandbox --facts
       envbox-sandbox --gpu [ROOT]
       envbox-sandbox --try-gpu [OPTION...] ROOTFS
  --project-overlay LOWER UPPER WORK | --project DIR | --project-read-only DIR
  --bind SOURCE TARGET | --bind-read-only SOURCE TARGET
  --device SOURCE TARGET   --link PATH CONTENT   --cover FILE TEXT   --empty DIR
  --network none|loopback|host   --hostname NAME
  --env NAME=VALUE   --directory DIR   --name ARGV0   --terminal
  --clock real|ticking|frozen|logical   --epoch SECONDS   --seed NUMBER
  --machine   --cpuid BASELINE   --sorted   --files   --times   --deterministic
  --bare     no namespaces: what is around this process, as in a container
  --reap     reap what this process gets as pid 1
  --audit    print what the command drew from sources of nondeterminism to standard error
  --counter  count reads of the time-stamp counter with that
  --usage    print what the command used to standard error";

/// What the command line asks for.
#[derive(Default)]
struct Request {
    policy: Policy,
    step: Step,
    usage: bool,
    try_gpu: bool,
}

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if arguments == ["--facts"] {
        for check in HostFacts::detect().checks() {
            println!("{:?}\t{}: {}", check.status, check.name, check.found);
            check
                .remedy
                .iter()
                .for_each(|remedy| println!("\t\t{remedy}"));
        }
        return ExitCode::SUCCESS;
    }
    if let [option, root @ ..] = &arguments[..]
        && option == "--gpu"
        && root.len() <= 1
    {
        return match root.first().map_or(Ok(HostFs::host()), HostFs::below) {
            Ok(files) => gpu(&files),
            Err(error) => {
                eprintln!("error: failed to open the root\ncaused by: {error}");
                ExitCode::from(125)
            }
        };
    }
    let Some(request) = parse(arguments) else {
        eprintln!("{USAGE}");
        return ExitCode::from(125);
    };
    if request.try_gpu {
        return try_gpu(&request);
    }
    let print_usage = request.usage;
    match run(request) {
        Ok(outcome) => {
            for finding in &outcome.findings {
                eprintln!("{finding}");
            }
            if print_usage {
                eprintln!("{:?}", outcome.usage);
            }
            mirror(outcome.exit)
        }
        Err(error) => report(&error),
    }
}

/// Prints what is known of NVIDIA's driver, every file that was a candidate, and the verdict.
fn gpu(files: &HostFs) -> ExitCode {
    let facts = discover(files, &HostNodes(files), &LibraryPlaces::default());
    let nvidia = &facts.nvidia;
    nvidia
        .module
        .readings
        .iter()
        .for_each(|it| println!("{it}"));
    let cards = nvidia.cards.iter().filter_map(|card| card.node.as_ref());
    [&nvidia.uvm]
        .into_iter()
        .chain(cards)
        .chain(&nvidia.unclaimed)
        .for_each(|it| println!("{it}"));
    let libraries = nvidia.libraries.candidates.iter();
    libraries.for_each(|it| println!("{it}"));
    match verdict(&[], &Pinned::default(), &facts).admit(DriverPolicy::Locked) {
        Ok(admitted) => {
            println!("usable: {}", admitted.usable.driver);
            let remarks = admitted.usable.remarks.iter();
            remarks.for_each(|it| println!("remark: {it}"));
            ExitCode::SUCCESS
        }
        Err(refusal) => {
            eprintln!("error: {refusal}\n\nhint: {}", refusal.remedy());
            ExitCode::from(125)
        }
    }
}

/// Tries NVIDIA's driver with the policy and the environment that are given, and prints what it
/// tells as a document.
fn try_gpu(request: &Request) -> ExitCode {
    let tried = try_inside(&request.policy, &request.step.env, &HostFacts::minimal());
    match tried {
        Ok(probed) => {
            let text = serde_json::to_string_pretty(&probed);
            println!("{}", text.expect("strings and numbers are a document"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            if let Some(remedy) = error.remedy() {
                eprintln!("\nhint: {remedy}");
            }
            ExitCode::from(125)
        }
    }
}

fn run(request: Request) -> Result<Outcome, SandboxError> {
    let facts = match request.policy.isolation {
        Isolation::Namespaces => HostFacts::minimal(),
        Isolation::None => HostFacts::bare().map_err(|source| SandboxError::Launch { source })?,
    };
    Sandbox::new(request.policy, &facts)?
        .spawn(request.step)?
        .watch(&mut |note| eprintln!("warning: {note}"))
}

fn mirror(exit: Exit) -> ExitCode {
    match exit {
        Exit::Code(code) => ExitCode::from(code),
        Exit::Signal(signal) => {
            mirror_signal(signal);
            ExitCode::from(128_u8.wrapping_add(signal as u8))
        }
    }
}

fn report(error: &SandboxError) -> ExitCode {
    eprintln!("error: {error}");
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        eprintln!("caused by: {source}");
        cause = source.source();
    }
    if let Some(hint) = error.hint() {
        eprintln!("\nhint: {hint}");
    }
    ExitCode::from(match error {
        SandboxError::CommandNotFound { .. } => 127,
        SandboxError::CommandNotExecutable { .. } => 126,
        _ => 125,
    })
}

fn parse(arguments: Vec<OsString>) -> Option<Request> {
    let mut rest = arguments.into_iter().peekable();
    let mut request = Request::default();
    while let Some(option) = rest.next_if(|argument| argument.as_bytes().starts_with(b"--")) {
        option_into(&mut request, option.to_str()?, &mut rest)?;
    }
    if request.policy.isolation == Isolation::Namespaces {
        request.policy.rootfs = rest.next()?.into();
    }
    request.step.argv = rest.collect();
    Some(request)
}

fn option_into(
    request: &mut Request,
    option: &str,
    rest: &mut impl Iterator<Item = OsString>,
) -> Option<()> {
    let Request {
        policy,
        step,
        usage,
        try_gpu,
    } = request;
    let mut path = || rest.next().map(PathBuf::from);
    match option {
        "--project-overlay" => {
            let (lower, upper, work) = (path()?, path()?, path()?);
            policy.project = Some(Project::Overlay { lower, upper, work });
        }
        "--project" => policy.project = Some(Project::Direct { source: path()? }),
        "--project-read-only" => policy.project = Some(Project::ReadOnly { source: path()? }),
        "--bind" | "--bind-read-only" => {
            let (source, target) = (path()?, path()?);
            policy.binds.push(Bind {
                source,
                target,
                writable: option == "--bind",
            });
        }
        "--device" => {
            let (source, target) = (path()?, path()?);
            policy.devices.push(Device { source, target });
        }
        "--link" => {
            let (path, content) = (path()?, path()?);
            policy.links.push(Link { path, content });
        }
        "--cover" => {
            let target = path()?;
            let content = CoverContent::Text(rest.next()?.into_string().ok()?);
            policy.covers.push(Cover { target, content });
        }
        "--empty" => {
            let (target, content) = (path()?, CoverContent::EmptyDirectory);
            policy.covers.push(Cover { target, content });
        }
        "--network" => policy.network = network(&rest.next()?)?,
        "--hostname" => policy.hostname = rest.next()?.into_string().ok()?,
        "--env" => step.env.push(assignment(&rest.next()?)?),
        "--directory" => step.cwd = path()?,
        "--name" => step.argv0 = Some(rest.next()?),
        "--clock" => policy.clock = clock(&rest.next()?)?,
        "--epoch" => policy.epoch = rest.next()?.to_str()?.parse().ok()?,
        "--seed" => policy.seed = Some(rest.next()?.to_str()?.parse().ok()?),
        "--machine" => policy.machine = Some(Machine::default()),
        "--cpuid" => {
            policy.machine = Some(Machine {
                baseline: baseline(&rest.next()?)?,
                cpuid: true,
                ..Machine::default()
            });
        }
        "--sorted" => policy.sorted_directories = true,
        "--files" => policy.file_status = FileStatus::Fixed,
        "--times" => policy.file_status = FileStatus::Times,
        "--deterministic" => {
            (policy.clock, policy.seed) = (Clock::Logical, Some(0));
            (policy.machine, policy.sorted_directories) = (Some(Machine::default()), true);
        }
        "--bare" => policy.isolation = Isolation::None,
        "--reap" => step.orphans = Orphans::Reap,
        "--audit" => policy.audit = true,
        "--counter" => policy.counter = true,
        "--terminal" => step.terminal = Terminal::Pty,
        "--usage" => *usage = true,
        "--try-gpu" => *try_gpu = true,
        _ => return None,
    }
    Some(())
}

fn network(name: &OsStr) -> Option<Network> {
    match name.to_str()? {
        "none" => Some(Network::None),
        "loopback" => Some(Network::Loopback),
        "host" => Some(Network::Host),
        _ => None,
    }
}

fn baseline(name: &OsStr) -> Option<Baseline> {
    let name = name.to_str()?;
    Baseline::ALL.into_iter().find(|it| it.name() == name)
}

fn clock(name: &OsStr) -> Option<Clock> {
    match name.to_str()? {
        "real" => Some(Clock::Real),
        "ticking" => Some(Clock::Ticking),
        "frozen" => Some(Clock::Frozen),
        "logical" => Some(Clock::Logical),
        _ => None,
    }
}

fn assignment(text: &OsStr) -> Option<(OsString, OsString)> {
    let bytes = text.as_bytes();
    let middle = bytes.iter().position(|byte| *byte == b'=')?;
    let part = |bytes| OsStr::from_bytes(bytes).to_owned();
    Some((part(&bytes[..middle]), part(&bytes[middle + 1..])))
}
