"""What both drivers look for."""

import glob


def sleeping(seconds):
    """Says whether somebody on this machine sleeps for exactly so long."""
    wanted = f"sleep\0{seconds}\0".encode()
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            if open(path, "rb").read() == wanted:
                return True
        except OSError:
            continue
    return False
