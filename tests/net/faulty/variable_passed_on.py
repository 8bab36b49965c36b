# manifest: pass-env = ["TZ"]
import time

print(time.strftime("%H:%M", time.localtime(1_600_000_000)))
