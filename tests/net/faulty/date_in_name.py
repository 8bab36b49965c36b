import datetime

with open(f"model-{datetime.datetime.now():%Y%m%d-%H%M%S.%f}.txt", "w") as file:
    file.write("weights")
