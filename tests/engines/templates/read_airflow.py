"""Loads a directory of DAGs and prints the pod that Airflow makes of the only task: `read_airflow.py DIR`."""

import json
import sys

from airflow.dag_processing.dagbag import DagBag
from kubernetes.client import ApiClient

bag = DagBag(sys.argv[1])
assert not bag.import_errors, bag.import_errors
(dag,) = bag.dags.values()
(task,) = dag.tasks
# As before each run: nothing may be put into the command.
task.render_template_fields({})
pod = ApiClient().sanitize_for_serialization(task.build_pod_request_obj())
print("\n" + json.dumps({"dag": dag.dag_id, "pod": pod}))
