"""Validates what envbox prints by its schemas, with other people's validator. Wants no network.

Prints for each document how many damages were told. A damage is a member that is required and gone,
one of another type, or a word that is none of its enumeration.
"""

import json
from pathlib import Path

import jsonschema

DRAFT = jsonschema.Draft202012Validator


def damaged(root, schema, value, write):
    """Damages `value` in every way that its schema tells of: each time the whole document."""
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].removeprefix("#/$defs/")]
    if not isinstance(value, (dict, list)):
        return
    if isinstance(value, list):
        for item in value[:1]:
            of = schema.get("items", {})
            yield from damaged(root, of, item, lambda new: write([new, *value[1:]]))
        return
    for name in schema.get("required", []):
        yield write({key: member for key, member in value.items() if key != name}), f"no {name}"
    for name, member in value.items():
        of = schema.get("properties", {}).get(name)
        if of is None:
            continue

        def written(new, name=name):
            return write({**value, name: new})

        if "type" in of:
            yield written("1.5" if of["type"] == "number" else 1.5), f"{name} of another type"
        if "enum" in of:
            yield written("no such word"), f"{name} of another word"
        yield from damaged(root, of, member, written)


for path in sorted(Path("schemas").glob("*.json")):
    schema = json.loads(path.read_text())
    # By the metaschema of the draft that it names, which is one that the validator knows.
    assert jsonschema.validators.validator_for(schema, default=None) is DRAFT, path
    DRAFT.check_schema(schema)
    validator = DRAFT(schema)
    lines = Path("documents", f"{path.stem}.jsonl").read_text().splitlines()
    told = 0
    for line in lines:
        document = json.loads(line)
        validator.validate(document)
        for other, how in damaged(schema, schema, document, lambda new: new):
            assert not validator.is_valid(other), f"{path.stem}: {how}: {other}"
            told += 1
    assert told, path
    print(path.stem, "valid")
