"""A sampling profiler, which reads the memory of the process that it samples."""
import subprocess
import sys
import time

PROGRAM = "import time\ndef waits():\n    time.sleep(100)\nwaits()"
child = subprocess.Popen([sys.executable, "-c", PROGRAM])
for _ in range(50):
    time.sleep(0.1)
    run = subprocess.run(["py-spy", "dump", "--pid", str(child.pid)], capture_output=True, text=True)
    if "waits" in run.stdout:
        break
print(run.returncode, *run.stdout.splitlines()[-3:], run.stderr, sep="\n")
child.kill()
