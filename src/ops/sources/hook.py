"""Runs one hook of a build backend (PEP 517) on a source, and writes down what it answers.

Started with nothing but `task.json` and the source beside it; works in the sandbox alone.
"""

import importlib
import json
import os
import sys
import tarfile
import zipfile

PROJECT = os.path.dirname(os.path.abspath(__file__))
WORKPLACE = "/tmp/envbox-build"


def unpacked(archive):
    """Unpacks the source and returns its root: what stands alone in it."""
    os.makedirs(WORKPLACE)
    if archive.endswith(".zip"):
        with zipfile.ZipFile(archive) as source:
            source.extractall(WORKPLACE)
    else:
        with tarfile.open(archive) as source:
            # Older Pythons have no filter; nothing outside of the sandbox is there to be harmed.
            safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
            source.extractall(WORKPLACE, **safely)
    roots = sorted(os.listdir(WORKPLACE))
    if len(roots) != 1:
        sys.exit(f"the source has not one directory at its root, but {len(roots)} entries")
    return os.path.join(WORKPLACE, roots[0])


def backend_of(task, root):
    """Imports the backend, from the source's own directories if it names some."""
    del sys.path[0]
    sys.path[:0] = [os.path.join(root, path) for path in task["backend_path"]]
    module, _, path = task["backend"].partition(":")
    backend = importlib.import_module(module)
    for name in path.split(".") if path else []:
        backend = getattr(backend, name)
    return backend


def main():
    with open(os.path.join(PROJECT, "task.json"), encoding="utf-8") as file:
        task = json.load(file)
    root = unpacked(os.path.join(PROJECT, task["source"]))
    root = os.path.join(root, task["subdirectory"] or "")
    os.chdir(root)
    backend = backend_of(task, root)
    if task["hook"] == "requires":
        hook = getattr(backend, "get_requires_for_build_wheel", None)
        answer = list(hook(None)) if hook else []
    else:
        products = os.path.join(PROJECT, "products")
        os.makedirs(products)
        answer = backend.build_wheel(products, None, None)
    with open(os.path.join(PROJECT, "answer.json"), "w", encoding="utf-8") as file:
        json.dump(answer, file)


main()
