# manifest: clock = "real"
import time

print(time.time())
