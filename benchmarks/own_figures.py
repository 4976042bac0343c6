"""Runs a script as if it had been called alone, and prints as the last line what the process took: the peer's Python
has this file to itself, so it needs the standard library alone.

    PEER/bin/python own_figures.py CPU_SECONDS SCRIPT [WORDS …]

At CPU_SECONDS (0: never) the system ends the process with SIGXCPU.
"""

import json
import resource
import runpy
import sys
from pathlib import Path

limit = int(sys.argv[1])
if limit:
    resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))
sys.argv = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")
used = resource.getrusage(resource.RUSAGE_SELF)
status = Path(
    "/proc/self/status"
).read_text()  # ru_maxrss would begin with the size of the process that started this one
peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
print(json.dumps({"process_cpu_seconds": used.ru_utime + used.ru_stime, "peak_memory_mb": peak / 1024}))
