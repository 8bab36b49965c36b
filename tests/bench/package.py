#!/usr/bin/env python3
"""Times the Python package: what a call costs beside `subprocess.run` of the same command.

    cargo build --release
    PYTHONPATH=integrations/python/src tests/bench/package.py     # or in an environment with the wheel

The step is `true`, in a copy of integrations/python/example. Both ways take turns, so that what else the
machine does hits both. Of each: the median wall time of a call, and the processor time of the *calling*
process for one, which a busy machine does not change much. Then imports, in interpreters of their own.
"""

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def own_ms():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return (used.ru_utime + used.ru_stime) * 1000


def measured(call):
    own, began = own_ms(), time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000, own_ms() - own


def shown(name, samples):
    wall, own = ([sample[i] for sample in samples] for i in (0, 1))
    # Processor time comes in ticks on some kernels: only its sum is exact.
    print(f"{name:16} {statistics.median(wall):7.2f} ms   own {sum(own) / len(own):6.3f} ms")
    return wall


def calls(program, project, count):
    import envbox

    argv = [program, "--project", str(project), "run", "--die-with-parent", "--frozen", "--", "true"]
    ways = {
        "subprocess.run": lambda: subprocess.run(argv, check=True),
        "envbox.run": lambda: envbox.run(["true"], project=project, frozen=True).check(),
    }
    samples = {name: [] for name in ways}
    for turn in range(count + 1):
        for name, call in ways.items():
            sample = measured(call)
            if turn:
                samples[name].append(sample)
    plain, package = (shown(name, taken) for name, taken in samples.items())
    pairs = [there - here for here, there in zip(plain, package)]
    print(f"{'more, of pairs':16} {statistics.median(pairs):7.2f} ms   of {count}")


def imports(count):
    def spent(modules):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-S", "-c", f"import {modules}"], check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return (after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime) * 1000

    for modules in ("sys", "json, subprocess, typing, dataclasses", "envbox"):
        print(f"import {modules:37} {statistics.median(spent(modules) for _ in range(count)):6.1f} ms of processor time")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--envbox", default=ROOT / "target/release/envbox", type=Path)
    parser.add_argument("--runs", default=100, type=int)
    options = parser.parse_args()
    program = os.environ["ENVBOX"] = str(options.envbox.absolute())
    with tempfile.TemporaryDirectory() as scratch:
        project = Path(scratch, "project")
        shutil.copytree(ROOT / "integrations/python/example", project)
        calls(program, project, options.runs)
    imports(options.runs)


main()
