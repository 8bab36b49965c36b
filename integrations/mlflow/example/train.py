"""Fits a ridge regression and logs it to MLflow's run."""

import argparse
import os
import socket
import time

import mlflow
import numpy as np

parser = argparse.ArgumentParser()
parser.add_argument("--alpha", type=float)
alpha = parser.parse_args().alpha
if alpha < 0:
    raise SystemExit("alpha is negative")

rng = np.random.default_rng()
x = rng.normal(size=(200, 5))
y = x @ np.arange(5) + rng.normal(size=200)
weights = np.linalg.solve(x.T @ x + alpha * np.eye(5), x.T @ y)
np.savetxt("weights.txt", weights, header=f"{socket.gethostname()} {time.strftime('%F')}")

with mlflow.start_run():
    mlflow.log_metric("error", float(np.square(x @ weights - y).mean()))
    mlflow.log_artifact("weights.txt")
