"""What may be said of a sandbox in `runtime_env={"envbox": …}`, and what may not."""

import re
from dataclasses import asdict, dataclass
from pathlib import Path

# They choose the worker's Python or run in the worker, which stays outside.
_REFUSED = {
    "pip", "uv", "conda", "container", "image_uri", "py_executable", "java_jars",
    "py_modules", "worker_process_setup_hook", "nsight", "_nsight", "rocprof_sys", "_rocprof_sys",
}


@dataclass(frozen=True)
class Options:
    """A sandbox: the environment's project or manifest, and what `envbox run` is told besides.

    `digest` is that of the lockfile where it was declared, so that every node has the same.
    """

    project: str
    bind: tuple[str, ...] = ()
    seed: int | None = None
    digest: str | None = None
    envbox: str = "envbox"

    @classmethod
    def of(cls, said) -> "Options":
        """Reads the value of `envbox` in a runtime environment; `ValueError` says what is wrong."""
        if isinstance(said, str):
            said = {"project": said}
        if not isinstance(said, dict):
            raise ValueError(f'`envbox` is {said!r}; give a directory, or {{"project": …}}')
        unknown = sorted(set(said) - set(cls.__dataclass_fields__))
        if unknown:
            known = ", ".join(f"`{name}`" for name in cls.__dataclass_fields__)
            raise ValueError(f"`envbox` has no key `{unknown[0]}`; there are {known}")
        number, text = (int, type(None)), (str, type(None))
        kinds = {"project": str, "seed": number, "digest": text, "envbox": str}
        for name, kind in kinds.items():
            value = said.get(name, "" if kind is str else None)
            if not isinstance(value, kind) or isinstance(value, bool):
                raise ValueError(f"`{name}` of `envbox` cannot be {value!r}")
        bind = said.get("bind", ())
        if not isinstance(bind, (list, tuple)) or not all(isinstance(one, str) for one in bind):
            raise ValueError(f"`bind` of `envbox` is {bind!r}; give a list of `SOURCE[:TARGET]`")
        if not said.get("project"):
            raise ValueError(
                "`envbox` names no `project`, a directory with `envbox.toml` and `envbox.lock`"
            )
        return cls(**{**said, "bind": tuple(bind)})

    def words(self) -> dict:
        """The same for JSON."""
        return {**asdict(self), "bind": list(self.bind)}

    def manifest(self, directory: str | None = None) -> Path:
        """The manifest's path, seen from a directory; `FileNotFoundError` if there is none."""
        path = Path(directory or "", self.project)
        manifest = path / "envbox.toml" if path.is_dir() else path
        if not manifest.is_file():
            raise FileNotFoundError(f"there is no manifest `{manifest}`; `envbox init` writes one")
        return manifest


def check(runtime_env) -> Options:
    """Reads what a whole runtime environment says, and refuses what would not reach the sandbox."""
    options = Options.of(runtime_env["envbox"])
    for name in sorted(_REFUSED.intersection(runtime_env)):
        if runtime_env[name]:
            raise ValueError(f"`{name}` does not reach the sandbox of `envbox`: leave one of them out")
    if not Path(options.project).is_absolute():
        if not runtime_env.get("working_dir"):
            raise ValueError(
                f"`{options.project}` is a relative path, and nodes have other current directories: "
                "give `ray_envbox.runtime_env(…)`, an absolute path, or a `working_dir` that has it"
            )
    else:
        options.manifest()
    return options


def locked(manifest: Path) -> str:
    """The digest that the lockfile beside a manifest says it has; `FileNotFoundError` if there is none."""
    plain = manifest.name in ("envbox.toml", "pyproject.toml")
    lockfile = manifest.with_name("envbox.lock") if plain else manifest.with_suffix(".lock")
    try:
        found = re.search(r'^digest = "(sha256:[0-9a-f]{64})"$', lockfile.read_text(), re.MULTILINE)
    except OSError:
        found = None
    if not found:
        raise FileNotFoundError(f"there is no lockfile `{lockfile}`; run `envbox lock`")
    return found[1]
