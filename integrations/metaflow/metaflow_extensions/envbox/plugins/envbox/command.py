"""The command line of a task in the sandbox.

In: a task of the launcher, its environment, its code. Out: what stands before Metaflow's own command line.
Paths are the same inside and outside, so that arguments need no translation.

| inside | what |
|---|---|
| `/project` | the code package, see `code` |
| the flow's directory, and the current one | as outside; read-only unless `writable` |
| the local datastore | as outside; its `envbox` directory read-only |
| the file of the flow's configurations, an artifacts module | that file alone, read-only |

**Invariant:** what envbox is told comes late, when Metaflow asks for the whole command line: other decorators
(`@environment`, `@conda`) have changed it by then, in whatever order they stand.
"""

from __future__ import annotations

import os
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Tuple

from .locked import Locked
from .wanted import Wanted

# Of the launcher's environment a task gets what Metaflow's own remote tasks get: its variables, and those
# of tracing. With the host's network, those that services and their clients read, too.
PASSED = ("METAFLOW_", "MF_", "OTEL_", "TRACEPARENT", "TRACESTATE")
PASSED_WITH_NETWORK = ("AWS_", "AZURE_", "GOOGLE_", "SSL_CERT_", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
PROXIES = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")
# What configures this package is the launcher's business.
OWN = {"METAFLOW_ENVBOX_BINARY", "METAFLOW_ENVBOX_FROZEN", "METAFLOW_ENVBOX_UPGRADE"}
# The launcher sets these for every task, after the decorators were asked.
ALWAYS = ("METAFLOW_RUN_ID", "PYTHONUNBUFFERED")
# Files that a private `/tmp` would hide.
FILE_OPTIONS = ("local-config-file", "config-file", "artifacts-module")


class Place(NamedTuple):
    """Where a flow runs."""

    code: str
    local_root: str
    flow_directory: str
    current_directory: str


class Task(NamedTuple):
    """What is peculiar to a task."""

    seed: int
    cpus: Optional[int]
    remote_services: bool
    record: str
    tag: str


def prefix(
    envbox: str, place: Place, locked: Locked, wanted: Wanted, task: Task, cli_args: Any
) -> List[str]:
    """Returns what stands before `python flow.py …`."""
    networked = wanted.network or task.remote_services
    command = [envbox, "--quiet", "--project", place.code, "run", "--frozen", "--no-pty"]
    command += ["--manifest", locked.manifest, "--die-with-parent"]
    command += ["--workdir", place.current_directory]
    command += ["--record", task.record, "--tag", task.tag, "--seed", str(task.seed)]
    if task.cpus is not None:
        command += ["--cpus", str(task.cpus)]
    clock = held_clock(wanted, task.remote_services)
    if clock is not None:
        command += ["--clock", clock]
    if networked:
        command += ["--network", "host"]
    for option, path in _binds(place, wanted, networked, cli_args):
        command += [option, path]
    for name in _variables(networked, cli_args.env):
        command += ["--env", name]
    for name, value in wanted.env:
        command += ["--env", name if value is None else "%s=%s" % (name, value)]
    return [*command, "--"]


def held_clock(wanted: Wanted, remote_services: bool) -> Optional[str]:
    """Returns the clock to ask for, or nothing where the manifest decides.

    Signatures and certificates are for today: with the host's network the clock is the host's.
    """
    if wanted.clock is not None:
        return wanted.clock
    return "real" if wanted.network or remote_services else None


def _binds(
    place: Place, wanted: Wanted, networked: bool, cli_args: Any
) -> Iterable[Tuple[str, str]]:
    """Returns each path once. `spin` reads the datastore and writes to one of its own."""
    options: Dict[str, Any] = {**cli_args.top_level_options, **cli_args.command_options}
    writable: Dict[str, bool] = {}
    for directory in outermost([place.flow_directory, place.current_directory]):
        writable[directory] = wanted.writable
    writable[place.local_root] = True
    root = str(options.get("datastore-root") or "")
    if os.path.isabs(root):
        writable[root] = True
    for path in _read_only(place, networked, options):
        if os.path.exists(path):
            writable[path] = False
    for path, to_write in writable.items():
        yield "--bind-rw" if to_write else "--bind", path


def _read_only(place: Place, networked: bool, options: Dict[str, Any]) -> Iterable[str]:
    yield os.path.join(place.local_root, "envbox")
    for name in FILE_OPTIONS:
        if options.get(name):
            yield os.path.abspath(str(options[name]))
    origin = str(options.get("orig-flow-datastore") or "")
    if origin.startswith("local@"):
        yield origin[len("local@") :]
    if networked:
        yield metaflow_home()


def _variables(networked: bool, given: Dict[str, str]) -> List[str]:
    prefixes = PASSED + (PASSED_WITH_NETWORK if networked else ())
    names = {name for name in os.environ if name.startswith(prefixes)} - OWN
    if networked:
        names |= {name for name in os.environ if name.lower() in PROXIES}
    return sorted(names | set(given) | set(ALWAYS))


def outermost(directories: Iterable[str]) -> List[str]:
    """Returns those that lie in none of the others, and never the root of all."""
    found: List[str] = []
    for directory in sorted(set(directories), key=len):
        inside = any(os.path.commonpath([directory, outer]) == outer for outer in found)
        if directory != "/" and not inside:
            found.append(directory)
    return found


def metaflow_home() -> str:
    """Returns the directory of Metaflow's configuration."""
    home = os.environ.get("METAFLOW_HOME") or os.path.expanduser("~/.metaflowconfig")
    return os.path.abspath(home)
