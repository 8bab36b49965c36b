"""The host conditions, and one run of a script under them.

| | first | second |
|---|---|---|
| user | the caller | for root: an ordinary user |
| project | `…/first/N` | a longer path elsewhere |
| files | made in the order of their names | in the reverse order |
| processors | all | the last one |
| host name | the host's | for root: another |
| HOME, USER, LANG, TZ, umask | `/`, root, C, UTC, 022 | others |
| addresses of envbox itself | random | fixed |
| store | the caller's | for root: another |

`qemu-MODEL` is `first` on an emulated processor. `unpinned` is `first` with the pins of the
instruction set taken off: what it changes is what the pins hold.
"""

import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

ORDINARY = 54_321
QEMU = "/usr/bin/qemu-x86_64-static"
# The emulator is about ten times slower.
SLOWER = 15
OURS = ".corpus"
UNPINNED = {
    "ATEN_CPU_CAPABILITY": "",
    "GLIBC_TUNABLES": "",
    "MKL_CBWR": "",
    "MKL_ENABLE_INSTRUCTIONS": "",
    "NPY_DISABLE_CPU_FEATURES": "",
    "ONEDNN_MAX_CPU_ISA": "",
    "OPENBLAS_CORETYPE": "",
}


class Runner:
    def __init__(self, options, here):
        self.here = here
        self.envbox = shutil.which(options.envbox) or sys.exit(f"there is no `{options.envbox}`")
        self.work = options.work.resolve()
        self.root = os.geteuid() == 0
        # Not below the work directory, so that the paths have nothing in common.
        self.elsewhere = pathlib.Path(tempfile.gettempdir()) / f"envbox-corpus-another-place-{os.getuid()}"
        if self.root:
            # The build directory may lie where only its owner can look.
            self.elsewhere.mkdir(exist_ok=True)
            os.chown(self.elsewhere, ORDINARY, ORDINARY)
            self.envbox = shutil.copy(self.envbox, self.elsewhere / f"envbox-{os.getpid()}")

    def store(self, condition):
        if condition == "second" and self.root:
            return self.elsewhere / "store"
        if told := os.environ.get("ENVBOX_STORE"):
            return pathlib.Path(told)
        return pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "envbox"

    def prepare(self, environment, wanted):
        """Downloads and builds an environment, so that no script's time is spent on it."""
        for condition in wanted:
            project = self.project(condition, f"prepare-{environment}")
            self.fill(project, environment, condition)
            store = self.store(condition)
            if store != self.store("first"):
                # Nothing but envbox makes a store.
                make = self.command(condition, [], ["store", "du"])
                subprocess.run(make, env=self.variables(condition), stdout=subprocess.DEVNULL, check=True)
                share_downloads(self.store("first"), store)
            command = self.command(condition, ["/bin/true"])
            done = subprocess.run(command, env=self.variables(condition), cwd=project, check=False)
            if done.returncode:
                sys.exit(f"the environment `{environment}` cannot be prepared for `{condition}`")
            shutil.rmtree(project)

    def run(self, script, condition):
        project = self.project(condition, script["name"].replace("/", "_").removesuffix(".py"))
        self.fill(project, script["environment"], condition)
        copy(self.work / "sources" / script["distribution"]["name"], project / "scripts", condition)
        if condition.startswith("qemu-"):
            shutil.copy(QEMU, project / OURS / "qemu")
        self.give(project, condition)
        before = contents(project)
        directory = (project / "scripts" / script["path"]).parent
        step = ["python", f"/project/{OURS}/harness.py", f"/project/{OURS}/report.json", pathlib.Path(script["path"]).name]
        if condition.startswith("qemu-"):
            step[:1] = [f"/project/{OURS}/qemu", "-cpu", condition.removeprefix("qemu-"), "/opt/env/bin/python"]
        result = {"script": script["name"], "condition": condition}
        result |= self.watched(condition, directory, step, script["timeout"])
        report = project / OURS / "report.json"
        result |= json.loads(report.read_text()) if report.is_file() else {"globals": None}
        after = contents(project)
        result["files"] = {path: seen for path, seen in after.items() if before.get(path) != seen}
        result["gone"] = sorted(before.keys() - after.keys())
        self.keep(project, result)
        shutil.rmtree(project)
        return result

    def watched(self, condition, directory, step, timeout):
        """Runs a step to its end or to the end of our patience."""
        command = self.command(condition, step)
        limit = timeout * (SLOWER if condition.startswith("qemu-") else 1)
        begun = time.monotonic()
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            started = subprocess.Popen(
                command, env=self.variables(condition), cwd=directory, stdin=subprocess.DEVNULL, stdout=out, stderr=err
            )
            try:
                status = started.wait(limit)
            except subprocess.TimeoutExpired:
                # Everything inside dies with envbox.
                started.kill()
                started.wait()
                status = "hangs"
            streams = {}
            for name, file in (("stdout", out), ("stderr", err)):
                file.seek(0)
                data = without_warnings(file.read())
                streams[name] = hashlib.sha256(data).hexdigest()
                streams[f"{name}_text"] = data.decode(errors="backslashreplace")
        return {"exit": status, "seconds": round(time.monotonic() - begun, 1), **streams}

    def keep(self, project, result):
        """Keeps what a person wants to see who asks why a script differs."""
        kept = self.work / "kept" / result["condition"] / project.name
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir(parents=True)
        for stream in ("stdout", "stderr"):
            (kept / stream).write_text(result.pop(f"{stream}_text"))
        for path in result["files"]:
            if (project / path).is_file() and (project / path).stat().st_size < 1 << 22:
                (kept / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(project / path, kept / path)

    def project(self, condition, name):
        where = self.elsewhere / "a longer path" if condition == "second" else self.work / condition
        project = where / name
        shutil.rmtree(project, ignore_errors=True)
        project.mkdir(parents=True)
        return project

    def fill(self, project, environment, condition):
        for name in ("envbox.toml", "envbox.lock"):
            shutil.copyfile(self.here / environment / name, project / name)
        (project / OURS).mkdir(exist_ok=True)
        for path in sorted((self.here / "inside").glob("*.py")):
            shutil.copyfile(path, project / OURS / path.name)
        self.give(project, condition)

    def give(self, project, condition):
        if condition == "second" and self.root:
            for path in [project, *project.rglob("*")]:
                os.chown(path, ORDINARY, ORDINARY, follow_symlinks=False)

    def command(self, condition, step, verb=None):
        if verb is None:
            pins = UNPINNED if condition == "unpinned" else {}
            told = [f"--env={name}={value}" for name, value in {"MPLBACKEND": "Agg", **pins}.items()]
            verb = ["run", "--frozen", "--no-pty", *told, "--"]
        run = [self.envbox, "--quiet", "--store", str(self.store(condition)), *verb, *step]
        if condition != "second":
            return run
        last = max(os.sched_getaffinity(0))
        run = ["setarch", "-R", "taskset", "-c", str(last), "sh", "-c", 'umask 077; exec "$@"', "sh", *run]
        if self.root:
            run = ["setpriv", f"--reuid={ORDINARY}", f"--regid={ORDINARY}", "--clear-groups", *run]
            run = ["unshare", "-u", "sh", "-c", 'hostname another.example && exec "$@"', "sh", *run]
        return run

    def variables(self, condition):
        kept = {name: os.environ[name] for name in ("SSL_CERT_FILE", "https_proxy") if name in os.environ}
        if condition != "second":
            return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/", "USER": "root", "LANG": "C", "TZ": "UTC", **kept}
        return {
            "PATH": "/bin:/usr/bin:/sbin:/usr/sbin",
            "HOME": str(self.elsewhere),
            "USER": "somebody",
            "LOGNAME": "somebody",
            "LANG": "de_DE.UTF-8",
            "LC_ALL": "tr_TR.UTF-8",
            "TZ": "Asia/Kathmandu",
            "OMP_NUM_THREADS": "7",
            "OPENBLAS_CORETYPE": "Nehalem",
            "PYTHONHASHSEED": "99",
            "COLUMNS": "133",
            **kept,
        }


def without_warnings(data):
    """What the emulator itself says of processors that it does not emulate wholly is not the step's."""
    return b"".join(line for line in data.splitlines(keepends=True) if not line.startswith(b"qemu: warning: "))


def share_downloads(from_store, to_store):
    """Gives an ordinary user's store the downloads of another one, as further names of the files."""
    for blob in (from_store / "blobs").rglob("*"):
        target = to_store / "blobs" / blob.relative_to(from_store / "blobs")
        if blob.is_file() and not blob.name.startswith(".") and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(blob, target)
    for path in [to_store, *to_store.rglob("*")]:
        if path.is_dir() and path.stat().st_uid == 0:
            os.chown(path, ORDINARY, ORDINARY)


def copy(source, target, condition):
    """Copies a tree; the condition says in which order its files are made."""
    target.mkdir()
    for path in sorted(source.iterdir(), reverse=condition == "second"):
        if path.is_dir():
            copy(path, target / path.name, condition)
        else:
            shutil.copyfile(path, target / path.name)


def contents(project):
    """Mode and digest of every file of a project that is not ours."""
    seen = {}
    for path in sorted(project.rglob("*")):
        name = path.relative_to(project).as_posix()
        if path.is_file() and not name.startswith(f"{OURS}/"):
            data = hashlib.sha256(path.read_bytes()).hexdigest()
            seen[name] = f"{path.stat().st_mode & 0o777:o} {data}"
    return seen
