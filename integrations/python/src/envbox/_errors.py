"""What can go wrong, with what a program needs to decide and a person to act."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional, Sequence

if TYPE_CHECKING:
    from ._documents import RunResult


class EnvboxError(Exception):
    """envbox failed: the step did not start, or what was asked for was not done.

    `exit_code` is as in the table of docs/interface.md, negative for a signal, and None where the
    program never ended by itself. `kind` is one of `user`, `stale`, `host`, `network`, `integrity`
    and `internal`, and `hints` say what to do.
    """

    def __init__(
        self,
        message: str,
        *,
        exit_code: Optional[int] = None,
        kind: str = "internal",
        causes: Sequence[str] = (),
        hints: Sequence[str] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code
        self.kind = kind
        self.causes = tuple(causes)
        self.hints = tuple(hints)

    def __str__(self) -> str:
        lines = [self.message]
        lines += [f"caused by: {cause}" for cause in self.causes]
        lines += [f"hint: {hint}" for hint in self.hints]
        return "\n".join(lines)


class ProgramNotFound(EnvboxError):
    """There is no program `envbox`, or it cannot be executed."""


class InterfaceMismatch(EnvboxError):
    """The program speaks an interface that this package does not know."""

    def __init__(self, program: str, found: Optional[str], known: Sequence[str]) -> None:
        spoken = "no interface that it names" if found is None else f"`{found}`"
        names = ", ".join(f"`{name}`" for name in known)
        super().__init__(
            f"`{program}` speaks {spoken}, and this package knows {names}",
            kind="user",
            hints=[
                "install package and program of one version, as one wheel has them, and unset "
                "ENVBOX if it names another program"
            ],
        )
        self.program = program
        self.found = found
        self.known = tuple(known)


class DocumentError(EnvboxError):
    """The program printed something else than its schema says."""


class StepFailed(EnvboxError):
    """The step's command failed, or its outputs could not be written. `result` has all of it."""

    def __init__(self, result: RunResult) -> None:
        super().__init__(_how(result), exit_code=result.exit_code, kind="user")
        self.result = result


class StepTimeout(EnvboxError, TimeoutError):
    """The step did not end in time."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the step did not end within {seconds:g} s", kind="user")
        self.seconds = seconds


def _how(result: RunResult) -> str:
    command = " ".join(result.argv)
    if result.failed_by == "envbox":
        reason = result.not_written or "see `changes`"
        return f"what `{command}` made could not be written to the project: {reason}"
    if result.exit.signal is not None:
        return f"`{command}` died of signal {result.exit.signal}"
    return f"`{command}` ended with status {result.exit.code}"
