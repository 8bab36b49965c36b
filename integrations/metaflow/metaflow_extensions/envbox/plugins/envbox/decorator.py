"""`@envbox` and `@envbox_base`: Metaflow's hooks, and nothing else.

| hook | process | what |
|---|---|---|
| `flow_init` | both | `@envbox_base` puts `@envbox` on every step |
| `step_init` | both | what the step wants; in a task, the clock of Metaflow's books |
| `runtime_init` | launcher | environments are locked before any task starts; `resume` compares |
| `runtime_step_cli` | launcher | the command line of a task |
| `task_pre_step` | task | the task's metadata |
| `runtime_finished` | launcher | cards of the type `envbox` get the reports of the records |
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any, Dict, List, Optional

from metaflow.decorators import FlowDecorator, StepDecorator
from metaflow.metadata_provider import MetaDatum
from metaflow.system_context import ExecutionPhase

from . import binary, code, command, locked, manifest, origin, records, report, seeds
from .clock import STARTED, keep_host_time
from .errors import EnvboxArgument
from .wanted import DEFAULTS, Wanted, wanted

# Decorators whose tasks run elsewhere: there the environment's `executable` decides.
REMOTE = {"batch", "kubernetes", "nvct", "nvidia", "skypilot_step", "slurm", "snowpark"}


class EnvboxDecorator(StepDecorator):
    """
    Runs the step in a locked environment, in a sandbox.

    Parameters
    ----------
    packages : Dict[str, str], default {}
        Packages of PyPI, with their versions as in `@pypi`.
    libraries : Dict[str, str], default {}
        Another name for `packages`, as in `@conda`.
    conda_packages : Dict[str, str], default {}
        Packages of conda, from the channels in CONDA_CHANNELS or else conda-forge.
    debian_packages : List[str], default []
        Packages of Debian: shared libraries, programs.
    python : str, optional, default None
        Version of Python; None is the minor version of the launcher's.
    manifest : str, optional, default None
        An `envbox.toml` instead of all those, with its lockfile beside it.
    env : Dict[str, str] or List[str], default {}
        Variables for the step, or names of those to pass on.
    network : bool, default False
        Whether the step sees the host's network.
    seed : int, optional, default None
        Another world: each task's seed follows from it.
    cpus : int, optional, default None
        How many processors the step sees; None is what `@resources` says, or the manifest.
    clock : str, optional, default None
        `logical`, `frozen`, `ticking` or `real`; None is `real` with a network, else the manifest's.
    writable : bool, default False
        Whether the step may write to the flow's directory.
    strict : bool, default False
        Whether `resume` refuses an origin run whose lockfile was another.
    disabled : bool, default False
        If set to True, the step runs as if it had no such decorator.
    """

    name = "envbox"
    defaults = DEFAULTS

    wanted: Wanted
    # Until `step_init` was called, which `spin` leaves out where it drops a decorator.
    superseded = True

    def step_init(
        self, flow, graph, step_name, decorators, environment, flow_datastore, logger
    ) -> None:
        self.step, self.graph = step_name, graph
        self.flow, self.datastore, self.logger = flow, flow_datastore, logger
        others = [d for d in decorators if isinstance(d, EnvboxDecorator) and d is not self]
        # `--environment=envbox` adds this one beside an `@envbox_conda` that stands in the flow.
        self.superseded = not self.statically_defined and any(d.statically_defined for d in others)
        self.remote = any(d.name in REMOTE for d in decorators)
        cards = [d.attributes["type"] for d in decorators if d.name == "card"]
        self.has_card = report.CARD in cards
        self.recorded: Dict[str, str] = {}
        self.resources = next((d for d in decorators if d.name == "resources"), None)
        base = _base_attributes(flow)
        self.wanted = wanted(step_name, self.attributes_of_packages(), base)
        if self.active and in_sandbox():
            keep_host_time(os.environ.get("METAFLOW_ENVBOX_ROOT", "/tmp"))

        if self.active and self.remote and environment.TYPE != "envbox" and launching(self):
            raise EnvboxArgument(
                step_name,
                "a step that runs elsewhere is in envbox only with `--environment=envbox`.",
            )

    @property
    def cpus(self) -> Optional[int]:
        """How many processors the step sees, if it says so."""
        return self.wanted.cpus or _cpus(self.resources)

    @property
    def closes_foreach(self) -> bool:
        """Whether the step joins what a foreach split."""
        return seeds.closes_foreach(self.graph, self.step)

    def attributes_of_packages(self) -> Dict[str, Any]:
        """Returns the attributes, with `packages` being those of PyPI."""
        return self.attributes

    @property
    def active(self) -> bool:
        """Whether this decorator decides over the step."""
        return not self.superseded and not self.wanted.disabled

    def runtime_init(self, flow, graph, package, run_id) -> None:
        if not self.active or self.remote:
            return
        self.locked = self.lock()
        if self.wanted.manifest is None:
            locked.try_out(self.locked, self.step)
        origin.compare_with_origin(
            flow.name, self.step, self.locked.digest, self.wanted.strict, self.tell
        )
        self.package = package
        self.place = command.Place(
            code=code.unpack(package, local_root(self.logger)),
            local_root=local_root(self.logger),
            flow_directory=os.path.dirname(os.path.abspath(sys.argv[0])),
            current_directory=os.getcwd(),
        )

    def lock(self) -> locked.Locked:
        """Returns the step's environment, locked."""
        if self.wanted.manifest is not None:
            needed = manifest.needed_by_metaflow(self.datastore.TYPE)
            return locked.lock_given(self.wanted.manifest, needed, self.step, self.tell)
        return locked.lock_generated(
            local_root(self.logger), self.manifest_text(), self.step, self.tell
        )

    def manifest_text(self) -> str:
        """Returns the manifest of the step's environment."""
        # The variable is conda's own; `@conda` hands it to micromamba.
        channels = os.environ.get("CONDA_CHANNELS", "").replace(",", " ").split()
        return manifest.manifest_text(self.wanted, self.datastore.TYPE, channels)

    def runtime_step_cli(self, cli_args, retry_count, max_user_code_retries, ubf_context) -> None:
        if not self.active or self.remote:
            return
        task = self.described(cli_args, retry_count)
        self.set_variables(cli_args, task)
        envbox, own = binary.binary(), cli_args.get_args

        def in_the_sandbox() -> List[str]:
            # The interpreter is the environment's, whichever stood there.
            cli_args.entrypoint[0] = "python"
            before = command.prefix(
                envbox, self.place, self.locked, self.wanted, task, cli_args
            )
            return before + own()

        cli_args.get_args = in_the_sandbox

    def described(self, cli_args: Any, attempt: int) -> command.Task:
        """Returns what is peculiar to this attempt."""
        task, flow = cli_args.task, self.flow.name
        if getattr(cli_args, "spin_pathspec", None):
            place = seeds.place_of_spun(cli_args.spin_pathspec)
        else:
            place = seeds.place_in_flow(task, self.datastore, self.closes_foreach)
        names = (flow, str(task.run_id), task.step, str(task.task_id))
        record = os.path.join(self.place.local_root, records.record_path(*names, attempt))
        os.makedirs(os.path.dirname(record), exist_ok=True)
        # Of several attempts the last one's is the task's card.
        self.recorded["/".join(names)] = record
        return command.Task(
            seed=seeds.task_seed(self.wanted.seed, task.step, place),
            cpus=self.cpus,
            remote_services=task.datastore_type not in ("local", "spin")
            or task.metadata_type == "service",
            record=record,
            tag=records.record_tag(*names, attempt),
        )

    def runtime_finished(self, exception) -> None:
        # `spin` calls this also where it left out `step_init`.
        if self.superseded or not self.has_card:
            return
        for pathspec, record in self.recorded.items():
            report.complete(self.datastore, pathspec, record, self.tell)

    def set_variables(self, cli_args: Any, task: command.Task) -> None:
        """Tells the task what it cannot know."""
        from metaflow.util import get_username

        root = self.place.local_root
        cli_args.env.update(code.variables(self.package))
        told = {
            records.LOCK_DIGEST: self.locked.digest,
            records.SEED: str(task.seed),
            records.RECORD: os.path.relpath(task.record, root),
            records.TAG: task.tag,
        }
        cli_args.env.update({records.FIELDS[field]: value for field, value in told.items()})
        # Inside, the user is another, the home is empty, and `/tmp` is the task's own.
        cli_args.env["METAFLOW_USER"] = get_username() or "envbox"
        cli_args.env["METAFLOW_ENVBOX_ROOT"] = root
        cli_args.env["METAFLOW_DATASTORE_SYSROOT_LOCAL"] = os.path.dirname(root)
        # The first two are the current directory by default, which is read-only; or else paths outside.
        cli_args.env["METAFLOW_TEMPDIR"] = "/tmp"
        cli_args.env["METAFLOW_ARTIFACT_LOCALROOT"] = "/tmp"
        cli_args.env["METAFLOW_CLIENT_CACHE_PATH"] = "/tmp/metaflow_client"
        if task.remote_services or self.wanted.network:
            cli_args.env["METAFLOW_HOME"] = command.metaflow_home()
        if command.held_clock(self.wanted, task.remote_services) != "real":
            cli_args.env[STARTED] = repr(time.time())

    def task_pre_step(
        self,
        step_name,
        task_datastore,
        metadata,
        run_id,
        task_id,
        flow,
        graph,
        retry_count,
        max_user_code_retries,
        ubf_context,
        inputs,
    ) -> None:
        if not self.active or not in_sandbox():
            return
        told = {field: os.environ.get(name) for field, name in records.FIELDS.items()}
        tags = ["attempt_id:%d" % retry_count]
        data = [
            MetaDatum(field=field, value=value, type=field, tags=tags)
            for field, value in told.items()
            if value
        ]
        metadata.register_metadata(run_id, step_name, task_id, data)

    def tell(self, message: str) -> None:
        """Says something to who started the run."""
        self.logger("[envbox] " + message, system_msg=True)


