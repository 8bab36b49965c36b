//! The program that the tests of `run` have inside: does what its arguments say, one after the
//! other, and judges nothing. Compiled statically by the tests, with std alone.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};

unsafe extern "C" {
    fn kill(pid: i32, signal: i32) -> i32;
    fn mkfifo(path: *const u8, mode: u32) -> i32;
}

fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut words = arguments.iter().map(String::as_str);
    let mut next = || words.next().expect("another word");
    loop {
        match next() {
            "write" => fs::write(next(), next())?,
            "remove" => fs::remove_file(next())?,
            "remove-all" => fs::remove_dir_all(next())?,
            "create" => fs::create_dir_all(next())?,
            "rename" => fs::rename(next(), next())?,
            "link" => symlink(next(), next())?,
            "close" => fs::set_permissions(next(), Permissions::from_mode(0))?,
            "pipe" => assert_eq!(unsafe { mkfifo(format!("{}\0", next()).as_ptr(), 0o600) }, 0),
            "environment" => std::env::vars_os().for_each(|pair| println!("{pair:?}")),
            "read" => print!("{}", fs::read_to_string(next())?),
            "list" => {
                let names = fs::read_dir(next())?.map(|entry| Ok(entry?.file_name().into_string().unwrap()));
                let mut names = names.collect::<std::io::Result<Vec<String>>>()?;
                names.sort();
                println!("{}", names.join(" "));
            }
            "directory" => println!("{}", std::env::current_dir()?.display()),
            "time" => {
                let time = fs::metadata(next())?.modified()?;
                println!("{:?}", time.duration_since(std::time::UNIX_EPOCH).unwrap());
            }
            "wait" => {
                println!("ready");
                std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
            }
            "exit" => std::process::exit(next().parse().unwrap()),
            "die" => assert_eq!(unsafe { kill(std::process::id() as i32, next().parse().unwrap()) }, 0),
            other => panic!("no such word: {other}"),
        }
    }
}
