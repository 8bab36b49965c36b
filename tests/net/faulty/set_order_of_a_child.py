import os
import subprocess
import sys

words = "print({'alpha', 'beta', 'gamma', 'delta', 'epsilon', 'zeta'})"
environment = dict(os.environ, PYTHONHASHSEED="random")
subprocess.run([sys.executable, "-c", words], env=environment, check=True)