class EnvboxCondaDecorator(EnvboxDecorator):
    """
    `@envbox` whose `packages` are those of conda: what a `@conda` becomes.
    """

    name = "envbox_conda"

    def attributes_of_packages(self) -> Dict[str, Any]:
        return _as_conda(self.attributes)


class EnvboxBaseDecorator(FlowDecorator):
    """
    What `@envbox` says for all steps of the flow. Steps add to it, and overrule it.
    """

    name = "envbox_base"
    step_decorator = "envbox"
    defaults = DEFAULTS

    def flow_init(
        self, flow, graph, environment, flow_datastore, metadata, logger, echo, options
    ) -> None:
        from metaflow import decorators

        names = [self.step_decorator]
        decorators._attach_decorators(flow, names)
        decorators._process_late_attached_decorator(
            names, flow, graph, environment, flow_datastore, logger
        )


class EnvboxCondaBaseDecorator(EnvboxBaseDecorator):
    """
    `@envbox_base` whose `packages` are those of conda: what a `@conda_base` becomes.
    """

    name = "envbox_conda_base"
    step_decorator = "envbox_conda"


def launching(decorator: StepDecorator) -> bool:
    """Says whether this is the process that starts the flow, and neither a task nor on its behalf."""
    return decorator.system_ctx.phase == ExecutionPhase.LAUNCH


