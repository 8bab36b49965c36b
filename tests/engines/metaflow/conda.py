"""A flow as it was written for `@conda`; the test changes the decorators' names."""

import os
import socket
import sys
from importlib.util import find_spec

from metaflow import FlowSpec, conda, conda_base, step


@conda_base(python="3.11")
class CondaFlow(FlowSpec):
    @conda(libraries={"numpy": "2.4.6"})
    @step
    def start(self):
        import numpy

        self.seen = [numpy.__version__, numpy.__file__, sys.executable, socket.gethostname()]
        self.total = numpy.arange(5).sum()
        self.numbers = numpy.random.default_rng().integers(0, 2**31, 3)
        self.next(self.end)

    @conda(packages={"app": ">=1,<2"})
    @step
    def end(self):
        import numpy

        if os.path.exists("fail"):
            raise ValueError("told to fail")
        # It imports a wheel that is not here.
        app = find_spec("app")
        self.seen = [app.origin, os.environ["APP_HOME"], sys.executable, socket.gethostname()]
        self.numbers = [self.numbers, numpy.random.default_rng().integers(0, 2**31, 3)]


if __name__ == "__main__":
    CondaFlow()
