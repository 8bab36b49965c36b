#!/usr/bin/env python3
"""Times locks beside the programs that resolve with the same libraries, in turn, in one call.

    cargo build --release
    tests/bench/lock.py conda python          # or one of them; none means both

`conda` wants `python` on PATH with py-rattler, and `zstd`; `python` wants `uv` on PATH. As for
`bench.py`: quote the ratios. Both sides are processes from start to end.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from bench import ROOT, need, pair, timed

SLICE = ROOT / "fixtures" / "conda" / "conda-forge-slice"
SOLVE = ROOT / "tests" / "net" / "conda" / "solve.py"
CONDA = ["qgis", "python 3.12.*"]
VIRTUAL = ["__archspec=1=x86_64_v3", "__glibc=2.41=0", "__linux=5.12=0", "__unix=0=0"]

# What people have in large environments; together more than 700 distributions on Python 3.11.
PYTHON = """
accelerate aiobotocore airbyte-api albumentations altair anthropic azure-ai-ml azure-identity
azure-keyvault-secrets azure-mgmt-compute azure-mgmt-network azure-mgmt-storage
azure-storage-blob black bokeh boto3 catboost celery chromadb cohere cryptography cvxpy dagster
dagster-webserver dask[complete] datasets datashader dbt-bigquery dbt-postgres dbt-snowflake
deepspeed-kernels django django-cors-headers djangorestframework dvc elasticsearch evaluate
fastapi[standard] flask flask-sqlalchemy gensim geopandas google-ads google-api-python-client
google-cloud-aiplatform google-cloud-bigquery google-cloud-pubsub google-cloud-secret-manager
google-cloud-spanner google-cloud-vision gradio great-expectations hydra-core hyperopt
ibis-framework imbalanced-learn jupyterlab kafka-python keras kubernetes langchain
langchain-community langchain-openai langgraph lightgbm lightning litellm llama-index mlflow
moto[all] mypy nbconvert networkx nltk numba onnx onnxruntime openai opencv-python optuna pandas
pandera papermill plotly polars prefect psycopg2-binary pulumi pulumi-aws pyarrow
pydantic-settings pylint pymc pymongo pytest pytest-cov pytest-xdist python-lsp-server
ray[default] redis rich ruff s3fs sagemaker scikit-image scikit-learn scipy scrapy seaborn
selenium sentence-transformers sentry-sdk shap snowflake-connector-python snowflake-sqlalchemy
spacy sphinx sqlalchemy sqlmodel statsmodels streamlit sympy tensorboard tenacity torch
torchvision transformers twine typer uvicorn wandb weaviate-client xarray xgboost yfinance zarr
""".split()


class Bench:
    def __init__(self, options, scratch):
        self.envbox, self.runs, self.scratch = str(options.envbox.absolute()), options.runs, Path(scratch)
        self.env = dict(os.environ, ENVBOX_STORE=str(self.scratch / "store"))

    def project(self, name, manifest):
        directory = self.scratch / name
        directory.mkdir()
        (directory / "envbox.toml").write_text(manifest)
        return directory

    def lock(self, directory, **options):
        return timed([self.envbox, "--project", str(directory), "lock"], env=self.env, **options)

    def conda(self):
        """Solve a real environment of 273 packages against py-rattler."""
        python, zstd = need("python"), need("zstd")
        if not python or not zstd:
            return
        channel = self.scratch / "channel"
        for subdir in ("linux-64", "noarch"):
            (channel / subdir).mkdir(parents=True)
            target = channel / subdir / "repodata.json"
            subprocess.run([zstd, "-q", "-d", str(SLICE / f"{subdir}.json.zst"), "-o", str(target)], check=True)
        text = (
            '[environment]\nname = "maps"\n[debian]\nsuite = "trixie"\n[conda]\nbase = "glibc"\n'
            f'channels = [{{ name = "forge", url = "{channel}" }}]\ndependencies = {{}}\n'
        )
        small, whole = (text.replace("{}", json.dumps(wanted)) for wanted in (["ca-certificates"], CONDA))
        project = self.project("maps", small)
        self.lock(project)
        # The base stays as it is locked; all conda packages but one are new.
        before = (project / "envbox.lock").read_bytes()
        (project / "envbox.toml").write_text(whole)
        problem = json.dumps({"channel": str(channel), "specs": CONDA, "virtual": VIRTUAL})
        theirs = [python, str(SOLVE), problem]
        restore = lambda: (project / "envbox.lock").write_bytes(before)
        pair("lock 273 conda packages / py-rattler", lambda: self.lock(project, prepare=restore),
             lambda: timed(theirs, cwd=self.scratch), self.runs)
        found = tomllib.loads((project / "envbox.lock").read_text())["conda"]["package"]
        solved = json.loads(subprocess.run(theirs, cwd=self.scratch, check=True, capture_output=True).stdout)[0]
        same = sorted(package["file"] for package in found) == solved
        print(f"{len(found)} packages, {'the same' if same else 'NOT the same'} as py-rattler's")

    def python(self):
        """Lock more than 700 distributions cold and warm against `uv pip compile`."""
        uv = need("uv")
        if not uv:
            return
        head = '[environment]\nname = "large"\npython = "3.11"\n[python]\nrequirements = '
        project = self.project("large", head + json.dumps([]) + "\n")
        self.lock(project)
        before = (project / "envbox.lock").read_bytes()
        (project / "envbox.toml").write_text(head + json.dumps(PYTHON) + "\n")
        requirements = self.scratch / "requirements.in"
        requirements.write_text("\n".join(PYTHON) + "\n")
        cache, index = self.scratch / "uv-cache", self.scratch / "store" / "index" / "uv"
        compile_ = [
            uv, "pip", "compile", "-q", str(requirements), "--format", "pylock.toml", "-o",
            str(self.scratch / "pylock.toml"), "--python-version", "3.11", "--python-platform",
            "x86_64-manylinux_2_36", "--only-binary", ":all:", "--cache-dir", str(cache),
        ]

        def fresh(*directories):
            for directory in directories:
                shutil.rmtree(directory, ignore_errors=True)
            # Both sides take the versions of what they wrote last time, if that is there.
            (self.scratch / "pylock.toml").unlink(missing_ok=True)
            (project / "envbox.lock").write_bytes(before)

        runs = max(1, min(self.runs, 3))
        pair("lock Python cold / uv pip compile cold", lambda: self.lock(project, prepare=lambda: fresh(index)),
             lambda: timed(compile_, prepare=lambda: fresh(cache)), runs)
        pair("lock Python, index warm / uv pip compile warm", lambda: self.lock(project, prepare=fresh),
             lambda: timed(compile_, prepare=fresh), runs)
        pair("lock unchanged / uv pip compile unchanged", lambda: self.lock(project), lambda: timed(compile_), self.runs)
        wheels = {w["name"]: w["version"] for w in tomllib.loads((project / "envbox.lock").read_text())["python"]}
        theirs = tomllib.loads((self.scratch / "pylock.toml").read_text())["packages"]
        theirs = {p["name"]: p["version"] for p in theirs}
        differ = sorted(name for name in {*wheels, *theirs} if wheels.get(name) != theirs.get(name))
        print(f"{len(wheels)} distributions; uv has {len(theirs)}; {len(differ)} differ: {differ[:10]}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=["conda", "python", []])
    parser.add_argument("--envbox", default=ROOT / "target" / "release" / "envbox", type=Path)
    parser.add_argument("--runs", type=int, default=9)
    options = parser.parse_args()
    scratch = tempfile.mkdtemp(prefix="envbox-bench-")
    try:
        bench = Bench(options, scratch)
        for name in options.names or ["conda", "python"]:
            getattr(bench, name)()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
