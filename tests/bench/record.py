#!/usr/bin/env python3
"""Times run records: what they cost a run, and how fast files are read for them.

    cargo build --release
    tests/bench/record.py overhead large small journal     # or any of them; none means all

`overhead` runs the examples of lockfiles/golden with and without a record, in turn, and a step that does
nothing, also in a repository of Git's. `large` (10 GB; `--gigabytes` for another) and `small` (200,000
files of 1 to 4 KiB, 100 in a directory; `--files`) run `true` in a project of such files, for the first
time, again, and with one file changed, beside `sha256sum`, `b3sum` if it is on PATH, and `git add` and
`git status`. `journal` lists 5,000 runs. As for `bench.py`: quote the ratios. `--store` says where downloads
are taken from.
"""

import argparse
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from bench import ROOT, _remove, pair, timed

GOLDEN = ROOT / "lockfiles" / "golden"
EXAMPLES = ["sklearn", "xgboost", "jax", "tensorflow"]
COMMIT = "git init -q . && git add -A && git -c user.name=n -c user.email=e commit -qm first"
ALL = ["overhead", "large", "small", "journal"]


class Bench:
    def __init__(self, options, scratch):
        self.options, self.scratch = options, scratch
        self.envbox = str(options.envbox.absolute())
        self.state = scratch / "state"
        self.env = dict(os.environ, XDG_STATE_HOME=str(self.state))
        self.env["ENVBOX_STORE"] = str(options.store or scratch / "store")

    def project(self, name, example="sklearn"):
        project = self.scratch / name
        shutil.copytree(GOLDEN / example, project)
        return project

    def run(self, project, *command, record=True):
        options = [] if record else ["--no-record"]
        return timed([self.envbox, "--project", str(project), "run", "--frozen", *options, "--", *command],
                     env=self.env, cwd=project)

    def overhead(self):
        """What a record costs the examples, and a step that does nothing."""
        for example in [*EXAMPLES, *(["torch"] if self.options.torch else [])]:
            project = self.project(example, example)
            step = ("python", "train.py")
            pair(f"{example}, recorded / not", lambda: self.run(project, *step),
                 lambda: self.run(project, *step, record=False), self.options.runs)
        project = self.project("nothing")
        for where in ("", " in a repository", " in a dirty repository"):
            if where == " in a repository":
                subprocess.run(["sh", "-c", COMMIT], cwd=project, check=True, stdout=subprocess.DEVNULL)
            if where == " in a dirty repository":
                (project / "train.py").write_text("# another\n")
            pair(f"true{where}, recorded / not", lambda: self.run(project, "/bin/true"),
                 lambda: self.run(project, "/bin/true", record=False), 3 * self.options.runs)

    def large(self):
        """Files of 1 GiB, the first time, then again. They are digested and, being large, not kept."""
        project = self.project("large")
        for number in range(self.options.gigabytes):
            subprocess.run(["sh", "-c", f"head -c 1G /dev/urandom > data{number}.bin"], cwd=project, check=True)
        self.read(project, "sha256sum data*.bin", "b3sum data*.bin")

    def small(self):
        """Many small files."""
        project = self.project("small")
        for number in range(self.options.files):
            path = project / f"d{number // 100}"
            path.mkdir(exist_ok=True)
            (path / f"f{number}").write_bytes(f"{number:08}".encode() * (128 + number * 7919 % 384))
        self.read(project, "find d* -type f -print0 | xargs -0 sha256sum", "find d* -type f -print0 | xargs -0 b3sum")

    def read(self, project, sha256sum, b3sum):
        """The first run reads and keeps, the second finds all as it was; files must be a while old for that."""
        subprocess.run(["sync"], check=True)
        shell = lambda line: timed(["sh", "-c", f"{line} > /dev/null"], cwd=project)
        peers = {"sha256sum": sha256sum, "git add": "git init -q . && git add -A", "git status": "git status -s"}
        if shutil.which("b3sum"):
            peers["b3sum"] = b3sum
        warm = shell("find . -type f -print0 | xargs -0 cat")[0]
        nothing = min(self.run(project, "/bin/true", record=False)[0] for _ in range(3))
        first = self.run(project, "/bin/true")[0] - nothing
        again = min(self.run(project, "/bin/true")[0] for _ in range(5)) - nothing
        (project / "another").write_text("new")
        changed = self.run(project, "/bin/true")[0] - nothing
        print(f"files read by cat in {warm:.2f} s; by envbox, first {first:.2f} s, again {again:.3f} s, "
              f"with one more {changed:.3f} s; a run without a record takes {nothing:.3f} s")
        for name, line in peers.items():
            # What Git does first is to note what it sees.
            theirs = min(shell(line)[0] for _ in range(5 if name == "git status" else 1))
            print(f"  {name:<12} {theirs:8.2f} s   first / it {first / theirs:.2f}   again / it {again / theirs:.3f}")

    def journal(self):
        """List 5,000 runs."""
        project = self.project("listed")
        self.run(project, "/bin/true")
        runs = self.state / "envbox" / "runs"
        text = max(runs.glob("*.json")).read_text()
        record = json.loads(text)
        for number in range(5000):
            # The name decides the order; what is read is the same each time.
            name = f"{record['run'][:8]}-{number:04x}-7{record['run'][15:]}"
            (runs / f"{name}.json").write_text(text)
        for what in (["runs"], ["runs", "--all", "-n", "5000"], ["show", "@5000"]):
            took = timed([self.envbox, "--project", str(project), *what], env=self.env, cwd=project)
            print(f"envbox {' '.join(what):<24} {took[0] * 1000:.0f} ms")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*ALL, []])
    parser.add_argument("--envbox", default=ROOT / "target" / "release" / "envbox", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--store", type=Path, help="take downloads from this store")
    parser.add_argument("--scratch", type=Path)
    parser.add_argument("--gigabytes", type=int, default=10)
    parser.add_argument("--files", type=int, default=200_000)
    parser.add_argument("--torch", action="store_true", help="train the PyTorch example too: it is 4 GB")
    options = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="envbox-record-", dir=options.scratch))
    try:
        bench = Bench(options, scratch)
        for name in options.names or ALL:
            getattr(bench, name)()
    finally:
        _remove(scratch)


if __name__ == "__main__":
    main()
