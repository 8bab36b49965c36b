import uuid

name = f"run-{uuid.uuid4()}"
with open(name, "w") as file:
    file.write(name)
