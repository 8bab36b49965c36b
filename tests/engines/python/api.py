"""Uses the package as a program does, and prints as JSON what it saw."""

import json
import os
import sys

import envbox

SECONDS = sys.argv[1]
STEP = "import socket; open('made', 'w').write('x'); print(socket.gethostname())"


def failure(call, *arguments, **options):
    try:
        call(*arguments, **options)
    except envbox.EnvboxError as error:
        return [type(error).__name__, error.exit_code, error.kind, str(error), len(error.hints)]
    return None


def ran():
    events = []
    result = envbox.run(
        ["python", "-c", STEP], frozen=True, capture=True, env={"A": "-b"}, on_event=events.append
    )
    record = envbox.show(result.run)
    return {
        "ok": result.check() is result,
        "exit": result.exit.code,
        "printed": result.stdout.decode(),
        "changes": [[change.path, change.fate] for change in result.changes],
        "record": [record.run == result.run, record.tower["libraries"].state, record.ended.exit.code],
        "listed": envbox.runs().runs[0].run == result.run,
        "told": [events[0].type, events[0].interface, events[-1].type],
    }


def failed():
    result = envbox.run(["python", "-c", "raise SystemExit(3)"], frozen=True)
    died = envbox.run(["sh", "-c", "kill -9 $$"], frozen=True)
    return {
        "result": [result.ok, result.failed_by, result.exit.code, result.exit_code],
        "died": [died.failed_by, died.exit.signal, died.exit_code],
        "check": failure(result.check),
        "absent": failure(envbox.run, ["nonesuch"], frozen=True),
        "option": failure(envbox.run, ["true"], options=["--clock=sideways"], capture=True),
        "place": failure(envbox.lock, project="/nonesuch"),
    }


def iterated():
    with envbox.start(["sh", "-c", "exit 4"], frozen=True) as step:
        types = [event.type for event in step.events()]
        return {"types": types, "exit": step.wait().exit.code, "again": list(step.events())}


def ended():
    late = failure(envbox.run, ["sleep", SECONDS], frozen=True, timeout=1)
    with envbox.start(["sleep", SECONDS], frozen=True) as step:
        waited = failure(step.wait, 0.5)
    return {"late": late, "waited": waited, "left": step.wait().exit.signal}


def others():
    first = envbox.key(["python", "-c", STEP])
    return {
        "key": first.key == envbox.key(["python", "-c", STEP]).key != envbox.key(["true"]).key,
        "policy": first.parts.policy.cpu_baseline,
        "lock": [envbox.lock().outcome, envbox.lock(check=True).python > 0],
        "doctor": envbox.doctor().status in ("ok", "degraded"),
        "verify": envbox.verify(["sh", "-c", "echo x > y"], options=["--vary", "none"]).verdict,
        "build": os.path.exists(f"image/blobs/{envbox.build(output='oci:image').digest.replace(':', '/')}"),
    }


print(json.dumps({part.__name__: part() for part in (ran, failed, iterated, ended, others)}))
