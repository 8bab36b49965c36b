#!/usr/bin/env python3
"""Fans one step out over clusters of Slurm and Ray on this machine, and accounts for every task.

    cargo build --release
    tests/bench/fanout.py slurm ray          # 1,000 tasks on two nodes; or any of them; none means both

Each engine runs the example of its integration three times: as a plain program of the engine; with one
store that all nodes share; with a store of each node, empty at first, fed from a registry of images on
the loopback device. In the last one a node dies, with everything on it, after a third of the tasks and
one of its own.
Told are tasks per second, what a task waits until it is over (median and 99th percentile; the step itself
does next to nothing), the first task of each node, the largest process, how often the registry was asked
for each layer, and what was left. `--json FILE` has the same for programs; the status is 1 if a task is not
accounted for, or anything is left.

Slurm needs root and `slurm-wlm munge docker-registry` of Debian; Ray the Python that runs this to have the
releases in `tests/engines/pins/ray.txt` and `integrations/ray`. `--store` says where downloads are taken
from.
"""

import argparse
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from bench import ROOT, _remove
from images import Registry

INTEGRATIONS = ROOT / "integrations"
CLUSTER = ROOT / "tests" / "engines" / "slurm" / "cluster.sh"
NODES = ["one", "two"]
VICTIM = "two"


class Watched(Registry):
    """A registry that writes down who asked for what."""

    def __init__(self, scratch):
        self.log = scratch / "registry.log"
        with open(self.log, "w") as log:
            super().__init__(scratch, log)

    def fetches(self):
        """How often each layer was fetched."""
        found = {}
        for digest in re.findall(r'"GET /v2/[^ ]*/blobs/(sha256:[0-9a-f]{64})', self.log.read_text()):
            found[digest] = found.get(digest, 0) + 1
        return found


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def summary(rows, seconds):
    """What a list of tasks, as `task` writes them, says together."""
    waits = [row["end"] - row["begin"] for row in rows]
    first = {}
    for row in sorted(rows, key=lambda row: row["begin"]):
        first.setdefault(row["node"], row["end"] - row["begin"])
    warm = sorted(waits)[: max(1, len(waits) - 2 * len(first))]
    return {
        "tasks": len(rows),
        "seconds": round(seconds, 1),
        "per_second": round(len(rows) / seconds, 2),
        "p50_ms": round(1000 * statistics.median(waits)),
        "p99_ms": round(1000 * percentile(waits, 0.99)),
        "least_ms": round(1000 * min(warm)),
        "first_ms": {node: round(1000 * wait) for node, wait in sorted(first.items())},
        "largest_process_mib": round(max(row["kib"] for row in rows) / 1024),
        "by_node": {node: sum(row["node"] == node for row in rows) for node in sorted({row["node"] for row in rows})},
    }


class Bench:
    def __init__(self, options, scratch):
        self.options, self.scratch = options, scratch
        self.envbox = str(options.envbox.absolute())
        self.found, self.faults = {}, []

    def prepare(self, engine):
        """A copy of the engine's example, and its environment in a store."""
        project = self.scratch / f"{engine}-project"
        shutil.copytree(INTEGRATIONS / engine / "example", project)
        self.shared = self.options.store or self.scratch / "store"
        subprocess.run([self.envbox, "--quiet", "--store", str(self.shared), "--project", str(project), "fetch"],
                       check=True)
        return project

    def publish(self, project, registry):
        """Puts the environment's image into the registry, and its identity into the lock."""
        to = f"{registry.host}/fan/{project.name}:v1"
        subprocess.run([self.envbox, "--quiet", "--store", str(self.shared), "--project", str(project), "build",
                        "--record", "--push", to], check=True)
        return to.rsplit(":", 1)[0]

    def tell(self, name, rows, seconds, expected):
        said = summary(rows, seconds)
        self.found[name] = said
        print(f"{name:28} {said['tasks']:5} tasks {said['seconds']:7.1f} s  {said['per_second']:6.2f}/s  "
              f"p50 {said['p50_ms']:5} ms  p99 {said['p99_ms']:6} ms  first {said['first_ms']}  "
              f"largest process {said['largest_process_mib']} MiB  {said['by_node']}", flush=True)
        numbers = sorted(row["task"] for row in rows)
        if numbers != list(range(1, expected + 1)):
            lost = sorted(set(range(1, expected + 1)) - set(numbers))
            twice = sorted({n for n in numbers if numbers.count(n) > 1})
            self.faults.append(f"{name}: without an end: {lost[:9]}; with two: {twice[:9]}")

    def check_fetches(self, name, registry, nodes):
        """Each node fetches a layer once; the first is there because it was pushed."""
        fetches = registry.fetches()
        self.found[name]["layers"] = len(fetches)
        self.found[name]["fetches_of_a_layer"] = sorted(set(fetches.values()))
        print(f"{'':28} {len(fetches)} layers, each fetched {self.found[name]['fetches_of_a_layer']} times "
              f"by {nodes} nodes")
        if not fetches or max(fetches.values()) > nodes:
            self.faults.append(f"{name}: {len(fetches)} layers fetched {sorted(set(fetches.values()))} times")

    def check_left(self, name, stores):
        """What no task may leave behind: directories of runs, half-built trees, processes, mounts."""
        left = []
        for store in stores:
            for place in ("runs", "tmp/build"):
                directory = Path(store) / place
                left += [str(one) for one in directory.iterdir()] if directory.is_dir() else []
        # A step is known by its root; others' may run at the same time.
        roots = [*Path(self.shared).glob("rootfs/*"), *self.scratch.glob("*/*/rootfs/*")]
        roots = {(status.st_dev, status.st_ino) for status in map(os.stat, roots)}
        for process in Path("/proc").glob("[0-9]*"):
            try:
                text = (process / "cmdline").read_bytes()
                root = os.stat(process / "root")
            except OSError:
                continue
            if b"sweep.py" in text and (root.st_dev, root.st_ino) in roots:
                left.append(text.decode(errors="replace"))
        mounts = Path("/proc/mounts").read_text()
        left += [line for line in mounts.splitlines() if str(self.scratch) in line]
        self.found[name]["left"] = left
        if left:
            self.faults.append(f"{name}: left behind: {left[:5]}")

    def slurm(self):
        """A job array on two nodes."""
        from fanout_slurm import Slurm  # noqa: PLC0415

        Slurm(self).all()

    def ray(self):
        """Ray tasks on two nodes beside the head, which computes nothing."""
        from fanout_ray import Fan  # noqa: PLC0415

        Fan(self).all()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("engines", nargs="*", choices=["slurm", "ray", []])
    parser.add_argument("--envbox", type=Path, default=ROOT / "target" / "release" / "envbox")
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--store", type=Path, help="where downloads are taken from and kept")
    parser.add_argument("--json", type=Path, help="write what was found to this file")
    options = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="envbox-fanout-"))
    scratch.chmod(0o755)
    bench = Bench(options, scratch)
    # A caller that stops us stops the clusters.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        for engine in options.engines or ["slurm", "ray"]:
            getattr(bench, engine)()
    finally:
        _remove(scratch)
    if options.json:
        options.json.write_text(json.dumps({"found": bench.found, "faults": bench.faults}, indent=2) + "\n")
    for fault in bench.faults:
        print(f"FAULT {fault}", file=sys.stderr)
    return 1 if bench.faults else 0


if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(__file__))
    sys.exit(main())
