import os

with open("all.txt", "w") as out:
    for name in os.listdir("parts"):
        with open(os.path.join("parts", name)) as file:
            out.write(file.read())
