# options: --cpus 2 -n 8
import threading

rows = []


def work(name):
    for row in range(400_000):
        rows.append((name, row))


threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
changes = sum(one[0] != other[0] for one, other in zip(rows, rows[1:]))
print(changes, hash(tuple(rows)))
