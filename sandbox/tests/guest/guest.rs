//! The program that the tests run inside the sandbox. It looks and tells; it judges nothing.
//! Compiled statically by the harness, with std alone.

mod bridge;
mod clock;
mod counter;
mod cpuid;
mod cut_short;
mod draws;
mod files;
mod looks;
mod machine;
mod ports;
mod unwind;

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::FromRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

unsafe extern "C" {
    fn getppid() -> i32;
    fn getpgid(pid: i32) -> i32;
    fn getsid(pid: i32) -> i32;
    fn isatty(fd: i32) -> i32;
    fn kill(pid: i32, signal: i32) -> i32;
    fn pause() -> i32;
    fn setsid() -> i32;
    fn signal(number: i32, handler: usize) -> usize;
    fn syscall(number: i64, ...) -> i64;
    fn write(fd: i32, bytes: *const u8, count: usize) -> isize;
    fn _exit(status: i32) -> !;
}

/// Makes a node with the numbers of the null device.
fn make_node(path: &str) {
    const MKNOD: i64 = 133;
    const CHARACTER_DEVICE: i64 = 0o020_666;
    let path = std::ffi::CString::new(path).unwrap();
    let made = unsafe { syscall(MKNOD, path.as_ptr(), CHARACTER_DEVICE, (1 << 8) | 3_i64) };
    report(match made {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    });
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match &words[1..] {
        ["facts"] => facts(),
        ["limits"] => print!("{}", fs::read_to_string("/proc/self/limits").unwrap()),
        ["mounts"] => mounts(),
        ["list", directory] => list(directory),
        ["environment"] => std::env::vars_os().for_each(|pair| println!("{pair:?}")),
        ["name"] => println!("{}", words[0]),
        ["cat", path] => std::io::copy(&mut fs::File::open(path).unwrap(), &mut std::io::stdout())
            .map(drop)
            .unwrap(),
        ["copy"] => {
            std::io::copy(&mut std::io::stdin(), &mut std::io::stdout()).unwrap();
        }
        ["write", path, text] => report(fs::write(path, text)),
        ["remove", path] => report(fs::remove_file(path)),
        ["open-for-writing", paths @ ..] => {
            for path in paths {
                print!("{path}: ");
                report(fs::OpenOptions::new().write(true).open(path));
            }
        }
        ["open-both", paths @ ..] => {
            for path in paths {
                print!("{path}: ");
                report(fs::OpenOptions::new().read(true).write(true).open(path));
            }
        }
        ["chmod", path, mode] => {
            let mode = u32::from_str_radix(mode, 8).unwrap();
            report(fs::set_permissions(path, fs::Permissions::from_mode(mode)));
        }
        ["mknod", path] => make_node(path),
        ["connect", address] => report(TcpStream::connect(address)),
        ["loopback"] => loopback(),
        ["exit", code] => std::process::exit(code.parse().unwrap()),
        ["die", number] => {
            unsafe { kill(std::process::id() as i32, number.parse().unwrap()) };
        }
        ["kill-all", number] => {
            unsafe { kill(-1, number.parse().unwrap()) };
            println!("alive");
        }
        ["hang"] => hang(),
        ["burn"] => {
            let bytes = vec![1_u8; 32 << 20];
            println!("{}", bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>());
        }
        ["leave-orphan"] => leave_orphan(),
        ["reap"] => reap(),
        ["signals"] => signals(),
        ["descriptors"] => descriptors(),
        ["denied"] => denied(),
        ["trace-init"] => trace_init(),
        ["clocks", digits] => clock::clocks(digits.parse().unwrap()),
        ["clock-often", count] => clock::often(count.parse().unwrap()),
        ["usage"] => clock::usage(),
        ["ends", count] => clock::ends(count),
        ["end-in-waits"] => clock::end_in_waits(),
        ["uncounted"] => clock::uncounted(),
        ["machine"] => machine::machine(),
        ["ports"] => ports::ports(),
        ["ports-many", count] => ports::many(count.parse().unwrap()),
        ["processors"] => machine::processors(),
        ["fill", directory, count, step] => machine::fill(directory, count, step),
        ["list", directory, size] => machine::list(directory, size),
        ["fill-and-list", directory, count, step, size] => {
            machine::fill(directory, count, step);
            machine::list(directory, size);
        }
        ["waits"] => clock::waits(),
        ["spin"] => clock::spin(),
        ["calibrate"] => clock::calibrate(),
        ["cut-short"] => cut_short::all(),
        ["forks"] => cut_short::forks(),
        ["bridge", rounds] => bridge::all(rounds.parse().unwrap()),
        ["unwind"] => unwind::all(),
        ["threads"] => clock::threads(),
        ["paces"] => clock::paces(false),
        ["paces", "by-call"] => clock::paces(true),
        ["counter"] => counter::processes(),
        ["counter-once"] => counter::once(),
        ["cpuid"] => cpuid::leaves(),
        ["cpuid-word"] => cpuid::word(),
        ["cpuid-processes"] => cpuid::processes(),
        ["cpuid-handler"] => cpuid::handler(),
        ["cpuid-deaths"] => cpuid::deaths(),
        ["cpuid-limits"] => cpuid::limits(),
        ["invalid"] => clock::invalid(),
        ["discipline"] => clock::discipline(),
        ["files"] => files::files(),
        ["places"] => looks::places(),
        ["times"] => looks::times(),
        ["orders", rounds] => looks::orders(rounds.parse().unwrap()),
        ["write-and-show", path] => looks::write_and_show(path),
        ["refused"] => files::refused(),
        ["nested"] => files::nested(),
        ["owner", path] => files::owner(path),
        ["exec", rest @ ..] => {
            clock::look();
            let error = Command::new(words[0]).args(rest).exec();
            panic!("{error}");
        }
        ["draws", times] => draws::draw(times.parse().unwrap()),
        ["32-bit"] => draws::call_as_32_bit(),
        ["random"] => random(),
        ["draw"] => {
            let mut bytes = [0_u8; 8];
            unsafe { syscall(318, bytes.as_mut_ptr(), 8, 0) };
            println!("{}", hex(&bytes));
        }
        ["addresses"] => println!("{:p}", &words),
        ["filtered", calls, program, rest @ ..] => filtered(calls, program, rest),
        ["devices", kind] => devices(kind),
        ["device", kind] => device(kind),
        ["terminal"] => terminal(),
        ["to-both"] => {
            println!("out");
            eprintln!("err");
        }
        other => panic!("no such look: {other:?}"),
    }
}

