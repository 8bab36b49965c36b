# options: --cpus 2 -n 8
import multiprocessing
import os


def work(number):
    total = 0
    for i in range(20_000 + number % 7 * 3_000):
        total += i
    return number, os.getpid()


if __name__ == "__main__":
    with multiprocessing.get_context("fork").Pool(4) as pool:
        print(list(pool.imap_unordered(work, range(400))))
