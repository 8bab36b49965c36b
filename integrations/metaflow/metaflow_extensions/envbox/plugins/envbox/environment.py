"""`--environment=envbox`: every step in envbox, here and in a container elsewhere.

Here the decorator does it all. In a pod or batch container Metaflow asks the environment what to run instead
of `python`: `remote`, which is in the code package, as are the manifests and lockfiles.
"""

from __future__ import annotations

import os
from typing import Any, Dict, Iterable, Optional

from metaflow.metaflow_environment import MetaflowEnvironment
from metaflow.packaging_sys import ContentType

from . import records, remote
from .decorator import EnvboxDecorator, in_sandbox
from .errors import EnvboxArgument

# Below the directory that a code package has for what is neither code nor the user's.
PACKAGED = "envbox"


class EnvboxEnvironment(MetaflowEnvironment):
    """Adds `@envbox` to every step, and takes it along to where the step runs."""

    TYPE = "envbox"

    def __init__(self, flow):
        super().__init__(flow)
        self.flow = flow

    def decospecs(self):
        return ("envbox",) + tuple(super().decospecs())

    def init_environment(self, echo):
        """Locks all environments, before there is a run."""
        for decorator in self.decorators():
            decorator.lock()

    def add_to_package(self):
        for decorator in self.decorators():
            environment = decorator.lock()
            directory = os.path.join(PACKAGED, packaged_name(environment.digest))
            yield environment.manifest, os.path.join(
                directory, os.path.basename(environment.manifest)
            ), ContentType.OTHER_CONTENT
            yield environment.lockfile, os.path.join(
                directory, os.path.basename(environment.lockfile)
            ), ContentType.OTHER_CONTENT

    def executable(self, step_name, default=None):
        decorator = self.decorator_of(step_name)
        if decorator is None or in_sandbox():
            return super().executable(step_name, default)
        wanted, environment = decorator.wanted, decorator.lock()
        name = os.path.basename(environment.manifest)
        packaged = os.path.join(PACKAGED, packaged_name(environment.digest), name)
        options = ["--seed", str(wanted.seed), "--clock", wanted.clock or "real"]
        if decorator.cpus is not None:
            options += ["--cpus", str(decorator.cpus)]
        if decorator.closes_foreach:
            options.append("--closes-foreach")
        for variable, value in wanted.env:
            if value is not None:
                raise EnvboxArgument(
                    step_name,
                    "elsewhere variables are set with `@environment`; `env` can only name those to "
                    "pass on, and everything is passed on there.",
                )
        return " ".join([self._python(), "-m", remote.__name__, packaged, *options, "--"])

    def _get_install_dependencies_cmd(self, datastore_type):
        """Installs nothing in an image of ours, which has what Metaflow needs, and nothing to install with."""
        installed = super()._get_install_dependencies_cmd(datastore_type)
        return "if [ -z $ENVBOX_LOCK_DIGEST ]; then %s; fi" % installed

    def decorators(self) -> Iterable[EnvboxDecorator]:
        """Returns the decorators that decide over a step, one each."""
        for step in self.flow:
            decorator = self.decorator_of(step.__name__)
            if decorator is not None:
                yield decorator

    def decorator_of(self, step_name: str) -> Optional[EnvboxDecorator]:
        """Returns the decorator that decides over the step."""
        step = next((step for step in self.flow if step.__name__ == step_name), None)
        found = [d for d in getattr(step, "decorators", []) if isinstance(d, EnvboxDecorator)]
        return next((d for d in found if d.active), None)

    @classmethod
    def get_client_info(cls, flow_name: str, metadata: Dict[str, Any]) -> Dict[str, Any]:
        return {"type": cls.TYPE, **{f: metadata[f] for f in records.FIELDS if f in metadata}}


def packaged_name(digest: str) -> str:
    """Returns the directory of an environment in the code package."""
    return digest.split(":")[1][:16]
