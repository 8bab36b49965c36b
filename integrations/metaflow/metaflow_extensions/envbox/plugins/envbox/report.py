"""The report of a task's record, in the place of the card that the task made. See `card`, which Metaflow loads
while it loads its cards: nothing here may import that, or any other module of Metaflow's cards, at the top.
"""

from __future__ import annotations

from typing import Any, Callable

from . import binary
from .errors import EnvboxFailed

# The type of the card: `@card(type="envbox")`.
CARD = "envbox"


def complete(
    flow_datastore: Any, pathspec: str, record: str, tell: Callable[[str], None]
) -> None:
    """Puts the report of a record in the place of the card that the task has made."""
    from metaflow.datastore import FlowDataStore
    from metaflow.plugins.cards.card_datastore import CardDatastore
    from metaflow.plugins.cards.exception import CardNotPresentException

    root = CardDatastore.get_storage_root(flow_datastore.TYPE)
    storage = type(flow_datastore._storage_impl)
    cards = CardDatastore(
        FlowDataStore(flow_datastore.flow_name, storage_impl=storage, ds_root=root), pathspec
    )
    try:
        paths = cards.extract_card_paths(card_type=CARD)
    except CardNotPresentException:
        return
    if not paths:
        return
    try:
        report = binary.call(["report", record], "There is no report of task *%s*." % pathspec)
    except EnvboxFailed as failed:
        tell(str(failed))
        return
    for path in paths:
        card = cards.info_from_path(path)
        cards.save_card(card.hash, card.type, report, card_id=card.id)
