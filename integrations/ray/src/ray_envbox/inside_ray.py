"""All that there is of `ray` in the sandbox, but for `ray.cloudpickle`: a sentence."""

# Here, since a name that is not there yet is refused.
import ray.cloudpickle  # noqa: F401


def refused(name: str) -> ImportError:
    return ImportError(
        f"there is no `{name}` in the sandbox: the cluster is outside. Pass objects as arguments of "
        "the call, not in lists, and leave nested calls to the program"
    )


def __getattr__(name: str):
    if name.startswith("__"):
        raise AttributeError(name)
    raise refused(f"ray.{name}")
