"""Where a lockfile is, and what it says of itself. Imports nothing of Metaflow: `remote` uses it too."""

from __future__ import annotations

import os
import re
from typing import Optional, Set

# Names whose lockfile is called `envbox.lock`; of any other it has the manifest's own name.
MANIFESTS = ("envbox.toml", "pyproject.toml")


def lockfile_of(manifest: str) -> str:
    """Returns where envbox has the lockfile of this manifest."""
    directory, name = os.path.split(manifest)
    stem = "envbox" if name in MANIFESTS else os.path.splitext(name)[0]
    return os.path.join(directory, stem + ".lock")


def lock_digest(lockfile: str) -> Optional[str]:
    """Returns the digest that a lockfile says of itself, and that `envbox run` checks."""
    with open(lockfile, encoding="utf-8") as file:
        found = re.search(r'^digest = "(sha256:[0-9a-f]{64})"$', file.read(), re.MULTILINE)
    return found.group(1) if found else None


def locked_names(lockfile: str) -> Set[str]:
    """Returns the names of all packages in it."""
    with open(lockfile, encoding="utf-8") as file:
        return set(re.findall(r'^name = "(.*)"$', file.read(), re.MULTILINE))
