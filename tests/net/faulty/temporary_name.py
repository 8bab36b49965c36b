import os
import tempfile

directory = tempfile.mkdtemp(dir=".")
with open(os.path.join(directory, "model"), "w") as file:
    file.write(directory)
