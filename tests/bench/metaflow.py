#!/usr/bin/env python3
"""Times what `@envbox` costs a task of Metaflow's.

    cargo build --release
    pip install --requirement tests/engines/pins/metaflow.txt ./integrations/metaflow     # in an environment
    tests/bench/metaflow.py --python VENV/bin/python

A flow whose steps do nothing is run plain and with `--with envbox`, in turn (A B A B …), in one call. Each run's
wall time is that of `python flow.py run`, so that Metaflow's own work is in both; a task's is the run's divided by
its tasks. The environments are locked and built before. Given are the medians, and the median of the pairs'
differences of wall time for one task, in milliseconds. Processor time is of all
processes that ended. Metaflow's own `@conda` and `@pypi` are a third way where its
micromamba is: it is not asked to download one, and both need a channel of conda's for their Python.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import tempfile
from pathlib import Path

from bench import ROOT, timed

FLOW = """
from metaflow import FlowSpec, step

class NothingFlow(FlowSpec):
%s

if __name__ == "__main__":
    NothingFlow()
"""
STEP = """    @step
    def %s(self):
        %s
"""
# Eight tasks, one after the other.
NAMES = ["start", *("step%d" % number for number in range(1, 7)), "end"]


def flow():
    steps = [STEP % (name, "self.next(self.%s)" % after) for name, after in zip(NAMES, NAMES[1:])]
    return FLOW % "\n".join([*steps, STEP % ("end", "pass")])


class Bench:
    def __init__(self, options, scratch):
        self.options, self.project = options, scratch / "project"
        self.project.mkdir()
        (self.project / "flow.py").write_text(flow())
        self.env = dict(
            os.environ,
            METAFLOW_ENVBOX_BINARY=str(options.envbox.absolute()),
            METAFLOW_USER="bench",
            METAFLOW_HOME=str(scratch / "metaflow"),
            XDG_STATE_HOME=str(scratch / "state"),
            ENVBOX_STORE=str(options.store or scratch / "store"),
        )

    def run(self, *options):
        command = [str(self.options.python), "flow.py", "--no-pylint", "--quiet", "run", *options]
        return timed(command, env=self.env, cwd=self.project)

    def ways(self):
        """Returns the ways that can be measured here, and what the others lack."""
        found = {"plain": (), "envbox": ("--with", "envbox")}
        micromamba = os.environ.get("METAFLOW_PATH_TO_MICROMAMBA") or "micromamba"
        lacking = {}
        for name in ("conda", "pypi"):
            if shutil.which(micromamba):
                found[name] = ("--environment=%s" % name,)
            else:
                lacking[name] = "no micromamba on PATH"
        return found, lacking

    def measure(self):
        ways, lacking = self.ways()
        for options in ways.values():
            self.run(*options)  # Locks and builds; not counted.
        rows = [{name: self.run(*options) for name, options in ways.items()} for _ in range(self.options.runs)]
        tasks = len(NAMES)
        told = {"schema": "envbox.bench.metaflow/1", "tasks": tasks, "runs": len(rows), "left_out": lacking}
        for name in ways:
            of_tasks = [(row[name][0] / tasks, row[name][1] / tasks) for row in rows]
            more = [(row[name][0] - row["plain"][0]) / tasks for row in rows]
            told[name] = {
                "wall_ms": statistics.median(wall for wall, _ in of_tasks) * 1000,
                "cpu_ms": statistics.median(cpu for _, cpu in of_tasks) * 1000,
                "more_than_plain_ms": statistics.median(more) * 1000,
            }
        return told


def show(told):
    print("a task, of %(tasks)d in a row, medians of %(runs)d runs" % told)
    for name, figures in told.items():
        if isinstance(figures, dict) and "wall_ms" in figures:
            wall, cpu, more = (figures[key] for key in ("wall_ms", "cpu_ms", "more_than_plain_ms"))
            print("%-8s wall %7.0f ms   cpu %7.0f ms   more %+7.0f ms" % (name, wall, cpu, more))
    for name, reason in told["left_out"].items():
        print("%-8s left out: %s" % (name, reason))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--envbox", default=ROOT / "target/release/envbox", type=Path)
    parser.add_argument("--python", required=True, type=Path, help="the interpreter that has Metaflow")
    parser.add_argument("--store", type=Path, help="a store of envbox's; else one for this call")
    parser.add_argument("--runs", default=9, type=int)
    parser.add_argument("--json", type=Path, help="write what was found to this file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        told = Bench(options, Path(scratch)).measure()
    show(told)
    if options.json:
        options.json.write_text(json.dumps(told, indent=2) + "\n")


main()
