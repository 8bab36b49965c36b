"""What a pod or batch container runs instead of `python`.

`python -m …remote MANIFEST [--seed N] [--clock C] [--cpus N] [--closes-foreach] -- flow.py … step …`, in the
unpacked code package. Which of two it becomes, the image decides:

- an image that `envbox build` made of this very lockfile: `envbox inside` holds there what can be held in a
  container. One made of another lockfile is refused: the step would run with other packages.
- any other image with envbox: `envbox run` makes the environment from the lockfile. For that the container
  must be allowed user namespaces.

Of Metaflow it asks one thing, and late, as Metaflow loads this package in its turn: where in the foreaches the
task is, which the datastore knows.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from types import SimpleNamespace
from typing import List, Optional

from .lockfile import lock_digest, lockfile_of
from .seeds import Place, place_in_flow, task_seed

# Variables that say how the container is, not what the step is to do.
OF_CONTAINER = ("HOME", "HOSTNAME", "LOGNAME", "OLDPWD", "PATH", "PWD", "SHLVL", "USER", "_")
# Where the commands of pods keep files between the step and what is around it.
SHARED = ("/tmp", "/mnt/out", "/metaflow_temp")
# Where `envbox build --supervised` puts it.
SUPERVISOR = "/usr/lib/envbox/envbox"
# As of a shell that finds no such command, and as of envbox when it fails.
NOT_FOUND, FAILED = 127, 125


def main(argv: List[str]) -> int:
    """Becomes envbox, or says why not."""
    divider = argv.index("--")
    options, step = _options(argv[:divider]), argv[divider + 1 :]
    envbox = shutil.which("envbox") or shutil.which(SUPERVISOR)
    if envbox is None:
        return _fail(NOT_FOUND, "there is no `envbox` in this image", "use an image that has it: "
                     "`python flow.py --environment=envbox envbox build --push REPOSITORY`")
    manifest = os.path.abspath(os.path.join(_meta_directory(), options.manifest))
    locked = str(lock_digest(lockfile_of(manifest)))
    built = os.environ.get("ENVBOX_LOCK_DIGEST")
    if built is not None and built != locked:
        return _fail(FAILED, "this image was built of the lockfile `%s`, and the step's is `%s`"
                     % (built, locked), "build and push the image again, and name its new digest")
    name = value_of(step, "step") or ""
    seed = task_seed(options.seed, name, _place(name, step, options.closes_foreach))
    world = ["--seed", str(seed), "--clock", options.clock]
    if options.cpus is not None:
        world += ["--cpus", options.cpus]
    os.environ["METAFLOW_ENVBOX_LOCK_DIGEST"] = locked
    os.environ["METAFLOW_ENVBOX_SEED"] = world[1]
    if built is not None:
        command = [envbox, "inside", "--keep-env", "--no-pty", *world]
    else:
        command = [envbox, "--quiet", "--project", os.getcwd(), *_run(manifest), *world]
    os.execv(envbox, [*command, "--", "python", *step])


def _options(argv: List[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="remote", allow_abbrev=False)
    parser.add_argument("manifest")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--clock", default="real")
    parser.add_argument("--cpus")
    parser.add_argument("--closes-foreach", action="store_true")
    return parser.parse_args(argv)


def _run(manifest: str) -> List[str]:
    # The code package is the project; what Metaflow writes beside it is nobody's output.
    command = ["run", "--frozen", "--no-pty", "--direct", "--network", "host", "--manifest", manifest]
    command += ["--workdir", "/project"]
    for name in ("METAFLOW_EXTRACTED_ROOT", "PYTHONPATH"):
        os.environ[name] = os.environ.get(name, "").replace(os.getcwd(), "/project")
    for directory in SHARED:
        if os.path.isdir(directory):
            command += ["--bind-rw", directory]
    for name in sorted(os.environ):
        if name not in OF_CONTAINER and not name.startswith("ENVBOX"):
            command += ["--env", name]
    return command


def _meta_directory() -> str:
    # Metaflow's name for it; `.mf_code`, where this file is, lies beside it.
    return os.path.join(os.environ.get("METAFLOW_EXTRACTED_ROOT", os.getcwd()), ".mf_meta")


def _place(name: str, step: List[str], closes: bool) -> Place:
    """Returns the place that the launcher would find for the task, were it to run there."""
    inputs = input_paths(step)
    if not inputs:
        return ()
    from metaflow.datastore import FlowDataStore
    from metaflow.plugins import DATASTORES
    from metaflow.util import decompress_list

    storage = next(store for store in DATASTORES if store.TYPE == value_of(step, "--datastore"))
    # Metaflow's own variable, for who saves the task's logs: flow, run, step and task.
    flow = os.environ["MF_PATHSPEC"].split("/")[0]
    root = value_of(step, "--datastore-root")
    datastore = FlowDataStore(flow, storage_impl=storage, ds_root=root)
    index = value_of(step, "--split-index")
    task = SimpleNamespace(
        input_paths=decompress_list(inputs)[:1],
        split_index=int(index) if index and index.isdigit() else None,
        step=name,
    )
    return place_in_flow(task, datastore, closes)


def input_paths(step: List[str]) -> Optional[str]:
    """Returns the task's parents as Metaflow compresses them."""
    # Argo's tasks are told by a file, as a foreach can have more of them than a command line holds.
    file = value_of(step, "--input-paths-filename")
    if file is None:
        return value_of(step, "--input-paths")
    with open(file, encoding="utf-8") as opened:
        return opened.read().strip()


def value_of(words: List[str], word: str) -> Optional[str]:
    """Returns what follows a word, or what an option is said to be: Argo's command lines have `--name=value`."""
    for place, found in enumerate(words):
        if found == word:
            return words[place + 1] if place + 1 < len(words) else None
        if found.startswith(word + "="):
            return found[len(word) + 1 :]
    return None


def _fail(code: int, reason: str, hint: str) -> int:
    print("error: %s\n\nhint: %s" % (reason, hint), file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
