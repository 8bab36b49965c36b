#!/usr/bin/env python3
"""Times runs of an MLflow project: in envbox's sandbox, in MLflow's own environments, and in none.

    cargo build --release
    python3 -m venv V
    V/bin/pip install -r tests/engines/pins/mlflow.txt uv ./integrations/mlflow
    V/bin/python tests/bench/mlflow_runs.py

The project is a copy of integrations/mlflow/example for each way, with the same packages in all: those of
its lockfile. The first run of a way makes its environment, from empty caches (with `--store`, from
envbox's downloads there). Then the ways take turns. Shown are the medians, and the median of what a
run took more than the plain run of the same turn. MLflow's `conda` wants a program that PyPI does not
have, its `virtualenv` compiles an interpreter, its `docker` wants an engine: `uv` is what is left.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "integrations/mlflow/example"
PARAMETERS = {"alpha": "0.5"}
# What MLflow is asked for, by the name of the way.
WAYS = {
    "no environment": {"env_manager": "local"},
    "MLflow's uv": {"env_manager": "uv"},
    "envbox": {"backend": "envbox"},
}


def made(scratch, name):
    """A copy of the example for a way."""
    project = scratch / name.replace("'", "").replace(" ", "-")
    shutil.copytree(EXAMPLE, project)
    if name == "MLflow's uv":
        lock = tomllib.loads((project / "envbox.lock").read_text())
        release = lock["interpreter"]["version"].rsplit(".", 1)[0]
        packages = [f"{package['name']}=={package['version']}" for package in lock["python"]]
        environment = {"python": release, "build_dependencies": [], "dependencies": packages}
        # JSON is YAML.
        (project / "python_env.yaml").write_text(json.dumps(environment))
        with (project / "MLproject").open("a") as file:
            file.write("\npython_env: python_env.yaml\n")
    return project


def timed(mlflow, project, options):
    began = time.perf_counter()
    run = mlflow.projects.run(str(project), parameters=PARAMETERS, **options)
    took = (time.perf_counter() - began) * 1000
    if run.get_status() != "FINISHED":
        sys.exit(f"{options}: {run.get_status()}")
    return took


def measured(scratch, runs):
    import mlflow

    (scratch / "track").mkdir()
    # Artifacts go below the current directory.
    os.chdir(scratch / "track")
    mlflow.set_tracking_uri(f"sqlite:///{scratch}/track/mlflow.db")
    projects = {name: made(scratch, name) for name in WAYS}
    first, later = {}, {name: [] for name in WAYS}
    for turn in range(runs + 1):
        for name, options in WAYS.items():
            took = timed(mlflow, projects[name], options)
            if turn:
                later[name].append(took)
            else:
                first[name] = took
    return first, later


def report(first, later):
    plain = later["no environment"]
    figures = {}
    for name, taken in later.items():
        more = statistics.median(here - there for here, there in zip(taken, plain))
        figures[name] = {
            "first_ms": round(first[name]),
            "median_ms": round(statistics.median(taken)),
            "more_ms": round(more),
        }
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--envbox", default=ROOT / "target/release/envbox", type=Path)
    parser.add_argument("--store", type=Path, help="use this store and what it holds")
    parser.add_argument("--runs", default=9, type=int)
    parser.add_argument("--json", type=Path, help="write what was found to this file")
    options = parser.parse_args()
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        os.environ |= {
            "ENVBOX": str(options.envbox.absolute()),
            "ENVBOX_STORE": str((options.store or scratch / "store").absolute()),
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_ENV_ROOT": str(scratch / "environments"),
            "UV_CACHE_DIR": str(scratch / "uv"),
            # Beside this interpreter lie `mlflow` and `uv`.
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        figures = report(*measured(scratch, options.runs))
    for name, figure in figures.items():
        first, median, more = figure.values()
        print(f"{name:16} first {first:7} ms   then {median:6} ms   {more:+6} ms to a plain run")
    if options.json:
        (here / options.json).write_text(json.dumps(figures, indent=2) + "\n")


main()