/// Prints random bytes of this process, of its children and of the devices.
fn random() {
    let mut bytes = [0_u8; 8];
    unsafe { syscall(318, bytes.as_mut_ptr(), 8, 0) };
    println!("getrandom {}", hex(&bytes));
    for path in ["/dev/urandom", "/dev/random"] {
        fs::File::open(path).unwrap().read_exact(&mut bytes).unwrap();
        println!("{path} {}", hex(&bytes));
    }
    for name in ["boot_id", "uuid"] {
        print!("{name} {}", fs::read_to_string(format!("/proc/sys/kernel/random/{name}")).unwrap());
    }
    let auxiliary = fs::read("/proc/self/auxv").unwrap();
    let words: Vec<u64> = auxiliary.chunks(8).map(|word| u64::from_ne_bytes(word.try_into().unwrap())).collect();
    let at = words.chunks(2).find(|pair| pair[0] == 25).unwrap()[1] as *const [u8; 16];
    println!("AT_RANDOM {}", hex(unsafe { &*at }));
    // Started together, so that they ask in any order.
    let children: Vec<_> = (0..4)
        .map(|_| Command::new("/proc/self/exe").arg("draw").stdout(Stdio::piped()).spawn().unwrap())
        .collect();
    for child in children {
        print!("child {}", String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap());
    }
}

/// Prints what processes read from the random devices that they open at the same time.
fn devices(kind: &str) {
    let children: Vec<_> = (0..8)
        .map(|_| Command::new("/proc/self/exe").args(["device", kind]).stdout(Stdio::piped()).spawn().unwrap())
        .collect();
    for child in children {
        print!("{}", String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap());
    }
}

