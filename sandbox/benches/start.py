#!/usr/bin/env python3
"""Start-up of a sandbox compared with other tools, in one interleaved run.

usage: start.py SUPERVISOR PROGRAM [ROUNDS]

SUPERVISOR is the `envbox-sandbox` command (release build), PROGRAM a static program that ends at once.
The figures to compare are those of one run; absolute ones depend on the machine and its load.
bubblewrap gets the same namespaces (it has no time namespace), mounts and ids; what it lacks of ours
(masks in /proc, limits, no_new_privs with a seccomp filter, the extra process above the step, an exact
exit report) is left out in its favour. runc runs its default bundle with the same rootfs.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time


def commands(supervisor, rootfs, bundle):
    private = [word for path in ("/tmp", "/run", "/home/envbox") for word in ("--tmpfs", path)]
    yield "program alone", [os.path.join(rootfs, "bin/program")]
    yield "envbox", [supervisor, rootfs, "/bin/program"]
    yield "envbox, host network", [supervisor, "--network", "host", rootfs, "/bin/program"]
    yield "envbox, everything held", [supervisor, "--deterministic", "--cpuid", "x86-64-v3", rootfs, "/bin/program"]
    if bwrap := shutil.which("bwrap"):
        ids = ["--unshare-all", "--unshare-user", "--uid", "1000", "--gid", "1000"]
        base = [bwrap, "--ro-bind", rootfs, "/", "--dev", "/dev", "--proc", "/proc"]
        yield "bwrap --unshare-all", base + private + ids + ["/bin/program"]
    if runc := shutil.which("runc"):
        yield "runc run", [runc, "run", "--bundle", bundle, "envbox-bench"]


def make_bundle(directory, rootfs):
    """Writes runc's default configuration, with our rootfs and without its terminal."""
    if shutil.which("runc"):
        subprocess.run(["runc", "spec"], cwd=directory, check=True)
        path = os.path.join(directory, "config.json")
        with open(path) as file:
            config = json.load(file)
        config["process"].update(terminal=False, args=["/bin/program"])
        config["root"] = {"path": rootfs, "readonly": True}
        with open(path, "w") as file:
            json.dump(config, file)


def measure(command):
    start = time.perf_counter()
    process = os.posix_spawn(command[0], command, {"PATH": os.defpath})
    _, status = os.waitpid(process, 0)
    if status != 0:
        raise SystemExit(f"{command} ended with {status}")
    return (time.perf_counter() - start) * 1000


def main():
    supervisor, program = map(os.path.abspath, sys.argv[1:3])
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 100
    with tempfile.TemporaryDirectory() as directory:
        rootfs = os.path.join(directory, "rootfs")
        for name in ("bin", "proc", "sys", "dev", "tmp", "run", "project", "home/envbox"):
            os.makedirs(os.path.join(rootfs, name))
        shutil.copy(program, os.path.join(rootfs, "bin/program"))
        make_bundle(directory, rootfs)
        names = dict(commands(supervisor, rootfs, directory))
        times = {name: [] for name in names}
        for _ in range(rounds):
            for name, command in names.items():
                times[name].append(measure(command))
    print(f"{'milliseconds':24}{'median':>8}{'p10':>8}{'min':>8}")
    for name, values in times.items():
        values.sort()
        figures = statistics.median(values), values[len(values) // 10], values[0]
        print(f"{name:24}" + "".join(f"{figure:8.2f}" for figure in figures))


main()
