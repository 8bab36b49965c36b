"""The backend `envbox` of MLflow projects."""

import json
import logging
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import RunStatus
from mlflow.exceptions import ExecutionException
from mlflow.projects.backend.abstract_backend import AbstractBackend
from mlflow.projects.submitted_run import SubmittedRun
from mlflow.projects.utils import (
    fetch_and_validate_project,
    get_entry_point_command,
    get_or_create_run,
    get_run_env_vars,
    load_project,
)

from . import command

_logger = logging.getLogger(__name__)
# How long a project has to end by itself after TERM.
_GRACE_SECONDS = 5
# Where envbox's own documents are among the artifacts of a run.
_ARTIFACTS = "envbox"


def backend() -> AbstractBackend:
    """What the entry point names."""
    return EnvboxBackend()


class EnvboxBackend(AbstractBackend):
    """Runs an entry point in the sandbox, and waits for its end.

    MLflow's command line does not wait for backends other than its own, and would report success
    before the project has begun. `{"background": true}` in the configuration returns at once.
    """

    def run(
        self, project_uri, entry_point, params, version, backend_config, tracking_uri, experiment_id
    ):
        options = command.Options.of(backend_config)
        directory = Path(fetch_and_validate_project(project_uri, version, entry_point, params))
        project = load_project(directory)
        if project.docker_env:
            raise ExecutionException(
                "`docker_env` in MLproject names another environment than the lockfile's; remove it"
            )
        active = get_or_create_run(
            # A run of its own: `run_id` is for backends that start MLflow again.
            None,
            project_uri,
            experiment_id,
            directory,
            version,
            entry_point,
            params,
        )
        run_id = active.info.run_id
        client = MlflowClient()
        client.set_tag(run_id, "mlflow.project.env", "envbox")
        client.set_tag(run_id, "mlflow.project.backend", "envbox")
        notes = Path(tempfile.mkdtemp(prefix="envbox-mlflow-"))
        try:
            storage = backend_config.get("STORAGE_DIR")
            commands = get_entry_point_command(project, entry_point, params, storage)
            shell = " && ".join(commands)
            variables = get_run_env_vars(run_id, experiment_id)
            paths = _paths(project, entry_point, params)
            argv = command.build(
                options, directory, shell, variables, active.info.artifact_uri, paths, notes
            )
            _logger.info("=== %s ===", command.shown(argv))
            # The variables of a run would make envbox itself write tags to it.
            environment = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_RUN_ID")}
            process = subprocess.Popen(argv, cwd=directory, env=environment)
        except BaseException:
            client.set_terminated(run_id, RunStatus.to_string(RunStatus.FAILED))
            shutil.rmtree(notes)
            raise
        submitted = EnvboxRun(run_id, process, notes)
        if not options.background:
            _wait(submitted)
        return submitted


class EnvboxRun(SubmittedRun):
    """A run whose process is envbox."""

    def __init__(self, run_id: str, process: subprocess.Popen, notes: Path):
        super().__init__()
        self._run_id = run_id
        self._process = process
        self._notes = notes
        self._cancelled = False
        self._status = RunStatus.RUNNING
        # MLflow waits from one thread and may ask and cancel from another.
        self._lock = threading.Lock()

    @property
    def run_id(self) -> str:
        return self._run_id

    def wait(self) -> bool:
        self._process.wait()
        return self._settle() == RunStatus.FINISHED

    def get_status(self) -> str:
        status = self._settle() if self._process.poll() is not None else RunStatus.RUNNING
        return RunStatus.to_string(status)

    def cancel(self) -> None:
        """Ends the project with all that it started."""
        if self._process.poll() is None:
            self._cancelled = True
            self._process.terminate()
            try:
                self._process.wait(_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                # The sandbox ends with its supervisor.
                self._process.kill()
                self._process.wait()
        self._settle()

    def _settle(self) -> int:
        """Writes to the store, once, how the run ended."""
        with self._lock:
            if self._status == RunStatus.RUNNING:
                self._status = self._ended()
                client = MlflowClient()
                self._link(client)
                # Whatever the project said: its clock is not the store's.
                client.set_terminated(self._run_id, RunStatus.to_string(self._status))
            return self._status

    def _ended(self) -> int:
        if self._process.returncode == 0:
            return RunStatus.FINISHED
        return RunStatus.KILLED if self._cancelled else RunStatus.FAILED

    def _link(self, client: MlflowClient) -> None:
        """Ties the run to envbox's record of it."""
        try:
            result = json.loads((self._notes / "result.json").read_text())
            # The first two as envbox itself names them, where a run outside a project tells it of
            # MLflow's run.
            tags = {
                "envbox.run": result["run"],
                "envbox.lock": result["lock"],
                "envbox.failed-by": result["failed_by"],
            }
            for name, value in tags.items():
                if value is not None:
                    client.set_tag(self._run_id, name, value)
        except (OSError, ValueError) as error:
            # Killed: envbox had no time to write it.
            _logger.warning("there is no result of envbox: %s", error)
        if any(self._notes.iterdir()):
            client.log_artifacts(self._run_id, str(self._notes), _ARTIFACTS)
        shutil.rmtree(self._notes)


def _paths(project, entry_point: str, params: dict) -> list[str]:
    """Files that parameters of type `path` name: they are seen where they are."""
    declared = project.get_entry_point(entry_point).parameters
    values = {name: params.get(name, parameter.default) for name, parameter in declared.items()}
    return sorted(
        os.path.abspath(str(values[name]))
        for name, parameter in declared.items()
        if parameter.type == "path" and os.path.exists(str(values[name]))
    )


def _wait(submitted: EnvboxRun) -> None:
    """Waits for the end; whoever ends us meanwhile ends the run as well."""
    replaced = _raise_on_terminate()
    try:
        succeeded = submitted.wait()
    except BaseException:
        submitted.cancel()
        raise
    finally:
        if replaced is not None:
            signal.signal(signal.SIGTERM, replaced)
    if not succeeded:
        raise ExecutionException(f"Run (ID '{submitted.run_id}') failed")


def _raise_on_terminate():
    """Turns TERM into an exit, where nobody else hears it. Returns the handler before."""
    if threading.current_thread() is not threading.main_thread():
        return None
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        return None

    def heard(number, _frame):
        raise SystemExit(128 + number)

    return signal.signal(signal.SIGTERM, heard)
