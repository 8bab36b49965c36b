"""The program: where it is, and whether it is one that this package understands."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
from typing import Any, Tuple

from ._decode import decode
from ._documents import Version
from ._errors import DocumentError, InterfaceMismatch, ProgramNotFound

# All whose promise in docs/interface.md this package is written for.
INTERFACES: Tuple[str, ...] = ("envbox.interface/1",)
# Answering takes milliseconds: what is still silent then is no envbox.
_PATIENCE_SECONDS = 60.0
# What the variable is within a step, where it names no program.
_INSIDE = "1"


def find() -> str:
    """Returns the path of the program.

    It is what `$ENVBOX` names, if that is set; else the one that was installed with this package;
    else the first in `PATH`.
    """
    named = os.environ.get("ENVBOX", "")
    if named not in ("", _INSIDE):
        found = shutil.which(named)
        if found is None:
            raise _missing(f"there is no program `{named}`, which ENVBOX names", "correct or unset it")
        return os.path.abspath(found)
    for path in _installed():
        if os.access(path, os.X_OK):
            return path
    found = shutil.which("envbox")
    if found is None:
        raise _missing(
            "there is no program `envbox`",
            "install it: the wheel `envbox` carries it; or set ENVBOX to its path",
        )
    return os.path.abspath(found)


def version() -> Version:
    """Returns the versions of the program and of its interface, known to this package or not."""
    return _version(find())


def checked() -> str:
    """Returns the path of a program that speaks a known interface, which is asked once."""
    return _checked(find())


def _installed() -> Tuple[str, ...]:
    """Where installers put the wheel's programs, seen from its modules."""
    package = os.path.dirname(os.path.abspath(__file__))
    # PREFIX/lib/python3.N/site-packages/envbox, for environments, `--user` and `--prefix`; and
    # DIR/envbox for `--target DIR`.
    return tuple(
        os.path.normpath(os.path.join(package, *up, "bin", "envbox"))
        for up in (("..",) * 4, ("..",))
    )


@functools.lru_cache(maxsize=None)
def _checked(program: str) -> str:
    found = _version(program).interface
    if found not in INTERFACES:
        raise InterfaceMismatch(program, found, INTERFACES)
    return program


def _version(program: str) -> Version:
    try:
        said = subprocess.run(
            [program, "version", "--json"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=_PATIENCE_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _missing(f"`{program}` cannot be asked for its version: {error}", _ANOTHER) from error
    try:
        document: Any = json.loads(said.stdout)
        return decode(Version, document)
    except (ValueError, DocumentError):
        # An envbox from before there was an interface, or no envbox at all.
        raise InterfaceMismatch(program, None, INTERFACES) from None


_ANOTHER = "install the wheel `envbox` again, or set ENVBOX to the path of another"


def _missing(message: str, hint: str) -> ProgramNotFound:
    return ProgramNotFound(message, kind="host", hints=[hint])
