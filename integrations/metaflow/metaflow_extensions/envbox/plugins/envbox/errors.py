"""What the user is told. Metaflow prints `headline`, then the message, and exits with 1."""

from __future__ import annotations

from metaflow.exception import MetaflowException


class EnvboxMissing(MetaflowException):
    headline = "envbox is not here"

    def __init__(self, looked_for: str):
        super().__init__(
            "There is no program `%s`. Install envbox, or say where it is with "
            "METAFLOW_ENVBOX_BINARY." % looked_for
        )


class EnvboxVersion(MetaflowException):
    headline = "envbox has the wrong version"

    def __init__(self, binary: str, found: str, wanted: str):
        super().__init__(
            "`%s` is `%s`; this version of metaflow-envbox works with %s. Install that, or another "
            "metaflow-envbox." % (binary, found, wanted)
        )


class EnvboxFailed(MetaflowException):
    headline = "envbox failed"

    def __init__(self, doing: str, said: str):
        super().__init__("%s\n%s" % (doing, said.rstrip()))


class EnvboxArgument(MetaflowException):
    headline = "@envbox is told something it cannot do"

    def __init__(self, step: str, message: str):
        super().__init__("Step *%s*: %s" % (step, message))


class EnvboxDrift(MetaflowException):
    headline = "The environment is another one"

    def __init__(self, message: str):
        super().__init__(message)
