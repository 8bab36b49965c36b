//! A step at a terminal.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::process::{Child, Command, Stdio};

use rustix::pty::OpenptFlags;

use crate::support::World;
use crate::tools::{Tools, for_both};

/// A terminal with a command at it.
struct Terminal {
    keyboard: File,
    child: Child,
    seen: String,
}

impl Terminal {
    fn start(world: &World, command: &Command) -> Self {
        let keyboard = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        rustix::pty::grantpt(&keyboard).unwrap();
        rustix::pty::unlockpt(&keyboard).unwrap();
        let name = rustix::pty::ptsname(&keyboard, Vec::new()).unwrap();
        let open = || -> OwnedFd {
            let path = std::ffi::OsStr::from_bytes(name.as_bytes());
            let screen = OpenOptions::new().read(true).write(true).open(path);
            screen.unwrap().into()
        };
        // Makes it the controlling terminal, as a login does.
        let mut session = world.started_by(&["setsid", "--ctty", "--wait"], command);
        let [input, output, error] = [open(), open(), open()].map(Stdio::from);
        let child = session
            .stdin(input)
            .stdout(output)
            .stderr(error)
            .spawn()
            .unwrap();
        Self {
            keyboard: File::from(keyboard),
            child,
            seen: String::new(),
        }
    }

    /// Reads until `text` shows.
    fn wait_for(&mut self, text: &str) {
        while !self.seen.contains(text) {
            assert!(self.read() > 0, "ended before `{text}`: {}", self.seen);
        }
    }

    fn read(&mut self) -> usize {
        let mut bytes = [0; 4096];
        match self.keyboard.read(&mut bytes) {
            Ok(read) => {
                self.seen += &String::from_utf8_lossy(&bytes[..read]);
                read
            }
            // So the end shows here: nobody has the terminal open any more.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => 0,
            Err(error) => panic!("{error}"),
        }
    }

    fn press(&mut self, keys: &str) -> io::Result<()> {
        self.keyboard.write_all(keys.as_bytes())
    }

    /// Reads to the end and returns the exit code.
    fn end(&mut self) -> Option<i32> {
        while self.read() > 0 {}
        self.child.wait().unwrap().code()
    }
}

#[test]
fn a_step_has_a_terminal_and_an_interrupt_reaches_it_once() {
    for_both(|tools| {
        let script = "[ -t 0 ] && [ -t 1 ] && [ -t 2 ] && echo terminal
            trap 'echo told; count=x$count' INT; trap 'echo $count; exit 9' TERM
            echo ready; while :; do read line && kill -TERM $$; done";
        let mut terminal = Terminal::start(&tools.world, &tools.command(script));
        terminal.wait_for("ready");
        terminal.press("\u{3}").unwrap();
        terminal.wait_for("told");
        terminal.press("\n").unwrap();
        assert_eq!(terminal.end(), Some(9), "{}", terminal.seen);
        assert!(terminal.seen.contains("terminal\r\n"), "{}", terminal.seen);
        assert!(terminal.seen.contains("\r\nx\r\n"), "{}", terminal.seen);
    });
}

#[test]
fn a_shell_takes_commands() {
    for_both(|tools: Tools| {
        let shell = tools
            .world
            .command(&["shell", "--frozen", "--registry", &tools.registry]);
        let mut terminal = Terminal::start(&tools.world, &shell);
        terminal.press("echo $((6 * 7)) at $PWD; exit 4\n").unwrap();
        assert_eq!(terminal.end(), Some(4), "{}", terminal.seen);
        assert!(
            terminal.seen.contains("42 at /project"),
            "{}",
            terminal.seen
        );
    });
}
