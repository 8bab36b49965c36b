"""One fit of a sweep: which one is the number of the task in its array."""

import os
import socket
import time

import numpy as np

task = int(os.environ["SLURM_ARRAY_TASK_ID"])
rng = np.random.default_rng(task)
x = rng.normal(size=(256, 16))
y = x @ np.arange(16) + np.random.default_rng().normal(size=256)
weights, *_ = np.linalg.lstsq(x, y, rcond=None)
with open(f"weights-{task}.txt", "w") as file:
    print(socket.gethostname(), time.strftime("%F"), *weights.round(12), file=file)
