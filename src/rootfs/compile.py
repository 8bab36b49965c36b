"""Compiles Python modules; `bytecode.rs` runs it with the interpreter of the environment.

Takes the directory of a package's tree as argument and, from standard input, the paths of its
modules, each ended by a zero byte. Gives, for each in turn, the length of its bytecode file as
four bytes, lowest first, and its bytes; a length of zero says that it is no valid module.
"""

import importlib.util
import marshal
import sys

# PEP 552: a file that is checked by nothing, because nothing below it ever changes.
UNCHECKED = (0b01).to_bytes(4, "little")


def bytecode(source, path):
    try:
        # The file name is where the module will be: it shows in tracebacks.
        code = compile(source, "/" + path, "exec", dont_inherit=True, optimize=0)
    except (SyntaxError, ValueError, OverflowError, RecursionError):
        return b""
    identity = importlib.util.source_hash(source)
    return importlib.util.MAGIC_NUMBER + UNCHECKED + identity + marshal.dumps(code)


for path in sys.stdin.buffer.read().split(b"\0")[:-1]:
    with open(sys.argv[1].encode() + b"/" + path, "rb") as module:
        compiled = bytecode(module.read(), path.decode("utf-8", "surrogateescape"))
    sys.stdout.buffer.write(len(compiled).to_bytes(4, "little") + compiled)
