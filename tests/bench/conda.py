#!/usr/bin/env python3
"""Times the installation of an environment of 200 conda packages beside rattler's, in turn.

    cargo build --release
    pip download --only-binary :all: -d WHEELS jupyterlab scikit-learn …    # 199 or more
    tests/bench/conda.py --wheels WHEELS --python PREFIX

Real wheels become conda packages in a channel of their own, compiled ones with their bytecode as
conda's builders ship it; the interpreter is a package made of PREFIX, a Python that was built from
source. Wants `python` on PATH with py-rattler and zstandard.

`archives`: both have all archives on this disk and nothing unpacked. `unpacked`: both have all
packages unpacked, envbox in its store, rattler in its cache. As for `bench.py`: quote the ratios.
Both sides are processes from start to end; envbox also puts its base under the environment, compiles
what has no bytecode, which rattler leaves to the first import, and runs `true` in it.
"""

import argparse
import compileall
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from bench import ROOT, pair, timed

PLACEHOLDER = "/opt/build/" + "placehold_" * 24
COUNT = 200
# What PREFIX was linked with, which conda's own interpreter brings along.
SYSTEM = ["libbz2-1.0", "libffi8", "liblzma5", "libsqlite3-0", "libssl3", "zlib1g"]
TIME = 1_735_689_600

INSTALL = """
import asyncio, json, shutil, sys
from pathlib import Path
import rattler
channel, prefix, cache, names = sys.argv[1:5]
async def main():
    records = await rattler.solve(
        [rattler.Channel(channel)], json.loads(names), platforms=["linux-64", "noarch"],
        virtual_packages=[rattler.GenericVirtualPackage(
            rattler.PackageName("__glibc"), rattler.Version("2.36"),
            rattler.BuildString("0"))],
    )
    await rattler.install(records, prefix, cache_dir=Path(cache), show_progress=False)
    print(len(records))
asyncio.run(main())
"""


