"""Makes an index of each scenario of packse beside this file, and resolves it with uv.

Usage: packse.py PYTHON PLATFORM. Writes `indexes/NAME`, and prints for each scenario what it
requires, whether it allows pre-releases, and uv's `name: version`, or `null` where uv finds none.
"""

import hashlib
import json
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

PYTHON, PLATFORM = sys.argv[1:]


def wheel(path, project, version, tag, release):
    info = f"{project.replace('-', '_')}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.3\nName: {project}\nVersion: {version}\n"
    if specifier := release.get("requires_python"):
        metadata += f"Requires-Python: {specifier}\n"
    metadata += "".join(f"Requires-Dist: {text}\n" for text in release.get("requires", []))
    for extra, requirements in release.get("extras", {}).items():
        metadata += f"Provides-Extra: {extra}\n"
        for text in requirements:
            name, _, marker = (part.strip() for part in text.partition(";"))
            condition = f"({marker}) and extra == '{extra}'" if marker else f"extra == '{extra}'"
            metadata += f"Requires-Dist: {name} ; {condition}\n"
    about = f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in (("METADATA", metadata), ("WHEEL", about), ("RECORD", "")):
            archive.writestr(zipfile.ZipInfo(f"{info}/{name}"), text)


def index(root, packages):
    root.mkdir(parents=True)
    for project, package in packages.items():
        folder = root / project
        folder.mkdir()
        links = []
        for version, release in package.get("versions", {}).items():
            stem = f"{project.replace('-', '_')}-{version}"
            files = []
            if release.get("wheel", True):
                for tag in release.get("wheel_tags") or ["py3-none-any"]:
                    files.append(folder / f"{stem}-{tag}.whl")
                    wheel(files[-1], project, version, tag, release)
            if release.get("sdist", True):
                files.append(folder / f"{stem}.tar.gz")
                files[-1].write_bytes(b"nothing may look into it")
            more = ' data-yanked="for testing"' if release.get("yanked") else ""
            if specifier := release.get("requires_python"):
                more += f' data-requires-python="{specifier.replace(">", "&gt;").replace("<", "&lt;")}"'
            for file in files:
                digest = hashlib.sha256(file.read_bytes()).hexdigest()
                links.append(f'<a href="{file.name}#sha256={digest}"{more}>{file.name}</a>')
        (folder / "index.html").write_text("<html><body>" + "\n".join(links) + "</body></html>")


def resolve(root, scenario, prereleases):
    asked = root.parent / f"{root.name}.in"
    asked.write_text("\n".join(scenario["root"]["requires"]) + "\n")
    command = [
        "uv", "pip", "compile", "--quiet", "--no-config", "--no-header", "--no-annotate", str(asked),
        "--index-url", root.as_uri(), "--python-version", PYTHON, "--python-platform", PLATFORM,
        "--only-binary", ":all:", "--cache-dir", "cache",
    ]
    if prereleases:
        command += ["--prerelease", "allow"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        assert "No solution found" in done.stderr, f"{root.name}: {done.stderr}"
        return None
    lines = (line for line in done.stdout.splitlines() if "==" in line)
    return dict(line.strip().split("==", 1) for line in lines)


found = {}
for file in sorted(Path("scenarios").rglob("*.toml")):
    scenario = tomllib.loads(file.read_text())
    root = Path("indexes").absolute() / scenario["name"]
    index(root, scenario.get("packages", {}))
    prereleases = scenario.get("resolver_options", {}).get("prereleases", False)
    found[scenario["name"]] = {
        "requires": scenario["root"]["requires"],
        "prereleases": prereleases,
        "uv": resolve(root, scenario, prereleases),
    }
print(json.dumps(found))
