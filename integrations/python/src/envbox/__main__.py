"""`python -m envbox`: the program itself, in place of this process."""

import os
import sys

from ._errors import ProgramNotFound
from ._program import find


def main() -> None:
    """Becomes the program. Signals, terminal and exit status are its own from here on."""
    try:
        program = find()
    except ProgramNotFound as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(127)
    os.execv(program, [program, *sys.argv[1:]])


if __name__ == "__main__":
    main()
