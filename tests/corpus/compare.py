"""Results as they come, and what they say together."""

import json

PARTS = ("exit", "stdout", "stderr", "globals", "figures", "files", "gone")


class Results:
    def __init__(self, path):
        self.path = path
        self.all = {}
        if path.is_file():
            for line in path.read_text().splitlines():
                self.keep(json.loads(line))

    def keep(self, result):
        self.all[result["script"], result["condition"]] = result

    def has(self, script, condition):
        return (script, condition) in self.all

    def add(self, result):
        self.keep(result)
        with self.path.open("a") as file:
            file.write(json.dumps(result) + "\n")


def difference(one, other):
    """Says in which parts two results differ, and in which globals and files."""
    found = []
    for part in PARTS:
        ours, theirs = one.get(part), other.get(part)
        if ours == theirs:
            continue
        if isinstance(ours, dict) and isinstance(theirs, dict):
            names = sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
            found.append(f"{part}: {', '.join(names[:8])}" + (" …" if len(names) > 8 else ""))
        else:
            found.append(part)
    return found


def report(scripts, results, wanted, manifest):
    """Prints the comparison; returns 1 when it is not the expected one."""
    known = {
        entry["script"]: entry["why"]
        for entry in manifest.get("differs", [])
        if any(name.startswith(entry.get("under", "")) for name in wanted[1:])
    }
    identical, unexpected = 0, 0
    for script in scripts:
        name = script["name"]
        base, *others = [results.all[name, condition] for condition in wanted]
        found = []
        if base["exit"] != 0:
            found.append(f"exit {base['exit']} under {base['condition']}")
        for other in others:
            found += [f"{other['condition']}: {part}" for part in difference(base, other)]
        expected = known.get(name)
        identical += not found
        if found:
            print(f"differs    {name}: {'; '.join(found)}" + (f" (known: {expected})" if expected else ""))
            unexpected += not expected
        elif expected:
            # What races wins now and then.
            print(f"identical  {name}, this time (known: {expected})")
    opaque = {}
    for script in scripts:
        for kind, count in (results.all[script["name"], wanted[0]].get("opaque") or {}).items():
            opaque[kind] = opaque.get(kind, 0) + count
    verdict = "identical" if others else "ended well"
    print(f"{identical} of {len(scripts)} scripts {verdict} under {', '.join(wanted)}; {unexpected} not as expected")
    if opaque:
        print("known by type alone: " + ", ".join(f"{kind} {count}" for kind, count in sorted(opaque.items())))
    return 1 if unexpected else 0