/// Opens random devices, and prints of what it reads the first bytes and some behind the first page.
fn device(kind: &str) {
    std::env::set_current_dir("/dev").unwrap();
    for name in [c"/dev/urandom", c"/dev/random", c"urandom", c"../dev//./random"] {
        let mut file = match kind {
            "plain" => unsafe { fs::File::from_raw_fd(syscall(2, name.as_ptr(), 0) as i32) },
            _ => fs::File::open(name.to_str().unwrap()).unwrap(),
        };
        let mut bytes = vec![0; 20_000];
        file.read_exact(&mut bytes).unwrap();
        print!("{} {} ", hex(&bytes[..4]), hex(&bytes[9_000..9_002]));
    }
    println!();
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn report<T>(result: std::io::Result<T>) {
    match result {
        Ok(_) => println!("ok"),
        Err(error) => println!("{:?}", error.kind()),
    }
}

fn facts() {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_else(|error| error.to_string());
    let me = std::process::id() as i32;
    println!(
        "pid {me} parent {} group {}",
        unsafe { getppid() },
        unsafe { getpgid(0) }
    );
    println!("session {}", unsafe { getsid(0) });
    for process in 1..=3 {
        println!(
            "comm {process} {}",
            read(&format!("/proc/{process}/comm")).trim()
        );
    }
    for file in ["uid_map", "gid_map", "setgroups", "personality"] {
        let text = read(&format!("/proc/self/{file}"));
        let words: Vec<&str> = text.split_whitespace().collect();
        // The outside id differs between callers.
        let shown = if file.ends_with("_map") {
            format!("{} _ {}", words[0], words[2])
        } else {
            words.join(" ")
        };
        println!("{file} {shown}");
    }
    println!("hostname {}", read("/proc/sys/kernel/hostname").trim());
    println!("domainname {}", read("/proc/sys/kernel/domainname").trim());
    const WANTED: [&str; 11] = [
        "Umask",
        "Uid",
        "Gid",
        "SigBlk",
        "CapInh",
        "CapPrm",
        "CapEff",
        "CapBnd",
        "CapAmb",
        "NoNewPrivs",
        "Seccomp",
    ];
    for line in read("/proc/self/status").lines() {
        if WANTED.contains(&line.split(':').next().unwrap()) {
            println!("{}", line.replace('\t', " "));
        }
    }
    println!("directory {}", std::env::current_dir().unwrap().display());
    let uptime: f64 = read("/proc/uptime")
        .split(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    println!("uptime below a minute {}", uptime < 60.0);
    println!(
        "core pattern writable {}",
        fs::OpenOptions::new()
            .write(true)
            .open("/proc/sys/kernel/core_pattern")
            .is_ok()
    );
}

fn descriptors() {
    let mut found: Vec<String> = fs::read_dir("/proc/self/fd")
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    // One of them is the open directory itself.
    println!("{}", found.join(" "));
}

fn mounts() {
    for line in fs::read_to_string("/proc/self/mountinfo").unwrap().lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let dash = words.iter().position(|word| *word == "-").unwrap();
        // Those of the rootfs and the devices depend on the host, as do the access times.
        let kind = match words[dash + 1] {
            kind @ ("devpts" | "overlay" | "proc") => kind,
            _ => "-",
        };
        let options: Vec<&str> = words[5].split(',').filter(|option| !option.ends_with("atime")).collect();
        println!("{} {kind} {}", words[4], options.join(","));
    }
}

fn list(directory: &str) {
    let mut lines: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let data = entry.metadata().unwrap();
            let kind = data.file_type();
            let what = if kind.is_symlink() {
                format!("-> {}", fs::read_link(entry.path()).unwrap().display())
            } else if kind.is_char_device() {
                format!("device {}:{}", data.rdev() >> 8, data.rdev() & 255)
            } else {
                format!("{:o}", data.permissions().mode())
            };
            format!("{} {what}", entry.file_name().display())
        })
        .collect();
    lines.sort();
    println!("{}", lines.join("\n"));
}

fn loopback() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut far, _) = listener.accept().unwrap();
    stream.write_all(b"x").unwrap();
    far.read_exact(&mut [0]).unwrap();
    let text = fs::read_to_string("/proc/net/dev").unwrap();
    let names: Vec<&str> = text
        .lines()
        .filter_map(|line| Some(line.split_once(':')?.0.trim()))
        .collect();
    println!("{}", names.join(" "));
}

fn hang() -> ! {
    println!("ready");
    loop {
        unsafe { pause() };
    }
}

/// Leaves a process in a session of its own behind that holds standard output open.
fn leave_orphan() {
    let mut command = Command::new("/proc/self/exe");
    command.arg("hang").stdin(Stdio::null());
    unsafe {
        command.pre_exec(|| {
            setsid();
            Ok(())
        })
    };
    let child = command.spawn().unwrap();
    std::mem::forget(child);
}

