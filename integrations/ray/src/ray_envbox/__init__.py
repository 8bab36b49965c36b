"""Ray tasks in envbox's sandbox.

    from ray_envbox import remote

    @remote("envs/numpy", num_cpus=1)
    def fit(seed): ...

    ray.get([fit.remote(seed) for seed in range(8)])
"""

from .task import EnvboxError, remote

__all__ = ["EnvboxError", "remote"]
