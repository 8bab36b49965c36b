"""Compares the package's dataclasses with the schemas, both ways."""

import collections.abc
import json
import sys
import typing
from pathlib import Path

import envbox
from envbox._decode import fields_of

SHAPES = {
    "build": envbox.BuildResult,
    "doctor": envbox.DoctorResult,
    "events": envbox.Event,
    "key": envbox.KeyResult,
    "lock": envbox.LockResult,
    "result": envbox.RunResult,
    "run": envbox.RunRecord,
    "runs": envbox.Runs,
    "verify": envbox.VerifyResult,
    "version": envbox.Version,
}
# `error` is of documents that become exceptions; and where there is none, all this is there.
PASSED_OVER = {"result.error"}
OF_A_STEP_THAT_RAN = set("run started argv exit lock isolation usage".split())
SCALARS = {"string": str, "integer": int, "boolean": bool}


def compare(kind, schema, needed, at):
    if "$ref" in schema:
        schema = schemas[at.split(".")[0]]["$defs"][schema["$ref"].removeprefix("#/$defs/")]
    types = schema.get("type", [])
    types = [types] if isinstance(types, str) else types
    optional = typing.get_origin(kind) is typing.Union
    if optional:
        kind = typing.get_args(kind)[0]
    elif "null" in types and kind is not typing.Any:
        yield f"{at} may be null"
    types = [one for one in types if one != "null"]
    if kind is typing.Any:
        return
    if len(types) != 1:
        yield f"{at} is any of {types}"
    elif types[0] in SCALARS:
        if kind is not SCALARS[types[0]]:
            yield f"{at} is {types[0]}, not {kind}"
    elif types[0] == "array":
        if typing.get_origin(kind) is not tuple:
            yield f"{at} is an array, not {kind}"
        else:
            yield from compare(typing.get_args(kind)[0], schema["items"], True, f"{at}[]")
    elif typing.get_origin(kind) is collections.abc.Mapping:
        members = schema.get("properties") or {"*": schema.get("additionalProperties", {})}
        for name, member in members.items():
            yield from compare(typing.get_args(kind)[1], member, True, f"{at}.{name}")
    else:
        yield from compare_object(kind, schema, at)


def compare_object(shape, schema, at):
    fields = dict(fields_of(shape))
    for name, member in schema["properties"].items():
        if f"{at}.{name}" in PASSED_OVER:
            continue
        if name not in fields:
            yield f"{at}.{name} is not in the package"
            continue
        _, kind, needed = fields.pop(name)
        ran = at == "result" and name in OF_A_STEP_THAT_RAN
        if needed and name not in schema.get("required", []) and not ran:
            yield f"{at}.{name} need not be there"
        yield from compare(kind, member, needed, f"{at}.{name}")
    yield from (f"{at}.{name} is not in the schema" for name in fields)


schemas = {path.stem: json.loads(path.read_text()) for path in Path(sys.argv[1]).glob("*.json")}
assert set(schemas) == {*SHAPES, "error"}, sorted(schemas)
for name, shape in SHAPES.items():
    for wrong in compare_object(shape, schemas[name], name):
        print(wrong)
