"""Runs tasks of `ray_envbox.remote` on a cluster of this one machine without the plugin, and prints
what came of them, and of those that need the plugin.
"""

import json
import os
import sys
import time

import ray
from processes import sleeping
from ray_envbox import EnvboxError, remote, runtime_env

PROJECT, PORT, SLEEP = sys.argv[1:]

# Tests start clusters beside each other.
ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, _temp_dir=os.environ["RAY_PLACE"])


@remote(PROJECT, max_retries=0)
def draws(seed):
    import numpy as np

    return np.random.default_rng(seed).normal(size=3).tolist(), np.random.default_rng().normal()


@ray.remote(max_retries=0)
def unplugged():
    return "ran"


@remote(PROJECT, max_retries=0)
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


@remote(PROJECT, max_retries=0)
def fails():
    raise KeyError("absent")


@remote(PROJECT, max_retries=0)
def exits():
    import os

    os._exit(7)


@remote(PROJECT, max_retries=0)
def crashes():
    import os
    import signal

    os.kill(os.getpid(), signal.SIGSEGV)


@remote(PROJECT, max_retries=0)
def sleeps(seconds):
    import subprocess

    subprocess.run(["sleep", seconds])


@remote(PROJECT, envbox="/absent", max_retries=0)
def nowhere():
    return 1


def error(task):
    try:
        return ray.get(task.remote(), timeout=60)
    except EnvboxError as error:
        return ["EnvboxError", error.cause.status, str(error.cause)]
    except Exception as error:
        return [type(error).__name__, type(error.cause).__name__]


def cancelled(force):
    task = sleeps.remote(SLEEP)
    while not sleeping(SLEEP):
        time.sleep(0.05)
    ray.cancel(task, force=force)
    try:
        ray.get(task, timeout=60)
        said = "a result"
    except ray.exceptions.TaskCancelledError:
        said = "cancelled"
    while sleeping(SLEEP):
        time.sleep(0.05)
    return said


def declared(environment):
    try:
        remote(environment)
    except FileNotFoundError as error:
        return str(error)


def sweeps():
    return ray.get([draws.remote(seed) for seed in range(4)])


print(json.dumps({
    "sweeps": [sweeps(), sweeps()],
    "probe": ray.get(probe.remote(int(PORT))),
    "fails": error(fails),
    "exits": error(exits),
    "crashes": error(crashes),
    "nowhere": error(nowhere),
    "unplugged": error(unplugged.options(runtime_env=runtime_env(PROJECT))),
    "cancelled": [cancelled(False), cancelled(True)],
    "declared": declared("/absent"),
}))
