import os

names = os.listdir("parts")
names.sort(key=lambda name: os.stat(os.path.join("parts", name)).st_ino)
print(names)
