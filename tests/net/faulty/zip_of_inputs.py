import zipfile

with zipfile.ZipFile("inputs.zip", "w") as archive:
    archive.write("data.csv")
