"""AWS Batch as far as Metaflow asks for it: the calls of `metaflow.plugins.aws.batch`, made by AWS's real client.

A job is a container of its image, with the image's entrypoint and the job's command and variables.
"""

import threading
import uuid

# What AWS sets for every job.
OF_JOB = {
    "AWS_BATCH_JOB_ATTEMPT": "1",
    "AWS_BATCH_CE_NAME": "here",
    "AWS_BATCH_JQ_NAME": "queue",
    "AWS_EXECUTION_ENV": "AWS_ECS_EC2",
}


class Batch:
    """Jobs, and the definitions they are made of."""

    def __init__(self, containers, credentials):
        self.containers, self.credentials = containers, credentials
        self.definitions, self.jobs = {}, {}

    def answer(self, _method, path, _query, body):
        """Answers `POST /v1/<call>`."""
        calls = {
            "describejobqueues": self.queues,
            "describecomputeenvironments": self.compute_environments,
            "describejobdefinitions": self.described_definitions,
            "registerjobdefinition": self.define,
            "submitjob": self.submit,
            "describejobs": self.described,
        }
        return 200, calls[path.rsplit("/", 1)[1]](body)

    def queues(self, asked):
        order = [{"order": 1, "computeEnvironment": "here"}]
        queue = {"state": "ENABLED", "status": "VALID", "computeEnvironmentOrder": order}
        return {"jobQueues": [{**queue, "jobQueueName": name} for name in asked["jobQueues"]]}

    def compute_environments(self, asked):
        resources = {"type": "EC2"}
        names = asked["computeEnvironments"]
        found = [{"computeEnvironmentName": name, "computeResources": resources} for name in names]
        return {"computeEnvironments": found}

    def described_definitions(self, asked):
        found = self.definitions.get(asked["jobDefinitionName"])
        return {"jobDefinitions": [found] if found else []}

    def define(self, asked):
        name = asked["jobDefinitionName"]
        self.definitions[name] = {**asked, "jobDefinitionArn": name}
        return {"jobDefinitionName": name, "jobDefinitionArn": name}

    def submit(self, asked):
        job = {"jobId": uuid.uuid4().hex, "jobName": asked["jobName"], "status": "RUNNABLE"}
        self.jobs[job["jobId"]] = job
        threading.Thread(target=self.run, args=(job, asked), daemon=True).start()
        return {"jobId": job["jobId"], "jobName": job["jobName"]}

    def described(self, asked):
        return {"jobs": [self.jobs[name] for name in asked["jobs"] if name in self.jobs]}

    def run(self, job, asked):
        """Runs the container of a job to its end."""
        image = self.definitions[asked["jobDefinition"]]["containerProperties"]["image"]
        overrides = asked["containerOverrides"]
        variables = {**self.credentials, **OF_JOB, "AWS_BATCH_JOB_ID": job["jobId"]}
        variables.update({given["name"]: given["value"] for given in overrides["environment"]})
        job.update(status="RUNNING", startedAt=1)
        code = self.containers.start("job", [], variables, image, overrides["command"]).wait()
        job["container"] = {"exitCode": code, "reason": "exit %d" % code}
        job.update(status="FAILED" if code else "SUCCEEDED", stoppedAt=2)
