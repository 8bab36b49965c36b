"""Environments of envbox for the rules of a workflow.

In a Snakefile::

    from snakemake_envbox import envbox

    rule train:
        output: "model.npy"
        container: envbox("envs/numpy")
        script: "scripts/train.py"
"""

import os
import sys
from pathlib import Path

from .reference import DIRECTORY, Reference, ReferenceError

__all__ = ["envbox"]


def envbox(environment: str) -> str:
    """Returns what `container:` takes for a directory, manifest or lockfile.

    A relative path is one from the directory of the Snakefile that calls this. The rule does not
    run outside the sandbox by mistake: a workflow started without `--sdm apptainer` is refused.
    """
    workflow = sys._getframe(1).f_globals.get("workflow")
    try:
        if workflow is not None:
            _refuse_without_sandbox(workflow)
        reference = Reference.to(_base(workflow) / environment)
    except ReferenceError as error:
        raise _workflow_error(str(error)) from None
    directory = os.getcwd()
    os.environ[DIRECTORY] = directory
    return reference.text(Path(directory))


def _base(workflow) -> Path:
    if workflow is None or not workflow.included_stack:
        return Path.cwd()
    return Path(workflow.current_basedir.get_path_or_uri(secret_free=True))


def _refuse_without_sandbox(workflow) -> None:
    settings = getattr(workflow, "deployment_settings", None)
    methods = getattr(settings, "deployment_method", ())
    if not any(str(method).lower().endswith("apptainer") for method in methods):
        raise ReferenceError(
            "rules with `container: envbox(…)` would run outside the sandbox; start snakemake "
            "with `--software-deployment-method apptainer`, or put that into the profile"
        )


def _workflow_error(message: str) -> Exception:
    from snakemake_interface_common.exceptions import WorkflowError

    return WorkflowError(f"envbox: {message}")
