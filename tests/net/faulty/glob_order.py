import glob

print(glob.glob("parts/*.txt"))
