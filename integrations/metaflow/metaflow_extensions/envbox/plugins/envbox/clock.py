"""The host's time for Metaflow's own bookkeeping in a task.

In the sandbox it is 2020, for the user's code and for Metaflow alike. Metaflow stamps metadata with it,
calls files of its local metadata by it, and says from it when a task ended: attempts of a task, which see the
same times, would overwrite each other's entries, and every task would have ended before it was created.
Only the modules that keep those books get another clock; what user code sees is the sandbox's.

The time comes from the kernel, as the time of a file written to the datastore, which is the host's file
system. Where the manifest fixes those as well (`file-status = "fixed"`) it is the time at which the
launcher started the task, and what has passed inside since.

The modules' global `time` is not part of Metaflow's interface: a module without it is left alone.
"""

from __future__ import annotations

import importlib
import os
import tempfile
import time
from typing import Callable

# Set by the launcher for tasks whose clock is held.
STARTED = "METAFLOW_ENVBOX_STARTED"
BOOKKEEPERS = (
    "metaflow.metadata_provider.metadata",
    "metaflow.plugins.metadata_providers.local",
    "metaflow.datastore.task_datastore",
)


class HostTime:
    """Stands for the module `time` where that is asked for nothing but the time."""

    def __init__(self, now: Callable[[], float]):
        self.time = now

    def __getattr__(self, name: str) -> object:
        return getattr(time, name)


def keep_host_time(datastore_root: str) -> None:
    """Gives the bookkeeping modules the host's time, in a task whose clock is held."""
    started = os.environ.get(STARTED)
    if started is None:
        return
    clock = HostTime(host_clock(datastore_root, float(started)))
    for name in BOOKKEEPERS:
        module = importlib.import_module(name)
        if getattr(module, "time", None) is time:
            module.time = clock  # type: ignore[attr-defined]


def host_clock(directory: str, started: float) -> Callable[[], float]:
    """Returns a clock that asks the file system of this directory."""
    inside = time.monotonic()

    def now() -> float:
        try:
            with tempfile.TemporaryFile(dir=directory) as file:
                written = os.fstat(file.fileno()).st_mtime
        except OSError:
            written = 0.0
        if written + 1.0 < started:
            return started + max(time.monotonic() - inside, 0.0)
        return written

    return now
