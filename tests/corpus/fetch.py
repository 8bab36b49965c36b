"""Source distributions, from the index that pip is configured for."""

import hashlib
import html.parser
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import urllib.parse
import urllib.request

DEFAULT_INDEX = "https://pypi.org/simple"


def unpack(distribution, sources):
    """Unpacks the part of a distribution that holds the scripts, once; returns where it lies."""
    target = sources / distribution["name"]
    if target.is_dir():
        return target
    archive = sources / distribution["file"]
    sources.mkdir(parents=True, exist_ok=True)
    if not archive.is_file():
        download(distribution, archive)
    part = sources / f".part-{distribution['name']}"
    shutil.rmtree(part, ignore_errors=True)
    with tarfile.open(archive) as packed:
        packed.extractall(part, filter="data")
    (part / distribution["directory"]).rename(target)
    shutil.rmtree(part)
    return target


def download(distribution, archive):
    page = f"{index().rstrip('/')}/{distribution['name']}/"
    with urllib.request.urlopen(page, timeout=180) as response:
        links = Links(response.url)
        links.feed(response.read().decode())
    url = links.found.get(distribution["file"])
    if url is None:
        sys.exit(f"{page} does not list {distribution['file']}")
    with urllib.request.urlopen(url, timeout=600) as response:
        data = response.read()
    found = hashlib.sha256(data).hexdigest()
    if found != distribution["sha256"]:
        sys.exit(f"{distribution['file']} has the digest {found}, not {distribution['sha256']}")
    part = archive.with_suffix(".part")
    part.write_bytes(data)
    part.rename(archive)


class Links(html.parser.HTMLParser):
    """The files that an index page (PEP 503) lists."""

    def __init__(self, base):
        super().__init__()
        self.base = base
        self.found = {}

    def handle_starttag(self, tag, attributes):
        target = dict(attributes).get("href")
        if tag == "a" and target:
            url = urllib.parse.urldefrag(urllib.parse.urljoin(self.base, target)).url
            self.found[pathlib.PurePosixPath(urllib.parse.unquote(urllib.parse.urlparse(url).path)).name] = url


def index():
    """What pip would use."""
    if told := os.environ.get("PIP_INDEX_URL"):
        return told
    asked = subprocess.run(
        [sys.executable, "-m", "pip", "config", "get", "global.index-url"],
        capture_output=True,
        text=True,
        check=False,
    )
    return asked.stdout.strip() or DEFAULT_INDEX
