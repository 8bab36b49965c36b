"""Runs a step of this project twice, and says whether it did the same."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import envbox

HERE = Path(__file__).parent
STEP = """
import numpy, time
numpy.savetxt("weights.txt", numpy.random.default_rng().normal(size=4))
print(time.strftime("%F"))
"""


def tell(event: envbox.Event) -> None:
    """A line for each package that is downloaded or built first."""
    if event.type == "item-finished":
        print(f"{event.stage}: {event.item}", file=sys.stderr)


def trained() -> tuple[envbox.RunResult, str]:
    """One run, and the digest of what it wrote."""
    command = ["python", "-c", STEP]
    result = envbox.run(command, project=HERE, frozen=True, capture=True, on_event=tell).check()
    return result, hashlib.sha256((HERE / "weights.txt").read_bytes()).hexdigest()


if __name__ == "__main__":
    try:
        (first, before), (_, after) = trained(), trained()
    except envbox.EnvboxError as error:
        sys.exit(f"error: {error}")
    same = "the same" if before == after else "not the same"
    print(f"{(first.stdout or b'').decode().strip()}: {same}")
    print(f"libraries: {envbox.show(first.run).tower['libraries'].state}")
