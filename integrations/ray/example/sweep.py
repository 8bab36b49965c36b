"""Eight fits, Ray tasks as they always were, in the sandbox of the job's runtime environment."""

import os
from pathlib import Path

import ray
import ray_envbox


@ray.remote(num_cpus=1)
def fit(seed):
    import socket
    import time

    import numpy as np

    rng = np.random.default_rng(seed)
    x = rng.normal(size=(256, 8))
    y = x @ np.arange(8) + np.random.default_rng().normal(size=256)
    weights, *_ = np.linalg.lstsq(x, y, rcond=None)
    return socket.gethostname(), time.strftime("%F"), float(weights.sum())


if __name__ == "__main__":
    # For a cluster that this program starts; others have it where `ray start` is called.
    os.environ.setdefault("RAY_RUNTIME_ENV_PLUGINS", ray_envbox.PLUGINS)
    ray.init(include_dashboard=False, runtime_env=ray_envbox.runtime_env(Path(__file__).parent))
    for row in ray.get([fit.remote(seed) for seed in range(8)]):
        print(*row)
