"""The card types of this package. Metaflow looks for them here."""

from ..envbox.card import EnvboxCard

CARDS = [EnvboxCard]
