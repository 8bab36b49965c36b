"""The command line of envbox for a run: what the step needs of the host, and no more."""

import os
import shlex
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mlflow.exceptions import ExecutionException
from mlflow.projects import utils

NETWORKS = ("none", "loopback", "host")
# What MLflow itself puts into the configuration.
_OF_MLFLOW = {value for name, value in vars(utils).items() if name.startswith("PROJECT_")}
# Set outside, and of use inside; the run's own variables come on top.
_PASSED = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
_FIXED = {
    # Without a network MLflow would look for one at every start.
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # There is no git inside, and the run has its commit already.
    "GIT_PYTHON_REFRESH": "quiet",
}


@dataclass
class Options:
    """What `--backend-config` may say."""

    manifest: str | None = None
    network: str | None = None
    envbox: str = "envbox"
    background: bool = False
    bind: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, config: dict) -> "Options":
        """Takes our keys, and refuses what is neither ours nor MLflow's own."""
        known = cls.__dataclass_fields__
        unknown = [key for key in config if key not in known and key not in _OF_MLFLOW]
        if unknown:
            names = ", ".join(f"`{name}`" for name in known)
            raise ExecutionException(
                f"the backend `envbox` knows no `{unknown[0]}`; it knows {names}"
            )
        options = cls(**{key: config[key] for key in known if key in config})
        if options.network not in (None, *NETWORKS):
            raise ExecutionException(f"`network` is {options.network!r}, not one of {NETWORKS}")
        return options


def program(options: Options) -> str:
    """The path of envbox."""
    path = shutil.which(os.environ.get("ENVBOX", options.envbox))
    if path is None:
        raise ExecutionException(
            f"there is no program `{options.envbox}`; install envbox, or name it in ENVBOX"
        )
    return path


def store_of(uri: str) -> tuple[str, Path | None]:
    """A tracking or artifact URI as it must be inside, and the directory that it writes to."""
    parts = urlsplit(uri)
    if parts.scheme in ("", "file"):
        directory = Path(unquote(parts.path)).absolute()
        return directory.as_uri(), directory
    if parts.scheme == "sqlite":
        # `sqlite:///relative.db`, `sqlite:////absolute.db`: the journal lies beside the file.
        database = Path(unquote(parts.path).removeprefix("/")).absolute()
        return f"sqlite:///{database}", database.parent
    return uri, None


def build(
    options: Options,
    directory: Path,
    shell: str,
    variables: dict[str, str],
    artifacts: str,
    paths: list[str],
    notes: Path,
) -> list[str]:
    """Returns the argument vector for the command `shell` of the project in `directory`."""
    argv = [program(options), "run", "--frozen", "--no-pty", "--die-with-parent"]
    argv += ["--project", str(directory)]
    if options.manifest is not None:
        argv += ["--manifest", str((directory / options.manifest).resolve())]
    argv += ["--record", str(notes / "record.json"), "--result-file", str(notes / "result.json")]
    if options.network is not None:
        argv += ["--network", options.network]
    tracking, written = store_of(variables["MLFLOW_TRACKING_URI"])
    writable = {written, store_of(artifacts)[1]}
    _refuse_unreachable(options, tracking if written is None else None)
    for path in sorted(path for path in writable if path is not None):
        path.mkdir(parents=True, exist_ok=True)
        argv += ["--bind-rw", str(path)]
    for path in options.bind + paths:
        argv += ["--bind", path]
    for name, value in {**_FIXED, **variables, "MLFLOW_TRACKING_URI": tracking}.items():
        argv += ["--env", f"{name}={value}"]
    argv += [part for name in _PASSED if name in os.environ for part in ("--env", name)]
    return [*argv, "--", "bash", "-c", shell]


def _refuse_unreachable(options: Options, server: str | None) -> None:
    if server is not None and options.network != "host":
        raise ExecutionException(
            f"the tracking store `{server}` is a server, and the sandbox has no network; let the "
            """project see the host's with --backend-config '{"network": "host"}', or track in """
            "sqlite:///DIRECTORY/mlflow.db"
        )


def shown(argv: list[str]) -> str:
    """The command line, for the log, without values of variables."""
    return shlex.join(part.partition("=")[0] if "=" in part else part for part in argv)
