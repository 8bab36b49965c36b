# options: --cpus 2 -n 8
import concurrent.futures


def train(seed):
    total = 0
    for i in range(300_000):
        total += i % (seed + 2)
    return seed


for _ in range(10):
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(train, seed) for seed in range(8)]
        print([future.result() for future in concurrent.futures.as_completed(futures)])
