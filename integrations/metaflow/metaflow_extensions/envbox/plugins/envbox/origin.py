"""What `resume` takes over: were it the same environments?

Metaflow clones what ended well in the origin run and does the rest with today's code and environments. It
checks neither. Here each step's lockfile is compared with the one that the origin's tasks ran with.
"""

from __future__ import annotations

from typing import Any, Callable, Optional

from .errors import EnvboxDrift
from .records import LOCK_DIGEST


def origin_run(flow_name: str) -> Optional[str]:
    """Returns the run that is resumed, or nothing where none is."""
    from metaflow._vendor import click
    from metaflow.util import get_latest_run_id

    context = click.get_current_context(silent=True)
    if context is None or context.info_name != "resume":
        return None
    named = context.params.get("origin_run_id")
    return str(named or get_latest_run_id(lambda *_args, **_options: None, flow_name) or "") or None


def compare_with_origin(
    flow_name: str, step: str, digest: str, strict: bool, tell: Callable[[str], None]
) -> None:
    """Warns, or refuses if `strict`, where the origin's step ran with another lockfile."""
    run_id = origin_run(flow_name)
    if run_id is None:
        return
    before = _digest_of("%s/%s/%s" % (flow_name, run_id, step))
    if before is _ABSENT or before == digest:
        return
    had = "without envbox" if before is None else "with the lockfile %s" % before
    message = (
        "Step *%s* ran %s in the origin run %s; now its lockfile is %s."
        % (step, had, run_id, digest)
    )
    if strict:
        raise EnvboxDrift(message + " `strict=True` refuses to mix the two.")
    tell(message + " Results of the two are mixed.")


_ABSENT: Any = object()


def _digest_of(pathspec: str) -> Any:
    from metaflow import Step
    from metaflow.exception import MetaflowNotFound

    try:
        task = Step(pathspec, _namespace_check=False).task
    except MetaflowNotFound:
        return _ABSENT
    # A step that the origin run never came to has no task.
    return _ABSENT if task is None else task.metadata_dict.get(LOCK_DIGEST)
