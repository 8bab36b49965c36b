"""What libraries do by the clock, without having to.

Some repeat something until it takes long enough to be measured. On a logical clock nothing does, so
they would not end: they do it once there. One asks another process to wait until its own clock shows that
it has waited: it asks once. Others have a thread that acts when real time is over: what it says, and what
it allocates beside the main thread, is the host's speed.
"""

import time

CLOCKS = (time.monotonic, time.perf_counter, time.process_time, time.thread_time)

#: What a logical clock moves by when one of them is read, in nanoseconds.
READ = 1_000


def stands(timer, *others):
    """Whether work does not move a clock. Only clocks that are known, or these, are looked at."""
    if timer not in CLOCKS + others:
        return False
    shown = [timer() for _ in range(4)]
    return all(round((after - before) * 1e9) == READ for before, after in zip(shown, shown[1:]))


def of_timeit(library):
    timer = library.module.Timer
    measure = timer.autorange

    def autorange(self, callback=None, *arguments, **named):
        if not stands(self.timer):
            return measure(self, callback, *arguments, **named)
        taken = self.timeit(1)
        if callback:
            callback(1, taken)
        return 1, taken

    library.knob("Timer.autorange", "once", lambda: setattr(timer, "autorange", autorange))


class NoTimer:
    """Stands in for a `threading.Timer` that would say that something takes long."""

    def __init__(self, *arguments, **named):
        pass

    def start(self):
        pass

    cancel = start


def without_timer(execute):
    """Executes a module that starts a timer: matplotlib's fonts."""

    def executed(module):
        import threading

        timer, threading.Timer = threading.Timer, NoTimer
        try:
            execute(module)
        finally:
            threading.Timer = timer

    return executed


def of_matplotlib(library):
    library.knob("threading.Timer", "none while fonts are listed", lambda: None)


def of_tqdm(library):
    """Its thread draws a bar again that stood still for ten seconds."""
    bar = library.module.tqdm
    library.knob(
        "tqdm.monitor_interval",
        0,
        lambda: setattr(bar, "monitor_interval", 0),
        lambda: bar.monitor_interval,
    )


def of_managers(library):
    """A manager's condition is waited for in the manager's process, whose clock moves by that."""
    proxy = library.module.ConditionProxy
    until = proxy.wait_for

    def wait_for(self, predicate, timeout=None):
        if timeout is None or timeout <= 0 or not stands(time.monotonic):
            return until(self, predicate, timeout)
        result = predicate()
        in_time = True
        while in_time and not result:
            in_time = self.wait(timeout)
            result = predicate()
        return result

    library.knob(
        "ConditionProxy.wait_for",
        "until a wait runs out",
        lambda: setattr(proxy, "wait_for", wait_for),
    )


def of_torch(library):
    timer = library.module.Timer
    estimate = timer._estimate_block_size

    def _estimate_block_size(self, *arguments, **named):
        if not stands(getattr(self._timer, "timer", None), library.module.timer):
            return estimate(self, *arguments, **named)
        return 1

    library.knob(
        "torch.utils.benchmark.Timer",
        "once",
        lambda: setattr(timer, "_estimate_block_size", _estimate_block_size),
    )
