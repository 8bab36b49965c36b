"""A flow as it was written for `@pypi`; the test changes the decorators' names, and nothing else."""

import socket

from metaflow import FlowSpec, pypi, pypi_base, step


@pypi_base(python="3.11", packages={"six": "1.16.0"})
class PypiFlow(FlowSpec):
    @step
    def start(self):
        import six

        self.seen = [six.__version__, socket.gethostname()]
        self.next(self.end)

    @pypi(packages={"six": ">=1.17,<2", "idna": "3.10"})
    @step
    def end(self):
        import idna
        import six

        self.seen = [six.__version__, idna.__version__, socket.gethostname()]


if __name__ == "__main__":
    PypiFlow()
