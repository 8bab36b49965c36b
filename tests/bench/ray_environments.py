#!/usr/bin/env python3
"""Times calls of Ray's tasks and actors: plain, in the sandbox, and with Ray's own `pip` and `uv`.

    cargo build --release
    tests/bench/ray_environments.py                  # in a Python with tests/engines/pins/ray.txt,
                                                     # virtualenv and integrations/ray
All ways run on one cluster of this machine, with the requirements of integrations/ray/example.
Told are, of each: the first call with nothing there (downloads, building and the worker's start; Ray's
ways keep no downloads either), the first call of a new worker when the environment is there, a warm call
of a task, the start of an actor, and a warm call of its method. Warm calls are medians, the ways take
turns. `--store DIR` has downloads already, and then the first is without those.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WAYS = ["plain", "envbox", "pip", "uv"]
REQUIREMENTS = ["numpy==2.1.3"]


def environments(project):
    """For each way a runtime environment, and another one that needs nothing but a new worker."""
    import ray_envbox

    # Ray takes a variable for another environment.
    other = {"env_vars": {"OTHER": "1"}}
    return {
        "plain": ({}, other),
        "envbox": (ray_envbox.runtime_env(project), ray_envbox.runtime_env(project, seed=1)),
        "pip": ({"pip": REQUIREMENTS}, {"pip": REQUIREMENTS, **other}),
        "uv": ({"uv": REQUIREMENTS}, {"uv": REQUIREMENTS, **other}),
    }


def step(number):
    return number


def numpy(_number):
    import numpy as np

    return np.__version__


class Actor:
    def step(self, number):
        return number


def timed(call):
    began = time.perf_counter()
    value = call()
    return time.perf_counter() - began, value


def measured(options, project):
    import ray

    task, loads, actor = (ray.remote(num_cpus=0)(one) for one in (step, numpy, Actor))
    found, warm, actors = {}, {}, {}
    for way, (first, other) in environments(project).items():
        if way not in options.ways:
            continue
        # Of the plain way's Python numpy is no part.
        begun = task if way == "plain" else loads
        row = found[way] = {}
        for name, runtime_env in (("first_s", first), ("new_worker_s", other)):
            one = begun.options(runtime_env=runtime_env)
            row[name], version = timed(lambda: ray.get(one.remote(0)))
            assert way == "plain" or version == REQUIREMENTS[0].split("==")[1], version
        made = actor.options(runtime_env=first)
        row["actor_s"], actors[way] = timed(lambda: started(made))
        warm[way] = task.options(runtime_env=first)
        ray.get(warm[way].remote(0))
    samples = {way: ([], []) for way in found}
    for number in range(options.calls):
        for way in found:
            samples[way][0].append(timed(lambda: ray.get(warm[way].remote(number)))[0])
            samples[way][1].append(timed(lambda: ray.get(actors[way].step.remote(number)))[0])
    for way, (tasks, methods) in samples.items():
        found[way] |= {"task_ms": 1000 * statistics.median(tasks), "method_ms": 1000 * statistics.median(methods)}
    return found


def started(made):
    import ray

    actor = made.remote()
    ray.get(actor.step.remote(0))
    return actor


def cluster(options, scratch):
    """Starts one whose agent has the plugin, and measures in it."""
    import ray
    import ray_envbox

    project = scratch / "project"
    shutil.copytree(ROOT / "integrations/ray/example", project)
    os.environ |= {
        "ENVBOX": str(options.envbox.absolute()),
        "ENVBOX_STORE": str(options.store or scratch / "store"),
        "RAY_RUNTIME_ENV_PLUGINS": ray_envbox.PLUGINS,
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, _temp_dir=str(scratch / "ray"))
    try:
        return measured(options, project)
    finally:
        ray.shutdown()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ways", nargs="*", choices=[*WAYS, []], help="none means all")
    parser.add_argument("--envbox", default=ROOT / "target/release/envbox", type=Path)
    parser.add_argument("--store", type=Path, help="where downloads are taken from and kept")
    parser.add_argument("--calls", default=50, type=int)
    parser.add_argument("--json", type=Path, help="write what was found to this file")
    options = parser.parse_args()
    options.ways = options.ways or WAYS
    scratch = Path(tempfile.mkdtemp(prefix="envbox-ray-"))
    try:
        found = cluster(options, scratch)
    finally:
        _remove(scratch)
    print(f"{'':8} {'first':>9} {'new worker':>11} {'task':>10} {'actor':>9} {'method':>10}")
    for way, row in found.items():
        print(f"{way:8} {row['first_s']:7.2f} s {row['new_worker_s']:9.2f} s {row['task_ms']:7.1f} ms "
              f"{row['actor_s']:7.2f} s {row['method_ms']:7.2f} ms")
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(__file__))
    from bench import _remove

    main()
