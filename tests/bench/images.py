#!/usr/bin/env python3
"""Times images: building, compressing, pushing, pulling, beside peers on the same work, in turn.

    cargo build --release
    tests/bench/images.py build codec push pull share memory      # or any of them; none means all

Each figure is the median of the paired ratios envbox / peer, with the medians of both beside it.
Quote the ratios: absolute times depend on the machine. Peers are looked up on PATH and a missing
one is named. `--store` says where downloads are taken from (by hard links: on the same file
system); without it they are downloaded. Run it as root, for the peers' sake.

The environment is that of lockfiles/golden/sklearn. The peers pack the same rootfs: buildah has
`FROM scratch` and `COPY . /`, then `push oci:`, which is what compresses; umoci has `insert`. That
is one layer, so we are timed with `--layers 1` too. Only envbox makes the list of files and their
digests anew that it checks while it reads: the peers trust the directory.
"""

import argparse
import contextlib
import hashlib
import io
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from random import Random

from bench import ROOT, Failed, _remove, free_port, need, timed

GOLDEN = ROOT / "lockfiles" / "golden"
ALL = ["build", "codec", "push", "pull", "share", "memory"]
TRUE = ["--", "/bin/true"]


class Registry:
    """A registry on the loopback device that can be emptied."""

    def __init__(self, scratch, log=subprocess.DEVNULL):
        self.data = scratch / "registry"
        self.host = f"127.0.0.1:{free_port()}"
        config = scratch / "registry.yml"
        config.write_text(f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {self.data}}}}}\n"
                          f"http: {{addr: '{self.host}'}}\n")
        self.process = subprocess.Popen(["docker-registry", "serve", str(config)],
                                        stdout=log, stderr=log)
        address = self.host.split(":")
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection((address[0], int(address[1]))):
                return
            time.sleep(0.05)
        raise Failed("docker-registry does not answer")

    def empty(self):
        shutil.rmtree(self.data, ignore_errors=True)

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Images:
    def __init__(self, options, scratch):
        self.options, self.scratch, self.runs = options, scratch, options.runs
        self.envbox = str(options.envbox.absolute())
        self.given = options.store.absolute() if options.store else None
        self.rows = []
        self.podman_root = scratch / "podman"
        self.storage = ["--root", str(self.podman_root / "root"), "--runroot", str(self.podman_root / "run"),
                        "--storage-driver", "overlay"]
        self.store = scratch / "store"
        self.project = self.copy_of("sklearn")

    # What is measured.

    def build(self):
        """Build the image of a finished rootfs: cold, nothing changed, one package more."""
        rootfs = self.ready("sklearn")
        out = self.scratch / "layout"
        ours = lambda *more: self.run("build", *self.at(self.project), "--frozen", "-o", f"oci:{out}", *more)
        fresh = lambda: (self.no_layers(), _remove(out))
        cold = lambda *more: self.timed_after(fresh, lambda: ours(*more))
        sizes = lambda: (_layers(out), _layers(self.scratch / "peer"))
        if need("buildah"):
            for codec, layers in (("gzip", "60"), ("zstd", "60"), ("zstd", "1")):
                self.pair(f"build cold, {layers} layers, {codec} / buildah",
                          lambda: cold("--compression", codec, "--layers", layers), self.buildah(rootfs, codec), sizes=sizes)
        if need("umoci"):
            self.pair("build cold, 1 layer, gzip / umoci insert", lambda: cold("--compression", "gzip", "--layers", "1"),
                      self.umoci(rootfs), sizes=sizes)
        ours()
        if need("buildah"):
            self.pair("build, nothing changed / buildah --layers", ours, self.buildah(rootfs, "zstd", cached=True))
        self.changed(ours)

    def changed(self, first):
        """One package more: a second project whose other layers are those of the first."""
        second = self.copy_of("sklearn", "second")
        manifest = second / "envbox.toml"
        manifest.write_text(manifest.read_text().replace("requirements = [", 'requirements = ["tqdm==4.67.1", '))
        try:
            self.run("run", *self.at(second), *TRUE)
        except Failed as failure:
            print(f"one package more: left out, locking it needs a package index: {failure}", file=sys.stderr)
            return
        rootfs = self.rootfs(second)
        self.no_layers()
        self.run("build", *self.at(second), "--frozen")  # its packages unpacked
        self.no_layers()
        first()
        kept, out = set(self.notes()), self.scratch / "layout"

        def forget():
            for note in set(self.notes()) - kept:
                self.blob(note.read_text().split()[1]).unlink()
                note.unlink()
            _remove(out)

        ours = lambda: self.timed_after(
            forget, lambda: self.run("build", *self.at(second), "--frozen", "-o", f"oci:{out}"))
        if need("buildah"):
            self.pair("build, one package more / buildah, whole layer", ours, self.buildah(rootfs, "zstd"))
        else:
            self.alone("build, one package more", ours)

    def codec(self):
        """Compress the same tar stream: one layer of everything."""
        rootfs = self.ready("sklearn")
        stream = self.scratch / "stream.tar"
        subprocess.run(["tar", "--sort=name", "--numeric-owner", "--owner=0", "--group=0", "--mtime=@0", "-cf", str(stream),
                        "-C", str(rootfs), "."], check=True)
        megabytes = stream.stat().st_size / 1e6
        packed = self.scratch / "stream.packed"
        peers = {"zstd": ["zstd -q -3 -T0", "zstd -q -3 --single-thread"], "gzip": ["pigz -6", "gzip -6"]}
        for codec, commands in peers.items():
            build = lambda: self.run("build", *self.at(self.project), "--frozen", "--layers", "1", "--compression", codec)
            size = lambda: json.loads(self.output("build", *self.at(self.project), "--frozen", "--layers", "1",
                                                  "--compression", codec, "--json"))["images"][0]["bytes"]
            for command in commands:
                if not need(command.split()[0]):
                    continue
                # From a file in memory to a file: no walk, no tar, no digests.
                bare = lambda: timed(["sh", "-c", f"{command} -c {stream} > {packed}"])
                # With what a layer also needs: the tree read, and digests of both streams.
                whole = lambda: timed(["bash", "-c", f"tar --sort=name -c -C {rootfs} . | tee >(sha256sum >/dev/null) | "
                                       f"{command} -c | tee {packed} | sha256sum >/dev/null"])
                for label, peer in (("stream alone", bare), ("tar | compress, sha256 of both", whole)):
                    self.pair(f"layer, {codec} / {command}, {label}", lambda: self.timed_after(self.no_layers, build), peer,
                              sizes=lambda: (size(), packed.stat().st_size), megabytes=megabytes)
        stream.unlink()
        packed.unlink(missing_ok=True)

    def push(self):
        """Push to an empty registry, and to one that has all."""
        if not need("docker-registry"):
            return
        self.ready("sklearn")
        layout = self.scratch / "push"
        self.run("build", *self.at(self.project), "--frozen", "-o", f"oci:{layout}:v1")
        with self.registry() as registry:
            name = f"{registry.host}/bench/sklearn:v1"
            ours = lambda: self.run("build", *self.at(self.project), "--frozen", "--push", name)
            if not need("skopeo"):
                self.alone("push cold", lambda: self.timed_after(registry.empty, ours))
                return
            skopeo = lambda: timed(["skopeo", "copy", "-q", "--dest-tls-verify=false", f"oci:{layout}:v1", f"docker://{name}"])
            self.pair("push cold / skopeo copy", lambda: self.timed_after(registry.empty, ours),
                      lambda: self.timed_after(registry.empty, skopeo))
            self.pair("push, all there / skopeo copy", ours, skopeo)
        _remove(layout)

    def pull(self):
        """From nothing to a step that has run: from a registry, against podman, and from packages."""
        if not need("docker-registry"):
            return
        self.ready("sklearn")
        project = self.copy_of("sklearn", "recorded")
        with self.registry() as registry:
            repository = f"{registry.host}/bench/sklearn"
            self.run("build", *self.at(project), "--record", "--push", f"{repository}:v1")
            empty = self.scratch / "empty"
            env = dict(os.environ, ENVBOX_STORE=str(empty))
            start = ["run", *self.at(project), "--frozen"]
            ours = lambda: self.run(*start, "--images", repository, *TRUE, env=env)
            cold = lambda: self.timed_after(lambda: _remove(empty), ours)
            if need("podman"):
                podman = self.podman(f"{repository}:v1")
                clear = lambda: self.podman_clear()
                self.pair("run from an image, empty store / podman pull + run", cold,
                          lambda: self.timed_after(clear, podman))
                self.pair("run from an image, all there / podman pull + run", ours, podman)
                clear()
            if need("skopeo"):
                copied = self.scratch / "copied"
                skopeo = lambda: timed(["skopeo", "copy", "-q", "--src-tls-verify=false", f"docker://{repository}:v1",
                                        f"oci:{copied}:v1"])
                self.pair("run from an image, empty store / skopeo copy alone", cold,
                          lambda: self.timed_after(lambda: _remove(copied), skopeo))
            downloads = self.scratch / "downloads"

            def only_downloads():
                _remove(downloads)
                self.take_blobs(self.store, downloads, project)

            packages = dict(os.environ, ENVBOX_STORE=str(downloads))
            self.pair("run from an image, empty store / from packages, downloads warm", cold, lambda: self.timed_after(
                only_downloads, lambda: self.run(*start, *TRUE, env=packages)), runs=min(3, self.runs))
            _remove(empty), _remove(downloads)

    def share(self):
        """What environments have in common, by the number of layers."""
        names = ["sklearn", "xgboost", "jax", *(["torch", "tensorflow"] if self.options.large else [])]
        for name in names:
            self.ready(name)
        for layers in (1, 20, 60, 100):
            sizes, total = {}, 0
            for name in names:
                report = json.loads(self.output("build", *self.at(self.scratch / name), "--frozen", "--layers", str(layers),
                                                "--json"))
                for layer in report["images"][0]["layers"]:
                    sizes[layer["digest"]] = layer["size"]
                    total += layer["size"]
            stored = sum(sizes.values())
            self.tell({"name": f"{len(names)} environments, at most {layers} layers each", "moved_mb": total / 1e6,
                       "stored_mb": stored / 1e6, "shared": 1 - stored / total},
                      f"{total / 1e6:8.1f} MB in all, {stored / 1e6:8.1f} MB stored once = {100 * (1 - stored / total):4.1f} % shared")
            self.no_layers()

    def memory(self):
        """The peak of our one process while it builds and pushes."""
        for name in ("sklearn", *(["torch"] if self.options.large else [])):
            self.ready(name)
            in_project = self.at(self.scratch / name)
            for layers in ("60", "1"):
                self.no_layers()
                built = self.run("build", *in_project, "--frozen", "--layers", layers)
                report = json.loads(self.output("build", *in_project, "--frozen", "--layers", layers, "--json"))
                largest = max(layer["unpacked"] for layer in report["images"][0]["layers"])
                unchanged = self.run("build", *in_project, "--frozen", "--layers", layers)
                row = {"name": f"memory, {name}, {layers} layers", "largest_layer_mb": largest / 1e6, "build_s": built[0],
                       "build_mib": built[2], "unchanged_mib": unchanged[2]}
                if need("docker-registry"):
                    with self.registry() as registry:
                        row["push_mib"] = self.run("build", *in_project, "--frozen", "--layers", layers, "--push",
                                                   f"{registry.host}/bench/{name}:v1")[2]
                self.tell(row, ", ".join(f"{key} {value:.1f}" for key, value in row.items() if key != "name"))
        self.no_layers()
        # However large a layer is: an image of one file, locked (which unpacks it) and built again.
        for mebibytes in (16, 2048):
            in_project = self.at(self.generated(mebibytes))
            row = {"name": f"memory, a layer of {mebibytes} MiB", "lock_mib": self.run("lock", *in_project)[2]}
            for codec in ("zstd", "gzip"):
                row[f"{codec}_mib"] = self.run("build", *in_project, "--frozen", "--layers", "1", "--compression", codec)[2]
                self.no_layers()
            self.tell(row, ", ".join(f"{key} {value:.1f}" for key, value in row.items() if key != "name"))

    def generated(self, mebibytes):
        """Makes a project that stands on an image of one file, which compresses a little."""
        project = self.scratch / f"generated-{mebibytes}"
        blobs = project / "layout" / "blobs" / "sha256"
        blobs.mkdir(parents=True)
        random, letters = Random(1), bytes(range(64)) * 4
        block = random.randbytes(8 << 20).translate(letters)
        layer = blobs / "layer"
        file = tarfile.TarInfo("data")
        file.size = mebibytes << 20
        with tarfile.open(layer, "w") as archive, contextlib.closing(_Repeated(block, file.size)) as content:
            archive.addfile(file, content)
        with open(layer, "rb") as stream:
            diff_id = hashlib.file_digest(stream, "sha256").hexdigest()
        layer.rename(blobs / diff_id)

        def document(value):
            data = json.dumps(value).encode()
            digest = hashlib.sha256(data).hexdigest()
            (blobs / digest).write_bytes(data)
            return {"digest": f"sha256:{digest}", "size": len(data)}

        config = document({"architecture": "amd64", "os": "linux", "config": {},
                           "rootfs": {"type": "layers", "diff_ids": [f"sha256:{diff_id}"]}})
        kind = "application/vnd.oci.image"
        layers = [{"mediaType": f"{kind}.layer.v1.tar", "digest": f"sha256:{diff_id}", "size": (blobs / diff_id).stat().st_size}]
        manifest = document({"schemaVersion": 2, "mediaType": f"{kind}.manifest.v1+json",
                             "config": {"mediaType": f"{kind}.config.v1+json", **config}, "layers": layers})
        (project / "envbox.toml").write_text(
            f'[environment]\nname = "generated"\n[base]\nimage = "oci:layout@{manifest["digest"]}"\n')
        return project

    # Peers.

    def buildah(self, rootfs, codec, cached=False):
        out, file = self.scratch / "peer", self.scratch / "Dockerfile"
        file.write_text("FROM scratch\nCOPY . /\n")
        layers = "true" if cached else "false"
        buildah = " ".join(["buildah", *self.storage])
        script = (f"{buildah} build -q --layers={layers} -t bench -f {file} {rootfs} && "
                  f"{buildah} push -q --compression-format {codec} bench oci:{out}:latest")

        def clear():
            subprocess.run(["buildah", *self.storage, "rmi", "-a", "-f"], capture_output=True)
            _remove(out)

        once = lambda: timed(["sh", "-c", script])
        return once if cached else lambda: self.timed_after(clear, once)

    def umoci(self, rootfs):
        out = self.scratch / "peer"
        script = f"umoci init --layout {out} && umoci new --image {out}:x && umoci insert --image {out}:x {rootfs} /"
        return lambda: self.timed_after(lambda: _remove(out), lambda: timed(["sh", "-c", script]))

    def podman(self, name):
        podman = " ".join(["podman", *self.storage, "--tmpdir", str(self.podman_root / "tmp"), "--cgroup-manager", "cgroupfs",
                           "--events-backend", "file"])
        runtime = "--runtime runc " if shutil.which("runc") else ""
        script = (f"{podman} pull -q --tls-verify=false {name} && {podman} run --rm {runtime}--network none "
                  f"--ulimit nofile=1024:1024 --ulimit nproc=1024:1024 {name} /bin/true")
        return lambda: timed(["sh", "-c", script])

    def podman_clear(self):
        subprocess.run(["podman", *self.storage, "rmi", "-a", "-f"], capture_output=True)

    # Stores.

    def copy_of(self, example, name=None):
        target = self.scratch / (name or example)
        if not target.exists():
            shutil.copytree(GOLDEN / example, target)
        return target

    def ready(self, name):
        """Returns the rootfs of an example in the scratch store, which has no layers."""
        project = self.copy_of(name)
        if self.given:
            self.take_blobs(self.given, self.store, project)
        self.run("run", *self.at(project), "--frozen", *TRUE)
        return self.rootfs(project)

    def take_blobs(self, source, target, project):
        """Links the downloads that the project's lock names into a store, which is made when it is not there."""
        target.mkdir(exist_ok=True)
        for mark in ("version", "CACHEDIR.TAG"):
            shutil.copy(source / mark, target)
        for digest in set(re.findall(r"\b[0-9a-f]{64}\b", (project / "envbox.lock").read_text())):
            path = self.blob(f"sha256:{digest}", source)
            place = self.blob(f"sha256:{digest}", target)
            if path.exists() and not place.exists():
                place.parent.mkdir(parents=True, exist_ok=True)
                os.link(path, place)

    def blob(self, digest, store=None):
        digest = digest.removeprefix("sha256:")
        return (store or self.store) / "blobs" / "sha256" / digest[:2] / digest

    def notes(self):
        return list((self.store / "layers").glob("*"))

    def no_layers(self):
        """Removes all layers and what is noted of them."""
        for note in self.notes():
            self.blob(note.read_text().split()[1]).unlink(missing_ok=True)
            note.unlink()

    def rootfs(self, project, store=None):
        store = store or self.store
        mounts = subprocess.run(
            [self.envbox, *self.at(project), "run", "--frozen", "--", "/bin/cat", "/proc/self/mountinfo"],
            env=dict(os.environ, ENVBOX_STORE=str(store)), check=True, capture_output=True, text=True).stdout
        root = next(line.split()[3] for line in mounts.splitlines() if line.split()[4] == "/")
        return store / "rootfs" / Path(root).name

    # Running and telling.

    @staticmethod
    def at(project):
        return ["--project", str(project)]

    def run(self, *arguments, env=None):
        return timed([self.envbox, *arguments], env=env or dict(os.environ, ENVBOX_STORE=str(self.store)))

    def output(self, *arguments):
        return subprocess.run([self.envbox, *arguments], env=dict(os.environ, ENVBOX_STORE=str(self.store)), check=True,
                              capture_output=True, text=True).stdout

    @staticmethod
    def timed_after(prepare, timer):
        """Prepares, waits until the disk is quiet, and times."""
        prepare()
        os.sync()
        return timer()

    @contextlib.contextmanager
    def registry(self):
        registry = Registry(self.scratch)
        try:
            yield registry
        finally:
            registry.stop()
            registry.empty()

    def pair(self, name, ours, theirs, runs=None, sizes=None, megabytes=None):
        """Runs two timers in turn and tells medians and the median of the paired ratios."""
        try:
            ours(), theirs()  # warm-up, not counted
            timings = [(ours(), theirs()) for _ in range(runs or self.runs)]
        except Failed as failure:
            print(f"{name}: left out: {failure}", file=sys.stderr)
            return
        median = statistics.median
        row = {"name": name, "runs": len(timings), "ratio": median(a[0] / b[0] for a, b in timings),
               "cpu_ratio": median(a[1] / b[1] for a, b in timings if b[1])}
        for side, index in (("ours", 0), ("peer", 1)):
            wall, cpu, peak = (median(pair[index][what] for pair in timings) for what in range(3))
            row[side] = {"wall_s": wall, "cpu_s": cpu, "peak_mib": peak}
            if megabytes:
                row[side]["mb_per_s"] = megabytes / wall
        a, b = row["ours"], row["peer"]
        text = (f"wall {a['wall_s']:7.3f} s / {b['wall_s']:7.3f} s = {row['ratio']:5.2f}   cpu {a['cpu_s']:6.2f} / "
                f"{b['cpu_s']:6.2f} = {row['cpu_ratio']:5.2f}   peak {a['peak_mib']:4.0f} / {b['peak_mib']:4.0f} MiB")
        if megabytes:
            text += f"   {a['mb_per_s']:4.0f} / {b['mb_per_s']:4.0f} MB/s"
        if sizes:
            a["size"], b["size"] = sizes()
            text += f"   {a['size'] / 1e6:6.1f} / {b['size'] / 1e6:6.1f} MB"
        self.tell(row, text)

    def alone(self, name, ours):
        timings = [ours() for _ in range(self.runs + 1)][1:]
        wall, cpu, peak = (statistics.median(one[what] for one in timings) for what in range(3))
        self.tell({"name": name, "runs": len(timings), "ours": {"wall_s": wall, "cpu_s": cpu, "peak_mib": peak}},
                  f"wall {wall:7.3f} s   cpu {cpu:6.2f}   peak {peak:4.0f} MiB")

    def tell(self, row, text):
        self.rows.append(row)
        print(f"{row['name']:64} {text}", flush=True)


