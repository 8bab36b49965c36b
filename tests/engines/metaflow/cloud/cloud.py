"""AWS as far as Metaflow asks for it, on loopback: `aws.py PODMAN_WORD… -- COMMAND…` runs the command beside it.

S3 is moto's. Batch answers the calls of `metaflow.plugins.aws.batch`, each by AWS's real client, and does what
AWS would do: it starts a container of the job's image, with the image's entrypoint and the job's command and
variables. `podman run` and its options are those before the `--`.

The whole runs in a network namespace of its own, so that no address but loopback's can be reached: Metaflow asks
for the metadata of an EC2 instance where it believes to be in Batch.
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
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
from moto.server import ThreadedMotoServer

# Of <sched.h>, <linux/sockios.h> and <net/if.h>.
CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
# What AWS sets for every job.
OF_JOB = {
    "AWS_BATCH_JOB_ATTEMPT": "1",
    "AWS_BATCH_CE_NAME": "here",
    "AWS_BATCH_JQ_NAME": "queue",
    "AWS_EXECUTION_ENV": "AWS_ECS_EC2",
}


class Batch:
    """Jobs, and the definitions they are made of."""

    def __init__(self, podman, credentials):
        self.podman, self.credentials = podman, credentials
        self.definitions, self.jobs = {}, {}

    def describe_job_queues(self, asked):
        order = [{"order": 1, "computeEnvironment": "here"}]
        queue = {"state": "ENABLED", "status": "VALID", "computeEnvironmentOrder": order}
        return {"jobQueues": [{**queue, "jobQueueName": name} for name in asked["jobQueues"]]}

    def describe_compute_environments(self, asked):
        resources = {"type": "EC2"}
        names = asked["computeEnvironments"]
        found = [{"computeEnvironmentName": name, "computeResources": resources} for name in names]
        return {"computeEnvironments": found}

    def describe_job_definitions(self, asked):
        found = self.definitions.get(asked["jobDefinitionName"])
        return {"jobDefinitions": [found] if found else []}

    def register_job_definition(self, asked):
        name = asked["jobDefinitionName"]
        self.definitions[name] = {**asked, "jobDefinitionArn": name}
        return {"jobDefinitionName": name, "jobDefinitionArn": name}

    def submit_job(self, asked):
        job = {"jobId": uuid.uuid4().hex, "jobName": asked["jobName"], "status": "RUNNABLE"}
        self.jobs[job["jobId"]] = job
        threading.Thread(target=self.run, args=(job, asked), daemon=True).start()
        return {"jobId": job["jobId"], "jobName": job["jobName"]}

    def describe_jobs(self, asked):
        return {"jobs": [self.jobs[name] for name in asked["jobs"] if name in self.jobs]}

    def run(self, job, asked):
        """Runs the container of a job to its end."""
        container = self.definitions[asked["jobDefinition"]]["containerProperties"]
        overrides = asked["containerOverrides"]
        variables = {**self.credentials, **OF_JOB, "AWS_BATCH_JOB_ID": job["jobId"]}
        variables.update({given["name"]: given["value"] for given in overrides["environment"]})
        words = [word for pair in variables.items() for word in ("--env", "=".join(pair))]
        job.update(status="RUNNING", startedAt=1)
        command = [*self.podman, *words, container["image"], *overrides["command"]]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        sys.stderr.write("".join("[job] %s\n" % line for line in ended.stderr.splitlines()))
        code = ended.returncode
        job["container"] = {"exitCode": code, "reason": "exit %d" % code}
        job.update(status="FAILED" if code else "SUCCEEDED", stoppedAt=2)


def serve(batch):
    """Serves Batch's calls, and returns where."""
    calls = {name.replace("_", ""): getattr(batch, name) for name in dir(batch) if "_job" in name or "_c" in name}

    class Handler(BaseHTTPRequestHandler):
        """`POST /v1/<call>`, JSON to JSON."""

        def do_POST(self):
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
            answer = json.dumps(calls[self.path.rsplit("/", 1)[1]](asked)).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return "http://127.0.0.1:%d" % server.server_address[1]


def be_alone():
    """Enters a network namespace of its own, whose loopback is up."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "no network namespace could be made")
    with socket.socket() as asker:
        fcntl.ioctl(asker, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


def main():
    divider = sys.argv.index("--")
    podman, command = sys.argv[1:divider], sys.argv[divider + 1 :]
    be_alone()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    moto = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    moto.start()
    s3 = "http://%s:%d" % moto.get_host_and_port()
    credentials = {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none", "AWS_DEFAULT_REGION": "us-east-1"}
    os.environ.update(credentials)
    boto3.client("s3", endpoint_url=s3).create_bucket(Bucket="flows")
    os.environ.update(
        AWS_ENDPOINT_URL_BATCH=serve(Batch(podman, credentials)),
        METAFLOW_S3_ENDPOINT_URL=s3,
        METAFLOW_DEFAULT_DATASTORE="s3",
        METAFLOW_DATASTORE_SYSROOT_S3="s3://flows/metaflow",
        METAFLOW_DATATOOLS_S3ROOT="s3://flows/data",
        METAFLOW_CARD_S3ROOT="s3://flows/cards",
        METAFLOW_BATCH_JOB_QUEUE="queue",
        METAFLOW_ECS_S3_ACCESS_IAM_ROLE="role",
    )
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
