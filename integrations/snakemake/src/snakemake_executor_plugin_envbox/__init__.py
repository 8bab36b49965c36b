"""`snakemake --executor envbox`: each job, as a whole, in the sandbox.

For rules with `run:`, whose code Snakemake itself executes and for which it refuses `container:`.
The environment must therefore have `snakemake` among its requirements, in the same version.
"""

import asyncio
import os
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from snakemake_envbox.apptainer import find_envbox
from snakemake_envbox.reference import Reference, ReferenceError
from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor
from snakemake_interface_executor_plugins.settings import CommonSettings, ExecutorSettingsBase

# How long a job has to end by itself after TERM, as the schedulers of clusters give it.
_GRACE_SECONDS = 5


@dataclass
class ExecutorSettings(ExecutorSettingsBase):
    environment: Path = field(
        default=Path("."),
        metadata={"help": "Directory, manifest or lockfile of the environment for all jobs"},
    )


common_settings = CommonSettings(
    non_local_exec=True,
    implies_no_shared_fs=False,
    job_deploy_sources=False,
    pass_default_storage_provider_args=True,
    pass_default_resources_args=True,
    # Variables are given to envbox, so that they are in no command line.
    pass_envvar_declarations_to_cmd=False,
    auto_deploy_default_storage_provider=False,
)


class Executor(RemoteExecutor):
    """Starts jobs as processes of this machine and looks when they end."""

    def __post_init__(self):
        try:
            reference = Reference.to(Path(self.workflow.executor_settings.environment).resolve())
            self._prefix = [find_envbox(), "run", "--frozen", "--no-record"]
            self._prefix += ["--die-with-parent", "--no-pty"]
            self._prefix += ["--manifest", str(reference.manifest)]
        except ReferenceError as error:
            raise WorkflowError(f"envbox: {error}") from None

    def get_python_executable(self) -> str:
        return "python"

    def run_job(self, job) -> None:
        directory = os.getcwd()
        argv = [*self._prefix, "--bind-rw", directory, "--workdir", directory]
        sources = Path(self.get_snakefile()).resolve().parent
        if not sources.is_relative_to(directory):
            argv += ["--bind", str(sources)]
        # Marks of jobs that Snakemake waits for.
        argv += ["--bind", str(self.tmpdir)]
        # Where the job reads, and keeps, the sources of the workflow.
        argv += ["--bind-rw", str(self.workflow.sourcecache.runtime_cache_path)]
        environment = dict(os.environ)
        for name, value in self.envvars().items():
            environment[name] = value
            argv += ["--env", name]
        command = self.format_job_exec(job)
        self.logger.debug(command)
        process = subprocess.Popen(
            [*argv, "--", "bash", "-c", command], stdin=subprocess.DEVNULL, env=environment
        )
        info = SubmittedJobInfo(job, external_jobid=str(process.pid), aux={"process": process})
        self.report_job_submission(info)

    async def check_active_jobs(self, active_jobs):
        for info in active_jobs:
            status = info.aux["process"].poll()
            if status is None:
                yield info
            elif status == 0:
                self.report_job_success(info)
            else:
                self.report_job_error(info, msg=_ended(status))

    async def sleep(self):
        # A look costs one system call for a job.
        await asyncio.sleep(0.1)

    def cancel_jobs(self, active_jobs) -> None:
        processes = [info.aux["process"] for info in active_jobs]
        for process in processes:
            process.send_signal(signal.SIGTERM)
        for process in processes:
            try:
                process.wait(_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                # The sandbox ends with its supervisor: nothing of the job is left.
                process.kill()
                process.wait()


def _ended(status: int) -> str:
    if status < 0:
        return f"the job died of signal {-status}. "
    if status == 125:
        return "envbox could not run the job: the reason is above. "
    return f"the job ended with status {status}. "
