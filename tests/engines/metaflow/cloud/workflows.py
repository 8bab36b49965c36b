"""Argo Workflows as far as Metaflow's templates ask for it: DAGs, fan-outs by `withParam`, outputs that are files.

A workflow's pods run as those of `cluster.py` do, one after the other, and the items of a fan-out side by side.
"""

import base64
import json
import os
import re
import tempfile
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

CREATED = "2020-01-01T00:00:00Z"


class Workflows:
    """What lies below `/apis/argoproj.io`: templates, and the workflows made of them."""

    def __init__(self, cluster):
        self.cluster, self.objects = cluster, {}

    def answer(self, method, path, body):
        """Answers the calls of `CustomObjectsApi` that Metaflow makes."""
        plural, name = (path.split("/namespaces/default/")[1].split("/") + [""])[:2]
        if method == "POST":
            metadata = body["metadata"]
            metadata.setdefault("name", metadata.get("generateName", "") + uuid.uuid4().hex[:5])
            metadata.update(resourceVersion="1", creationTimestamp=CREATED)
            self.objects[plural, metadata["name"]] = body
            if plural == "workflows":
                body["status"] = {"phase": "Running"}
                threading.Thread(target=self.run, args=(body,), daemon=True).start()
            return 201, body
        found = self.objects.get((plural, name))
        return (200, found) if found else (404, {"message": "%s is not there" % path})

    def run(self, workflow):
        """Runs a workflow to its end."""
        name, spec = workflow["metadata"]["name"], workflow["spec"]
        template = self.objects["workflowtemplates", spec["workflowTemplateRef"]["name"]]["spec"]
        given = [*parameters_of(template), *parameters_of(spec)]
        known = {"workflow.name": name, "workflow.creationTimestamp": CREATED}
        known.update({"workflow.parameters.%s" % one["name"]: one["value"] for one in given})
        try:
            Execution(self.cluster, template["templates"], known).run(template["entrypoint"], {})
            workflow["status"] = {"phase": "Succeeded"}
        except Exception as error:
            workflow["status"] = {"phase": "Failed", "message": repr(error)}
            raise


class Execution:
    """One workflow that runs: its templates by their names, and what is known throughout."""

    def __init__(self, cluster, templates, known):
        self.cluster, self.known = cluster, known
        self.templates = {template["name"]: template for template in templates}

    def run(self, name, inputs):
        """Runs a template with its inputs, and returns its outputs."""
        known = {**self.known, **{"inputs.parameters.%s" % key: inputs[key] for key in inputs}}
        template = filled(self.templates[name], known)
        return self.run_dag(template) if "dag" in template else self.run_pod(template)

    def run_dag(self, template):
        known, waiting = {}, list(template["dag"]["tasks"])
        while waiting:
            task = next(one for one in waiting if all(name in known for name in needed(one)))
            waiting.remove(task)
            outputs = self.run_task(filled(task, flattened(known)))
            known[task["name"]] = outputs
        return {
            output["name"]: filled(output["valueFrom"]["parameter"], flattened(known))
            for output in template.get("outputs", {}).get("parameters", [])
        }

    def run_task(self, task):
        if "withParam" not in task:
            return self.run(task["template"], values_of(task))
        items = json.loads(task["withParam"])
        with ThreadPoolExecutor(2) as pool:
            each = [filled(task, {"item": str(item)}) for item in items]
            return list(pool.map(lambda one: self.run(one["template"], values_of(one)), each))[-1]

    def run_pod(self, template):
        pod = {"name": "%s-%s" % (template["name"], uuid.uuid4().hex[:5]), "uid": str(uuid.uuid4())}
        with tempfile.TemporaryDirectory() as out:
            # As an `emptyDir` is: whoever the image's user is may write to it.
            os.chmod(out, 0o777)
            mount = ["--volume", "%s:/mnt/out" % out]
            code = self.cluster.run(template["container"], pod, mount).wait()
            if code:
                raise RuntimeError("%s ended with %d" % (pod["name"], code))
            outputs = {}
            for output in template.get("outputs", {}).get("parameters", []):
                with open(output["valueFrom"]["path"].replace("/mnt/out", out), encoding="utf-8") as file:
                    outputs[output["name"]] = file.read().strip()
            return outputs


def parameters_of(spec):
    return spec.get("arguments", {}).get("parameters", [])


def values_of(task):
    return {given["name"]: given["value"] for given in parameters_of(task)}


def needed(task):
    """Returns the names of the tasks that one waits for."""
    return re.findall(r"([\w-]+)\.Succeeded", task.get("depends", ""))


def flattened(outputs):
    return {
        "tasks.%s.outputs.parameters.%s" % (task, name): value
        for task, values in outputs.items()
        for name, value in values.items()
    }


def filled(document, known):
    """Returns a document whose `{{…}}` are filled in, as far as they are known."""
    if isinstance(document, dict):
        return {key: filled(value, known) for key, value in document.items()}
    if isinstance(document, list):
        return [filled(value, known) for value in document]
    if not isinstance(document, str):
        return document

    def encoded(found):
        name = re.sub(r"\['(.+)'\]", r".\1", found[1])
        return base64.b64encode(known[name].encode()).decode() if name in known else found[0]

    document = re.sub(r"\{\{=toBase64\((.+?)\)\}\}", encoded, document)
    return re.sub(r"\{\{([^=}]+)\}\}", lambda found: known.get(found[1].strip(), found[0]), document)
