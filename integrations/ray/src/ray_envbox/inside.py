"""Runs in the sandbox: does what it is asked over its standard input, until nobody asks any more."""

import io
import os
import pickle
import struct
import sys
import traceback

HERE = "/opt/ray-envbox"
WORKING_DIRECTORY = "/opt/ray-envbox/working-directory"
# Kinds of answers: one pickle; one for each item of a short tuple or list; an exception's and its
# lines.
VALUE, TUPLE, LIST, RAISED = b"v", b"t", b"l", b"r"
# Up to so many items travel one by one, so that Ray can hand them out as several results.
_ITEMS = 64


class Absent:
    """Stands for what is Ray's in pickled classes, and may be named but not used."""

    def __init__(self, name: str):
        self._name = name

    def _refuse(self, *_args, **_kwargs):
        from ray import refused

        raise refused(self._name)

    __call__ = _refuse

    def __getattr__(self, name: str):
        if name.startswith("__"):
            raise AttributeError(name)
        return Absent(f"{self._name}.{name}")


class _Mark(Absent):
    """What Ray's own methods are marked with: by `getattr` from Python 3.11.0 to 3.11.3, else by a call."""

    def __call__(self, *_value):
        return self


class _Unpickler(pickle.Unpickler):
    """Opens what comes from outside, where Ray's names mean more than they do here."""

    def find_class(self, module: str, name: str):
        if module.startswith("ray.cloudpickle") and name == "subimport":
            return _subimport
        if name == "_is_tracing_enabled":
            # Ray wraps the methods of all actors in this question.
            return bool
        if module == "ray.util.annotations":
            return _Mark(f"{module}.{name}")
        if module.split(".")[0] == "ray" and not module.startswith("ray.cloudpickle"):
            return Absent(f"{module}.{name}")
        return super().find_class(module, name)

    def persistent_load(self, sealed):
        in_band, buffers, index = sealed
        return _opened(in_band, buffers)[index]


def _subimport(name: str):
    if name.startswith("ray."):
        return Absent(name)
    __import__(name)
    return sys.modules[name]


def _opened(data: bytes, buffers=()):
    return _Unpickler(io.BytesIO(data), buffers=buffers).load()


class _Server:
    """Does what is asked; an actor's object stays here between calls."""

    def __init__(self):
        self._actor = None

    def do(self, verb: str, *what):
        return getattr(self, f"_{verb}")(*what)

    def _check(self):
        return None

    def _function(self, function: bytes, args, kwargs):
        return _opened(function)(*args, **kwargs)

    def _create(self, actor_class: bytes, args, kwargs):
        self._actor = _opened(actor_class)(*args, **kwargs)

    def _method(self, name: str, args, kwargs):
        return getattr(self._actor, name)(*args, **kwargs)


def _answer(server: _Server, asked: bytes) -> tuple[bytes, list[bytes]]:
    from ray import cloudpickle

    try:
        value = server.do(*_opened(asked))
        if type(value) in (tuple, list) and len(value) <= _ITEMS:
            kind = TUPLE if type(value) is tuple else LIST
            return kind, [cloudpickle.dumps(one, protocol=5) for one in value]
        return VALUE, [cloudpickle.dumps(value, protocol=5)]
    except Exception as error:
        lines = traceback.format_exc()
        try:
            raised = cloudpickle.dumps(error)
        except Exception:
            raised = cloudpickle.dumps(RuntimeError(f"{type(error).__name__}: {error}"))
        return RAISED, [raised, lines.encode()]


def main() -> None:
    """Answers until the other end closes."""
    asked = sys.argv[1]
    found = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if asked != found:
        # The code of a function travels as bytecode, which no other release understands.
        sys.exit(
            f"error: Ray's Python is {asked} and that of the environment {found}; "
            f'set `python = "{asked}"` in its manifest'
        )
    # Ahead of an environment's own Ray, which would look for a cluster.
    sys.path[0] = HERE
    if os.path.isdir(WORKING_DIRECTORY):
        sys.path.insert(1, WORKING_DIRECTORY)
    channel = os.dup(0)
    nothing = os.open("/dev/null", os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    server = _Server()
    with open(channel, "rb", closefd=False) as requests, open(channel, "wb") as answers:
        while size := requests.read(8):
            kind, parts = _answer(server, requests.read(struct.unpack("<Q", size)[0]))
            sys.stdout.flush()
            answers.write(struct.pack("<cI", kind, len(parts)))
            answers.write(struct.pack(f"<{len(parts)}Q", *map(len, parts)))
            for part in parts:
                answers.write(part)
            answers.flush()


if __name__ == "__main__":
    main()
