"""What happens on the worker: the function goes into the sandbox, its result comes out.

The worker itself stays outside. It registers its process number with the raylet, which kills by
that number; in a sandbox with process numbers of its own, that would be somebody else's.
"""

import functools
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import ray
from ray import cloudpickle

from . import inside

# Beyond it the end of what the program said is shown: that is where the reason is.
_SHOWN_BYTES = 4096
# How long a task has to end by itself after TERM.
_GRACE_SECONDS = 5
# How long a task that is cancelled may go on unnoticed.
_PATIENCE_SECONDS = 0.5


class EnvboxError(RuntimeError):
    """The function was not run, or died, in the sandbox; `status` is envbox's exit status."""

    def __init__(self, status: int, message: str):
        super().__init__(status, message)
        self.status = status

    def __str__(self) -> str:
        return self.args[1]


def remote(environment: str, *, envbox: str = "envbox", bind: tuple[str, ...] = (), **options):
    """Makes a Ray task of a function whose body runs in the sandbox.

    `environment` is a directory with `envbox.toml` and `envbox.lock`, or a manifest, on a file
    system that all nodes see. `options` are those of `ray.remote`. The function sees nothing of the
    host's but its arguments and what `bind` names (`SOURCE[:TARGET]`).
    """
    manifest = _manifest(Path(environment).absolute())

    def decorate(function):
        @functools.wraps(function)
        def task(*args, **kwargs):
            return _run(envbox, manifest, bind, (function, args, kwargs))

        made = ray.remote(**options) if options else ray.remote
        return made(task)

    return decorate


def _manifest(path: Path) -> Path:
    manifest = path / "envbox.toml" if path.is_dir() else path
    if not manifest.is_file():
        # Here and not on a worker, where Ray would try it again and again.
        raise FileNotFoundError(f"there is no manifest `{manifest}`; `envbox init` writes one")
    return manifest


def _run(envbox: str, manifest: Path, bind: tuple[str, ...], call):
    program = shutil.which(os.environ.get("ENVBOX", envbox))
    if program is None:
        raise EnvboxError(127, f"there is no program `{envbox}` on node {os.uname().nodename}")
    with tempfile.TemporaryDirectory(prefix="ray-envbox-") as place:
        exchange = Path(place)
        project = exchange / "project"
        project.mkdir()
        (exchange / "call").write_bytes(cloudpickle.dumps(call))
        argv = [program, "--quiet", "--project", str(project), "run", "--frozen", "--no-record"]
        argv += ["--manifest", str(manifest), "--no-pty", "--die-with-parent"]
        # The vendored cloudpickle and the few lines that call the function, nothing else of Ray's.
        argv += ["--bind", f"{Path(cloudpickle.__file__).parent}:/opt/ray-envbox/ray/cloudpickle"]
        argv += ["--bind", f"{inside.__file__}:/opt/ray-envbox/inside.py"]
        argv += ["--bind-rw", f"{exchange}:/opt/ray-envbox/exchange"]
        for one in bind:
            argv += ["--bind", one]
        major, minor = sys.version_info[:2]
        argv += ["--", "python", "/opt/ray-envbox/inside.py", f"{major}.{minor}"]
        status, said = _ended(argv)
        answer = exchange / "answer"
        if not answer.exists():
            raise EnvboxError(status, _reason(status, said))
        succeeded, value = pickle.loads(answer.read_bytes())
    if not succeeded:
        raise value
    return value


def _ended(argv: list[str]) -> tuple[int, bytes]:
    """Runs to the end. A task that is cancelled takes the sandbox with it."""
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        said = _waited(process)
    except BaseException:
        process.terminate()
        try:
            process.communicate(timeout=_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
        raise
    sys.stderr.write(said.decode(errors="replace"))
    return process.returncode, said


def _waited(process: subprocess.Popen) -> bytes:
    """What it said until its end. Ray cancels a task by an exception, which wakes nobody up."""
    while True:
        try:
            return process.communicate(timeout=_PATIENCE_SECONDS)[1]
        except subprocess.TimeoutExpired:
            continue


def _reason(status: int, said: bytes) -> str:
    end = said[-_SHOWN_BYTES:].decode(errors="replace").strip()
    how = f"died of signal {-status}" if status < 0 else f"ended with status {status}"
    return f"the sandbox {how}, without a result" + (f": {end}" if end else "")
