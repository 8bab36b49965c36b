//! Looks at files, changes some, and looks again.

use std::fs;
use std::os::unix::fs::{DirEntryExt, MetadataExt, symlink};
use std::os::unix::process::CommandExt;

use crate::syscall;

unsafe extern "C" {
    fn __errno_location() -> *mut i32;
}

fn show(name: &str, data: std::io::Result<fs::Metadata>) {
    match data {
        Err(error) => println!("{name}: {}", error.raw_os_error().unwrap()),
        Ok(data) => println!(
            "{name}: {} {} {:o} {} {}:{} {} {} {} {}.{:09} {}.{:09} {}.{:09}",
            data.dev(),
            data.ino(),
            data.mode(),
            data.nlink(),
            data.uid(),
            data.gid(),
            data.size(),
            data.blocks(),
            data.blksize(),
            data.atime(),
            data.atime_nsec(),
            data.mtime(),
            data.mtime_nsec(),
            data.ctime(),
            data.ctime_nsec()
        ),
    }
}

fn look(path: &str) {
    show(path, fs::symlink_metadata(path));
    if !path.starts_with('/') {
        // The kernel's next tick: two changes in one, with a look between them, are told apart by
        // some kernels and file systems only.
        std::thread::sleep(std::time::Duration::from_millis(12));
    }
}

/// The words of `struct statx`, without those that only some kernels have.
fn look_wide(path: &str) {
    let name = std::ffi::CString::new(path).unwrap();
    let mut words = [0_u64; 32];
    let result = unsafe { syscall(332, -100_i32, name.as_ptr(), 0x100, 0x1fff, words.as_mut_ptr()) };
    println!("statx {path}: {result} {:x?}", &words[..20]);
}

fn list(path: &str) {
    for entry in fs::read_dir(path).unwrap() {
        let entry = entry.unwrap();
        let agrees = entry.ino() == fs::symlink_metadata(entry.path()).unwrap().ino();
        println!("{path} {} {agrees}", entry.file_name().display());
    }
}

/// Prints what is told of inputs and of what this makes in the project, `/tmp` and the home.
pub fn files() {
    for path in ["/", "/bin", "/bin/guest", "/dev", "/dev/null", "/dev/shm", "/tmp", "/project"] {
        look(path);
        look_wide(path);
    }
    for path in ["first", "second", "../project/first", "/project//first", "./first", "/project/first/", "directory"] {
        look(path);
    }
    list("/project");
    for place in ["/project", "/tmp", "/home/envbox"] {
        std::env::set_current_dir(place).unwrap();
        fs::write("a", "a").unwrap();
        look("a");
        fs::write("b", "bb").unwrap();
        look("b");
        fs::hard_link("a", "c").unwrap();
        look("c");
        look("a");
        symlink("a", "link").unwrap();
        look("link");
        show("link followed", fs::metadata("link"));
        fs::create_dir("d").unwrap();
        look("d");
        fs::rename("b", "d/e").unwrap();
        look("d/e");
        let file = fs::File::options().write(true).open("d/e").unwrap();
        show("descriptor", file.metadata());
        let time = std::time::UNIX_EPOCH + std::time::Duration::new(1_000_000_000, 123_456_789);
        file.set_modified(time).unwrap();
        look("d/e");
        fs::remove_file("d/e").unwrap();
        fs::write("d/e", "new").unwrap();
        look("d/e");
        look(".");
        look_wide("a");
        list(".");
    }
    std::env::set_current_dir("/project").unwrap();
    fs::write("first", "changed").unwrap();
    look("first");
    // From another thread than the first.
    std::thread::spawn(|| list("/project")).join().unwrap();
    look_again();
}

/// Looks at what cannot change more than once, and by a way that does.
fn look_again() {
    let number = |path: &str| fs::metadata(path).unwrap().ino();
    for target in ["/bin/guest", "/bin", "/bin/guest"] {
        let _ = fs::remove_file("/tmp/way");
        symlink(target, "/tmp/way").unwrap();
        let kept = fs::File::open(target).unwrap().metadata().unwrap().ino();
        let same = number(target) == kept && number("/tmp/way") == kept;
        println!("way to {target} {same}");
        let different = fs::symlink_metadata("/tmp/way").unwrap().ino() != kept;
        println!("way itself {different}");
    }
    look_wide("/bin/guest");
}

/// Prints what the kernel refuses to tell.
pub fn refused() {
    let mut out = [0_u64; 32];
    let address = out.as_mut_ptr() as usize;
    let long = "x/".repeat(3000) + "\0";
    let calls: [(&str, [usize; 6]); 12] = [
        ("nothing there", [262, -100_i32 as usize, c"nope".as_ptr() as usize, address, 0, 0]),
        ("no name", [262, -100_i32 as usize, c"".as_ptr() as usize, address, 0, 0]),
        ("no descriptor", [262, 77, c"".as_ptr() as usize, address, 0x1000, 0]),
        ("no such flag", [262, -100_i32 as usize, c"/".as_ptr() as usize, address, 0x8_0000, 0]),
        ("a name nowhere", [4, 8, address, 0, 0, 0]),
        ("an answer nowhere", [4, c"/".as_ptr() as usize, 8, 0, 0, 0]),
        ("too long", [4, long.as_ptr() as usize, address, 0, 0, 0]),
        ("not a directory", [4, c"/bin/guest/x".as_ptr() as usize, address, 0, 0, 0]),
        ("links in a circle", [4, c"/tmp/circle".as_ptr() as usize, address, 0, 0, 0]),
        ("a closed directory", [4, c"/tmp/closed/x".as_ptr() as usize, address, 0, 0, 0]),
        ("a closed directory of the project", [4, c"/project/closed/x".as_ptr() as usize, address, 0, 0, 0]),
        ("statx with a reserved mask", [332, -100_i32 as usize, c"/".as_ptr() as usize, 0, 0x8000_0000, address]),
    ];
    symlink("circle", "/tmp/circle").unwrap();
    fs::create_dir("/tmp/closed").unwrap();
    fs::write("/tmp/closed/x", "").unwrap();
    let closed = std::os::unix::fs::PermissionsExt::from_mode(0);
    fs::set_permissions("/tmp/closed", closed).unwrap();
    for (name, [number, a, b, c, d, e]) in calls {
        let result = unsafe { syscall(number as i64, a, b, c, d, e) };
        let error = unsafe { *__errno_location() };
        println!("{name}: {result} {}", if result == 0 { 0 } else { error });
    }
    // Where it leads is the thread's own affair.
    println!("/proc/self/exe: {}", fs::metadata("/proc/self/exe").is_ok());
    println!("/proc/self/stat: {}", fs::metadata("/proc/self/stat").is_ok());
}

/// Looks from a user and mount namespace of its own, where ids are others.
pub fn nested() {
    const NEW_USER_AND_MOUNTS: i32 = 0x1002_0000;
    look("/bin/guest");
    let mut command = std::process::Command::new("/bin/guest");
    command.args(["owner", "/tmp"]);
    unsafe {
        command.pre_exec(|| match syscall(272, NEW_USER_AND_MOUNTS) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        })
    };
    println!("{}", command.status().unwrap().success());
    look("/bin/guest");
}

/// Prints the owner of a file.
pub fn owner(path: &str) {
    println!("owner {}", fs::metadata(path).unwrap().uid());
}
