"""Metaflow's configuration, with what envbox needs of it.

Each value can be set as `METAFLOW_<NAME>` in the environment or in Metaflow's configuration file.
"""

from metaflow.metaflow_config_funcs import from_conf

# The program; by default the `envbox` beside the Python interpreter, or else that on PATH.
ENVBOX_BINARY = from_conf("ENVBOX_BINARY")

# Let every package move to its newest version, once, when a run starts.
ENVBOX_UPGRADE = from_conf("ENVBOX_UPGRADE", False)

# Refuse to write a lockfile: environments must have been locked before.
ENVBOX_FROZEN = from_conf("ENVBOX_FROZEN", False)

# `spin` drops every step decorator that is not in this list, and with it the sandbox: it would run
# the step on the bare host and say that all is well. The list is Metaflow's own, with ours added.
SPIN_ALLOWED_DECORATORS = from_conf(
    "SPIN_ALLOWED_DECORATORS",
    [
        "conda",
        "pypi",
        "conda_base",
        "pypi_base",
        "environment",
        "project",
        "timeout",
        "conda_env_internal",
        "card",
        "envbox",
    ],
)
