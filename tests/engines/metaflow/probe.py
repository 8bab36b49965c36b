"""Looks around in every task: foreach, branches, a retry, artifacts, a configuration, a file."""

import os
import random
import socket
import time
import uuid

from metaflow import Config, FlowSpec, IncludeFile, Parameter, card, current, envbox, retry, step

HERE = os.path.dirname(os.path.abspath(__file__))


def look(port):
    """What this process sees of its host."""
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
        network = "reached"
    except ConnectionRefusedError:
        network = "refused"
    try:
        with open(os.path.join(HERE, "written"), "w"):
            code = "written"
    except OSError as error:
        code = error.strerror
    return {"host": socket.gethostname(), "time": int(time.time()), "network": network, "code": code}


class ProbeFlow(FlowSpec):
    port = Parameter("port", type=int)
    text = IncludeFile("text", default=os.path.join(HERE, "text.txt"))
    config = Config("config", default_value={"numbers": [10, 20, 30]})

    @step
    def start(self):
        self.seen = look(self.port)
        self.items = list(self.config.numbers)
        self.next(self.left, self.right)

    @retry(times=1, minutes_between_retries=0)
    @step
    def left(self):
        self.seen = look(self.port)
        if current.retry_count == 0:
            raise ValueError("the first attempt fails")
        self.drawn = [random.random(), uuid.uuid4().hex]
        self.next(self.both)

    @envbox(packages={"six": "1.16.0"})
    @step
    def right(self):
        import six

        self.seen = look(self.port)
        self.six = six.__version__
        self.next(self.both)

    @step
    def both(self, inputs):
        self.merge_artifacts(inputs, exclude=["seen"])
        self.seen = look(self.port)
        self.next(self.split)

    @step
    def split(self):
        self.next(self.fan, foreach="items")

    @card
    @step
    def fan(self):
        self.seen = look(self.port)
        self.drawn = [self.input, random.random(), uuid.uuid4().hex]
        self.next(self.join)

    @step
    def join(self, inputs):
        self.seen = look(self.port)
        self.drawn = sorted(task.drawn for task in inputs)
        self.next(self.end)

    @step
    def end(self):
        self.seen = look(self.port)
        if os.path.exists(os.path.join(HERE, "fail")):
            raise ValueError("told to fail")


if __name__ == "__main__":
    ProbeFlow()
