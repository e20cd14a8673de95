"""A clock that the checks set, for processes that read the time through libfaketime.

Both the time of day and the monotonic clock jump, as they do for a function that Lambda froze.
"""

import math
import pathlib
import re
import time

from processes import PARTS

LIBRARY = PARTS / "faketime/root/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"


# libfaketime keeps the clock of each process in shared memory, under the process's id. What a killed process leaves there would be taken over by
# a later process of the same id: with a wrong time, or with a lock that nobody releases.
SHARED = pathlib.Path("/dev/shm")
SHARED_NAME = re.compile(r"(?:sem\.)?faketime_(?:sem|shm)_(\d+)")


def forget_ended_processes():
    """Removes the clocks of processes that are gone."""
    for file in SHARED.iterdir():
        found = SHARED_NAME.fullmatch(file.name)
        if found and not pathlib.Path("/proc", found[1]).exists():
            file.unlink(missing_ok=True)


class VirtualTime:
    def __init__(self, file):
        self._file = file
        self._ahead = 0.0
        self._write()

    def env(self):
        """For a process that is to read this clock at every call."""
        return {"LD_PRELOAD": str(LIBRARY), "FAKETIME_TIMESTAMP_FILE": str(self._file), "FAKETIME_NO_CACHE": "1"}

    def now(self):
        return time.time() + self._ahead

    def advance_to(self, moment):
        """Jumps to `moment`, unless it is past already."""
        # Up to the next millisecond, as the file tells it: rounded down, what begins with a minute would be stamped in the minute before.
        ahead = math.ceil((moment - time.time()) * 1000) / 1000
        if ahead > self._ahead:
            self._ahead = ahead
            self._write()

    def _write(self):
        # Replaced whole: a reader must never see half of it.
        half = self._file.with_suffix(".new")
        half.write_text(f"+{self._ahead:.3f}\n")
        half.replace(self._file)
