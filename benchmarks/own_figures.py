"""Runs a script as if it had been called alone, and prints as the last line what the process took: the peer's Python
has this file to itself, so it needs the standard library alone.

    PEER/bin/python own_figures.py CPU_SECONDS SCRIPT [WORDS …]

At CPU_SECONDS (0: never) the system ends the process with SIGXCPU.
"""

import json
import resource
import runpy
import sys

limit = int(sys.argv[1])
if limit:
    resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))
sys.argv = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({"process_cpu_seconds": used.ru_utime + used.ru_stime, "peak_memory_mb": used.ru_maxrss / 1024}))