/// Makes an orphan that ends at once and waits until pid 1 has reaped it.
fn reap() {
    let mut parent_of_orphan =
        Command::new("/proc/self/exe").arg("leave-orphan").stdout(Stdio::piped()).spawn().unwrap();
    let mut text = String::new();
    let mut reader = std::io::BufReader::new(parent_of_orphan.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut reader, &mut text).unwrap();
    parent_of_orphan.wait().unwrap();
    let orphan = (1..100)
        .rev()
        .find(|pid| fs::metadata(format!("/proc/{pid}")).is_ok())
        .unwrap();
    let parent = |pid: i32| {
        let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        text.lines()
            .find_map(|line| Some(line.strip_prefix("PPid:\t")?.to_owned()))
    };
    println!("parent {}", parent(orphan).unwrap());
    unsafe { kill(orphan, 9) };
    while parent(orphan).is_some() {
        std::thread::yield_now();
    }
    println!("reaped");
}

extern "C" fn tell(number: i32) {
    let text: &[u8] = match number {
        1 => b"HUP\n",
        2 => b"INT\n",
        10 => b"USR1\n",
        12 => b"USR2\n",
        14 => b"ALRM\n",
        15 => b"TERM\n",
        18 => b"CONT\n",
        20 => b"TSTP\n",
        28 => b"WINCH\n",
        _ => b"?\n",
    };
    unsafe { write(1, text.as_ptr(), text.len()) };
    if number == 15 {
        unsafe { _exit(7) };
    }
}

/// Tells every signal; ends on TERM with status 7.
fn signals() {
    for number in [1, 2, 10, 12, 14, 15, 18, 20, 28] {
        unsafe { signal(number, tell as *const () as usize) };
    }
    hang()
}

/// Executes a program as a container with a strict profile would: some calls are not permitted.
fn filtered(calls: &str, program: &str, rest: &[&str]) {
    #[repr(C)]
    struct Program(u16, *const u64);
    let word = |code: u64, then: u64, otherwise: u64, value: u64| {
        code | then << 16 | otherwise << 24 | value << 32
    };
    let mut filter = vec![word(0x20, 0, 0, 0)];
    for call in calls.split(',') {
        filter.push(word(0x15, 0, 1, call.parse().unwrap()));
        filter.push(word(0x06, 0, 0, 0x0005_0001));
    }
    filter.push(word(0x06, 0, 0, 0x7fff_0000));
    let filter = Program(filter.len() as u16, filter.as_ptr());
    unsafe {
        assert_eq!(syscall(157, 38, 1, 0, 0, 0), 0);
        assert_eq!(syscall(157, 22, 2, &raw const filter), 0);
    }
    panic!("{}", Command::new(program).args(rest).exec());
}

/// Makes calls that the filter denies.
fn denied() {
    let calls: [(&str, i64, [u64; 3]); 8] = [
        ("keyctl", 250, [0, 0, 0]),
        ("add_key", 248, [0, 0, 0]),
        ("bpf", 321, [0, 0, 0]),
        ("perf_event_open", 298, [0, 0, 0]),
        ("io_uring_setup", 425, [1, 0, 0]),
        ("settimeofday", 164, [0, 0, 0]),
        ("ioctl(TIOCSTI)", 16, [0, 0x5412, 0]),
        ("socket(AF_VSOCK)", 41, [40, 1, 0]),
    ];
    for (name, number, [a, b, c]) in calls {
        let result = unsafe { syscall(number, a, b, c) };
        let error = std::io::Error::last_os_error().raw_os_error().unwrap();
        println!("{name} {result} {error}");
    }
    const CLONE_NEWUSER: i32 = 0x1000_0000;
    println!("unshare(CLONE_NEWUSER) {}", unsafe {
        syscall(272, CLONE_NEWUSER)
    });
}

/// Tries to get at pid 1, which has the same user id.
fn trace_init() {
    report(fs::read("/proc/1/environ"));
    report(fs::OpenOptions::new().write(true).open("/proc/1/mem"));
    const PTRACE_SEIZE: i32 = 0x4206;
    println!("{}", unsafe { syscall(101, PTRACE_SEIZE, 1, 0, 0) });
}

fn terminal() {
    let standard: Vec<i32> = (0..3).map(|number| unsafe { isatty(number) }).collect();
    println!("terminals {standard:?}");
    println!(
        "name {}",
        fs::read_link("/proc/self/fd/0").unwrap().display()
    );
    println!(
        "leader {}",
        unsafe { getsid(0) } == std::process::id() as i32
    );
    println!("controlling {}", fs::File::open("/dev/tty").is_ok());
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    println!("read {line:?}");
}
