"""References to environments, as Snakemake carries them.

`envbox://envs/numpy/envbox.lock@sha256:…` names a lockfile, relative to the working directory of
the workflow, and a digest of it and its manifest as they were when the Snakefile was read.
Snakemake compares these strings to decide whether a rule's software changed; so another lockfile,
seed or epoch makes the rules run again, and moving the whole project does not.
"""

import hashlib
import json
import os
import re
import tomllib
from pathlib import Path

SCHEME = "envbox://"
# The directory that references are relative to; jobs inherit it.
DIRECTORY = "SNAKEMAKE_ENVBOX_DIRECTORY"
MANIFESTS = ("envbox.toml", "pyproject.toml")
# Beyond these lines a lockfile has no digest of its own.
_HEAD_BYTES = 4096
_DIGEST = re.compile(rb'^digest = "(sha256:[0-9a-f]{64})"$', re.MULTILINE)


class ReferenceError(Exception):
    """A reference that leads to no environment; the text says why, and what to do."""


class Reference:
    """A lockfile, and the digest that is wanted of it and its manifest."""

    def __init__(self, lockfile: Path, digest: str):
        self.lockfile = lockfile
        self.digest = digest

    @classmethod
    def to(cls, environment: Path) -> "Reference":
        """Refers to the environment of a directory, a manifest or a lockfile as it is now."""
        lockfile = locate(environment)
        return cls(lockfile, digest_of(lockfile))

    @property
    def manifest(self) -> Path:
        """The manifest that the lockfile stands beside."""
        return manifest_of(self.lockfile)

    def check(self) -> None:
        """Refuses an environment that is no longer the one that the workflow was planned with."""
        found = digest_of(self.lockfile)
        if found != self.digest:
            raise ReferenceError(
                f"`{self.lockfile}` or its manifest changed while the workflow ran: "
                f"{self.digest} was asked for, {found} is there; start snakemake again"
            )

    def text(self, directory: Path) -> str:
        relative = os.path.relpath(self.lockfile, directory)
        return f"{SCHEME}{relative}@{self.digest}"


def parse(text: str, directory: Path) -> Reference:
    """Reads what `Reference.text` wrote."""
    path, at, digest = text.removeprefix(SCHEME).rpartition("@")
    if not at or not path or not digest.startswith("sha256:"):
        raise ReferenceError(f"`{text}` is no reference to a lockfile: `{SCHEME}PATH@sha256:…`")
    return Reference(directory / path, digest)


def locate(path: Path) -> Path:
    """The lockfile of a directory, a manifest or a lockfile."""
    lockfile = path / "envbox.lock" if path.is_dir() else path
    if lockfile.name in MANIFESTS:
        lockfile = lockfile.with_name("envbox.lock")
    if not lockfile.is_file():
        raise ReferenceError(
            f"there is no lockfile `{lockfile}`; "
            f"run `envbox --project {lockfile.parent} lock` to make it"
        )
    return lockfile


def manifest_of(lockfile: Path) -> Path:
    for name in MANIFESTS:
        path = lockfile.with_name(name)
        if path.is_file():
            return path
    raise ReferenceError(f"there is no manifest beside `{lockfile}`; put its `envbox.toml` there")


def digest_of(lockfile: Path) -> str:
    """A digest of what is installed and of what a step sees else."""
    parts = [_seal(lockfile), _settings(manifest_of(lockfile))]
    text = json.dumps(parts, sort_keys=True, default=str)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _seal(lockfile: Path) -> str:
    """The digest that a lockfile says of itself; envbox verifies it on every run."""
    try:
        with lockfile.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError as error:
        raise ReferenceError(f"failed to read `{lockfile}`: {error.strerror}") from error
    found = _DIGEST.search(head)
    if found is None:
        raise ReferenceError(f"`{lockfile}` is no lockfile of envbox: no `digest` in its head")
    return found[1].decode()


def _settings(manifest: Path) -> object:
    """The values of a manifest; comments and layout matter to no step."""
    try:
        document = tomllib.loads(manifest.read_text())
    except (OSError, ValueError) as error:
        raise ReferenceError(f"failed to read `{manifest}`: {error}") from error
    if manifest.name == "pyproject.toml":
        project = document.get("project", {})
        return [document.get("tool", {}).get("envbox"), project.get("dependencies")]
    return document
