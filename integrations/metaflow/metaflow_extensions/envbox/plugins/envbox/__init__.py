"""Metaflow steps in locked environments, run by envbox.

| module | what |
|---|---|
| `decorator` | `@envbox` and `@envbox_base`: Metaflow's hooks, and nothing else |
| `environment` | `--environment=envbox` |
| `remote` | what a pod or a batch container runs instead of `python` |
| `cli` | `python flow.py envbox …` |
| `wanted` | what the decorators ask for, merged: a value |
| `manifest` | an `envbox.toml` from what is asked for |
| `locked` | the directory of an environment, its lockfile, who may write it |
| `lockfile` | where a lockfile is, and what it says of itself |
| `code` | the code package, unpacked: what is `/project` in a task's sandbox |
| `command` | the command line of a task in the sandbox |
| `seeds` | one seed for each task, the same on every run |
| `clock` | the host's time for Metaflow's own bookkeeping in a task |
| `origin` | what `resume` takes over: were it the same environments? |
| `card` | `@card(type="envbox")`, as the task makes it |
| `report` | the record's report, in that card's place |
| `records` | where the record of a task is |
| `binary` | the program: where it is, which version, what it said |
| `errors` | what the user is told |

Metaflow has two processes here. The *launcher* (`python flow.py run`) makes environments and starts
tasks. A *task* (`python flow.py step …`) runs in the sandbox, imports this package from the code package,
and never looks for envbox.
"""
