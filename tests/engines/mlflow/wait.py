"""Does not end by itself, nor at TERM, and neither does what it starts."""

import signal
import subprocess
import sys

signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.run(["sleep", sys.argv[1]])
