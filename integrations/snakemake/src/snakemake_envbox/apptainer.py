"""The command `apptainer` as Snakemake calls it, for environments of envbox.

Snakemake has no hook for other kinds of software deployment: what it calls for `container:` is the
command `apptainer`. This one answers for references that `envbox()` made, and hands everything else
on to the next `apptainer` or `singularity` in PATH.

Snakemake calls `apptainer --version`, `apptainer pull --name FILE REFERENCE` once for an
environment, and `apptainer exec OPTIONS FILE SHELL -c COMMAND` for a job, where FILE is what `pull`
wrote.
"""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from .reference import DIRECTORY, SCHEME, Reference, ReferenceError, parse

# Not the version of an envbox: that of the command line which this understands.
VERSION = "apptainer version 1.3.6"
# What envbox itself ends with when a step could not be started.
FAILED = 125

_PASSED = ("APPTAINERENV_", "SINGULARITYENV_")
_GLOBAL_FLAGS = ("--quiet", "-q", "--silent", "-s")
_WITH_VALUE = {
    "--home": "home",
    "-H": "home",
    "--bind": "bind",
    "-B": "bind",
    "--pwd": "pwd",
    "--env": "env",
}
# What these ask for is so in every sandbox of envbox.
_HELD_ANYWAY = (
    *("--containall", "-C", "--contain", "-c", "--cleanenv", "-e"),
    *("--pid", "-p", "--ipc", "-i", "--net", "-n", "--no-home"),
)


def main() -> int:
    """The entry point of the command."""
    arguments = sys.argv[1:]
    while arguments and arguments[0] in _GLOBAL_FLAGS:
        arguments = arguments[1:]
    try:
        return _answer(arguments)
    except ReferenceError as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED


def _answer(arguments: list[str]) -> int:
    match arguments:
        case ["--version" | "version", *_]:
            return _version()
        case ["pull", "--name", name, reference] if reference.startswith(SCHEME):
            return _pull(Path(name), reference)
        case ["exec", *rest]:
            options, image, command = _split(rest)
            if image is not None and (reference := _recorded(Path(image))) is not None:
                return _exec(reference, options, command)
    return _hand_on()


def _version() -> int:
    if _others():
        return _hand_on()
    print(VERSION)
    return 0


def _pull(name: Path, text: str) -> int:
    """Downloads an environment, once for all jobs, and writes the reference for `exec`."""
    reference = _checked(text)
    status = subprocess.call(
        [find_envbox(), "--quiet", "--project", str(reference.lockfile.parent), "fetch"]
    )
    if status == 0:
        # Renamed, since an interrupted `pull` must not leave half a file that is never made again.
        partial = name.with_name(f"{name.name}.{os.getpid()}")
        partial.write_text(text)
        partial.rename(name)
    return status


def _recorded(image: Path) -> str | None:
    """The reference in a file that `pull` wrote; other images are far larger or no text."""
    try:
        with image.open("rb") as file:
            head = file.read(4096)
    except OSError:
        return None
    return head.decode() if head.startswith(SCHEME.encode()) else None


def _exec(text: str, options: dict[str, list[str]], command: list[str]) -> int:
    reference = _checked(text)
    directory = os.getcwd()
    argv = [find_envbox(), "run", "--frozen", "--no-record", "--die-with-parent", "--no-pty"]
    argv += ["--manifest", str(reference.manifest)]
    # The whole working directory: what a rule writes is known to Snakemake only, which takes away
    # what a failed job left.
    argv += ["--bind-rw", directory, "--workdir", (options["pwd"] or [directory])[-1]]
    shared = os.environ.get(DIRECTORY, directory)
    if not Path(directory).is_relative_to(shared):
        argv += ["--bind-rw", shared]
    for bind in options["bind"]:
        argv += _bind(bind, directory)
    for variable in options["env"] + _variables():
        argv += ["--env", variable]
    os.execv(argv[0], [*argv, "--", *command])


def _bind(text: str, directory: str) -> list[str]:
    """The options for `SOURCE[:TARGET[:ro|rw]]`, several with commas between."""
    options = []
    for one in text.split(","):
        source, _, rest = one.partition(":")
        target, _, mode = rest.partition(":")
        if mode not in ("", "ro", "rw"):
            raise ReferenceError(f"`--bind {one}`: `{mode}` is neither `ro` nor `rw`")
        # What Snakemake itself binds is below the working directory, or only read.
        if not target and Path(source).is_relative_to(directory):
            continue
        options += ["--bind-rw" if mode == "rw" else "--bind", f"{source}:{target or source}"]
    return options


def _variables() -> list[str]:
    """What apptainer would set inside: variables with its prefix, without it."""
    return [
        f"{name.removeprefix(prefix)}={value}"
        for name, value in sorted(os.environ.items())
        for prefix in _PASSED
        if name.startswith(prefix)
    ]


def _split(arguments: list[str]) -> tuple[dict[str, list[str]], str | None, list[str]]:
    """Options by name, the image, and the command. An option that is not known ends it all."""
    options: dict[str, list[str]] = {name: [] for name in _WITH_VALUE.values()}
    rest = list(arguments)
    while rest and rest[0].startswith("-"):
        name, equals, value = rest.pop(0).partition("=")
        if name in _WITH_VALUE:
            options[_WITH_VALUE[name]].append(value if equals else rest.pop(0))
        elif name not in _HELD_ANYWAY:
            if _others():
                return options, None, []
            raise ReferenceError(
                f"`apptainer exec {name}` means nothing to envbox; "
                "take it out of `--apptainer-args`"
            )
    return options, rest[0] if rest else None, rest[1:]


def _checked(text: str) -> Reference:
    directory = os.environ.get(DIRECTORY)
    if directory is None:
        raise ReferenceError(
            f"`{text.strip()}` was made by another workflow; "
            "call `envbox()` in the Snakefile that uses it"
        )
    reference = parse(text.strip(), Path(directory))
    reference.check()
    return reference


def find_envbox() -> str:
    """The program: `$ENVBOX`, or the first `envbox` in PATH."""
    named = os.environ.get("ENVBOX")
    path = shutil.which(named or "envbox")
    if path is None:
        raise ReferenceError(
            f"there is no program `{named or 'envbox'}`; install envbox, or set ENVBOX to its path"
        )
    return path


def _others() -> list[str]:
    """Further programs of this kind in PATH."""
    own = os.path.realpath(sys.argv[0])
    return [
        path
        for directory in os.get_exec_path()
        for name in ("apptainer", "singularity")
        if os.access(path := os.path.join(directory, name), os.X_OK)
        and os.path.realpath(path) != own
    ]


def _hand_on() -> int:
    others = _others()
    if not others:
        command = shlex.join(sys.argv[1:])
        raise ReferenceError(
            f"`apptainer {command}` is not for envbox, and there is no other apptainer in PATH"
        )
    os.execv(others[0], [others[0], *sys.argv[1:]])
