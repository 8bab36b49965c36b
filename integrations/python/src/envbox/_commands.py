"""The commands, each a function that returns its document."""

from __future__ import annotations

import json
import os
from typing import IO, Any, Callable, List, Mapping, Optional, Sequence, Type, TypeVar, Union

from ._decode import decode
from ._documents import (
    BuildResult,
    DoctorResult,
    Event,
    KeyResult,
    LockResult,
    RunRecord,
    RunResult,
    Runs,
    VerifyResult,
)
from ._process import Process, Step, failure

Path = Union[str, "os.PathLike[str]"]
OnEvent = Optional[Callable[[Event], None]]
_D = TypeVar("_D")


class _Document(Process):
    """A command that prints a document and ends."""

    def read(self, shape: Type[_D]) -> _D:
        self._read(None, lambda: False)
        try:
            document: Any = json.loads(self._said("stdout") or b"")
        except ValueError:
            raise self._failure() from None
        if isinstance(document, dict) and document.get("schema") == "envbox.error/1":
            raise failure(document, document.get("exit_code"))
        return decode(shape, document)


def start(
    command: Sequence[Path],
    *,
    project: Optional[Path] = None,
    manifest: Optional[Path] = None,
    frozen: bool = False,
    offline: bool = False,
    network: Optional[str] = None,
    bind: Sequence[str] = (),
    bind_rw: Sequence[str] = (),
    env: Optional[Mapping[str, str]] = None,
    seed: Optional[int] = None,
    workdir: Optional[Path] = None,
    record: Optional[Path] = None,
    options: Sequence[str] = (),
    stdin: Union[None, int, IO[Any]] = None,
    capture: bool = False,
    on_event: OnEvent = None,
) -> Step:
    """Starts a step; use it as a context.

    `env` is added to what the manifest gives the step, which sees nothing of this process's own.
    `options` are further options of `envbox run`, as on its command line. Output goes where this
    process's goes, or with `capture` into the result. Events go to `on_event`, from within `wait`
    or `events`, or are kept for `Step.events`.
    """
    arguments = _globals(project, manifest, offline)
    arguments += ["run", "--die-with-parent"]
    arguments += ["--frozen"] if frozen else []
    arguments += _option("--network", network) + _option("--workdir", workdir)
    arguments += _option("--record", record)
    arguments += _sight(bind, bind_rw, env, seed)
    return Step(
        [*arguments, *options, "--", *_paths(command)],
        events=True,
        stdin=stdin,
        capture=(capture, capture),
        on_event=on_event,
    )


def run(
    command: Sequence[Path],
    *,
    timeout: Optional[float] = None,
    project: Optional[Path] = None,
    manifest: Optional[Path] = None,
    frozen: bool = False,
    offline: bool = False,
    network: Optional[str] = None,
    bind: Sequence[str] = (),
    bind_rw: Sequence[str] = (),
    env: Optional[Mapping[str, str]] = None,
    seed: Optional[int] = None,
    workdir: Optional[Path] = None,
    record: Optional[Path] = None,
    options: Sequence[str] = (),
    stdin: Union[None, int, IO[Any]] = None,
    capture: bool = False,
    on_event: OnEvent = None,
) -> RunResult:
    """Runs a step to its end and returns what became of it, also when the command failed.

    Parameters are those of `start`. A step that takes more than `timeout` seconds is ended, by
    TERM and 5 s later by KILL, and `StepTimeout` is raised. Whatever ends this function ends the
    step; so does the end of this process, whatever its cause.
    """
    step = start(
        command,
        project=project,
        manifest=manifest,
        frozen=frozen,
        offline=offline,
        network=network,
        bind=bind,
        bind_rw=bind_rw,
        env=env,
        seed=seed,
        workdir=workdir,
        record=record,
        options=options,
        stdin=stdin,
        capture=capture,
        on_event=on_event,
    )
    with step:
        return step.wait(timeout)


def key(
    command: Sequence[Path],
    *,
    project: Optional[Path] = None,
    manifest: Optional[Path] = None,
    bind: Sequence[str] = (),
    bind_rw: Sequence[str] = (),
    env: Optional[Mapping[str, str]] = None,
    seed: Optional[int] = None,
    options: Sequence[str] = (),
) -> KeyResult:
    """Returns the digest that decides whether a step must run again, and what it is of."""
    sight = _sight(bind, bind_rw, env, seed)
    arguments = [*_globals(project, manifest), "key", *sight, *options]
    return _read(KeyResult, [*arguments, "--", *_paths(command)])


