"""Child processes that leave their output in the topic's log directory and never outlive the topic."""

import contextlib
import os
import pathlib
import queue
import signal
import socket
import subprocess
import sys
import threading
import time

PARTS = pathlib.Path(os.environ["REAL_PARTS"])
# A part that is not up by then never will be.
START_TIMEOUT_SECONDS = 60


def log_directory():
    name = pathlib.Path(sys.argv[0]).stem.removeprefix("topic_")
    directory = PARTS / "logs" / name
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Child:
    """A running part: its lines can be waited for, and all of them are in `log`."""

    def __init__(self, stack, name, command, env=None, cwd=None):
        self.name = name
        self.log = log_directory() / f"{name}.log"
        self._lines = queue.Queue()
        self._process = subprocess.Popen(
            [str(part) for part in command],
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        stack.callback(self.stop)
        self._reader = threading.Thread(target=self._copy, daemon=True)
        self._reader.start()

    def _copy(self):
        with open(self.log, "a") as log:
            for line in self._process.stdout:
                log.write(line)
                log.flush()
                self._lines.put(line)
        self._lines.put(None)

    def line(self, wanted):
        """The next line that `wanted` accepts."""
        while True:
            try:
                line = self._lines.get(timeout=START_TIMEOUT_SECONDS)
            except queue.Empty:
                raise TimeoutError(f"`{self.name}` did not say what was waited for, see {self.log}") from None
            if line is None:
                raise ChildProcessError(f"`{self.name}` ended: {self.log.read_text()[-2000:]}")
            if wanted(line):
                return line

    def listens(self, port):
        """Returns once the port takes connections; for a part that does not say when it does."""
        until = time.monotonic() + START_TIMEOUT_SECONDS
        while self._process.poll() is None and time.monotonic() < until:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.01)
        raise TimeoutError(f"`{self.name}` does not listen, see {self.log}")

    def has_ended(self):
        return self._process.poll() is not None

    def stop(self):
        """The whole group: the emulator starts the function itself."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join()
