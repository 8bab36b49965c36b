import os

with open(f"worker-{os.getpid()}.log", "w") as file:
    file.write("done")
