"""Says which signals it hears; ends at TERM if it is told to be polite."""

import os
import signal
import subprocess
import sys
import time


def heard(number, _frame):
    os.write(1, f"{signal.Signals(number).name}\n".encode())
    if number == signal.SIGTERM and sys.argv[1] == "polite":
        os._exit(3)


for number in (signal.SIGTERM, signal.SIGUSR1):
    signal.signal(number, heard)
open("started.txt", "w").write(sys.argv[1])
subprocess.Popen(["sleep", sys.argv[2]])
os.write(1, b"ready\n")
while True:
    time.sleep(1)
