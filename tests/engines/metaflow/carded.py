"""Has a card of envbox's type, and keeps as an artifact what that was before the run ended."""

from metaflow import FlowSpec, card, current, envbox_base, namespace, step
from metaflow.cards import get_cards


@envbox_base(packages={"six": "1.16.0"}, env={"SHOWN": "<by the card>"})
class CardedFlow(FlowSpec):
    @card(type="envbox", id="record")
    @card
    @step
    def start(self):
        self.task = current.pathspec
        self.next(self.end)

    @step
    def end(self):
        namespace(None)
        self.begun = get_cards(self.task, type="envbox")[0].get()


if __name__ == "__main__":
    CardedFlow()
