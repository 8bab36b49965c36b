"""One seed for each task.

The sandbox answers every question for randomness from a seed. With one for all, the tasks of a
foreach would draw the same numbers: ten trained models would be one. A task's seed follows from the
seed of its step, the step's name and the task's place in the foreaches around it; not from the run or
the attempt, so that a run, its resumption, `spin` and a retry draw the same.
"""

from __future__ import annotations

import hashlib
from typing import Any, Iterable, Optional, Tuple

Place = Tuple[int, ...]


def task_seed(seed: int, step: str, place: Place) -> int:
    """Returns a number of 32 bits."""
    name = "%d/%s/%s" % (seed, step, ".".join(map(str, place)))
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")


def place_in_flow(task: Any, flow_datastore: Any, closes: bool) -> Place:
    """Returns the indices of the task in the foreaches around it, and how often loops went round.

    `task` is Metaflow's own of the launcher, or what has its attributes. Its parents have ended, so their
    stacks are there. `closes` is what `closes_foreach` says of the step.
    """
    if not task.input_paths:
        return ()
    run_id, step, task_id = task.input_paths[0].split("/")[:3]
    if step == "_parameters":
        return ()
    parent = flow_datastore.get_task_datastore(run_id, step, task_id)
    frames = _indices(parent.get("_foreach_stack"))
    if task.split_index is not None:
        frames += (int(task.split_index),)
    elif closes:
        frames = frames[:-1]
    return frames + tuple(parent.get("_iteration_stack") or ())


def place_of_spun(pathspec: str) -> Place:
    """Returns the same for a task that has run, and that `spin` runs again."""
    from metaflow import Task

    task = Task(pathspec, _namespace_check=False)
    artifacts = {name: task[name].data for name in ("_foreach_stack",) if name in task}
    return _indices(artifacts.get("_foreach_stack"))


def closes_foreach(graph: Any, step: str) -> bool:
    """Says whether the step joins what a foreach split."""
    node = graph[step]
    if node.type != "join" or not node.split_parents:
        return False
    return graph[node.split_parents[-1]].type == "foreach"


def _indices(stack: Optional[Iterable[Any]]) -> Place:
    return tuple(int(frame.index) for frame in stack or ())
