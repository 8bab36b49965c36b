import os
import stat

with open("model.bin", "wb") as file:
    file.write(b"weights")
print(stat.filemode(os.stat("model.bin").st_mode))
