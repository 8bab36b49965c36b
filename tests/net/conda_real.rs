//! An environment of conda's with a real interpreter and real compiled modules.

use std::fs;

use serde_json::Value;

use crate::conda_python::{PRINTED, channel, manifest};
use crate::downloads;
use crate::golden::world_of;
use crate::support::{User, World};

const LOOK: &str = "import sys, numpy, numpy.linalg\n\
                    print(sys.prefix, sys.executable, numpy.__file__)\n\
                    print(numpy.linalg.inv(numpy.array([[2., 0.], [0., 4.]])).trace())";

const LOOKED: &str = "/opt/env /opt/env/bin/python \
                      /opt/env/lib/python3.11/site-packages/numpy/__init__.py\n0.75\n";

#[test]
fn net_a_conda_environment_with_a_real_interpreter() {
    let base = world_of("sklearn", User::Current);
    let channel = channel(&base);
    let server = channel.serve();
    let manifest = manifest(&server.url());
    let mut seen: Option<(Vec<u8>, [String; 2])> = None;
    for user in User::ALL {
        let world = World::new(user);
        world.write("envbox.toml", &manifest);
        downloads::share(&world);
        let succeeds = |words: &[&str]| {
            let run = world.run(words);
            assert_eq!(run.code(), Some(0), "{words:?}: {}", run.stderr());
            run.stdout()
        };
        succeeds(&["lock"]);
        let lock = fs::read(world.project().join("envbox.lock")).unwrap();
        let run = ["run", "--frozen", "--"];
        let printed = succeeds(&[&run[..], &["python", "-c", LOOK]].concat());
        assert_eq!(printed, LOOKED);
        let printed = succeeds(&[&run[..], &["app"]].concat());
        assert_eq!(printed, PRINTED);
        let text = succeeds(&[&run[..], &["cat", "/opt/env/etc/python.cfg"]].concat());
        assert_eq!(text, "home = /opt/env\n");
        // The environment has the same digest again, from a store that has forgotten it.
        let build = || {
            let report = succeeds(&["build", "--frozen", "--json"]);
            let report: Value = serde_json::from_str(&report).unwrap();
            report["digest"].as_str().unwrap().to_owned()
        };
        let first = build();
        for folder in ["rootfs", "trees", "layers", "answers"] {
            let place = world.path().join("home/.cache/envbox").join(folder);
            drop(fs::remove_dir_all(place));
        }
        let found = (lock, [first, build()]);
        assert_eq!(found.1[0], found.1[1]);
        assert_eq!(
            seen.get_or_insert_with(|| found.clone()),
            &found,
            "as {user:?}"
        );
        downloads::keep(&world);
    }
}
