"""Kubernetes as far as Metaflow asks for it: jobs of one pod of one container, and secrets.

`Cluster.answer` is the API, whose client is Kubernetes' own; `Cluster.run` is a node, where the command of a
container replaces the image's entrypoint, as Kubernetes has it. What belongs to Argo is in `workflows.py`.
"""

import threading
import uuid

from workflows import Workflows

# What a pod is told of itself, where it asks for `metadata.name` and the like.
OF_POD = {"metadata.namespace": "default", "spec.serviceAccountName": "tester", "status.hostIP": "127.0.0.1"}
ENDED = "2020-01-01T00:00:00Z"


class Cluster:
    """Jobs by their names, with their pods and containers."""

    def __init__(self, containers, secrets):
        self.containers, self.secrets = containers, secrets
        self.jobs, self.pods, self.processes = {}, {}, {}
        self.workflows = Workflows(self)

    def answer(self, method, path, query, body):
        """Answers the calls of `BatchV1Api` and `CoreV1Api` that Metaflow makes."""
        body = without_nulls(body)
        if path.startswith("/apis/argoproj.io/"):
            return self.workflows.answer(method, path, body)
        name = path.rsplit("/", 1)[1]
        if method == "POST" and name == "jobs":
            return 201, self.create(body)
        if method == "GET" and name == "pods":
            return 200, {"items": self.selected(query.get("labelSelector", "")), "metadata": {}}
        if name not in self.jobs:
            return 404, {"message": "%s %s is not there" % (method, path)}
        if method == "PATCH":
            self.stop(name, body)
        return 200, self.jobs[name]

    def create(self, job):
        metadata = job["metadata"]
        metadata.update(name=metadata["generateName"] + uuid.uuid4().hex[:5], uid=str(uuid.uuid4()))
        job["spec"].setdefault("parallelism", 1)
        job["status"] = {"active": 1}
        name = metadata["name"]
        self.jobs[name] = job
        pod = {"name": name + "-pod", "uid": str(uuid.uuid4()), "namespace": "default"}
        status = {"phase": "Running", "containerStatuses": [state_of(job, {"running": {}})]}
        self.pods[name] = {"metadata": {**job["spec"]["template"]["metadata"], **pod}, "status": status}
        self.processes[name] = self.run(container_of(job), pod)
        threading.Thread(target=self.wait, args=(name,), daemon=True).start()
        return job

    def selected(self, selector):
        name = selector.removeprefix("job-name=")
        return [self.pods[name]] if name in self.pods else []

    def stop(self, name, patch):
        self.jobs[name]["spec"].update(patch["spec"])
        if patch["spec"].get("parallelism") == 0:
            self.processes[name].terminate()

    def run(self, container, pod, options=()):
        """Starts a container of a pod, and returns its process."""
        known = {**OF_POD, "metadata.name": pod["name"], "metadata.uid": pod["uid"]}
        variables = {}
        for source in container.get("envFrom", []):
            variables.update(self.secrets[source["secretRef"]["name"]])
        for given in container["env"]:
            asked = given.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath")
            variables[given["name"]] = given.get("value", "") if asked is None else known[asked]
        entrypoint, *words = container["command"]
        options = [*options, "--entrypoint", entrypoint]
        return self.containers.start("pod", options, variables, container["image"], words)

    def wait(self, name):
        """Writes down how the pod of a job ended."""
        code = self.processes[name].wait()
        reason = "Error" if code else "Completed"
        ended = {"terminated": {"exitCode": code, "reason": reason, "finishedAt": ENDED}}
        status = {"phase": "Failed" if code else "Succeeded"}
        status["containerStatuses"] = [state_of(self.jobs[name], ended)]
        self.pods[name]["status"] = status
        self.jobs[name]["status"] = {"failed": 1} if code else {"succeeded": 1}


def without_nulls(document):
    """Returns a document as the API keeps it."""
    if isinstance(document, dict):
        return {key: without_nulls(value) for key, value in document.items() if value is not None}
    if isinstance(document, list):
        return [without_nulls(value) for value in document]
    return document


def container_of(job):
    return job["spec"]["template"]["spec"]["containers"][0]


def state_of(job, state):
    """Returns what a pod says of its container."""
    container = container_of(job)
    known = {"name": container["name"], "image": container["image"], "imageID": "", "restartCount": 0}
    return {**known, "ready": "running" in state, "state": state}
