"""Draws from chance in every place that a task can have: what a container draws must be what the sandbox does."""

import os
import random
import uuid

from metaflow import FlowSpec, Parameter, envbox_base, step


def draw():
    return [random.random(), uuid.uuid4().hex, list({"a", "b", "c", "d"}), os.listdir("/usr/share")]


@envbox_base(packages={"six": "1.16.0"})
class ElsewhereFlow(FlowSpec):
    size = Parameter("size", default=2)

    @step
    def start(self):
        self.drawn = draw()
        self.items = ["x", "y", "z"][: self.size]
        self.next(self.fan, foreach="items")

    @step
    def fan(self):
        import six

        self.seen = [self.input, six.__version__, os.environ["ENVBOX_LOCK_DIGEST"]]
        self.drawn = draw()
        self.next(self.after)

    @step
    def after(self):
        self.drawn = [self.drawn, draw()]
        self.next(self.join)

    @step
    def join(self, inputs):
        self.drawn = [draw(), [task.drawn for task in inputs]]
        self.next(self.end)

    @step
    def end(self):
        self.drawn = draw()


if __name__ == "__main__":
    ElsewhereFlow()
