//! The runner of the corpus of public scripts, on two of its scripts.

use std::path::Path;
use std::process::Command;

use crate::downloads;
use crate::support::{User, World};

/// Runs the runner on two scripts, whose comparison says what `corpus.toml` expects.
#[test]
fn net_corpus_compares_two_scripts_under_two_conditions() {
    let world = World::new(User::Current);
    downloads::share(&world);
    let run = runner(&world)
        .args(["--only", "simpy/bank_renege", "--only", "deap/es/onefifth"])
        .output()
        .unwrap();
    downloads::keep(&world);
    let said = String::from_utf8_lossy(&run.stdout);
    let complained = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{said}{complained}");
    assert!(
        said.contains("2 of 2 scripts identical under first, second"),
        "{said}{complained}"
    );
    let results = std::fs::read_to_string(world.path().join("work/results.jsonl")).unwrap();
    assert_eq!(results.lines().count(), 4, "{results}");
    // A comparison of nothing with nothing would be equal too.
    assert!(results.contains(r#""RANDOM_SEED": ""#), "{results}");
}

/// A digest must tell values apart, and must not tell addresses apart.
#[test]
fn net_corpus_digests_tell_values_and_not_addresses() {
    let program = "
import collections, math, sys
sys.path.insert(0, sys.argv[1])
from digest import digest
class Thing:
    def __init__(self, part): self.part = part
def told(value): return digest(value)[0]
same = [lambda: [1, {'a': (2.5, b'x')}], lambda: Thing(Thing(None)), lambda: {'a', 'b', 3},
        lambda: collections.deque([math.nan]), lambda: (1).__add__]
for make in same: assert told(make()) == told(make()), make()
apart = [0, False, 0.0, -0.0, '', b'', None, [], (), {}, set(), [[]], [0], Thing(0), Thing(1), Thing(Thing(1))]
sums = [told(value) for value in apart]
assert len(set(sums)) == len(apart), sums
loop = []; loop.append(loop)
other = []; other.append(other)
assert told(loop) == told(other)
assert digest(open('/dev/null'))[1] == {'_io.TextIOWrapper': 1}
";
    let inside = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/inside");
    let run = Command::new("python3")
        .args(["-B", "-c", program])
        .arg(inside)
        .output()
        .unwrap();
    assert!(
        run.status.success(),
        "{}",
        String::from_utf8_lossy(&run.stderr)
    );
}

fn runner(world: &World) -> Command {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/corpus.py");
    let mut command = Command::new("python3");
    command
        .arg("-B")
        .arg(program)
        .arg("--envbox")
        .arg(world.program())
        .arg("--work")
        .arg(world.path().join("work"))
        .env("ENVBOX_STORE", world.path().join("home/.cache/envbox"))
        .env("TMPDIR", world.path());
    command
}
