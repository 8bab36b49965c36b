import gzip

with gzip.open("weights.gz", "wb") as file:
    file.write(b"weights")
