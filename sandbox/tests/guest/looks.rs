//! Looks at files from places that the supervisor lets go on without it, and from places that it does
//! not know.

use std::ffi::CString;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::net::UnixListener;
use std::time::Duration;

use crate::syscall;

unsafe extern "C" {
    fn stat(path: *const i8, out: *mut Status) -> i32;
    fn lstat(path: *const i8, out: *mut Status) -> i32;
    fn fstat(descriptor: i32, out: *mut Status) -> i32;
    fn fstatat(directory: i32, path: *const i8, out: *mut Status, flags: i32) -> i32;
    fn statx(directory: i32, path: *const i8, flags: i32, mask: u32, out: *mut Status) -> i32;
    fn getauxval(key: u64) -> u64;
    fn envbox_place(path: *const i8, out: *mut Status) -> i64;
    fn envbox_other_place(path: *const i8, out: *mut Status) -> i64;
    fn fork() -> i32;
    fn waitpid(process: i32, status: *mut i32, options: i32) -> i32;
    fn _exit(code: i32) -> !;
}

type Status = [u64; 32];

// A place as the C library has it, in a function that uses what lies below its stack pointer, and that
// breaks off if the call has changed anything but rax, rcx and r11.
core::arch::global_asm!(
    ".macro envbox_place_at name",
    ".globl \\name",
    "\\name:",
    "push rbx",
    "push rbp",
    "push r12",
    "push r13",
    "push r14",
    "push r15",
    "mov rdx, rsi",
    "mov rsi, rdi",
    "mov rdi, -100",
    "mov r10d, 0x100",
    "mov ebx, 3",
    "mov ebp, 5",
    "mov r8d, 8",
    "mov r9d, 9",
    "mov r12d, 12",
    "mov r13d, 13",
    "mov r14, rsi",
    "mov r15, rdx",
    "mov qword ptr [rsp - 8], 17",
    "mov qword ptr [rsp - 64], 18",
    "mov qword ptr [rsp - 128], 19",
    "mov eax, 262",
    "syscall",
    "cmp rdi, -100",
    "jne 2f",
    "cmp rsi, r14",
    "jne 2f",
    "cmp rdx, r15",
    "jne 2f",
    "cmp r10, 0x100",
    "jne 2f",
    "cmp r8, 8",
    "jne 2f",
    "cmp r9, 9",
    "jne 2f",
    "cmp rbx, 3",
    "jne 2f",
    "cmp rbp, 5",
    "jne 2f",
    "cmp r12, 12",
    "jne 2f",
    "cmp r13, 13",
    "jne 2f",
    "cmp qword ptr [rsp - 8], 17",
    "jne 2f",
    "cmp qword ptr [rsp - 64], 18",
    "jne 2f",
    "cmp qword ptr [rsp - 128], 19",
    "jne 2f",
    "pop r15",
    "pop r14",
    "pop r13",
    "pop r12",
    "pop rbp",
    "pop rbx",
    "ret",
    "2: ud2",
    ".endm",
    "envbox_place_at envbox_place",
    "envbox_place_at envbox_other_place",
);

/// Whether code goes to the vDSO instead of making its call.
fn jumps(code: *const u8) -> bool {
    let vdso = unsafe { getauxval(33) };
    (0..256).any(|offset| {
        let at = unsafe { code.add(offset) };
        let distance = unsafe { at.add(1).cast::<i32>().read_unaligned() };
        let to = (at as i64 + 5 + i64::from(distance)) as u64;
        unsafe { at.read() == 0xe9 && to.wrapping_sub(vdso) < 0x4000 }
    })
}

