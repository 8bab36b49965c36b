import pandas as pd

frame = pd.read_csv("data.csv")
frame.sample(3).to_csv("sample.csv", index=False)
