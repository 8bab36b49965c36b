#!/usr/bin/env python3
"""Times envbox beside its peers, on the same work, in turn (A B A B …), in one call.

    cargo build --release
    tests/bench/bench.py lock build start import          # or any of them; none means all

Each figure is the median of the paired ratios envbox / peer, with the medians of both beside it.
Quote the ratios: absolute times depend on the machine. Peers are looked up on PATH and a missing
one is named, never left out silently. Needs CPython 3.11 or newer, nothing else.
"""

import argparse
import json
import os
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "lockfiles" / "golden" / "sklearn"


ALL = ["lock", "build", "start", "import", "train", "jobs"]


class Failed(Exception):
    """A command that was to be timed did not end well."""


def timed(command, env=None, cwd=None, prepare=None):
    """Runs `command` once; returns wall seconds, CPU seconds, peak MiB of the largest process."""
    if prepare:
        prepare()
    started = time.perf_counter()
    process = subprocess.Popen(
        command, env=env, cwd=cwd, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )
    error = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise Failed(f"{command}: exit {process.returncode}\n{error.decode(errors='replace')}")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def free_port():
    """Returns a port of the loopback device that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def pair(name, ours, theirs, runs):
    """Runs two timers in turn and prints medians and the median of the paired ratios."""
    rows = []
    ours(), theirs()  # warm-up, not counted
    for _ in range(runs):
        rows.append((ours(), theirs()))
    wall = [a[0] / b[0] for a, b in rows]
    cpu = [a[1] / b[1] for a, b in rows if b[1] > 0]
    median = statistics.median
    print(
        f"{name:44} wall {median(r[0][0] for r in rows) * 1000:9.1f} ms / {median(r[1][0] for r in rows) * 1000:9.1f} ms"
        f" = {median(wall):5.2f}   cpu = {median(cpu) if cpu else float('nan'):5.2f}"
        f"   peak {median(r[0][2] for r in rows):6.0f} / {median(r[1][2] for r in rows):6.0f} MiB"
    )


def need(program):
    """Returns the program's path, or says what is missing."""
    found = shutil.which(program)
    if not found:
        print(f"{program}: not on PATH, comparison left out", file=sys.stderr)
    return found


