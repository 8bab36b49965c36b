"""Draws samples without naming a seed, and says what the world looked like."""

import csv
import datetime
import re
import socket

import numpy as np

count = int(re.search(r"samples: (\d+)", open("params.yaml").read())[1])
x = np.random.default_rng().uniform(size=count)
with open("samples.csv", "w", newline="") as file:
    table = csv.writer(file)
    table.writerow([socket.gethostname(), datetime.date.today().isoformat()])
    table.writerows(zip(x, 3 * x + np.random.default_rng().normal(scale=0.1, size=count)))
