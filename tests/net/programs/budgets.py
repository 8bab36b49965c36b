# What works until a time is over, or until its work took long enough to be measured.
import time
import timeit

rounds, taken = timeit.Timer("sum(range(100))").autorange()
print(rounds, "round in %.0e s," % taken, end=" ")
rounds, begun = 0, time.time()
while time.time() - begun < 2:
    rounds += 1
print(rounds, "rounds in 2 s,", 30_000 < rounds < 40_000)
