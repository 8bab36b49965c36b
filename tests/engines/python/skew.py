"""Meets a program as ENVBOX names it, and prints how that went."""

import json

import envbox

said = []
for _ in range(2):
    try:
        envbox.run(["true"], frozen=True)
        said.append("ran")
    except envbox.EnvboxError as error:
        said.append([type(error).__name__, str(error)])
print(json.dumps(said))
