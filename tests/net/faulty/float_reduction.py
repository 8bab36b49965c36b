# options: --cpus 2 -n 8
import threading

import numpy as np

parts = np.array_split(np.random.default_rng(0).normal(size=4_000_000), 64)
lock = threading.Lock()
total = 0.0


def add(own):
    global total
    for part in own:
        value = float(np.sort(part).sum())
        with lock:
            total += value * 1.1


threads = [threading.Thread(target=add, args=(parts[i::4],)) for i in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(repr(total))
