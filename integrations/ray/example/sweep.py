"""Eight fits, each a Ray task whose function runs in the sandbox."""

from pathlib import Path

import ray
from ray_envbox import remote

HERE = Path(__file__).parent


@remote(str(HERE), num_cpus=1)
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
    ray.init(include_dashboard=False)
    for row in ray.get([fit.remote(seed) for seed in range(8)]):
        print(*row)
