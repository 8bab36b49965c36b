import os

newest = max(os.scandir("parts"), key=lambda entry: (entry.stat().st_mtime, entry.inode()))
print(newest.name)