def lock(
    *,
    project: Optional[Path] = None,
    manifest: Optional[Path] = None,
    check: bool = False,
    upgrade: Union[bool, Sequence[str]] = False,
    offline: bool = False,
    options: Sequence[str] = (),
    on_event: OnEvent = None,
) -> LockResult:
    """Brings the lockfile up to date, or with `check` raises an error of kind `stale` if it is not.

    `upgrade` lets all packages, or those of these names, move to their newest versions.
    """
    arguments = [*_globals(project, manifest, offline), "lock"]
    arguments += ["--check"] if check else []
    if isinstance(upgrade, bool):
        arguments += ["--upgrade"] if upgrade else []
    else:
        arguments += _repeated("--upgrade-package", upgrade)
    return _read(LockResult, [*arguments, *options], on_event)


def build(
    *,
    project: Optional[Path] = None,
    manifest: Optional[Path] = None,
    output: Optional[str] = None,
    push: Optional[str] = None,
    frozen: bool = False,
    offline: bool = False,
    options: Sequence[str] = (),
    on_event: OnEvent = None,
) -> BuildResult:
    """Builds the image of the environment; `output` is `oci:DIR`, for instance."""
    arguments = [*_globals(project, manifest, offline), "build"]
    arguments += ["--frozen"] if frozen else []
    arguments += _option("--output", output) + _option("--push", push)
    return _read(BuildResult, [*arguments, *options], on_event)


def verify(
    command: Sequence[Path],
    *,
    project: Optional[Path] = None,
    manifest: Optional[Path] = None,
    count: Optional[int] = None,
    against: Optional[str] = None,
    record: Optional[Path] = None,
    env: Optional[Mapping[str, str]] = None,
    seed: Optional[int] = None,
    options: Sequence[str] = (),
    on_event: OnEvent = None,
) -> VerifyResult:
    """Runs a command `count` times while the host is varied; the `verdict` says if it is the same."""
    arguments = [*_globals(project, manifest), "verify", *_sight((), (), env, seed)]
    arguments += _option("--runs", count) + _option("--against", against)
    arguments += [*_option("--record", record), *options, "--", *_paths(command)]
    return _read(VerifyResult, arguments, on_event)


def doctor() -> DoctorResult:
    """Says what this host can do, also when that is too little."""
    return _read(DoctorResult, ["doctor"])


def runs(*, options: Sequence[str] = ()) -> Runs:
    """Returns the runs on record."""
    return _read(Runs, ["runs", *options])


def show(run: str) -> RunRecord:
    """Returns the record of a run, by its id, its tag, or its place in the list: `@1`."""
    return _read(RunRecord, ["show", run])


def _read(shape: Type[_D], arguments: List[str], on_event: OnEvent = None) -> _D:
    command = _Document(
        ["--json", *arguments],
        events=on_event is not None,
        capture=(True, False),
        on_event=on_event,
    )
    with command:
        return command.read(shape)


def _globals(
    project: Optional[Path], manifest: Optional[Path], offline: bool = False
) -> List[str]:
    arguments = _option("--project", project) + _option("--manifest", manifest)
    return [*arguments, "--offline"] if offline else arguments


def _sight(
    bind: Sequence[str],
    bind_rw: Sequence[str],
    env: Optional[Mapping[str, str]],
    seed: Optional[int],
) -> List[str]:
    variables = [f"{name}={value}" for name, value in (env or {}).items()]
    arguments = _repeated("--bind", bind) + _repeated("--bind-rw", bind_rw)
    return arguments + _repeated("--env", variables) + _option("--seed", seed)


def _paths(paths: Sequence[Path]) -> List[str]:
    return [os.fspath(path) for path in paths]


def _option(name: str, value: Union[None, int, Path]) -> List[str]:
    # With `=`, so that no value is taken for an option.
    if value is None:
        return []
    return [f"{name}={value if isinstance(value, int) else os.fspath(value)}"]


def _repeated(name: str, values: Sequence[str]) -> List[str]:
    return [f"{name}={value}" for value in values]
