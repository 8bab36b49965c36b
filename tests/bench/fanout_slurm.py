"""Slurm's part of `fanout.py`: a job array, with a node that dies."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from bench import free_port
from fanout import CLUSTER, INTEGRATIONS, NODES, VICTIM, Watched

# What Slurm starts: the command, timed, with a line for those that count.
TASK = """#!{python}
import json, os, resource, subprocess, sys, time
begin = time.time()
node, task = os.environ["SLURMD_NODENAME"], int(os.environ["SLURM_ARRAY_TASK_ID"])
place, stores = {place!r}, {stores!r}
with open(f"{{place}}/begun", "a") as begun:
    begun.write(f"{{task}}\\n")
if stores:
    os.environ["ENVBOX_STORE"] = f"{{stores}}/{{node}}"
status = subprocess.call(sys.argv[1:])
row = {{"task": task, "node": node, "begin": begin, "end": time.time(),
       "kib": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss}}
if status == 0:
    with open(f"{{place}}/.{{task}}", "w") as file:
        json.dump(row, file)
    os.rename(f"{{place}}/.{{task}}", f"{{place}}/{{task}}.json")
sys.exit(status)
"""


class Slurm:
    def __init__(self, bench):
        self.bench, self.scratch, self.tasks = bench, bench.scratch, bench.options.tasks
        self.directory = self.scratch / "slurm"
        self.project = bench.prepare("slurm")
        self.env = dict(os.environ, SLURM_CONF=str(self.directory / "slurm.conf"), ENVBOX=bench.envbox,
                        HOME=str(self.scratch / "home"), XDG_STATE_HOME=str(self.scratch / "state"))
        self.env.pop("ENVBOX_STORE", None)

    def all(self):
        """The three fans; results must be the same in all of them that run inside."""
        plain = self.scratch / "plain"
        subprocess.run(["/usr/bin/python3", "-m", "venv", plain], check=True)
        subprocess.run([plain / "bin" / "pip", "install", "--quiet", "numpy==2.1.3"], check=True)
        self.cluster("start", *[str(free_port()) for _ in ["control", *NODES]])
        registry = Watched(self.scratch)
        try:
            self.fan("slurm plain", [str(plain / "bin" / "python"), "sweep.py"])
            inside = [str(INTEGRATIONS / "slurm" / "envbox-task")]
            step = ["--", "python", "sweep.py"]
            self.env["ENVBOX_STORE"] = str(self.bench.shared)
            self.fan("slurm shared store", [*inside, *step])
            del self.env["ENVBOX_STORE"]
            shared = self.results()
            self.bench.check_left("slurm shared store", [self.bench.shared])
            images = self.bench.publish(self.project, registry)
            stores = self.scratch / "stores"
            name = "slurm own stores, one dies"
            self.fan(name, [*inside, "--images", images, *step], stores=stores, kill=True)
            self.bench.check_fetches(name, registry, len(NODES))
            # What the dead node was at stays in its store until its next run takes it away.
            self.bench.check_left(name, [stores / node for node in NODES if node != VICTIM])
            if self.results() != shared:
                self.bench.faults.append(f"{name}: other results than with one store")
        finally:
            registry.stop()
            self.cluster("stop")

    def cluster(self, verb, *ports):
        with open(self.scratch / "cluster.log", "a") as log:
            done = subprocess.run([CLUSTER, verb, self.directory, *ports], stdout=log, stderr=log, check=False)
        if done.returncode != 0:
            sys.exit((self.scratch / "cluster.log").read_text())

    def fan(self, name, command, stores=None, kill=False):
        """Runs all tasks to their end; with `kill`, a node dies after a third of them."""
        place = self.scratch / name.replace(" ", "-")
        place.mkdir()
        task = place / "task"
        task.write_text(TASK.format(python="/usr/bin/python3", place=str(place), stores=str(stores or "")))
        task.chmod(0o755)
        begin = time.time()
        subprocess.run(["sbatch", "--parsable", f"--array=1-{self.tasks}", "--requeue", f"--output={place}/%a.log",
                        "--open-mode=append", str(task), *command],
                       cwd=self.project, env=self.env, check=True, stdout=subprocess.DEVNULL)
        if kill:
            threading.Thread(target=self.kill_node, args=(place,), daemon=True).start()
        while subprocess.check_output(["squeue", "--noheader"], env=self.env):
            time.sleep(0.2)
        rows = [json.loads(file.read_text()) for file in place.glob("*.json")]
        if not rows:
            sys.exit("".join(log.read_text() for log in sorted(place.glob("*.log"))[:3]))
        self.bench.tell(name, rows, max(row["end"] for row in rows) - begin, self.tasks)
        begun = (place / "begun").read_text().split()
        self.bench.found[name]["begun"] = len(begun)
        print(f"{'':28} {len(begun)} begun for {len(rows)} that ended well")

    def kill_node(self, place):
        """Kills a node's daemon and all that it started, as a power cut would."""
        ended = []
        while len(ended) < self.tasks // 3 or VICTIM not in ended:
            time.sleep(0.1)
            ended = [json.loads(file.read_text())["node"] for file in place.glob("*.json")]
        daemon = int((self.directory / f"slurmd.{VICTIM}.pid").read_text())
        os.kill(daemon, signal.SIGKILL)
        mark = f"SLURMD_NODENAME={VICTIM}".encode()
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (process / "environ").read_bytes():
                    parent = int((process / "stat").read_text().rsplit(")", 1)[1].split()[1])
                    if b"slurmstepd" in Path(f"/proc/{parent}/cmdline").read_bytes():
                        os.kill(parent, signal.SIGKILL)
                    os.kill(int(process.name), signal.SIGKILL)
            except (OSError, IndexError):
                continue

    def results(self):
        """What the tasks wrote, by name; they are taken away."""
        found = {}
        for file in sorted(self.project.glob("weights-*.txt")):
            found[file.name] = file.read_text()
            file.unlink()
        return found
