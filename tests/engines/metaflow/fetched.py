"""Brings here what the tasks of a workflow wrote of themselves, beside their data: `fetched.py FLOW/RUN`.

With metadata in files, Metaflow does so for tasks that it waits for; a workflow nobody waits for.
"""

import os
import sys

from metaflow.datastore import FlowDataStore
from metaflow.metadata_provider.util import sync_local_metadata_from_datastore
from metaflow.metaflow_config import DATASTORE_LOCAL_DIR
from metaflow.plugins.datastores.s3_storage import S3Storage

flow, run = sys.argv[1].split("/")
root = os.environ["METAFLOW_DATASTORE_SYSROOT_S3"]
datastore = FlowDataStore(flow, storage_impl=S3Storage, ds_root=root)
for task in datastore.get_task_datastores(run):
    # The flow's parameters are a task that is told of with the first step.
    if task.step_name != "_parameters":
        sync_local_metadata_from_datastore(DATASTORE_LOCAL_DIR, task)
