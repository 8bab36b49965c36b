"""Prints what Metaflow's client API knows of a run, as JSON: `client.py FLOW/RUN`."""

import json
import sys

from metaflow import Run, envbox_record, namespace

# Where a task ran, by what Metaflow notes of it there.
PLACES = {"batch": "aws-batch-job-id", "kubernetes": "kubernetes-pod-name"}

namespace(None)
tasks = {}
for step in Run(sys.argv[1]):
    for task in step:
        # The task's number depends on who was first; its place in the foreach does not.
        name = step.id if task.index is None else "%s/%s" % (step.id, task.index)
        metadata = task.metadata_dict
        known = {
            "artifacts": {artifact.id: artifact.sha for artifact in task},
            "metadata": {key: metadata[key] for key in metadata if key.startswith("envbox-")},
            "pathspec": task.pathspec,
            "place": next((place for place in PLACES if PLACES[place] in metadata), "here"),
            "attempts": sorted(m.value for m in task.metadata if m.name == "attempt"),
            "ended_after_creation": bool(task.finished_at) and task.finished_at > task.created_at,
            "year": task.created_at.year,
            "record": "envbox-record" in metadata and envbox_record(task),
        }
        for wanted in ("seen", "drawn", "six", "begun"):
            if wanted in task:
                known[wanted] = task[wanted].data
        tasks[name] = known
json.dump(tasks, sys.stdout)
