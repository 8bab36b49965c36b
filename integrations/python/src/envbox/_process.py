"""envbox at work: one process, whose words are read as they come, and which never outlives us."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import threading
import time
from collections import deque
from dataclasses import replace
from types import FrameType, TracebackType
from typing import (
    Any,
    Callable,
    ClassVar,
    Deque,
    Dict,
    Iterator,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    Type,
    TypeVar,
)

from ._decode import decode
from ._documents import Event, RunResult
from ._errors import EnvboxError, ProgramNotFound, StepTimeout
from ._program import checked

_S = TypeVar("_S", bound="Process")
# How long what runs has to end by itself after TERM.
GRACE_SECONDS = 5.0
# How long an end may go unnoticed that closes no pipe: when a fork of this process holds one too.
_SLICE_SECONDS = 0.5
_READ_BYTES = 65536
# What would end a Python program at once. INT is an exception, KILL is seen by envbox itself.
_HANDED_ON = (signal.SIGTERM, signal.SIGHUP)


class Process:
    """A command of envbox that runs. As a context, it ends the command when it is left early."""

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        events: bool,
        stdin: Any = None,
        capture: Tuple[bool, bool] = (False, False),
        on_event: Optional[Callable[[Event], None]] = None,
    ) -> None:
        self._selector = selectors.DefaultSelector()
        self._told: Deque[Event] = deque()
        self._on_event = on_event
        self._unfinished = b""
        self._captured: Dict[str, List[bytes]] = {}
        program = checked()
        argv, reader, writer = [program], -1, -1
        if events:
            reader, writer = os.pipe()
            argv += ["--events", f"fd:{writer}"]
        pipes = [subprocess.PIPE if wanted else None for wanted in capture]
        try:
            self._process = subprocess.Popen(
                [*argv, *arguments],
                stdin=stdin,
                stdout=pipes[0],
                stderr=pipes[1],
                pass_fds=(writer,) if events else (),
            )
        except BaseException as error:
            self._selector.close()
            if events:
                os.close(reader)
            if isinstance(error, OSError):
                raise ProgramNotFound(f"`{program}` cannot be executed: {error}") from error
            raise
        finally:
            if events:
                os.close(writer)
        if events:
            self._watch(reader, self._hear)
        for name, pipe in (("stdout", self._process.stdout), ("stderr", self._process.stderr)):
            if pipe is not None:
                kept = self._captured[name] = []
                self._watch(os.dup(pipe.fileno()), kept.append)
                pipe.close()

    @property
    def pid(self) -> int:
        """The process number of envbox, which passes signals on to the step."""
        return self._process.pid

    def send_signal(self, number: int) -> None:
        """Sends a signal, if it still runs."""
        self._process.send_signal(number)

    def end(self, grace: float = GRACE_SECONDS) -> None:
        """Ends it and all that it started: by TERM, and `grace` seconds later by KILL."""
        # It may be what failed.
        self._on_event = None
        try:
            self._process.terminate()
            if self._read(time.monotonic() + grace, _never):
                return
        except BaseException:
            self._kill()
            raise
        self._kill()

    def events(self) -> Iterator[Event]:
        """What happens, as it happens, until the end."""
        more = True
        while more:
            more = not self._read(None, lambda: bool(self._told))
            while self._told:
                yield self._told.popleft()

    def __enter__(self: _S) -> _S:
        _Signals.take(self)
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        try:
            if self._process.poll() is None:
                self.end()
        finally:
            self._close()
            _Signals.give_back(self)

    def _kill(self) -> None:
        # The sandbox ends with its supervisor.
        self._process.kill()
        self._read(None, _never)

    def _watch(self, descriptor: int, take: Callable[[bytes], None]) -> None:
        os.set_blocking(descriptor, False)
        self._selector.register(descriptor, selectors.EVENT_READ, take)

    def _read(self, until: Optional[float], enough: Callable[[], bool]) -> bool:
        """Reads until the end. Says False if `enough` came before it, or the time `until`."""
        while self._process.poll() is None:
            if enough():
                return False
            left = _SLICE_SECONDS
            if until is not None:
                left = min(left, until - time.monotonic())
                if left <= 0:
                    return False
            if not self._selector.get_map():
                # All is said; what is left is the end itself.
                self._wait(left)
                continue
            for key, _ in self._selector.select(left):
                self._take(key)
        self._close()
        return True

    def _wait(self, seconds: float) -> None:
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            pass

    def _take(self, key: selectors.SelectorKey) -> bool:
        """Reads once, and says whether there may be more."""
        try:
            data = os.read(key.fd, _READ_BYTES)
        except BlockingIOError:
            return False
        if not data:
            self._selector.unregister(key.fd)
            os.close(key.fd)
            return False
        key.data(data)
        return True

    def _close(self) -> None:
        """Reads what is left in the pipes, and closes them."""
        for key in list((self._selector.get_map() or {}).values()):
            while self._take(key):
                pass
            if key.fd in (self._selector.get_map() or {}):
                self._selector.unregister(key.fd)
                os.close(key.fd)
        self._selector.close()

    def _hear(self, data: bytes) -> None:
        *lines, self._unfinished = (self._unfinished + data).split(b"\n")
        for line in lines:
            event = decode(Event, json.loads(line))
            self._happened(event)
            if self._on_event is None:
                self._told.append(event)
            else:
                self._on_event(event)

    def _happened(self, event: Event) -> None:
        """For those who want to know before the caller does."""

    def _said(self, name: str) -> Optional[bytes]:
        kept = self._captured.get(name)
        return None if kept is None else b"".join(kept)

    def _failure(self) -> EnvboxError:
        """What is to be said when envbox said nothing."""
        status = self._process.returncode
        if status < 0:
            return EnvboxError(
                f"envbox was ended by signal {-status} before it could say what happened",
                exit_code=status,
            )
        said = (self._said("stderr") or b"").decode(errors="replace").strip()
        return EnvboxError(
            f"envbox ended with status {status} and said no result",
            exit_code=status,
            # The command line is read before the events begin.
            kind="user" if status == 2 else "internal",
            causes=[said] if said else [],
            hints=[] if said else ["see standard error, where it says why"],
        )


class Step(Process):
    """A step that runs, of `start`.

    Leaving its context ends the step, if it has not ended. TERM and HUP, which would end this
    program, are passed on to the step while its context lasts, and end the program after it, when
    they have no handler and the context is in the main thread.
    """

    _result: Optional[Mapping[str, Any]] = None

    def wait(self, timeout: Optional[float] = None) -> RunResult:
        """Waits for the end. After `timeout` seconds it raises `StepTimeout`; the step goes on."""
        until = None if timeout is None else time.monotonic() + timeout
        if not self._read(until, _never):
            raise StepTimeout(timeout or 0.0)
        if self._result is None:
            raise self._failure()
        error = self._result.get("error")
        if error is not None:
            raise failure(error, error.get("exit_status"))
        result = decode(RunResult, self._result)
        return replace(result, stdout=self._said("stdout"), stderr=self._said("stderr"))

    def _happened(self, event: Event) -> None:
        # Only the last is of the run; those that fail otherwise say an error instead.
        if event.type == "result" and event.result is not None:
            if event.result.get("schema") == "envbox.result/1":
                self._result = event.result


class _Signals:
    """What would end this program, handed on to all that runs first."""

    _running: ClassVar[List[Process]] = []
    _taken: ClassVar[List[signal.Signals]] = []
    _heard: ClassVar[Optional[int]] = None

    @classmethod
    def take(cls, process: Process) -> None:
        """Hands on to a process from now on, where this is the thread that has the handlers."""
        if threading.current_thread() is not threading.main_thread():
            return
        cls._running.append(process)
        for number in _HANDED_ON:
            # Who has a handler of their own decides there.
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, cls._hand_on)
                cls._taken.append(number)

    @classmethod
    def give_back(cls, process: Process) -> None:
        """Ends that. After the last, what was heard does to this program what it would have."""
        if process not in cls._running:
            return
        cls._running.remove(process)
        if cls._running:
            return
        while cls._taken:
            signal.signal(cls._taken.pop(), signal.SIG_DFL)
        heard, cls._heard = cls._heard, None
        if heard is not None:
            os.kill(os.getpid(), heard)

    @classmethod
    def _hand_on(cls, number: int, _frame: Optional[FrameType]) -> None:
        cls._heard = number
        for process in cls._running:
            process.send_signal(number)


def failure(error: Mapping[str, Any], exit_code: Optional[int]) -> EnvboxError:
    """Makes an exception of what envbox says of its failure."""
    return EnvboxError(
        str(error.get("message", "envbox failed")),
        exit_code=exit_code,
        kind=str(error.get("kind", "internal")),
        causes=[str(cause) for cause in error.get("causes", ())],
        hints=[str(hint) for hint in error.get("hints", ())],
    )


def _never() -> bool:
    return False
