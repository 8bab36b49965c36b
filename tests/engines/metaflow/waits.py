"""Starts a task that waits for ever, with a child, as `sys.stdin` is an open pipe that nobody writes to."""

import subprocess
import sys

from metaflow import FlowSpec, step


class WaitsFlow(FlowSpec):
    @step
    def start(self):
        subprocess.Popen(["cat"], stdin=sys.stdin)
        print("waiting", flush=True)
        sys.stdin.read()
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    WaitsFlow()
