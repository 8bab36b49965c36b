"""The directory of an environment, its lockfile, and who may write it.

`<local root>/envbox/<hash>/` has `envbox.toml`, made from what a step asks for, and `envbox.lock`. The hash
is that of the manifest's text, so what was locked once is never resolved again: a later run and `resume`
get the same packages until somebody asks for newer ones (`METAFLOW_ENVBOX_UPGRADE=1`). A manifest of the
user's stays where it is, with its lockfile beside it.

Launchers that start together take turns; the second finds what the first has locked.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from contextlib import contextmanager
from typing import Callable, Dict, Iterable, Iterator, List, NamedTuple, Set

from . import binary
from .errors import EnvboxArgument, EnvboxFailed
from .lockfile import lock_digest, locked_names, lockfile_of


class Locked(NamedTuple):
    """An environment whose lockfile answers its manifest."""

    manifest: str
    lockfile: str
    digest: str


_done: Dict[str, Locked] = {}
_upgraded: Set[str] = set()


def directory_for(root: str, text: str) -> str:
    """Returns where the environment of this manifest is."""
    return os.path.join(root, "envbox", hashlib.sha256(text.encode()).hexdigest()[:16])


def lock_generated(root: str, text: str, step: str, tell: Callable[[str], None]) -> Locked:
    """Writes the manifest if it is not there, and locks it if it is not locked."""
    directory = directory_for(root, text)
    manifest = os.path.join(directory, "envbox.toml")
    if manifest not in _done:
        os.makedirs(directory, exist_ok=True)
        with _alone(directory):
            if not os.path.exists(manifest):
                _write_whole(manifest, text)
            _done[manifest] = _lock(manifest, step, tell, answers=_exists)
    return _done[manifest]


def lock_given(
    manifest: str, needed: Iterable[str], step: str, tell: Callable[[str], None]
) -> Locked:
    """Locks a manifest of the user's, unless its lockfile answers it."""
    manifest = os.path.abspath(manifest)
    if manifest not in _done:
        found = _lock(manifest, step, tell, answers=_checked)
        names = locked_names(found.lockfile)
        lacking = [name for name in needed if name not in names]
        if lacking:
            raise EnvboxArgument(
                step,
                "`%s` must ask for `%s` too: Metaflow imports it in every task."
                % (manifest, "`, `".join(lacking)),
            )
        _done[manifest] = found
    return _done[manifest]


def try_out(environment: Locked, step: str) -> None:
    """Builds what a step runs in and starts it once: what fails, fails before there is a task.

    Not done again for a lockfile that ran here before.
    """
    tried = environment.lockfile + ".tried"
    try:
        with open(tried, encoding="utf-8") as file:
            if file.read() == environment.digest:
                return
    except OSError:
        pass
    command = ["run", "--frozen", "--no-record", "--no-pty", "--", "true"]
    failed = "The environment of step *%s* does not run on this host." % step
    binary.call(["--quiet", *chosen(environment.manifest), *command], failed)
    _write_whole(tried, environment.digest)


def chosen(manifest: str) -> List[str]:
    """Returns the options with which envbox takes this manifest, and no project's."""
    return ["--project", os.path.dirname(manifest), "--manifest", manifest]


def _lock(
    manifest: str, step: str, tell: Callable[[str], None], answers: Callable[[str], bool]
) -> Locked:
    from metaflow import metaflow_config as configured

    lockfile = lockfile_of(manifest)
    upgrade = _truth(configured.ENVBOX_UPGRADE) and manifest not in _upgraded  # type: ignore
    if upgrade or not answers(manifest):
        if _truth(configured.ENVBOX_FROZEN):  # type: ignore
            raise EnvboxFailed(
                "The environment of step *%s* is not locked." % step,
                "`%s` does not answer its manifest, and METAFLOW_ENVBOX_FROZEN is set." % lockfile,
            )
        tell("Locking the environment of step *%s*..." % step)
        more = ["--upgrade"] if upgrade else []
        failed = "The environment of step *%s* cannot be locked (`%s`)." % (step, manifest)
        binary.call([*chosen(manifest), "lock", *more], failed)
        _upgraded.add(manifest)
    digest = lock_digest(lockfile)
    if digest is None:
        raise EnvboxFailed("`%s` is no lockfile." % lockfile, "Remove it, and it is made again.")
    return Locked(manifest, lockfile, digest)


def _exists(manifest: str) -> bool:
    # The directory's name is the manifest's hash: a lockfile in it was made for this manifest.
    return os.path.exists(lockfile_of(manifest))


def _checked(manifest: str) -> bool:
    if not _exists(manifest):
        return False
    try:
        binary.call([*chosen(manifest), "lock", "--check"], "")
    except EnvboxFailed:
        return False
    return True


@contextmanager
def _alone(directory: str) -> Iterator[None]:
    # The kernel lets go of the lock when its holder dies, however it dies.
    with open(os.path.join(directory, ".guard"), "a", encoding="utf-8") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        yield


def _write_whole(path: str, text: str) -> None:
    with tempfile.NamedTemporaryFile(
        "w", dir=os.path.dirname(path), encoding="utf-8", delete=False
    ) as file:
        file.write(text)
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)


def _truth(value: object) -> bool:
    return str(value).lower() in ("1", "true", "yes")
