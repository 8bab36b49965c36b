import time

print(time.strftime("%Y-%m-%d %H:%M", time.localtime(1_600_000_000)))