/// Everything that such a call tells of a file, in both ways. What tells of the file system and not of
/// the file is left out of `statx`.
fn tells_the_same(path: &str) -> bool {
    let name = CString::new(path).unwrap();
    let (at, name) = (-100_i32, name.as_ptr());
    let descriptor = fs::File::open(path).map_or(-1, |file| std::os::fd::IntoRawFd::into_raw_fd(file));
    type Way<'a> = &'a dyn Fn(*mut Status) -> i64;
    let pairs: [(Way, Way); 6] = unsafe {
        [
            (&|out| stat(name, out).into(), &|out| syscall(4, name, out)),
            (&|out| lstat(name, out).into(), &|out| syscall(6, name, out)),
            (&|out| fstat(descriptor, out).into(), &|out| syscall(5, descriptor, out)),
            (&|out| fstatat(at, name, out, 0x100).into(), &|out| syscall(262, at, name, out, 0x100)),
            (&|out| envbox_place(name, out), &|out| syscall(262, at, name, out, 0x100)),
            (&|out| statx(at, name, 0x100, 0xfff, out).into(), &|out| syscall(332, at, name, 0x100, 0xfff, out)),
        ]
    };
    let last = pairs.len() - 1;
    pairs.iter().enumerate().all(|(index, (place, other))| {
        let (mut one, mut two) = ([0; 32], [0; 32]);
        if (place(&mut one) == 0) != (other(&mut two) == 0) {
            return false;
        }
        if index == last {
            // The mask, attributes and what can be had of them, and the mount.
            for words in [&mut one, &mut two] {
                (words[0], words[1], words[7], words[18]) = (words[0] >> 32, 0, 0, 0);
                words[19..].fill(0);
            }
        }
        one == two
    })
}

/// Prints whether files look the same from a place that is known and from one that is not.
pub fn places() {
    let name = CString::new("/bin/guest").unwrap();
    let mut out = [0; 32];
    let place = envbox_place as *const u8;
    println!("at first {}", jumps(place));
    unsafe { envbox_place(name.as_ptr(), &mut out) };
    println!("then {}", jumps(place));
    fs::write("/project/new", "new").unwrap();
    fs::create_dir("/tmp/directory").unwrap();
    symlink("nowhere", "/tmp/link").unwrap();
    let _socket = UnixListener::bind("/tmp/socket").unwrap();
    let all = || {
        for path in [
            "/", "/bin/guest", "/project", "/project/first", "/project/directory", "/project/new", "/project/none",
            "/tmp", "/tmp/directory", "/tmp/link", "/tmp/socket", "/dev/null", "/sys", "/dev/shm", "",
        ] {
            println!("{path:?} {}", tells_the_same(path));
        }
    };
    all();
    // An input that changes.
    fs::write("/project/first", "changed").unwrap();
    println!("changed {}", tells_the_same("/project/first"));
    fs::set_permissions("/project/second", std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    println!("mode {}", tells_the_same("/project/second"));
    let time = std::time::UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789);
    fs::File::options().write(true).open("/project/new").unwrap().set_modified(time).unwrap();
    println!("set {} {}", tells_the_same("/project/new"), fs::metadata("/project/new").unwrap().mtime());
    println!("C library {}", [statx as *const u8, fstatat as *const u8, fstat as *const u8].into_iter().any(jumps));
    unsafe {
        let child = fork();
        if child == 0 {
            println!("child {} {}", tells_the_same("/project/new"), tells_the_same("/bin/guest"));
            std::io::Write::flush(&mut std::io::stdout()).unwrap();
            _exit(0);
        }
        waitpid(child, &mut 0, 0);
    }
    std::thread::spawn(move || {
        let mut out = [0; 32];
        println!("thread {}", tells_the_same("/project/new"));
        unsafe { envbox_other_place(name.as_ptr(), &mut out) };
        println!("with threads {}", jumps(envbox_other_place as *const u8));
    })
    .join()
    .unwrap();
    all();
}

fn show(name: &str, path: &str) {
    let data = fs::symlink_metadata(path).unwrap();
    let born = data.created().unwrap().duration_since(std::time::UNIX_EPOCH).unwrap();
    println!(
        "{name}: {}.{:09} {}.{:09} {}.{:09} {}.{:09}",
        data.atime(),
        data.atime_nsec(),
        data.mtime(),
        data.mtime_nsec(),
        data.ctime(),
        data.ctime_nsec(),
        born.as_secs(),
        born.subsec_nanos(),
    );
}

/// Makes a file, and prints its times.
pub fn write_and_show(path: &str) {
    fs::write(path, "").unwrap();
    show(path.rsplit('/').next().unwrap(), path);
}