class _Repeated(io.RawIOBase):
    """A file of a block again and again."""

    def __init__(self, block, size):
        self.block, self.size, self.at = block, size, 0

    def readinto(self, buffer):
        begin = self.at % len(self.block)
        part = self.block[begin:begin + min(len(buffer), self.size - self.at)]
        buffer[:len(part)] = part
        self.at += len(part)
        return len(part)


def _layers(layout):
    """Returns the size of all blobs of a layout, which holds one image."""
    return sum(path.stat().st_size for path in (layout / "blobs" / "sha256").iterdir())


def _version(program):
    """Returns what a peer says of its version."""
    if not shutil.which(program):
        return None
    said = subprocess.run([program, "--version"], capture_output=True, text=True)
    return (said.stdout or said.stderr).splitlines()[0] if said.returncode == 0 else "unknown"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*ALL, []])
    parser.add_argument("--envbox", default=ROOT / "target" / "release" / "envbox", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--store", type=Path, help="take downloads from this store, which stays as it is")
    parser.add_argument("--scratch", type=Path, help="where scratch is made: on the store's file system")
    parser.add_argument("--large", action="store_true", help="share and memory: PyTorch and TensorFlow too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows as JSON too")
    options = parser.parse_args()
    # So that scratch is removed when a time limit ends us, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    scratch = Path(tempfile.mkdtemp(prefix="envbox-images-", dir=options.scratch))
    images = Images(options, scratch)
    try:
        for name in options.names or ALL:
            getattr(images, name)()
    finally:
        if shutil.which("podman"):
            images.podman_clear()
            # What the peers' storage keeps mounted.
            subprocess.run(["umount", "-q", str(images.podman_root / "root" / "overlay")])
        _remove(scratch)
    if options.json:
        programs = ("buildah", "umoci", "podman", "skopeo", "docker-registry", "zstd", "gzip", "pigz")
        document = {"schema": 1, "processors": len(os.sched_getaffinity(0)),
                    "versions": {program: _version(program) for program in programs}, "rows": images.rows}
        options.json.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