def in_sandbox() -> bool:
    """Says whether this process is a task in envbox."""
    return os.environ.get("ENVBOX") == "1"


def local_root(logger: Any) -> str:
    """Returns the root of the local datastore, which the launcher has also beside a remote one."""
    from metaflow.plugins.datastores.local_storage import LocalStorage

    root = LocalStorage.get_datastore_root_from_config(lambda text: logger(text, system_msg=True))
    return os.path.abspath(str(root))


def _base_attributes(flow: Any) -> Dict[str, Any]:
    merged: Dict[str, Any] = {}
    for name, as_meant in (("envbox_base", dict), ("envbox_conda_base", _as_conda)):
        for decorator in flow._flow_decorators.get(name, []):
            merged.update(as_meant(decorator.attributes))
    return merged


def _as_conda(attributes: Dict[str, Any]) -> Dict[str, Any]:
    packages = {
        **(attributes.get("libraries") or {}),
        **(attributes.get("packages") or {}),
        **(attributes.get("conda_packages") or {}),
    }
    return {**attributes, "packages": {}, "libraries": {}, "conda_packages": packages}


def _cpus(resources: Any) -> Optional[int]:
    if resources is None or resources.attributes.get("cpu") is None:
        return None
    return max(1, int(float(resources.attributes["cpu"])))
