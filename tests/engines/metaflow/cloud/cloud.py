"""Clouds on loopback: `cloud.py PODMAN_WORD… -- COMMAND…` runs the command beside them.

S3 is moto's; Batch and Kubernetes answer what Metaflow asks and start what it gives them by `podman run` and its
options, which are those before the `--`.

The whole runs in a network namespace of its own, so that no address but loopback's can be reached: Metaflow asks
for the metadata of an EC2 instance where it believes to be in one.
"""

import ctypes
import fcntl
import json
import logging
import os
import socket
import struct
import subprocess
import sys

import boto3
from batch import Batch
from cluster import Cluster
from containers import Containers, serve
from moto.server import ThreadedMotoServer

# Of <sched.h>, <linux/sockios.h> and <net/if.h>.
CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
    "AWS_DEFAULT_REGION": "us-east-1",
}
SECRET = "s3"


def be_alone():
    """Enters a network namespace of its own, whose loopback is up."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "no network namespace could be made")
    with socket.socket() as asker:
        fcntl.ioctl(asker, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


def serve_s3():
    """Serves S3 with a bucket, and returns where."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    moto = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    moto.start()
    s3 = "http://%s:%d" % moto.get_host_and_port()
    boto3.client("s3", endpoint_url=s3).create_bucket(Bucket="flows")
    return s3


def write_kubeconfig(server):
    """Writes how the cluster is reached, and returns where it is written."""
    context = {"cluster": "here", "user": "tester"}
    config = {
        "current-context": "here",
        "clusters": [{"name": "here", "cluster": {"server": server}}],
        "users": [{"name": "tester", "user": {}}],
        "contexts": [{"name": "here", "context": context}],
    }
    path = os.path.abspath("kubeconfig")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(config, file)
    return path


def main():
    divider = sys.argv.index("--")
    containers, command = Containers(sys.argv[1:divider]), sys.argv[divider + 1 :]
    be_alone()
    os.environ.update(CREDENTIALS)
    os.environ.update(
        METAFLOW_S3_ENDPOINT_URL=serve_s3(),
        METAFLOW_DEFAULT_DATASTORE="s3",
        METAFLOW_DATASTORE_SYSROOT_S3="s3://flows/metaflow",
        METAFLOW_DATATOOLS_S3ROOT="s3://flows/data",
        METAFLOW_CARD_S3ROOT="s3://flows/cards",
        AWS_ENDPOINT_URL_BATCH=serve(Batch(containers, CREDENTIALS).answer),
        METAFLOW_BATCH_JOB_QUEUE="queue",
        METAFLOW_ECS_S3_ACCESS_IAM_ROLE="role",
        KUBECONFIG=write_kubeconfig(serve(Cluster(containers, {SECRET: CREDENTIALS}).answer)),
        METAFLOW_KUBERNETES_SECRETS=SECRET,
    )
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
