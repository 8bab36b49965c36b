"""Runs in the sandbox: calls the function, and writes what it returned or raised."""

import os
import pickle
import sys
import traceback

HERE = "/opt/ray-envbox"


def main() -> None:
    """Reads `call`, writes `answer`: whether it succeeded, and the value or the exception."""
    asked = sys.argv[1]
    found = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if asked != found:
        # The code of a function travels as bytecode, which no other release understands.
        sys.exit(
            f"error: Ray's Python is {asked} and that of the environment {found}; "
            f'set `python = "{asked}"` in its manifest'
        )
    sys.path.insert(0, HERE)
    # Of Ray there is no more than this, unless the environment has it.
    from ray import cloudpickle

    try:
        with open(f"{HERE}/exchange/call", "rb") as file:
            function, args, kwargs = pickle.load(file)
        answer = (True, function(*args, **kwargs))
    except Exception as error:
        traceback.print_exc()
        answer = (False, error)
    try:
        written = cloudpickle.dumps(answer)
    except Exception as error:
        written = cloudpickle.dumps((False, TypeError(f"the result cannot be pickled: {error}")))
    with open(f"{HERE}/exchange/answer.part", "wb") as file:
        file.write(written)
    # Whole or not at all: a worker that finds it takes it for the result.
    os.rename(f"{HERE}/exchange/answer.part", f"{HERE}/exchange/answer")


if __name__ == "__main__":
    main()