/// Prints the times of inputs and of what this makes.
pub fn times() {
    for path in ["/project/first", "/project/second", "/tmp", "/project", "/dev/null"] {
        show(path, path);
    }
    for (name, text) in [("a", "a"), ("b", "bb")] {
        let path = format!("/project/{name}");
        fs::write(&path, text).unwrap();
        show(name, &path);
    }
    std::thread::sleep(Duration::from_millis(12));
    fs::write("/project/a", "again").unwrap();
    show("a", "/project/a");
    fs::write("/project/first", "changed").unwrap();
    show("first", "/project/first");
    let kept = fs::metadata("/project/second").unwrap().modified().unwrap();
    fs::File::open("/project/b").unwrap().set_modified(kept).unwrap();
    show("/project/b", "/project/b");
    fs::rename("/project/second", "/project/moved").unwrap();
    show("moved", "/project/moved");
    let mut open = ["/project/soon", "/project/open"].map(|path| fs::File::create(path).unwrap());
    std::io::Write::write_all(&mut open[0], b"soon").unwrap();
    show("open", "/project/open");
    std::thread::sleep(Duration::from_millis(1200));
    std::io::Write::write_all(&mut open[1], b"open").unwrap();
    fs::write("/project/later", "later").unwrap();
    show("later", "/project/later");
    show("open", "/project/open");
    show("soon", "/project/soon");
    // Looked at by a program that has just begun.
    let guest = std::process::Command::new("/bin/guest").args(["write-and-show", "/project/last"]).status();
    assert!(guest.unwrap().success());
    std::thread::sleep(Duration::from_millis(300));
    fs::write("/project/a", "at last").unwrap();
    show("a", "/project/a");
    println!("new {}", is_new("/project/new"));
    println!("new {}", std::thread::spawn(|| is_new("/tmp/new")).join().unwrap());
    println!("now {}", std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs());
}

/// Whether what is written now is as old as it is, for who reads a clock before and after.
fn is_new(path: &str) -> bool {
    let now = || {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        (now.as_secs() as i64, i64::from(now.subsec_nanos()))
    };
    let before = now();
    (0..20).for_each(|_| fs::write(path, "new").unwrap());
    let path = CString::new(path).unwrap();
    let mut out: Status = [0; 32];
    // Not through the C library: no place that is known.
    unsafe { syscall(4, path.as_ptr(), &mut out) };
    let changed = (out[11].cast_signed(), out[12].cast_signed());
    before < changed && changed < now()
}

/// Changes files with so much to compute between two changes, and prints the times of all in another
/// order.
pub fn orders(rounds: u64) {
    let compute = || {
        for round in 0..rounds {
            std::hint::black_box(round);
        }
    };
    let write = |name: &str| {
        fs::write(name, name).unwrap();
        compute();
    };
    std::env::set_current_dir("/project").unwrap();
    ["a", "./b"].into_iter().for_each(write);
    fs::create_dir_all("/project/d/").unwrap();
    compute();
    ["/project/d/x", "temporary"].into_iter().for_each(write);
    fs::rename("temporary", "d/y").unwrap();
    compute();
    let mut log = fs::File::create("/tmp/log").unwrap();
    compute();
    write("/tmp/c");
    std::io::Write::write_all(&mut log, b"log").unwrap();
    drop(log);
    let both = |name: &str| fs::File::options().read(true).append(true).open(name).unwrap();
    std::io::Write::write_all(&mut both("a"), b"a").unwrap();
    compute();
    // Is not written to.
    drop(both("b"));
    symlink("d", "link").unwrap();
    write("link/z");
    fs::hard_link("a", "link/h").unwrap();
    fs::create_dir_all("d/e").unwrap();
    compute();
    ["d/e/f", "d/e/g", "d/e/g"].into_iter().for_each(write);
    fs::rename("d", "moved").unwrap();
    compute();
    fs::remove_file("moved/e/f").unwrap();
    write("last");
    for name in [
        "last", "moved/e/g", "moved/e", "moved/h", "moved/z", "moved/y", "moved/x", "moved", "link", "/tmp/log",
        "/tmp/c", "/tmp", "b", "a", ".",
    ] {
        show(name, name);
    }
}
