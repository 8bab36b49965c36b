"""What the supervisor is told: lines of JSON in a file that it made and reads after the step."""

import os

PATH = "/run/envbox/held"

_told = set()


def tell(library, version, name, wanted, found, state):
    """Adds a line, unless this process told the same before.

    `state` is `held`, `set` (asked for, and the library does not say), `not-held`, `unknown` (it
    could not be read), `failed` (the import was refused) or `loaded` (a library for GPUs, with the
    version that it tells).
    """
    keys = ("library", "version", "name", "wanted", "found", "state")
    values = (library, version, name, wanted, found, state)
    line = "{%s}\n" % ",".join('"%s":"%s"' % pair for pair in zip(keys, map(_escaped, values)))
    if line in _told:
        return
    _told.add(line)
    try:
        file = os.open(PATH, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    except OSError:
        # Nobody listens.
        return
    try:
        # One call, so that processes do not write into each other's lines.
        os.write(file, line.encode("ascii"))
    except OSError:
        pass
    finally:
        os.close(file)


def _escaped(text):
    def one(character):
        code = ord(character)
        if character in '"\\':
            return "\\" + character
        if 32 <= code < 127:
            return character
        return "\\u%04x" % (code if code < 0x10000 else 0xFFFD)

    return "".join(map(one, str(text)[:1000]))
