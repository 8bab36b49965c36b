import os

print(os.path.getmtime("data.csv"))