class Bench:
    def __init__(self, options, scratch):
        self.envbox, self.runs, self.torch = str(options.envbox.absolute()), options.runs, options.torch
        self.scratch = Path(scratch)
        self.store = options.store.absolute() if options.store else self.scratch / "store"
        self.env = dict(os.environ, ENVBOX_STORE=str(self.store))
        self.project = self.copy_of(EXAMPLE, "project")

    def copy_of(self, example, name):
        target = self.scratch / name
        shutil.copytree(example, target)
        return target

    def run(self, *arguments, **options):
        return timed([self.envbox, *arguments], env=options.pop("env", self.env), **options)

    def rootfs(self, project):
        """Returns the directory that a step of the project has as its root."""
        mounts = subprocess.run(
            [self.envbox, "--project", str(self.scratch / project), "run", "--", "/bin/cat", "/proc/self/mountinfo"],
            env=self.env, check=True, capture_output=True, text=True,
        ).stdout
        root = next(line.split()[3] for line in mounts.splitlines() if line.split()[4] == "/")
        return self.store / "rootfs" / Path(root).name

    def lock(self):
        """Lock cold, and warm with nothing changed, against `uv pip compile`."""
        uv = need("uv")
        if not uv:
            return
        requirements = self.scratch / "requirements.in"
        manifest = tomllib.loads((self.project / "envbox.toml").read_text())
        wanted = manifest["python"]["requirements"]
        requirements.write_text("\n".join(wanted) + "\n")
        cache = self.scratch / "uv-cache"
        compile_ = [
            uv, "pip", "compile", "-q", str(requirements), "--format", "pylock.toml", "-o",
            str(self.scratch / "pylock.toml"), "--python-version", "3.11", "--python-platform",
            "x86_64-manylinux_2_36", "--only-binary", ":all:", "--cache-dir", str(cache),
        ]
        lock = self.project / "envbox.lock"
        kept = lock.read_bytes() if lock.exists() else None

        def forget_python():
            lock.unlink(missing_ok=True)
            shutil.rmtree(self.store / "index" / "uv", ignore_errors=True)

        def forget_all():
            lock.unlink(missing_ok=True)
            shutil.rmtree(self.store / "index", ignore_errors=True)

        in_project = ["--project", str(self.project)]
        self.run("lock", *in_project)
        whole = [self.run("lock", *in_project, prepare=forget_all)[0] for _ in range(self.runs)]
        print(f"lock, everything cold, Debian included: {statistics.median(whole) * 1000:.0f} ms")
        forget_uv = lambda: shutil.rmtree(cache, ignore_errors=True)
        pair("lock cold (Debian index warm) / uv pip compile",
             lambda: self.run("lock", *in_project, prepare=forget_python),
             lambda: timed(compile_, prepare=forget_uv), self.runs)
        pair("lock warm, unchanged / uv pip compile warm",
             lambda: self.run("lock", *in_project), lambda: timed(compile_), self.runs)
        if kept:
            lock.write_bytes(kept)

    def build(self):
        """Build the environment from a warm download cache against uv venv + uv pip sync."""
        uv = need("uv")
        if not uv:
            return
        in_project = ["--project", str(self.project)]
        true = ["--", "/bin/true"]
        self.run("run", *in_project, *true)
        requirements = self.scratch / "locked.txt"
        requirements.write_text(_pins(self.project / "envbox.lock"))
        venv, cache = self.scratch / "venv", self.scratch / "uv-cache-build"
        python = need("python3.11") or need("python3")

        def forget_trees():
            for folder in ("trees", "rootfs"):
                _remove(self.store / folder)

        def sync():
            started = timed([uv, "venv", "-q", "--clear", "-p", python, "--cache-dir", str(cache), str(venv)])
            rest = timed([uv, "pip", "sync", "-q", "--compile-bytecode", "--link-mode", "hardlink", "--cache-dir",
                          str(cache), "-p", str(venv / "bin" / "python"), str(requirements)])
            return started[0] + rest[0], started[1] + rest[1], max(started[2], rest[2])

        runs = max(3, self.runs // 3)
        pair("build, downloads warm / uv venv + pip sync",
             lambda: self.run("run", *in_project, *true, prepare=forget_trees), sync, runs)
        # One more package: everything else is there, unpacked and compiled (by envbox), or unpacked (by uv).
        second = self.copy_of(self.project, "second")
        manifest = second / "envbox.toml"
        manifest.write_text(manifest.read_text().replace("requirements = [", 'requirements = ["tqdm==4.67.1", '))
        self.run("run", "--project", str(second), *true)
        requirements.write_text(_pins(second / "envbox.lock"))
        merged = self.rootfs("second")

        def forget_second():
            _remove(merged)
            Path(f"{merged}.done").unlink(missing_ok=True)

        pair("build of a second project, one package more",
             lambda: self.run("run", "--project", str(second), "--frozen", *true, prepare=forget_second), sync, runs)

    def start(self):
        """Start /bin/true in a built environment against bwrap, crun and runc on the same rootfs."""
        in_project = ["--project", str(self.project)]
        self.run("run", *in_project, "--", "/bin/true")
        rootfs = self.rootfs("project")
        ours = lambda: self.run("run", *in_project, "--", "/bin/true")
        if bwrap := need("bwrap"):
            command = [bwrap, "--unshare-all", "--ro-bind", str(rootfs), "/", "--proc", "/proc", "--dev", "/dev",
                       "--tmpfs", "/tmp", "--clearenv", "/bin/true"]
            pair("run -- /bin/true / bwrap --unshare-all", ours, lambda: timed(command), self.runs * 4)
        for runtime in ("crun", "runc"):
            if not need(runtime):
                continue
            bundle = self.bundle(runtime, rootfs)
            command = [runtime, "run", "--bundle", str(bundle), f"envbox-bench-{runtime}-{os.getpid()}"]
            try:
                pair(f"run -- /bin/true / {runtime} run", ours, lambda: timed(command), self.runs)
            except Failed as failure:
                print(f"{runtime}: {str(failure).splitlines()[-1]}", file=sys.stderr)

    def bundle(self, runtime, rootfs):
        bundle = self.scratch / f"bundle-{runtime}"
        bundle.mkdir()
        subprocess.run([runtime, "spec"], cwd=bundle, check=True)
        config = json.loads((bundle / "config.json").read_text())
        config["process"].update(terminal=False, args=["/bin/true"])
        config["process"].pop("rlimits", None)
        config["root"] = {"path": str(rootfs), "readonly": True}
        (bundle / "config.json").write_text(json.dumps(config))
        return bundle

    def outside(self, project, variables):
        """Returns a command's beginning that runs it on the same files without what envbox holds.

        The same root, project, variables and processor; bubblewrap only mounts them.
        """
        processor = min(os.sched_getaffinity(0))
        pins = [word for name, value in variables.items() for word in ("--setenv", name, value)]
        work = self.scratch / f"{project}-outside"
        if not work.exists():
            self.copy_of(self.scratch / project, work.name)
        return ["taskset", "-c", str(processor), "bwrap", "--ro-bind", str(self.rootfs(project)), "/", "--proc", "/proc",
                "--dev", "/dev", "--tmpfs", "/tmp", "--bind", str(work), "/project", "--chdir", "/project",
                "--clearenv", *pins]

    def variables(self, project):
        """Returns the environment of the project's steps."""
        text = subprocess.run(
            [self.envbox, "--project", str(self.scratch / project), "run", "--", "/usr/bin/env", "-0"],
            env=self.env, check=True, capture_output=True, text=True, cwd=self.scratch,
        ).stdout
        return dict(line.split("=", 1) for line in text.split("\0") if line)

    def train(self):
        """Train the examples inside against outside. PyTorch only with `--torch`: it is 4 GB."""
        if not need("bwrap"):
            return
        for name in ("sklearn", "xgboost", "jax", "tensorflow", *(["torch"] if self.torch else [])):
            if not (self.scratch / name).exists():
                self.copy_of(EXAMPLE.parent / name, name)
            in_project = ["--project", str(self.scratch / name)]
            self.run("run", *in_project, "--frozen", "--", "/bin/true")
            outside = self.outside(name, self.variables(name))
            pair(f"train {name}, inside / outside",
                 lambda: self.run("run", *in_project, "--frozen", "--", "python", "train.py"),
                 lambda: timed([*outside, "python", "train.py"]), max(3, self.runs // 3))

    def jobs(self):
        """500 processes one after the other, and a compilation, inside against outside."""
        if not need("bwrap"):
            return
        project = self.scratch / "jobs"
        project.mkdir()
        (project / "envbox.toml").write_text(
            '[environment]\nname = "jobs"\npython = "3.11"\n[debian]\nsecurity = false\n'
            'packages = ["gcc", "libc6-dev", "make"]\n')
        for number in range(24):
            (project / f"part{number}.c").write_text(
                "#include <stdio.h>\n#include <stdlib.h>\n#include <math.h>\n"
                + "".join(f"double f{number}_{i}(double x) {{ return sin(x * {i}) + {i}; }}\n" for i in range(200)))
        (project / "Makefile").write_text("all: $(patsubst %.c,%.o,$(wildcard *.c))\n%.o: %.c\n\tgcc -O1 -c $< -o $@\n")
        in_project = ["--project", str(project)]
        self.run("run", *in_project, "--", "/bin/true")
        outside = self.outside("jobs", self.variables("jobs"))
        forks = ["/bin/bash", "-c", "for i in {1..500}; do /bin/true; done"]
        build = ["/bin/bash", "-c", "cp Makefile *.c /tmp && make -s -C /tmp"]
        for name, command in (("500 processes", forks), ("compile 24 files", build)):
            pair(f"{name}, inside / outside", lambda: self.run("run", *in_project, "--", *command),
                 lambda: timed([*outside, *command]), self.runs)

    def import_(self):
        """Import and train inside against the same interpreter and packages outside."""
        if not need("bwrap"):
            return
        in_project = ["--project", str(self.project)]
        self.run("run", *in_project, "--", "/bin/true")
        # With /dev/shm and /proc, without which joblib leaves out a part of itself.
        outside = [*self.outside("project", self.variables("project")), "python"]
        inside = ["run", *in_project, "--", "python"]
        fit = ("from sklearn.datasets import load_digits as d\n"
               "from sklearn.ensemble import RandomForestClassifier as R\n"
               "x, y = d(return_X_y=True)\nR(300, random_state=0).fit(x, y)")
        for name, code in (("import sklearn", "import sklearn.ensemble"), ("train a forest", fit)):
            pair(f"{name}, inside / outside", lambda: self.run(*inside, "-c", code),
                 lambda: timed([*outside, "-c", code]), self.runs)


def _pins(lock):
    """Returns the wheels of a lock as pinned requirements."""
    wheels = tomllib.loads(lock.read_text())["python"]
    return "".join(f"{wheel['name']}=={wheel['version']}\n" for wheel in wheels)


def _remove(path):
    """Removes a tree whose directories may be read-only."""
    for folder, _, _ in os.walk(path):
        os.chmod(folder, 0o700)
    shutil.rmtree(path, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*ALL, []])
    parser.add_argument("--envbox", default=ROOT / "target" / "release" / "envbox", type=Path)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--store", type=Path, help="use this store and what it holds; not for `lock` and `build`")
    parser.add_argument("--torch", action="store_true", help="train the PyTorch example too")
    options = parser.parse_args()
    scratch = tempfile.mkdtemp(prefix="envbox-bench-")
    try:
        if options.store and {"lock", "build"} & set(options.names or ALL):
            parser.error("`lock` and `build` take things out of the store: name what to run, without them")
        bench = Bench(options, scratch)
        for name in options.names or ALL:
            getattr(bench, "import_" if name == "import" else name)()
    finally:
        _remove(Path(scratch))
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"largest process of all: {peak:.0f} MiB")


if __name__ == "__main__":
    main()
