//! What a step is told of files.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use crate::harness::{World, as_everyone};

/// Runs the guest in a project that was made in this order, so many seconds ago.
fn look(world: &World, order: [&str; 3], age: u64, guest: &str) -> String {
    look_with(&["--files"], world, order, age, guest)
}

/// The same, with this of files held.
fn look_with(held: &[&str], world: &World, order: [&str; 3], age: u64, guest: &str) -> String {
    look_as(held, world, order, age, &["/bin/guest", guest])
}

/// The same, for any command.
fn look_as(held: &[&str], world: &World, order: [&str; 3], age: u64, command: &[&str]) -> String {
    for name in ["rootfs/bin", "rootfs/bin/guest"] {
        world.give(&world.path(name));
    }
    for name in ["lower", "upper", "work"] {
        let _ = fs::remove_dir_all(world.path(name));
    }
    world.directory("lower");
    for name in order {
        let path = match name {
            "directory" => world.directory("lower/directory"),
            name => world.file(format!("lower/{name}"), name),
        };
        let file = File::open(path).unwrap();
        let made = file.metadata().unwrap().modified().unwrap();
        let time = made - Duration::from_secs(age);
        file.set_modified(time).unwrap();
    }
    // Maybe in the same tick of the kernel's clock for files: the rest was there before.
    for name in ["upper", "work"] {
        world.directory(name);
    }
    let more = ["--sorted", "--clock", "logical", "--directory"];
    let mut options: Vec<PathBuf> = held.iter().chain(&more).map(PathBuf::from).collect();
    options.push(PathBuf::from("/project"));
    options.extend(world.overlay());
    let output = world.output(&options, command);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{:?}: {error}", world.caller);
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_file_looks_the_same_everywhere() {
    let all = std::cell::RefCell::new(Vec::new());
    as_everyone(|world| {
        let orders = [
            (["first", "second", "directory"], 5),
            (["directory", "second", "first"], 1_000_000),
            (["second", "first", "directory"], 77_777),
        ];
        let mut all = all.borrow_mut();
        all.extend(orders.map(|(order, age)| look(world, order, age, "files")));
        let order = ["first", "second", "directory"];
        all.push(look_with(&["--files", "--audit"], world, order, 5, "files"));
    });
    let all = all.into_inner();
    for other in &all[1..] {
        assert_eq!(*other, all[0]);
    }
    assert!(!all[0].contains(" false\n"), "{}", all[0]);
    let line = |start: &str| all[0].lines().find(|line| line.starts_with(start)).unwrap();
    insta::assert_snapshot!(
        ["first:", "/tmp:", "a:", "b:", "c:", "d/e:"].map(line).join("\n"),
        @r"
    first: 12 767568267473840 100644 1 1000:1000 5 8 4096 1577836799.000000000 1577836799.000000000 1577836799.000000000
    /tmp: 14 4437979971240946 41777 1 1000:1000 4096 8 4096 1577836799.000000000 1577836799.000000000 1577836799.000000000
    a: 12 2655153032251373 100644 1 1000:1000 1 8 4096 1577836799.000001000 1577836799.000001000 1577836799.000001000
    b: 12 2608656459982692 100644 1 1000:1000 2 8 4096 1577836799.000002000 1577836799.000002000 1577836799.000002000
    c: 12 2655153032251373 100644 2 1000:1000 1 8 4096 1577836799.000001000 1577836799.000001000 1577836799.000003000
    d/e: 12 2608656459982692 100644 1 1000:1000 2 8 4096 1577836799.000002000 1577836799.000002000 1577836799.000006000
    "
    );
}

#[test]
fn a_time_that_the_step_sets_is_kept() {
    as_everyone(|world| {
        let text = look(world, ["first", "second", "directory"], 9, "files");
        let kept = text
            .lines()
            .filter(|line| line.contains(" 1000000000.123456789 "));
        assert_eq!(kept.count(), 3);
    });
}

/// A place in a program that was asked about once tells of a file without the supervisor.
#[test]
fn a_look_that_is_not_asked_about_tells_the_same() {
    as_everyone(|world| {
        for held in ["--times", "--files"] {
            let order = ["first", "second", "directory"];
            let text = look_with(&[held], world, order, 9, "places");
            let jumps = held == "--times";
            for (line, expected) in [
                ("at first", false),
                ("then", jumps),
                ("C library", jumps),
                ("with threads", false),
            ] {
                assert!(text.contains(&format!("{line} {expected}\n")), "{text}");
            }
            assert!(text.contains("\nset true 1000000000\n"), "{text}");
            let same = text.lines().filter(|line| line.ends_with(" true"));
            let jumped = if jumps { 2 } else { 0 };
            assert_eq!(same.count(), 2 * 15 + 4 + jumped, "{held} {text}");
        }
    });
}

#[test]
fn what_the_step_makes_has_its_time_and_inputs_keep_theirs() {
    /// Sixteen years.
    const BACK: u64 = (16 * 365 + 4) * 86400;
    let all = std::cell::RefCell::new(Vec::new());
    as_everyone(|world| {
        let order = ["first", "second", "directory"];
        // Who counts looks does not change what they tell.
        let audited = look_with(&["--times", "--audit"], world, order, 9, "times");
        let look = |age| look_with(&["--times"], world, order, age, "times");
        let texts = [9, 100_000].map(look);
        let own = |text: &str| {
            let of_step =
                |line: &&str| !line.starts_with("/project/") && !line.starts_with("moved");
            let lines: Vec<&str> = text.lines().filter(of_step).collect();
            lines.join("\n")
        };
        assert_eq!(own(&texts[0]), own(&texts[1]));
        assert_eq!(own(&audited), own(&texts[0]));
        all.borrow_mut().push(own(&texts[0]));
        let host = fs::metadata(world.path("lower/first")).unwrap();
        let host = host
            .modified()
            .unwrap()
            .duration_since(std::time::UNIX_EPOCH);
        let of = |name: &str| {
            let start = format!("{name}: ");
            let line = texts[1]
                .lines()
                .find(|line| line.starts_with(&start))
                .unwrap();
            let times: Vec<u64> = line[start.len()..]
                .split([' ', '.'])
                .step_by(2)
                .map(|it| it.parse().unwrap())
                .collect();
            times
        };
        let first = of("/project/first");
        assert_eq!(first[1], host.unwrap().as_secs() - BACK);
        assert_eq!(first, [first[1]; 4]);
        assert!(first[1] <= of("/project/second")[1]);
        assert_eq!(of("/project/b")[1], of("/project/second")[1]);
        assert_eq!(of("moved")[1], of("/project/second")[1]);
    });
    let mut all = all.into_inner();
    all.dedup();
    insta::assert_snapshot!(all.join("\n"), @r"
    /tmp: 1577836799.000000000 1577836799.000000000 1577836799.000000000 1577836799.000000000
    /project: 1577836799.000000000 1577836799.000000000 1577836799.000000000 1577836799.000000000
    /dev/null: 1577836799.000000000 1577836799.000000000 1577836799.000000000 1577836799.000000000
    a: 1577836800.000001000 1577836800.000001000 1577836800.000001000 1577836800.000001000
    b: 1577836800.000002000 1577836800.000002000 1577836800.000002000 1577836800.000002000
    a: 1577836800.012003000 1577836800.012003000 1577836800.012003000 1577836800.000001000
    first: 1577836800.012004000 1577836800.012004000 1577836800.012004000 1577836800.012004000
    open: 1577836800.012009000 1577836800.012009000 1577836800.012009000 1577836800.012009000
    later: 1577836801.212010000 1577836801.212010000 1577836801.212010000 1577836801.212010000
    open: 1577836801.212011000 1577836801.212011000 1577836801.212011000 1577836800.012009000
    soon: 1577836800.012008000 1577836800.012008000 1577836800.012008000 1577836800.012008000
    last: 1577836801.212013000 1577836801.212013000 1577836801.212013000 1577836801.212013000
    a: 1577836801.512013000 1577836801.512013000 1577836801.512013000 1577836800.000001000
    new true
    new true
    now 1577836801
    ");
}

/// Whatever changes fall into one tick of the kernel's clock, and whatever is looked at first.
#[test]
fn changes_are_in_the_order_in_which_they_were_made() {
    let all = std::cell::RefCell::new(Vec::new());
    as_everyone(|world| {
        for held in ["--times", "--files"] {
            let order = ["first", "second", "directory"];
            let run = |rounds: &str| {
                let guest = ["/bin/guest", "orders", rounds];
                look_as(&[held], world, order, 9, &guest)
            };
            let text = run("0");
            assert_eq!(run("20000000"), text, "{held}");
            all.borrow_mut().push(text);
        }
    });
    let all = all.into_inner();
    assert_eq!(all[all.len() - 2..], all[..2]);
    insta::assert_snapshot!(all[0], @r"
    last: 1577836800.000020000 1577836800.000020000 1577836800.000020000 1577836800.000020000
    moved/e/g: 1577836800.000017000 1577836800.000017000 1577836800.000017000 1577836800.000017000
    moved/e: 1577836800.000019000 1577836800.000019000 1577836800.000019000 1577836800.000019000
    moved/h: 1577836800.000009000 1577836800.000009000 1577836800.000013000 1577836800.000013000
    moved/z: 1577836800.000012000 1577836800.000012000 1577836800.000012000 1577836800.000012000
    moved/y: 1577836800.000005000 1577836800.000005000 1577836800.000006000 1577836800.000006000
    moved/x: 1577836800.000004000 1577836800.000004000 1577836800.000004000 1577836800.000004000
    moved: 1577836800.000014000 1577836800.000014000 1577836800.000018000 1577836800.000018000
    link: 1577836800.000011000 1577836800.000011000 1577836800.000011000 1577836800.000011000
    /tmp/log: 1577836800.000007000 1577836800.000007000 1577836800.000007000 1577836800.000007000
    /tmp/c: 1577836800.000008000 1577836800.000008000 1577836800.000008000 1577836800.000008000
    /tmp: 1577836800.000008000 1577836800.000008000 1577836800.000008000 1577836799.000000000
    b: 1577836800.000002000 1577836800.000002000 1577836800.000002000 1577836800.000002000
    a: 1577836800.000009000 1577836800.000009000 1577836800.000013000 1577836800.000013000
    .: 1577836800.000020000 1577836800.000020000 1577836800.000020000 1577836799.000000000
    ");
}

#[test]
fn what_cannot_be_seen_is_the_kernels_to_refuse() {
    as_everyone(|world| {
        for name in ["closed", "closed/x"] {
            match name {
                "closed" => drop(world.directory("lower/closed")),
                _ => drop(world.file("lower/closed/x", "")),
            }
        }
        let closed = world.path("lower/closed");
        fs::set_permissions(&closed, Permissions::from_mode(0o000)).unwrap();
        let look = |options: &[&str]| {
            let mut options: Vec<PathBuf> = options.iter().map(PathBuf::from).collect();
            options.extend(world.overlay());
            let output = world.output(&options, &["/bin/guest", "refused"]);
            assert!(output.status.success(), "{:?}", output.stderr);
            String::from_utf8(output.stdout).unwrap()
        };
        let real = look(&[]);
        for held in ["--files", "--times"] {
            assert_eq!(look(&[held, "--clock", "logical"]), real);
        }
        let denied = real.lines().filter(|line| line.ends_with(" -1 13"));
        assert_eq!(denied.count(), 2, "{real}");
        fs::set_permissions(&closed, Permissions::from_mode(0o755)).unwrap();
    });
}

#[test]
fn who_leaves_the_namespaces_of_the_step_sees_its_own() {
    as_everyone(|world| {
        for held in ["--files", "--times"] {
            let text = world.look(&[held, "--clock", "logical"], &["nested"]);
            let lines: Vec<&str> = text.lines().collect();
            // No id is mapped there.
            assert_eq!(lines[1..3], ["owner 65534", "true"], "{text}");
            assert_eq!(lines[0], lines[3]);
        }
    });
}
