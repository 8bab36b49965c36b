"""`python flow.py --environment=envbox envbox …`: what is to be done with environments apart from runs."""

from __future__ import annotations

import json
from typing import Any, Dict

from metaflow._vendor import click

from . import binary
from .decorator import EnvboxDecorator
from .locked import Locked, chosen


# A batch job cannot name another entrypoint than the image's, and of all that its command starts only the step
# is to be held.
BUILD = ("build", "--frozen", "--supervised", "--no-entrypoint")


@click.group()
def cli() -> None:
    """Holds the group, as Metaflow wants it."""


@cli.group(help="Environments of steps in envbox.")
def envbox() -> None:
    """The group."""


@envbox.command(help="Lock the environments of all steps, and say where they are.")
@click.option("--upgrade", is_flag=True, help="Let every package move to its newest version.")
@click.pass_obj
def lock(obj: Any, upgrade: bool) -> None:
    """Locks, and prints a line for each step."""
    import metaflow.metaflow_config as configuration

    if upgrade:
        configuration.ENVBOX_UPGRADE = True  # type: ignore[attr-defined]
    for step, locked in _environments(obj).items():
        obj.echo_always("%s %s %s" % (step, locked.digest, locked.manifest), err=False)


@envbox.command(help="Build the environments as images, with envbox in them, and push them.")
@click.option("--push", required=True, help="Repository: registry.example/team/flow")
@click.pass_obj
def build(obj: Any, push: str) -> None:
    """Builds, and prints the image of each step, by digest."""
    images: Dict[str, str] = {}
    for step, locked in _environments(obj).items():
        if locked.manifest not in images:
            said = binary.call(
                ["--json", *chosen(locked.manifest), *BUILD, "--push"]
                + ["%s:%s" % (push, locked.digest.split(":")[1][:16])],
                "The image of step *%s* cannot be built." % step,
            )
            images[locked.manifest] = "%s@%s" % (push, json.loads(said)["digest"])
        obj.echo_always("%s %s" % (step, images[locked.manifest]), err=False)


def _environments(obj: Any) -> Dict[str, Locked]:
    found: Dict[str, Locked] = {}
    for step in obj.flow:
        for decorator in step.decorators:
            if isinstance(decorator, EnvboxDecorator) and decorator.active:
                found[step.__name__] = decorator.lock()
    if not found:
        raise click.ClickException(
            "no step of this flow is in envbox: put `@envbox` on it, or say `--environment=envbox`"
        )
    return found
