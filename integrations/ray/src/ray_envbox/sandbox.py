"""A process in the sandbox, as a worker outside sees it: calls go in, results come out.

The worker itself stays outside. It registers its process number with the raylet, which kills by
that number; in a sandbox with process numbers of its own, that would be somebody else's.

Both ends hold a socket. In goes a length and a pickle; out come the kind of the answer, the number
of its parts, and each with its length. Parts are pickles that this end hands on unopened; but an
exception's, which must be raised here.
"""

import contextlib
import io
import os
import pickle
import select
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import ray
from ray import cloudpickle

from . import inside, inside_ray
from .options import Options, locked

# Beyond it the end of what the program said is shown: that is where the reason is.
_SHOWN_BYTES = 4096
# How long a task has to end by itself after TERM.
_GRACE_SECONDS = 5
# How long a task that is cancelled may go on unnoticed: Ray cancels by an exception, which wakes
# nobody up.
_PATIENCE_SECONDS = 0.5
_READ_BYTES = 1 << 20


class EnvboxError(RuntimeError):
    """The code was not run, or died, in the sandbox; `status` is envbox's exit status."""

    def __init__(self, status: int, message: str):
        super().__init__(status, message)
        self.status = status

    def __str__(self) -> str:
        return self.args[1]


class Sealed:
    """An argument that Ray took from its store, as the pickle that it was there."""

    def __init__(self, in_band, buffers, index: int):
        self.parts = (in_band, buffers, index)


class Result:
    """A result that is opened where it is asked for, by `ray.get`, and not before."""

    def __init__(self, pickled: bytes):
        self._pickled = pickled

    def __reduce__(self):
        return pickle.loads, (pickle.PickleBuffer(self._pickled),)


class Results:
    """A tuple or a list of results, which Ray may hand out one by one (`num_returns`)."""

    def __init__(self, kind: type, parts: list[bytes]):
        self._kind, self._items = kind, [Result(part) for part in parts]

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self):
        return iter(self._items)

    def __getitem__(self, index):
        return self._items[index]

    def __reduce__(self):
        return self._kind, (self._items,)


class _Pickler(cloudpickle.Pickler):
    def persistent_id(self, value):
        if isinstance(value, Sealed):
            in_band, buffers, index = value.parts
            return bytes(in_band), [bytes(one) for one in buffers], index
        return None


def run_once(options: Options, function: bytes, args, kwargs, surroundings=None):
    """Calls a pickled function in a sandbox of its own."""
    with contextlib.closing(Sandbox(options, surroundings)) as sandbox:
        return sandbox.ask("function", function, args, kwargs)


def session_directory() -> str | None:
    """Where Ray keeps what belongs to its session on this node; `None` outside of a cluster."""
    node = ray._private.worker.global_worker.node
    return node.get_session_dir_path() if node else None


def program(options: Options) -> str:
    """The path of envbox on this node."""
    found = shutil.which(os.environ.get("ENVBOX", options.envbox))
    if found is None:
        node = os.uname().nodename
        raise EnvboxError(
            127, f"there is no program `{options.envbox}` on node {node}: install envbox there"
        )
    return found


