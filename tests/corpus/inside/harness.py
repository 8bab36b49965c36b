"""Runs a script as the interpreter would, and writes down what it left: `harness.py REPORT SCRIPT`.

Nothing is imported before the script that the interpreter would not import anyway.
"""

import sys


def main():
    report, script = sys.argv[1:3]
    here = sys.path.pop(0)
    status, names = run(script)
    sys.path.insert(0, here)
    describe(report, names)
    sys.exit(status)


def run(script):
    """Runs the script as `__main__`; returns its status and its globals."""
    module = type(sys)("__main__")
    module.__file__ = script
    module.__builtins__ = __builtins__
    sys.modules["__main__"] = module
    sys.argv[:] = [script]
    sys.path.insert(0, "")
    with open(script, "rb") as file:
        code = compile(file.read(), script, "exec")
    status = 0
    try:
        exec(code, module.__dict__)
    except SystemExit as exit:
        status = exit.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
        status = 1
    return status, module.__dict__


def describe(report, names):
    import json

    import digest

    sys.setrecursionlimit(200_000)
    found, opaque = {}, {}
    for name, value in list(names.items()):
        if name.startswith("__") and name.endswith("__"):
            continue
        found[name], hidden = digest.digest(value)
        for kind, count in hidden.items():
            opaque[kind] = opaque.get(kind, 0) + count
    with open(report, "w", encoding="utf-8") as file:
        json.dump({"globals": found, "opaque": opaque, "figures": figures(names)}, file)


def figures(names):
    """The pictures of all open figures, and of closed ones that a global still holds."""
    if "matplotlib.figure" not in sys.modules:
        return []
    import hashlib

    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    found = []
    if "matplotlib.pyplot" in sys.modules:
        pyplot = sys.modules["matplotlib.pyplot"]
        found = [pyplot.figure(number) for number in pyplot.get_fignums()]
    for value in list(names.values()):
        if isinstance(value, Figure) and not any(value is figure for figure in found):
            found.append(value)
    sums = []
    for figure in found:
        try:
            canvas = FigureCanvasAgg(figure)
            canvas.draw()
            picture = bytes(canvas.buffer_rgba())
            sums.append(f"{canvas.get_width_height()} {hashlib.sha256(picture).hexdigest()}")
        except Exception as error:
            sums.append(f"not drawn: {type(error).__name__}")
    return sums


if __name__ == "__main__":
    main()
