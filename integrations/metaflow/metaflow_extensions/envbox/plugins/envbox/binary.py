"""The program: where it is, which version it has, and what it said."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
from typing import List, Tuple

from .errors import EnvboxFailed, EnvboxMissing, EnvboxVersion

# From the first version that has `run --bind` up to the next that may change what is there.
OLDEST: Tuple[int, int, int] = (0, 1, 0)
TOO_NEW: Tuple[int, int, int] = (0, 2, 0)
WANTED = ">=0.1.0,<0.2.0"


@functools.lru_cache(maxsize=None)
def binary() -> str:
    """Returns the path of the program, whose version was looked at."""
    path = _find()
    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    except OSError as error:
        raise EnvboxFailed("`%s` cannot be executed." % path, str(error)) from error
    found = said.stdout.strip() or said.stderr.strip()
    parts = re.fullmatch(r"envbox (\d+)\.(\d+)\.(\d+).*", found)
    if parts is None or not OLDEST <= tuple(map(int, parts.groups())) < TOO_NEW:
        raise EnvboxVersion(path, found, WANTED)
    return path


def _find() -> str:
    from metaflow.metaflow_config import ENVBOX_BINARY  # type: ignore[attr-defined]

    if ENVBOX_BINARY:
        if shutil.which(ENVBOX_BINARY) is None:
            raise EnvboxMissing(ENVBOX_BINARY)
        return os.path.abspath(str(shutil.which(ENVBOX_BINARY)))
    # Where the wheel `envbox` puts it, also when the interpreter was started by its path.
    beside = os.path.join(os.path.dirname(sys.executable), "envbox")
    if os.access(beside, os.X_OK):
        return beside
    found = shutil.which("envbox")
    if found is None:
        raise EnvboxMissing("envbox")
    return os.path.abspath(found)


def call(arguments: List[str], doing: str) -> str:
    """Runs it to its end and returns what it printed. When it fails, its own words are the error's."""
    ended = subprocess.run(
        [binary(), *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if ended.returncode != 0:
        raise EnvboxFailed(doing, ended.stderr or ended.stdout or "exit %d" % ended.returncode)
    return ended.stdout