class Sandbox:
    """One run of envbox, to its end by `close`, by the death of this process, or by itself.

    `surroundings` are what Ray's runtime environment says besides: `env_vars` and `directory`, and
    where there is room for an empty project, which stays behind if this process is killed: `scratch`.
    """

    def __init__(self, options: Options, surroundings: dict | None = None):
        surroundings = surroundings or {}
        try:
            manifest = options.manifest(surroundings.get("directory"))
            if options.digest and (found := locked(manifest)) != options.digest:
                raise ValueError(
                    f"the lockfile of `{manifest}` is {found}, and {options.digest} was declared: "
                    "give all nodes the same, and declare the runtime environment again"
                )
        except (ValueError, OSError) as error:
            raise EnvboxError(125, str(error)) from None
        envbox = program(options)
        self._project = tempfile.TemporaryDirectory(prefix="ray-envbox-", dir=surroundings.get("scratch"))
        argv = _argv(envbox, manifest, self._project.name, options, surroundings)
        self._channel, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(argv, stdin=theirs, stderr=subprocess.PIPE)
        # Concurrency groups of an actor have a thread each.
        self._turn = threading.Lock()
        self._said = b""
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def ask(self, verb: str, *what):
        """Has one thing done inside. Returns its result, or raises what it raised."""
        stream = io.BytesIO()
        _Pickler(stream, protocol=5).dump((verb, *what))
        try:
            with self._turn:
                kind, parts = self._exchanged(stream.getbuffer())
        except (BrokenPipeError, ConnectionResetError, EOFError):
            self.close()
            raise EnvboxError(self._process.returncode, self._reason()) from None
        except BaseException:
            # A task that is cancelled takes the sandbox with it.
            self._process.terminate()
            self.close()
            raise
        if kind == inside.RAISED:
            raise _exception(*parts)
        if kind in (inside.TUPLE, inside.LIST):
            return Results(tuple if kind == inside.TUPLE else list, parts)
        return Result(parts[0])

    def _exchanged(self, asked) -> tuple[bytes, list[bytes]]:
        self._send(struct.pack("<Q", len(asked)))
        self._send(asked)
        kind, count = struct.unpack("<cI", self._receive(5))
        sizes = struct.unpack(f"<{count}Q", self._receive(8 * count))
        return kind, [self._receive(size) for size in sizes]

    def close(self) -> None:
        """Ends it with all that is in it."""
        self._channel.close()
        self._ended()
        self._project.cleanup()

    def _ended(self) -> None:
        try:
            self._process.wait(_GRACE_SECONDS)
        except BaseException as error:
            self._process.terminate()
            try:
                self._process.wait(_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
        self._listener.join()

    def _listen(self) -> None:
        """Passes on what is said on standard error, and keeps the end of it."""
        with self._process.stderr as stream:
            while said := os.read(stream.fileno(), _READ_BYTES):
                self._said = (self._said + said)[-_SHOWN_BYTES:]
                sys.stderr.write(said.decode(errors="replace"))

    def _send(self, data) -> None:
        rest = memoryview(data)
        while rest:
            if select.select([], [self._channel], [], _PATIENCE_SECONDS)[1]:
                rest = rest[self._channel.send(rest, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL) :]

    def _receive(self, size: int) -> bytes:
        data = bytearray(size)
        rest = memoryview(data)
        while rest:
            if select.select([self._channel], [], [], _PATIENCE_SECONDS)[0]:
                came = self._channel.recv_into(rest, min(len(rest), _READ_BYTES))
                if not came:
                    raise EOFError
                rest = rest[came:]
        return bytes(data)

    def _reason(self) -> str:
        status = self._process.returncode
        end = self._said.decode(errors="replace").strip()
        how = f"died of signal {-status}" if status < 0 else f"ended with status {status}"
        return f"the sandbox {how}, without a result" + (f": {end}" if end else "")


def _argv(envbox: str, manifest: Path, project: str, options: Options, surroundings: dict) -> list[str]:
    argv = [envbox, "--quiet", "--project", project, "run", "--frozen", "--no-record"]
    argv += ["--manifest", str(manifest), "--no-pty", "--die-with-parent"]
    # The vendored cloudpickle and the few lines that call the function, nothing else of Ray's.
    here = inside.HERE
    argv += ["--bind", f"{Path(cloudpickle.__file__).parent}:{here}/ray/cloudpickle"]
    argv += ["--bind", f"{inside_ray.__file__}:{here}/ray/__init__.py"]
    argv += ["--bind", f"{inside.__file__}:{here}/inside.py"]
    if directory := surroundings.get("directory"):
        there = inside.WORKING_DIRECTORY
        argv += ["--bind", f"{directory}:{there}", "--workdir", there]
    for one in options.bind:
        argv += ["--bind", one]
    for name, value in sorted(surroundings.get("env_vars", {}).items()):
        argv += ["--env", f"{name}={value}"]
    if options.seed is not None:
        argv += ["--seed", str(options.seed)]
    major, minor = sys.version_info[:2]
    return [*argv, "--", "python", f"{here}/inside.py", f"{major}.{minor}"]


def _exception(pickled: bytes, trace: bytes) -> BaseException:
    """What was raised inside, with the lines of there."""
    text = trace.decode(errors="replace")
    try:
        raised = pickle.loads(pickled)
    except Exception:
        # Of a class that only the environment has.
        return EnvboxError(1, f"raised in the sandbox, and not to be had outside:\n{text}")
    if hasattr(raised, "add_note"):
        raised.add_note(f"In the sandbox:\n{text}")
    return raised
