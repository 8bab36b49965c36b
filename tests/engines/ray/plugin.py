"""Runs plain tasks and actors on a cluster of this one machine whose agent has the plugin, and prints
what came of them.
"""

import glob
import json
import os
import shutil
import socket
import sys
import time
from pathlib import Path

import ray
from processes import sleeping
from ray_envbox import PLUGINS, runtime_env

PROJECT, PORT, SLEEP = sys.argv[1:]
sys.path.insert(0, PROJECT)
import sweep  # noqa: E402

PLACE = Path(os.environ["RAY_PLACE"])
os.environ["RAY_RUNTIME_ENV_PLUGINS"] = PLUGINS

# What the job brings: an environment, and code of a module.
JOB = PLACE.parent / "job"
JOB.mkdir()
for name in ("envbox.toml", "envbox.lock"):
    shutil.copy(Path(PROJECT, name), JOB)
(JOB / "helper.py").write_text("def word():\n    return open('word.txt').read()\n")
(JOB / "word.txt").write_text("brought")

# Tests start clusters beside each other.
ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, _temp_dir=str(PLACE),
         runtime_env={"working_dir": str(JOB), "envbox": "."})


class Opened:
    """Becomes the name of the host on which it is opened."""

    def __reduce__(self):
        return socket.gethostname, ()


@ray.remote(max_retries=0)
def probe(port):
    import os
    import socket
    import time

    try:
        socket.create_connection(("127.0.0.1", port), 5)
        reached = "reached"
    except OSError:
        reached = "alone"
    return f"{socket.gethostname()} {time.strftime('%F')} {reached} {os.getuid()}"


@ray.remote(max_retries=0)
def state():
    import sys

    sys.calls = getattr(sys, "calls", 0) + 1
    open("/tmp/calls", "a").write("x")
    return sys.calls, open("/tmp/calls").read()


@ray.remote(max_retries=0)
def draw():
    import random

    return random.random()


@ray.remote(max_retries=0)
def numbers(count):
    import numpy as np

    return np.arange(count, dtype="float64")


@ray.remote(max_retries=0)
def total(values, times):
    return float(values.sum()) * times


@ray.remote(num_returns=2, max_retries=0)
def two():
    return "one", "two"


@ray.remote(max_retries=0)
def same(value):
    return value


@ray.remote(max_retries=0)
def helped():
    import helper

    return helper.word()


@ray.remote(max_retries=0)
def reads(path):
    import os

    return open(path).read() + os.environ.get("COLOUR", "")


@ray.remote(max_retries=0)
def fails():
    raise KeyError("absent")


@ray.remote(max_retries=0)
def gets(references):
    return ray.get(references)


@ray.remote(max_retries=0)
def sleeps(seconds):
    import subprocess

    subprocess.run(["sleep", seconds])


@ray.remote
class Counter:
    def __init__(self, begin):
        self.value = begin

    def add(self, more):
        self.value += more
        return self.value

    def where(self, port):
        import socket
        import time

        try:
            socket.create_connection(("127.0.0.1", port), 5)
            reached = "reached"
        except OSError:
            reached = "alone"
        return f"{socket.gethostname()} {time.strftime('%F')} {reached}"

    def fails(self):
        raise KeyError("absent")

    def exits(self):
        import os

        os._exit(7)

    def starts(self, seconds):
        import subprocess

        self.child = subprocess.Popen(["sleep", seconds])


@ray.remote
class Asynchronous:
    async def add(self, more):
        return more


def error(reference):
    try:
        return ray.get(reference, timeout=120)
    except Exception as error:
        cause = getattr(error, "cause", None)
        return [type(error).__name__, type(cause).__name__, str(error)]


def declared(**options):
    return error(same.options(runtime_env=options).remote(1))


def said(**options):
    try:
        return runtime_env(**options)
    except Exception as error:
        return str(error)


def skewed():
    """An envbox that is told of another Python of Ray's than there is."""
    program = PLACE.parent / "skewed"
    script = 'for last; do set -- "$@" "${last%3.11}"; shift; done\nexec envbox "$@"3.10\n'
    program.write_text("#!/bin/sh\n" + script)
    program.chmod(0o755)
    return declared(envbox={"project": PROJECT, "envbox": str(program)})


def made():
    """How often the agent made an environment."""
    logs = glob.glob(str(PLACE / "session_latest/logs/runtime_env_setup-*.log*"))
    return sum(open(log).read().count("envbox: making") for log in logs)


def cancelled():
    task = sleeps.remote(SLEEP)
    while not sleeping(SLEEP):
        time.sleep(0.05)
    ray.cancel(task)
    got = error(task)[0]
    while sleeping(SLEEP):
        time.sleep(0.05)
    return got


def killed():
    actor = Counter.remote(0)
    ray.get(actor.starts.remote(SLEEP))
    assert sleeping(SLEEP)
    ray.kill(actor)
    while sleeping(SLEEP):
        time.sleep(0.05)
    return "nothing left"


def counted():
    actor = Counter.remote(1)
    values = ray.get([actor.add.remote(more) for more in (1, 2, 3)])
    failed = error(actor.fails.remote())
    return [*values, ray.get(actor.add.remote(1)), failed[:2], ray.get(actor.where.remote(int(PORT)))]


def with_words():
    """A declared environment with a bind, and a variable beside it."""
    word = PLACE.parent / "word.txt"
    word.write_text("bound ")
    declared = runtime_env(PROJECT, bind=[f"{word}:/srv/word.txt"])
    declared["env_vars"]["COLOUR"] = "red"
    return ray.get(reads.options(runtime_env=declared).remote("/srv/word.txt"))


def seeded(seed):
    return ray.get(draw.options(runtime_env=runtime_env(PROJECT, seed=seed)).remote())


found = {"probe": ray.get(probe.remote(int(PORT))), "skewed": skewed()}
found |= {
    "made": [made()],
    "sweeps": [ray.get([sweep.fit.remote(seed) for seed in range(4)]) for _ in range(2)],
    "states": [ray.get(state.remote()) for _ in range(2)],
    "objects": ray.get(total.remote(numbers.remote(100_000), times=ray.put(2))),
    "two": ray.get(two.remote()),
    "opened": ray.get([same.remote(Opened()), same.remote(ray.put(Opened()))]),
    "helped": ray.get(helped.remote()),
    "counted": [counted(), counted()],
    "seeds": [seeded(3), seeded(3), seeded(4)],
    "words": with_words(),
}
found["made"].append(made())
found |= {
    "fails": error(fails.remote()),
    "nested": error(gets.remote(1)),
    "reference": error(gets.remote([ray.put(1)])),
    "exits": error(Counter.remote(0).exits.remote()),
    "killed": killed(),
    "cancelled": cancelled(),
    "asynchronous": error(Asynchronous.remote().add.remote(1)),
    "threaded": error(Counter.options(max_concurrency=2).remote(0).add.remote(1)),
    "missing": declared(envbox="/absent"),
    "unknown": declared(envbox={"project": PROJECT, "colour": "red"}),
    "beside pip": declared(envbox=PROJECT, pip=["six"]),
    "stale": declared(envbox={"project": PROJECT, "digest": "sha256:" + 64 * "0"}),
    "nowhere": declared(envbox={"project": PROJECT, "envbox": "/absent"}),
    "actor missing": error(Counter.options(runtime_env={"envbox": "/absent"}).remote(0).add.remote(1)),
    "declared": [said(project="/absent"), said(project=PROJECT, colour="red")],
}
print(json.dumps(found))
