"""What is done for each library, once its module was executed."""

from . import channel


def hold(name, module):
    """Sets and reads back what there is of the library `name`."""
    channel.tell(name, _version(module), "import", "", "", "unknown")


def _version(module):
    version = getattr(module, "__version__", "")
    return version if isinstance(version, str) else ""
