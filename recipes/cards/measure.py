"""A script for a fresh process: cost of one prediction through a SavedModel.

It imports TensorFlow alone, as a server would. Run as
`python _measure.py SAVED_MODEL INPUT.npy`; it prints one line of JSON with the
median milliseconds of a call on the input and the process's peak memory.
"""

import json
import os
import sys
import time


def peak_memory_mb():
    """Returns this process's peak resident memory in MB.

    Linux's VmHWM starts anew with each program; `ru_maxrss`, the fallback elsewhere,
    would carry over the parent's peak on Linux.
    """
    try:
        with open("/proc/self/status", encoding="ascii") as file:
            line = next(line for line in file if line.startswith("VmHWM"))
        return round(int(line.split()[1]) / 1024)
    except (OSError, StopIteration):
        import resource

        unit = 1024**2 if sys.platform == "darwin" else 1024
        return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit)


def main(folder, file, calls=50):
    """Measures and prints."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import numpy as np
    import tensorflow as tf

    served = tf.saved_model.load(folder)
    batch = tf.constant(np.load(file))
    seconds = []
    for _ in range(calls + 3):
        start = time.perf_counter()
        np.asarray(served.serve(batch))
        seconds.append(time.perf_counter() - start)
    milliseconds = round(1000 * float(np.median(seconds[3:])), 2)
    print(json.dumps({"ms": milliseconds, "peak_memory_mb": peak_memory_mb()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