class Writer:
    """Writes packages and what repodata says of them."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self.records = {"linux-64": {}, "noarch": {}}

    def add(
        self, name, version, root, noarch, entry_points=(), depends=(), placeholder=PLACEHOLDER
    ):
        import zstandard

        subdir = "noarch" if noarch else "linux-64"
        build = "py_0" if noarch else "py311_0"
        paths, members = [], []
        for path in sorted(root.rglob("*")):
            relative = path.relative_to(root).as_posix()
            if path.is_symlink():
                paths.append({"_path": relative, "path_type": "softlink"})
            elif path.is_file():
                content = path.read_bytes()
                entry = {
                    "_path": relative, "path_type": "hardlink",
                    "sha256": hashlib.sha256(content).hexdigest(), "size_in_bytes": len(content),
                }
                if placeholder.encode() in content and path.suffix != ".pyc":
                    mode = "binary" if b"\0" in content else "text"
                    entry |= {"prefix_placeholder": placeholder, "file_mode": mode}
                paths.append(entry)
            else:
                continue
            members.append((relative, path))
        index = {
            "name": name, "version": version, "build": build, "build_number": 0,
            "depends": list(depends), "subdir": subdir, "license": "MIT",
            "timestamp": TIME * 1000,
        }
        info = {"index.json": index, "paths.json": {"paths": paths, "paths_version": 1}}
        if noarch:
            index["noarch"] = "python"
            noarch = {"type": "python", "entry_points": list(entry_points)}
            info["link.json"] = {"noarch": noarch, "package_metadata_version": 1}
        compress = zstandard.ZstdCompressor(level=6).compress
        files = io.BytesIO()
        with tarfile.open(fileobj=files, mode="w", format=tarfile.GNU_FORMAT) as tar:
            for relative, path in members:
                tar.add(path, relative, recursive=False)
        described = io.BytesIO()
        with tarfile.open(fileobj=described, mode="w", format=tarfile.GNU_FORMAT) as tar:
            for file, value in info.items():
                text = json.dumps(value).encode()
                member = tarfile.TarInfo(f"info/{file}")
                member.size = len(text)
                tar.addfile(member, io.BytesIO(text))
        stem = f"{name}-{version}-{build}"
        place = self.directory / subdir / f"{stem}.conda"
        place.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(place, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr("metadata.json", '{"conda_pkg_format_version": 2}')
            archive.writestr(f"pkg-{stem}.tar.zst", compress(files.getvalue()))
            archive.writestr(f"info-{stem}.tar.zst", compress(described.getvalue()))
        content = place.read_bytes()
        digests = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
        self.records[subdir][place.name] = index | digests

    def index(self):
        for subdir, records in self.records.items():
            repodata = {
                "info": {"subdir": subdir}, "packages": {}, "packages.conda": records,
                "removed": [], "repodata_version": 1,
            }
            (self.directory / subdir / "repodata.json").write_text(json.dumps(repodata))


def python_package(writer, prefix, work):
    root = work / "python"
    (root / "bin").mkdir(parents=True)
    shutil.copy2(prefix / "bin/python3.11", root / "bin/python3.11")
    os.symlink("python3.11", root / "bin/python")
    os.symlink("python3.11", root / "bin/python3")
    ignored = shutil.ignore_patterns("site-packages", "test", "*.opt-?.pyc", "config-*")
    shutil.copytree(prefix / "lib/python3.11", root / "lib/python3.11", ignore=ignored)
    (root / "lib/python3.11/site-packages").mkdir()
    (root / "lib/python3.11/site-packages/README.txt").write_text("modules\n")
    for library in (prefix / "lib").glob("libpython3*"):
        shutil.copy2(library, root / "lib" / library.name, follow_symlinks=False)
    writer.add("python", "3.11.7", root, noarch=False, placeholder=str(prefix))


def wheel_package(writer, wheel, work):
    name, version = wheel.name.split("-")[:2]
    name, version = re.sub(r"[-_.]+", "-", name).lower(), version.replace("!", ".")
    pure = wheel.name.endswith("-none-any.whl")
    root = work / "package"
    shutil.rmtree(root, ignore_errors=True)
    modules = root / ("site-packages" if pure else "lib/python3.11/site-packages")
    modules.mkdir(parents=True)
    entry_points = []
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(modules)
    for data in modules.glob("*.data"):
        shutil.rmtree(data)
    for text in modules.glob("*.dist-info/entry_points.txt"):
        inside = False
        for line in text.read_text().splitlines():
            if line.startswith("["):
                inside = line.strip() == "[console_scripts]"
            elif inside and re.fullmatch(r"[\w.-]+\s*=\s*[\w.]+:[\w.]+", line.strip()):
                entry_points.append(line.strip())
    if not pure:
        compileall.compile_dir(modules, quiet=2, workers=1)
        (root / "bin").mkdir()
        for entry in entry_points:
            program, target = (part.strip() for part in entry.split("=", 1))
            module, function = target.split(":")
            script = root / "bin" / program
            script.write_text(
                f"#!{PLACEHOLDER}/bin/python\nimport sys\nfrom {module} import "
                f"{function.split('.')[0]}\nsys.exit({function}())\n"
            )
            script.chmod(0o755)
    writer.add(name, version, root, pure, entry_points, ["python 3.11.*"])
    return name


def make_channel(directory, wheels, prefix):
    writer = Writer(directory)
    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        python_package(writer, prefix, work)
        names = {"python"}
        for wheel in sorted(wheels.glob("*.whl")):
            if len(names) < COUNT:
                names.add(wheel_package(writer, wheel, work))
    writer.index()
    return sorted(names)


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--wheels", type=Path, required=True)
    arguments.add_argument("--python", type=Path, required=True)
    arguments.add_argument("--work", type=Path, required=True)
    arguments.add_argument("--runs", type=int, default=5)
    arguments.add_argument("--envbox", type=Path, default=ROOT / "target/release/envbox")
    given = arguments.parse_args()
    work = given.work.resolve()
    channel, names = work / "channel", work / "names.json"
    if not names.exists():
        names.write_text(json.dumps(make_channel(channel, given.wheels, given.python)))
    specs = json.loads(names.read_text())
    project, store = work / "project", work / "store"
    project.mkdir(exist_ok=True)
    listed = ", ".join(f'"{name}"' for name in specs)
    system = ", ".join(f'"{name}"' for name in SYSTEM)
    (project / "envbox.toml").write_text(
        f'[environment]\nname = "bench"\n[debian]\nsuite = "bookworm"\npackages = [{system}]\n[conda]\n'
        f'channels = [{{ name = "lab", url = "{channel}" }}]\ndependencies = [{listed}]\n'
    )
    env = os.environ | {"ENVBOX_STORE": str(store)}
    subprocess.run([given.envbox, "lock"], cwd=project, env=env, check=True)
    run = [given.envbox, "run", "--frozen", "--", "true"]
    subprocess.run(run, cwd=project, env=env, check=True)
    prefix, cache = work / "prefix", work / "cache"
    install = [sys.executable, "-c", INSTALL, channel.as_uri(), str(prefix), str(cache), json.dumps(specs)]

    def forget(folders):
        for folder in folders:
            shutil.rmtree(store / folder, ignore_errors=True)

    for name, of_store, of_cache in [
        ("archives", ["trees", "rootfs", "answers"], [prefix, cache]),
        ("unpacked", ["rootfs", "answers"], [prefix]),
    ]:
        def ours():
            return timed(run, env, project, lambda: forget(of_store))

        def theirs():
            def prepare():
                for folder in of_cache:
                    shutil.rmtree(folder, ignore_errors=True)
            return timed(install, None, work, prepare)

        pair(f"{len(specs)} conda packages, {name}", ours, theirs, given.runs)
    print("bytecode files of rattler's prefix:", sum(1 for _ in prefix.rglob("*.pyc")))


if __name__ == "__main__":
    main()
