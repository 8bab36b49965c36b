"""Where the record of a task is.

A task's metadata has `envbox-lock-digest`, `envbox-seed` and `envbox-record`: the last is a path below
the datastore's local root, on the machine that started the task.
"""

from __future__ import annotations

import json
import os
import re
from typing import Any, Dict

LOCK_DIGEST = "envbox-lock-digest"
SEED = "envbox-seed"
RECORD = "envbox-record"
TAG = "envbox-tag"
# Where the launcher tells the task: variables become metadata.
FIELDS = {
    LOCK_DIGEST: "METAFLOW_ENVBOX_LOCK_DIGEST",
    SEED: "METAFLOW_ENVBOX_SEED",
    RECORD: "METAFLOW_ENVBOX_RECORD",
    TAG: "METAFLOW_ENVBOX_TAG",
}


def record_path(flow: str, run_id: str, step: str, task_id: str, attempt: int) -> str:
    """Returns the path of a task's record, below the local root."""
    return os.path.join("envbox", "records", flow, run_id, step, "%s.%d.json" % (task_id, attempt))


def record_tag(flow: str, run_id: str, step: str, task_id: str, attempt: int) -> str:
    """Returns the name that `envbox show` and others know the task by.

    A tag begins with a letter, and has letters, digits and `._-`.
    """
    name = re.sub(r"[^A-Za-z0-9._-]", "-", ".".join((flow, run_id, step, task_id, str(attempt))))
    return name if name[0].isalpha() else "flow" + name


def envbox_record(task: Any) -> Dict[str, Any]:
    """Returns the run record of a task of Metaflow's client API, as a dictionary.

    Raises `KeyError` for a task that did not run in envbox, and `OSError` where its record is on
    another machine.
    """
    from metaflow.plugins.datastores.local_storage import LocalStorage

    metadata = task.metadata_dict
    path = metadata[RECORD]
    roots = [metadata.get("ds-root", ""), LocalStorage.datastore_root or ""]
    roots.append(LocalStorage.get_datastore_root_from_config(print, create_on_absent=False) or "")
    there = [root for root in roots if os.path.isfile(os.path.join(root, path))]
    with open(os.path.join((there or roots)[0], path), encoding="utf-8") as file:
        return json.load(file)
