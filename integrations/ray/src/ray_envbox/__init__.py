"""Ray's tasks and actors in envbox's sandbox.

    import ray, ray_envbox

    ray.init(runtime_env=ray_envbox.runtime_env("envs/numpy"))

    @ray.remote
    def fit(seed): ...

Nodes have `ray_envbox.PLUGINS` in their environment as `RAY_RUNTIME_ENV_PLUGINS` when Ray starts.
Without that, `ray_envbox.remote` runs the bodies of single functions in the sandbox.
"""

from .declare import PLUGINS, remote, runtime_env
from .sandbox import EnvboxError

__all__ = ["PLUGINS", "EnvboxError", "remote", "runtime_env"]
