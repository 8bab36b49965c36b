import time

total = sum(i * i for i in range(200_000))
print(total, time.process_time())
