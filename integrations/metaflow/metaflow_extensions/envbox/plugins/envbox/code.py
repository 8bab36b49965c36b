"""The code package, unpacked: what is `/project` in a task's sandbox.

It is what Metaflow would send to a pod: the flow's code, and Metaflow and its extensions in the launcher's
very versions. So no environment needs Metaflow among its packages, a new Metaflow resolves nothing, and the
run record has the digest of each of these files. It is the same for the whole run, whatever is edited
meanwhile, and kept under its digest: a run of unchanged code unpacks nothing.
"""

from __future__ import annotations

import compileall
import fcntl
import hashlib
import io
import os
import py_compile
import shutil
import tarfile
from typing import IO, Any, Dict, List, Tuple

# Unpacked packages of former runs that stay: each is some 11 MB.
KEPT = 4
INSIDE = "/project"

_held: List[IO[str]] = []


def unpack(package: Any, root: str) -> str:
    """Returns the directory with the code package, which stays while this process lives."""
    data = bytes(package.blob)
    parent = os.path.join(root, "envbox", "code")
    os.makedirs(parent, exist_ok=True)
    directory = os.path.join(parent, hashlib.sha256(data).hexdigest()[:16])
    with open(os.path.join(parent, ".guard"), "a", encoding="utf-8") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not os.path.isdir(directory):
            _unpack_whole(data, directory)
        _hold(directory)
        _sweep(parent)
    return directory


def variables(package: Any) -> Dict[str, str]:
    """Returns the variables with which Python finds what is unpacked."""
    found: Dict[str, str] = {}
    given = package.get_post_extract_env_vars(package.package_metadata, INSIDE)
    for name, value in given.items():
        # Metaflow's notation: with a colon the value is the whole one, without it goes in front.
        found[name.rstrip(":")] = value
    found["PYTHONPATH"] = os.pathsep.join(filter(None, [found.get("PYTHONPATH"), INSIDE]))
    return found


def _unpack_whole(data: bytes, directory: str) -> None:
    unfinished = directory + ".unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        if hasattr(tarfile, "data_filter"):
            archive.extractall(unfinished, filter="data")
        else:
            archive.extractall(unfinished)
    # Tasks write no bytecode, and would compile Metaflow each time. Another Python than the launcher's
    # finds nothing under its own name, and compiles.
    unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
    compileall.compile_dir(unfinished, quiet=2, invalidation_mode=unchecked)
    os.rename(unfinished, directory)


def _hold(directory: str) -> None:
    file = open(directory + ".used", "a", encoding="utf-8")  # pylint: disable=consider-using-with
    fcntl.flock(file, fcntl.LOCK_SH)
    os.utime(file.fileno())
    _held.append(file)


def _sweep(parent: str) -> None:
    """Removes what no launcher uses: the oldest packages, and what was never finished."""
    for name in os.listdir(parent):
        if name.endswith(".unfinished"):
            shutil.rmtree(os.path.join(parent, name), ignore_errors=True)
    marks = [os.path.join(parent, name) for name in os.listdir(parent) if name.endswith(".used")]
    by_age: List[Tuple[float, str]] = sorted((os.stat(mark).st_mtime, mark) for mark in marks)
    for _, mark in by_age[:-KEPT]:
        with open(mark, "a", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue
            shutil.rmtree(mark[: -len(".used")], ignore_errors=True)
            os.unlink(mark)
