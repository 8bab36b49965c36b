# manifest: clock = "ticking"
import time

rounds = 0
end = time.monotonic() + 0.2
while time.monotonic() < end:
    rounds += 1
print(rounds)
