"""Solves each problem of the command line with py-rattler, over channels beside this file.

A problem is JSON: {"channel": DIRECTORY, "specs": [...], "virtual": [...]}. Prints for each the
packages as `subdir/file`, sorted, or `null` where there is no solution.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

from rattler import Channel, Gateway, GenericVirtualPackage, MatchSpec, PackageName, Version, solve
from rattler.exceptions import SolverError
from rattler.package import BuildString


def virtual(text):
    name, version, build = text.split("=")
    return GenericVirtualPackage(PackageName(name), Version(version), BuildString(build))


async def one(problem):
    channel = Channel(Path(problem["channel"]).absolute().as_uri())
    try:
        records = await solve(
            sources=[channel],
            specs=[MatchSpec(spec, strict=True) for spec in problem["specs"]],
            gateway=Gateway(cache_dir=Path("cache").absolute()),
            platforms=["linux-64", "noarch"],
            virtual_packages=[virtual(text) for text in problem["virtual"]],
        )
    except SolverError:
        return None
    return sorted(f"{record.subdir}/{record.file_name}" for record in records)


async def main():
    print(json.dumps([await one(json.loads(problem)) for problem in sys.argv[1:]]))


asyncio.run(main())
# py-rattler's threads sometimes outlive the interpreter, which then aborts at its end.
sys.stdout.flush()
os._exit(0)
