//! For which GPUs real libraries have code, by NVIDIA's own program.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use envbox_sandbox::gpu::{Capability, DeviceCode};

use crate::downloads;
use crate::support::{User, World};

/// Compressed in the one way and in the other.
const LIBRARIES: [&str; 2] = ["nvidia-nvjpeg-cu12==12.4.0.76", "nvidia-nvjpeg==13.3.2.43"];

const STEP: &str = "\
import glob, subprocess
[program] = glob.glob('/opt/env/lib/python3*/site-packages/nvidia/cu13/bin/cuobjdump')
[library] = glob.glob('/opt/env/lib/python3*/site-packages/nvidia/*/lib/libnvjpeg.so.1*')
print(library)
for kind in '--list-elf', '--list-ptx':
    done = subprocess.run([program, kind, library], capture_output=True, text=True, check=True)
    print(*sorted({word.split('.')[-2] for word in done.stdout.split() if '.sm_' in word}))
";

/// `sm_90`, and `sm_90a` as what is counted for it.
fn capability(name: &str) -> Capability {
    let digits = name
        .trim_start_matches("sm_")
        .trim_end_matches(char::is_alphabetic);
    let number: u32 = digits.parse().unwrap();
    Capability {
        major: number / 10,
        minor: number % 10,
    }
}

#[test]
fn net_cuobjdump_lists_the_same_code() {
    for library in LIBRARIES {
        let world = World::new(User::Unprivileged);
        let manifest = format!(
            "[environment]\nname = \"code\"\npython = \"3.11\"\n[python]\nrequirements = \
             [\"{library}\", \"nvidia-cuda-cuobjdump==13.5.37\"]\n[debian]\nsecurity = false\n"
        );
        world.write("envbox.toml", &manifest);
        world.write("step.py", STEP);
        downloads::share(&world);
        let run = world.run(&["run", "--", "python", "step.py"]);
        assert_eq!(run.code(), Some(0), "{}", run.stderr());
        downloads::keep(&world);
        let told = run.stdout();
        let lines: Vec<&str> = told.lines().collect();
        let listed = |line: &str| -> BTreeSet<Capability> {
            line.split_whitespace().map(capability).collect()
        };
        let file = rootfs(&world).join(lines[0].trim_start_matches('/'));
        let code = DeviceCode::of(&File::open(file).unwrap()).unwrap();
        assert!(!code.more && code.native.len() > 9, "{code}");
        assert_eq!(
            (code.native, code.ptx),
            (listed(lines[1]), listed(lines[2])),
            "{library}"
        );
    }
}

/// The root that the step had.
fn rootfs(world: &World) -> PathBuf {
    let directory: &Path = &world.path().join("home/.cache/envbox/rootfs");
    let entries = fs::read_dir(directory).unwrap();
    let mut paths = entries.map(|entry| entry.unwrap().path());
    paths.find(|path| path.is_dir()).unwrap()
}
