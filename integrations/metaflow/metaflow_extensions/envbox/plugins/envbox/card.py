"""`@card(type="envbox")`: the report of a task's run record, as its card.

The record is complete only when the sandbox has ended, and a card is made in it. So there are two pages:

- the task's own, which says what is known then: lockfile, seed, tag, and the packages that Python finds;
- the page of `envbox report`, which the launcher puts in its place when the run ends (`report`).

A container elsewhere has no record of envbox's: there the first page stays, and says so.
"""

from __future__ import annotations

import html
import sys
from importlib.metadata import distributions
from typing import Any, Iterable, Tuple

from metaflow.plugins.cards.card_modules.card import MetaflowCard

from .records import LOCK_DIGEST, RECORD, SEED, TAG
from .report import CARD

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>%s</title><style>
:root { color-scheme: light dark } body { font: 15px sans-serif; max-width: 60em; margin: 2em auto }
td, th { text-align: left; padding: 0.2em 1.5em 0.2em 0 } td { font-family: monospace }
</style></head><body><h1>%s</h1><p>%s</p><table>%s</table></body></html>
"""
BEGUN = (
    "This page was made in the sandbox, when the step's code had ended and the record had not. When the run ends, "
    "the report of the record takes its place; until then, or where the run was killed: envbox report %s"
)
ELSEWHERE = "The step ran in a container elsewhere, which leaves no run record: this is all that is known of it."
OUTSIDE = "The step did not run in envbox."


class EnvboxCard(MetaflowCard):
    """What is known of a task before its record is complete."""

    type = CARD

    def render(self, task: Any) -> str:
        known = task.metadata_dict
        if LOCK_DIGEST not in known:
            return page(task.pathspec, OUTSIDE, ())
        said = BEGUN % known[TAG] if RECORD in known else ELSEWHERE
        facts = [("Lockfile", known[LOCK_DIGEST]), ("Seed", known[SEED])]
        facts.append(("Python", sys.version.split()[0]))
        packages = {found.metadata["Name"]: found.version for found in distributions()}
        return page(task.pathspec, said, [*facts, *sorted(packages.items())])


def page(title: str, said: str, facts: Iterable[Tuple[str, str]]) -> str:
    """Returns a page that needs no other file."""
    rows = (
        "<tr><th>%s</th><td>%s</td></tr>" % (html.escape(name), html.escape(value))
        for name, value in facts
    )
    title = html.escape(title)
    return PAGE % (title, title, html.escape(said), "".join(rows))
