//! Libraries that no example has, and what they say of the variables that hold them.

use crate::downloads;
use crate::golden::pins_of_world_are_read_back;
use crate::support::{User, World};

/// A project that is locked, and whose manifest ends in `[sandbox]`.
fn locked(python: &str, requirement: &str) -> World {
    let world = World::new(User::Unprivileged);
    let manifest = format!(
        "[environment]\nname = \"pins\"\npython = \"{python}\"\n\
         [python]\nrequirements = [{requirement}]\nexclude-newer = \"2026-11-01\"\n\
         [debian]\nsecurity = false\n[sandbox]\n"
    );
    world.write("envbox.toml", &manifest);
    downloads::share(&world);
    let run = world.run(&["lock"]);
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    world
}

/// Of two suites of Debian: a tunable that was renamed would hold nothing from then on.
#[test]
fn net_every_c_library_reads_its_pin_back() {
    for python in ["3.11", "3.13"] {
        let world = locked(python, "");
        let slips = [
            ("GLIBC_TUNABLES=glibc.cpu.hwcap=-FMA", "GLIBC_TUNABLES"),
            ("GLIBC_TUNABLES=glibc.cpu.hwcaps=-FMA3", "GLIBC_TUNABLES"),
        ];
        pins_of_world_are_read_back(&world, "print(1)", &[], &slips);
    }
}
