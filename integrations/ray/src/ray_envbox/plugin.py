"""The plugin of Ray's runtime environments, in the agent of each node.

It makes the environment there before any worker starts, and tells workers to be stubs.
"""

import asyncio
import json
import logging
from contextlib import closing
from pathlib import Path

from ray._private.runtime_env.context import RuntimeEnvContext
from ray._private.runtime_env.plugin import RuntimeEnvPlugin

from .declare import HOOK, HOOK_VARIABLE
from .options import Options, check, locked
from .sandbox import Sandbox, program
from .worker import VARIABLE


class EnvboxPlugin(RuntimeEnvPlugin):
    """`runtime_env={"envbox": …}`."""

    name = "envbox"
    # Before those that would install what it refuses; files of `working_dir` are there before all.
    priority = 0

    def __init__(self):
        self._digests: dict[Path, str] = {}
        # By lockfile and program: held while it is made, and whether it was.
        self._locks: dict[tuple, asyncio.Lock] = {}
        self._made: set[tuple] = set()

    @staticmethod
    def validate(runtime_env_dict: dict) -> None:
        """Raises an exception for what no worker could do: for Ray, a `RuntimeEnvSetupError`."""
        check(runtime_env_dict)

    def get_uris(self, runtime_env) -> list[str]:
        """One, by the lockfile's digest: what is made is made once for all that have that lockfile.

        Never raises: Ray asks before `validate` too, and counts uses by the answer, so it stays the
        same while the agent runs.
        """
        if not runtime_env.get(self.name):
            return []
        try:
            options = Options.of(runtime_env[self.name])
            if not Path(options.project).is_absolute() and not options.digest:
                # It is in the files of a `working_dir`, of which nothing is known here.
                return []
            digest = options.digest or self._digest(options.manifest())
        except (ValueError, OSError):
            return []
        return [f"envbox://{digest}"]

    async def create(
        self, uri, runtime_env, context: RuntimeEnvContext, logger: logging.Logger
    ) -> float:
        """Downloads and builds, by a run that does nothing: it proves the sandbox and its Python too."""
        options, surroundings = self._told(runtime_env, context)
        what = (options.digest, options.envbox)
        async with self._locks.setdefault(what, asyncio.Lock()):
            if what not in self._made:
                logger.info("envbox: making %s", options.digest)
                await asyncio.get_running_loop().run_in_executor(None, _tried, options, surroundings)
                self._made.add(what)
        # The store keeps and removes it, not Ray.
        return 0

    def modify_context(
        self, uris, runtime_env, context: RuntimeEnvContext, logger: logging.Logger
    ) -> None:
        """Makes a stub of the worker."""
        options, surroundings = self._told(runtime_env, context)
        told = {"options": options.words(), "surroundings": surroundings}
        context.env_vars[VARIABLE] = json.dumps(told)
        context.env_vars[HOOK_VARIABLE] = HOOK

    def _told(self, runtime_env, context: RuntimeEnvContext) -> tuple[Options, dict]:
        options = check(runtime_env)
        # Here, and not on a worker only: another environment of the same lockfile may be made already.
        program(options)
        # Of the paths that Ray prepends, the first is that of `working_dir`.
        directory = None
        if runtime_env.get("working_dir"):
            directory = context.env_vars["PYTHONPATH"].split(":")[0]
        manifest = options.manifest(directory)
        digest = options.digest or self._digest(manifest)
        words = {**options.words(), "project": str(manifest), "digest": digest}
        variables = dict(runtime_env.get("env_vars", {}))
        variables.pop(HOOK_VARIABLE, None)
        return Options.of(words), {"env_vars": variables, "directory": directory}

    def _digest(self, manifest: Path) -> str:
        return self._digests.setdefault(manifest, locked(manifest))


def _tried(options: Options, surroundings: dict) -> None:
    with closing(Sandbox(options, surroundings)) as sandbox:
        sandbox.ask("check")
