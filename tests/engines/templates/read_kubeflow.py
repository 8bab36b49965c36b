"""Prints what Kubeflow's compiler made of a pipeline, as JSON: `read_kubeflow.py FILE`."""

import json
import sys

import yaml
from kfp import components

with open(sys.argv[1]) as file:
    pipeline, platform = yaml.safe_load_all(file)
# The loader reads it as a component of other pipelines.
loaded = components.load_component_from_file(sys.argv[1])
print(json.dumps({"name": loaded.name, "pipeline": pipeline, "platform": platform}))
