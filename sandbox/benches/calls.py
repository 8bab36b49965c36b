#!/usr/bin/env python3
"""What calls cost inside a sandbox, compared with outside and with libfaketime, in one run.

usage: calls.py SUPERVISOR [ROUNDS]

SUPERVISOR is the `envbox-sandbox` command (release build). Compiles `calls.c` with `cc`. Each column is a
way to run that program, each figure the least of all rounds in nanoseconds; the ways take turns. The
figures to compare are those of one run. A peer that is not on PATH is named.
"""

import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

SIZES = (10, 1_000, 100_000)
# Its command is in no package; the library that does the work is in that for Python.
SANDLOCK = """
import sys, sandlock
box = sandlock.Sandbox(fs_readable=["/"], fs_writable=["/tmp"], time_start="2020-01-01T00:00:00Z", random_seed=1,
                       deterministic_dirs=True)
done = box.run(sys.argv[1:], timeout=600)
sys.stdout.write(done.stdout.decode())
sys.stderr.write(done.stderr.decode() if done.success else f"{done.error} {done.stderr.decode()}")
sys.exit(not done.success)
"""


def cycles_a_nanosecond():
    """Measures the time-stamp counter, by the difference that a second more makes."""
    source = r"""
    #include <stdio.h>
    #include <time.h>
    #include <x86intrin.h>
    int main(void) { struct timespec a, b, s = {0, 300000000}; clock_gettime(CLOCK_MONOTONIC_RAW, &a);
      unsigned long long t = __rdtsc(); nanosleep(&s, 0); t = __rdtsc() - t; clock_gettime(CLOCK_MONOTONIC_RAW, &b);
      printf("%f\n", t / ((b.tv_sec - a.tv_sec) * 1e9 + b.tv_nsec - a.tv_nsec)); }
    """
    with tempfile.TemporaryDirectory() as directory:
        program = os.path.join(directory, "tsc")
        subprocess.run(["cc", "-x", "c", "-", "-o", program], input=source, text=True, check=True)
        times = [float(subprocess.run([program], capture_output=True, check=True).stdout) for _ in range(3)]
    return statistics.median(times)


def ways(supervisor, rootfs, dynamic, project):
    """Yields a name, a command and an environment for each way to run the program."""
    paths = [f"{project}/{size}" for size in SIZES]
    inside = [f"/project/{size}" for size in SIZES]
    sandbox = [supervisor, "--project-read-only", str(project)]
    yield "outside", [str(rootfs / "bin/calls"), *paths], {}
    yield "namespaces", [*sandbox, str(rootfs), "/bin/calls", *inside], {}
    fixed = ["--seed", "0", "--machine", "--sorted"]
    for clock in ("logical", "frozen", "ticking"):
        yield clock, [*sandbox, "--clock", clock, *fixed, str(rootfs), "/bin/calls", *inside], {}
    libraries = [*Path("/usr/lib").glob("*/faketime/libfaketime.so.1")]
    if libraries:
        preload = {"LD_PRELOAD": str(libraries[0]), "FAKETIME": "2020-01-01 00:00:00", "TZ": "UTC"}
        yield "libfaketime", [str(dynamic), *paths], preload
    else:
        print("libfaketime: not installed, left out", file=sys.stderr)
    if importlib.util.find_spec("sandlock"):
        yield "sandlock", [sys.executable, "-c", SANDLOCK, str(rootfs / "bin/calls"), *paths], {}
    else:
        print("sandlock: not installed for this Python, left out", file=sys.stderr)


def fill(project):
    for size in SIZES:
        (project / str(size)).mkdir(parents=True)
        for number in range(size):
            (project / str(size) / f"file-{number * 7919 % size}").touch()


def main():
    supervisor = os.path.abspath(sys.argv[1])
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    source = Path(__file__).with_name("calls.c")
    with tempfile.TemporaryDirectory() as directory:
        rootfs, project = Path(directory) / "rootfs", Path(directory) / "project"
        for name in ("bin", "proc", "sys", "dev", "tmp", "run", "project", "home/envbox"):
            (rootfs / name).mkdir(parents=True)
        dynamic = Path(directory) / "calls"
        subprocess.run(["cc", "-O2", "-static", source, "-o", rootfs / "bin/calls"], check=True)
        subprocess.run(["cc", "-O2", source, "-o", dynamic], check=True)
        fill(project)
        columns = list(ways(supervisor, rootfs, dynamic, project))
        least, pace = {}, cycles_a_nanosecond()
        for _ in range(rounds):
            for name, command, variables in columns:
                done = subprocess.run(command, env={"PATH": os.defpath, **variables}, capture_output=True, text=True)
                if done.returncode != 0:
                    raise SystemExit(f"{name}: status {done.returncode}\n{done.stderr}")
                for line in done.stdout.splitlines():
                    call, cycles = line.split("\t")
                    row = least.setdefault(call, {})
                    row[name] = min(row.get(name, float("inf")), int(cycles) / pace)
    print(f"{'nanoseconds':36}" + "".join(f"{name:>13}" for name, _, _ in columns))
    for call, row in least.items():
        print(f"{call:36}" + "".join(f"{row.get(name, float('nan')):13,.1f}" for name, _, _ in columns))


main()
