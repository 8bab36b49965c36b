"""The documents of envbox, field by field as in docs/schemas.

Fields whose default is None are not there at all in some documents. Words of an enumeration are
plain strings: a later envbox may have more. `document` is the whole, as it came.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Mapping, Optional, Tuple

from ._decode import OURS
from ._errors import StepFailed


@dataclass(frozen=True)
class _Document:
    document: Mapping[str, Any] = field(repr=False, compare=False)
    schema: str


@dataclass(frozen=True)
class Version(_Document):
    """`envbox.version/1`."""

    envbox: str
    interface: str


@dataclass(frozen=True)
class Exit:
    """How a command ended: exactly one of both is set."""

    code: Optional[int] = None
    signal: Optional[int] = None


@dataclass(frozen=True)
class CpuidState:
    """Whether the instruction CPUID told of a fixed processor."""

    state: str
    why: Any = None


@dataclass(frozen=True)
class Isolation:
    """What was in force. `epoch` is a time of RFC 3339."""

    namespaces: Tuple[str, ...]
    network: str
    project: str
    hostname: str
    seed: int
    epoch: str
    clock: str
    cpus: int
    cpu_baseline: str
    cpuid: CpuidState
    file_status: str
    kernel: str


@dataclass(frozen=True)
class Binding:
    """A path of the host that the step saw."""

    source: str
    target: str
    writable: bool


@dataclass(frozen=True)
class Hold:
    """What became of a source of nondeterminism, without namespaces."""

    source: str
    state: str
    by: str


@dataclass(frozen=True)
class Held:
    """What was set in a library that the step imported, and read back."""

    library: str
    version: str
    name: str
    wanted: str
    found: str
    state: str


@dataclass(frozen=True)
class Usage:
    """What a step used: times in microseconds, memory in bytes."""

    wall_us: int
    user_us: int
    system_us: int
    max_rss: int


@dataclass(frozen=True)
class Change:
    """What a step changed in the project; `fate` says whether it is there now."""

    path: str
    kind: str
    type: str
    fate: str
    path_hex: Optional[str] = None
    size: Optional[int] = None
    sha256: Optional[str] = None
    mode: Optional[str] = None
    target: Optional[str] = None
    beside: Optional[str] = None
    error: Optional[str] = None


@dataclass(frozen=True)
class Refused:
    """What a step left in the project that is no output."""

    path: str
    reason: str
    path_hex: Optional[str] = None


@dataclass(frozen=True)
class GpuCard:
    """A GPU; `memory` in bytes."""

    name: Optional[str]
    compute_capability: Optional[str]
    multiprocessors: Optional[int]
    memory: Optional[int]
    mig: bool


@dataclass(frozen=True)
class Gpu:
    """The GPUs that a step was given."""

    vendor: str
    driver: Optional[str]
    cards: Tuple[GpuCard, ...]


@dataclass(frozen=True)
class RunResult(_Document):
    """`envbox.result/1` of a step that ran.

    `failed_by` is None after success, `command`, or `envbox` when outputs could not be written.
    `stdout` and `stderr` are what was captured, if that was asked for.
    """

    envbox: str
    failed_by: Optional[str]
    run: str
    started: str
    argv: Tuple[str, ...]
    exit: Exit
    lock: str
    isolation: Isolation
    usage: Usage
    binds: Tuple[Binding, ...] = ()
    holds: Tuple[Hold, ...] = ()
    libraries: Tuple[Held, ...] = ()
    changes: Optional[Tuple[Change, ...]] = None
    refused: Tuple[Refused, ...] = ()
    missing: Tuple[str, ...] = ()
    not_written: Optional[str] = None
    kept: Optional[str] = None
    gpu: Optional[Gpu] = None
    stdout: Optional[bytes] = field(default=None, repr=False, metadata={OURS: True})
    stderr: Optional[bytes] = field(default=None, repr=False, metadata={OURS: True})

    @property
    def ok(self) -> bool:
        """Whether the command succeeded and its outputs are in the project."""
        return self.failed_by is None

    @property
    def exit_code(self) -> int:
        """As of `subprocess`: negative for a signal."""
        if self.failed_by == "envbox":
            return 125
        return -self.exit.signal if self.exit.signal is not None else self.exit.code or 0

    def check(self) -> RunResult:
        """Returns itself, or raises `StepFailed`."""
        if not self.ok:
            raise StepFailed(self)
        return self


@dataclass(frozen=True)
class Event:
    """`envbox.events/1`: something that happened. Which fields are set goes by `type`."""

    type: str
    time: str
    schema: Optional[str] = None
    interface: Optional[str] = None
    envbox: Optional[str] = None
    pid: Optional[int] = None
    stage: Optional[str] = None
    total: Optional[int] = None
    item: Optional[str] = None
    file: Optional[str] = None
    size: Optional[int] = None
    digest: Optional[str] = None
    run: Optional[str] = None
    code: Optional[int] = None
    signal: Optional[int] = None
    message: Optional[str] = None
    result: Optional[Mapping[str, Any]] = None


@dataclass(frozen=True)
class KeyBind:
    """A bind in a key: by its path, or by its content if that is declared."""

    source: Optional[str]
    writable: bool
    sha256: Optional[str]


@dataclass(frozen=True)
class KeyPolicy:
    """What the step may see."""

    access: str
    clock: str
    cpu_baseline: str = field(metadata={"name": "cpu-baseline"})
    cpuid: str
    cpus: int
    epoch: str
    file_status: str = field(metadata={"name": "file-status"})
    framework_knobs: Optional[Tuple[str, ...]] = field(metadata={"name": "framework-knobs"})
    hostname: str
    network: str
    outputs: Tuple[str, ...]
    seed: int


@dataclass(frozen=True)
class KeyParts:
    """All that a key is a digest of."""

    schema: str
    argv: Tuple[str, ...]
    argv0: Optional[str]
    directory: str
    code: Optional[str]
    lock: str
    platform: str
    data: Mapping[str, str]
    binds: Mapping[str, KeyBind]
    environment: Mapping[str, str]
    policy: KeyPolicy


@dataclass(frozen=True)
class KeyResult(_Document):
    """`envbox.key/1`: `key` decides whether the step must run again."""

    key: str
    parts: KeyParts
    not_held: Tuple[str, ...]


@dataclass(frozen=True)
class LockChange:
    """A package whose releases in the lockfile changed."""

    ecosystem: str
    name: str
    before: Tuple[str, ...]
    after: Tuple[str, ...]


@dataclass(frozen=True)
class LockResult(_Document):
    """`envbox.lock/1`; `python`, `conda` and `debian` are numbers of packages."""

    lockfile: str
    digest: str
    outcome: str
    reasons: Tuple[Mapping[str, Any], ...]
    changes: Tuple[LockChange, ...]
    python: int
    conda: int
    debian: int


@dataclass(frozen=True)
class ImageLayer:
    """A layer; sizes in bytes, as moved and as unpacked."""

    digest: str
    diff_id: str
    size: int
    unpacked: int
    packages: Tuple[str, ...]


@dataclass(frozen=True)
class Image:
    """The image for a platform; `bytes` is the size of all layers as they are moved."""

    platform: str
    digest: str
    image_id: str
    layers: Tuple[ImageLayer, ...]
    bytes: int


@dataclass(frozen=True)
class Published:
    """Where an image was pushed."""

    reference: str
    tags: Tuple[str, ...]
    present: int
    uploaded: int
    uploaded_bytes: int
    attested: bool
    signed: bool


@dataclass(frozen=True)
class BuildResult(_Document):
    """`envbox.build/1`; `digest` is that of the image, or of the index of several."""

    lock: str
    digest: str
    images: Tuple[Image, ...]
    written: Optional[str]
    pushed: Optional[Published]
    checked: bool


@dataclass(frozen=True)
class VerifyResult(_Document):
    """`envbox.verify/1`; `verdict` is `identical`, `diverged`, or `failed` in the same way each time."""

    envbox: str
    exit_code: int
    verdict: str
    argv: Tuple[str, ...]
    lock: str
    differences: Tuple[Mapping[str, Any], ...]
    cause: Optional[Mapping[str, Any]]
    suspects: Tuple[Mapping[str, Any], ...]
    against: Optional[Mapping[str, Any]]
    said: Tuple[str, ...]
    outputs: Tuple[Mapping[str, Any], ...]
    variations: Tuple[Mapping[str, Any], ...]
    runs: Tuple[Mapping[str, Any], ...]
    drawn: Tuple[Mapping[str, Any], ...]
    not_audited: Optional[str] = None


@dataclass(frozen=True)
class Check:
    """Something that a host can do, or not, and then perhaps a remedy."""

    name: str
    status: str
    found: str
    remedy: Optional[str]


@dataclass(frozen=True)
class DoctorResult(_Document):
    """`envbox.doctor/1`; `status` is `ok`, `degraded`, or `missing` if steps cannot run."""

    status: str
    checks: Tuple[Check, ...]


@dataclass(frozen=True)
class RunEntry:
    """A run in the list; `state` is `running`, `killed`, or how the step ended."""

    run: str
    tags: Tuple[str, ...]
    started: str
    project: Optional[str]
    argv: Tuple[str, ...]
    state: Any
    wall_us: Optional[int]
    outputs: Optional[int]


@dataclass(frozen=True)
class Runs(_Document):
    """`envbox.runs/1`: the newest first."""

    runs: Tuple[RunEntry, ...]
    more: bool
    unreadable: Tuple[str, ...]


@dataclass(frozen=True)
class TowerBlock:
    """A block of what a run stood on: `state` is `held`, `recorded` or `not-held`, and why."""

    state: str
    because: Tuple[str, ...]
    digest: str
    seen: Mapping[str, Any]
    noted: Mapping[str, Any]


@dataclass(frozen=True)
class Ended:
    """How a recorded run ended."""

    exit: Exit
    stdout: Optional[Mapping[str, Any]]
    stderr: Optional[Mapping[str, Any]]
    outputs: Optional[Tuple[Mapping[str, Any], ...]]
    usage: Usage
    warnings: Tuple[str, ...]


@dataclass(frozen=True)
class RunRecord(_Document):
    """`envbox.run/1`: the record of a run; `ended` is None while it runs, or if it was killed."""

    digest: str
    run: str
    started: str
    envbox: str
    environment: str
    tower: Mapping[str, TowerBlock]
    ended: Optional[Ended]
    project: Optional[str] = None
