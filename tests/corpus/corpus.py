#!/usr/bin/env python3
"""Runs the corpus of public scripts under two sets of host conditions and compares what they leave.

    corpus.py [--envbox PROGRAM] [--work DIR] [--only TEXT]… [--compare first,second] [--jobs N]

Scripts come from the source distributions that `corpus.toml` names, fetched from the index that pip
is configured for and checked against their digests. Each result is appended to `results.jsonl` in
the work directory at once; what is there is not run again. The report goes to standard output, and
the status is 1 when a script differs that `corpus.toml` does not name.
Needs CPython 3.11 and nothing else.
"""

import argparse
import concurrent.futures
import pathlib
import sys
import tomllib

import compare
import conditions
import fetch

HERE = pathlib.Path(__file__).resolve().parent


def main():
    options = arguments()
    manifest = tomllib.loads((HERE / "corpus.toml").read_text())
    wanted = options.compare.split(",")
    scripts = [
        script
        for script in all_scripts(manifest)
        if any(text in script["name"] for text in options.only or [""])
        and (script["emulated"] or "qemu" not in options.compare)
    ]
    if not scripts:
        sys.exit("corpus.toml has no such script")
    options.work.mkdir(parents=True, exist_ok=True)
    results = compare.Results(options.work / "results.jsonl")
    missing = [
        (script, name) for script in scripts for name in wanted if not results.has(script["name"], name)
    ]
    for distribution in {script["file"]: script["distribution"] for script, _ in missing}.values():
        fetch.unpack(distribution, options.work / "sources")
    runner = conditions.Runner(options, HERE)
    for environment in sorted({script["environment"] for script, _ in missing}):
        runner.prepare(environment, wanted)
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        running = [pool.submit(runner.run, script, name) for script, name in missing]
        for done in concurrent.futures.as_completed(running):
            result = done.result()
            results.add(result)
            print(f"{result['seconds']:7.1f} s  {result['condition']:8} {result['exit']!s:>7}  {result['script']}", file=sys.stderr)
    sys.exit(compare.report(scripts, results, wanted, manifest))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--envbox", default="envbox", help="the program to test")
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("/tmp/envbox-corpus"), help="sources, projects and results")
    parser.add_argument("--only", action="append", metavar="TEXT", help="scripts whose name contains this")
    parser.add_argument("--compare", default="first,second", help="conditions: first, second, unpinned, qemu-MODEL")
    parser.add_argument("--jobs", type=int, default=2, help="scripts at a time")
    return parser.parse_args()


def all_scripts(manifest):
    for distribution in manifest["distribution"]:
        for path in distribution["scripts"]:
            name = f"{distribution['name']}/{path}"
            yield {
                "name": name,
                "path": path,
                "file": distribution["file"],
                "distribution": distribution,
                "environment": distribution["environment"],
                "timeout": manifest["timeout"],
                "emulated": name in manifest["emulated"],
            }


if __name__ == "__main__":
    main()
