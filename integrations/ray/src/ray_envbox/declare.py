"""What a program says: environments for Ray, and tasks that need no plugin."""

import functools
import json
from pathlib import Path

import ray
from ray import cloudpickle

from .options import Options, locked
from .sandbox import run_once, session_directory

# For `RAY_RUNTIME_ENV_PLUGINS`, on each node, before Ray starts there.
PLUGINS = json.dumps([{"class": "ray_envbox.plugin.EnvboxPlugin"}])
# Ray's name for what a worker runs before its first task.
HOOK_VARIABLE = "__RAY_WORKER_PROCESS_SETUP_HOOK_ENV_VAR"
HOOK = "ray_envbox.worker.install"


def runtime_env(project: str | Path, **options) -> dict:
    """A runtime environment for `ray.init`, tasks and actors: their code runs in the sandbox.

    `project` is a directory with `envbox.toml` and `envbox.lock`, or a manifest, that nodes have at
    the same path. `bind` (`["SOURCE[:TARGET]"]`), `seed` and `envbox` (the program) are as for
    `envbox run`. The lockfile's digest goes with it: a node that has another refuses. Ray passes
    over a plugin that a node does not have; with this, workers there refuse tasks instead.

    Raises `FileNotFoundError` where there is no manifest or lockfile, `ValueError` for options.
    """
    declared = Options.of({"project": str(Path(project).absolute()), **options})
    digest = declared.digest or locked(declared.manifest())
    return {
        "envbox": {**declared.words(), "digest": digest},
        "env_vars": {HOOK_VARIABLE: HOOK},
    }


def remote(environment: str | Path, *, envbox: str = "envbox", bind: tuple[str, ...] = (), **options):
    """Makes a Ray task of a function whose body runs in the sandbox, on nodes without the plugin too.

    `environment` is as for `runtime_env`. `options` are those of `ray.remote`. The function sees
    nothing of the host's but its arguments and what `bind` names (`SOURCE[:TARGET]`).
    """
    project = str(Path(environment).absolute())
    sandbox = Options.of({"project": project, "bind": bind, "envbox": envbox})
    # Here and not on a worker, where Ray would try it again and again.
    sandbox.manifest()

    def decorate(function):
        @functools.wraps(function)
        def task(*args, **kwargs):
            surroundings = {"scratch": session_directory()}
            return run_once(sandbox, cloudpickle.dumps(function), args, kwargs, surroundings)

        made = ray.remote(**options) if options else ray.remote
        return made(task)

    return decorate
