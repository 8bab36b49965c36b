"""An `envbox.toml` from what a step asks for.

In: `Wanted`, where the step runs, and where Metaflow keeps its data. Out: the text of a manifest. It has
what is resolved and nothing of the policy, so that steps which differ in their network or seed
alone have one lockfile. The same wishes give the same bytes.
"""

from __future__ import annotations

import json
import sys
from typing import Iterable, List, Tuple
from urllib.parse import urlsplit

from .wanted import Wanted

# In the lockfile, so a constant: two flows that ask for the same share an environment.
NAME = "metaflow"

# As pip's part of `@pypi` reads versions: with an operator as it is, else exactly that version.
OPERATORS = ("<", ">", "=", "!", "~", "@")

# What Metaflow imports in a task and does not bring along in its code package: `requests` always, for the
# metadata service it may not use; the client of S3 where that is the datastore.
ALWAYS = ("requests",)
OF_S3 = ("boto3",)
# What the command of a pod or a batch job unpacks the code package with, and Debian's base has not.
OF_POD = ("gzip", "tar")
# Datastores that no pod reads. With any other the environment is the one of pods, wherever the step runs and
# whichever command asks: there is one lockfile, and the image that is built of it is the one that is run.
ON_THIS_MACHINE = ("local", "spin")


def manifest_text(wanted: Wanted, datastore: str, channels: List[str]) -> str:
    """Returns the manifest."""
    asked = {name.lower() for name, _ in wanted.packages + wanted.conda_packages}
    needed = needed_by_metaflow(datastore)
    own = [(name, "") for name in needed if name not in asked]
    of_pod = () if datastore in ON_THIS_MACHINE else OF_POD
    debian = sorted({*wanted.debian_packages, *of_pod})
    lines = ["[environment]", "name = %s" % _text(NAME), "python = %s" % _text(_python(wanted))]
    lines += ["", "[python]", "requirements = %s" % _list(map(_requirement, [*wanted.packages, *own]))]
    if wanted.conda_packages:
        named = ", ".join(map(_channel, channels or ["conda-forge"]))
        lines += ["", "[conda]", "channels = [%s]" % named]
        lines.append("dependencies = %s" % _list(map(_match_spec, wanted.conda_packages)))
    if debian:
        lines += ["", "[debian]", "packages = %s" % _list(debian)]
    return "\n".join(lines) + "\n"


def needed_by_metaflow(datastore: str) -> List[str]:
    """Returns the Python distributions that Metaflow imports in a task with this datastore."""
    return sorted({*ALWAYS, *(OF_S3 if datastore == "s3" else ())})


def _python(wanted: Wanted) -> str:
    # The launcher's minor version, whose pickles it can read. `@pypi` takes the patch release too,
    # which no distribution keeps for long.
    return wanted.python or "%d.%d" % sys.version_info[:2]


def _requirement(package: Tuple[str, str]) -> str:
    name, version = package
    if not version:
        return name
    if version.startswith("@"):
        return "%s %s" % (name, version)
    return name + version if version.startswith(OPERATORS) else "%s==%s" % (name, version)


def _match_spec(package: Tuple[str, str]) -> str:
    name, version = package
    if not version:
        return name
    exact = not version.startswith(OPERATORS) and "*" not in version and "," not in version
    return "%s %s%s" % (name, "==" if exact else "", version)


def _channel(channel: str) -> str:
    """A name, or a URL or directory under the name of its path's last part: locks name no host."""
    if "/" not in channel:
        return _text(channel)
    name = urlsplit(channel).path.rstrip("/").rsplit("/", 1)[-1] or "channel"
    return "{ name = %s, url = %s }" % (_text(name), _text(channel))


def _list(items: Iterable[str]) -> str:
    return "[%s]" % ", ".join(map(_text, items))


def _text(item: str) -> str:
    # A JSON string is a TOML one, but for the one control character that JSON does not escape.
    return json.dumps(item, ensure_ascii=False).replace("\x7f", "\\u007f")
