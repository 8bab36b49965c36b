"""Reads manifests as Kubernetes and Argo do: `read_kubernetes.py FILE…`. Prints what it read."""

import sys

import kubernetes_validate
import yaml
from hera.workflows.models import Workflow

# The oldest that knows all that is written, and the newest of the validator.
VERSIONS = ("1.31", kubernetes_validate.latest_version())


def validate(document):
    for version in VERSIONS:
        kubernetes_validate.validate(document, version, strict=True)


for name in sys.argv[1:]:
    with open(name) as file:
        for document in yaml.safe_load_all(file):
            if document["kind"] != "Workflow":
                validate(document)
                print(document["kind"], document["metadata"]["name"])
                continue
            workflow = Workflow(**document)
            # What Argo puts into pods must be Kubernetes' as well.
            for template in document["spec"]["templates"]:
                fields = ("affinity", "securityContext", "tolerations", "volumes")
                spec = {key: document["spec"][key] for key in fields if key in document["spec"]}
                spec |= yaml.safe_load(document["spec"]["podSpecPatch"])
                spec["containers"] = [template["container"] | {"name": "main"}]
                validate({"apiVersion": "v1", "kind": "Pod", "metadata": document["spec"]["podMetadata"], "spec": spec})
                outputs = workflow.spec.templates[0].outputs
                paths = [artifact.path for artifact in (outputs.artifacts if outputs else [])]
                print("Workflow", workflow.spec.entrypoint, *paths)
