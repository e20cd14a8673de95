"""The built function behind a Lambda Runtime API that tells deadlines by a virtual clock."""

import contextlib
import json
import os
import pathlib
import queue
import time

import virtual_http
from processes import Child
from virtual_time import forget_ended_processes

BINARY = pathlib.Path(os.environ["FUNCTION_BINARY"])
# Longer than any invocation here should take in real time.
ANSWER_TIMEOUT_SECONDS = 60


class Reply:
    """What the function answered: a value, or `failed`."""

    def __init__(self, value, failed):
        self.value, self.failed = value, failed


class VirtualLambda:
    """One function; a crash fails the invocation, and the next one finds a new process."""

    def __init__(self, stack, name, clock, timeout_seconds, env, log):
        self.name, self._log = name, log
        self._stack, self._clock, self._timeout, self._env = stack, clock, timeout_seconds, env
        self._events, self._replies = queue.Queue(), queue.Queue()
        self._number = 0
        self._child = self._command = None
        self._address = virtual_http.serve(stack, self._handler())

    def start(self, command=None):
        """A cold start; `command` in place of the binary plays a broken deployment."""
        self.stop()
        self._command = command
        # The request of a process that is gone may still wait for an event of the old one.
        self._events = queue.Queue()
        whole = {
            "PATH": "/usr/bin:/bin",
            "AWS_LAMBDA_RUNTIME_API": self._address,
            "AWS_LAMBDA_FUNCTION_NAME": self.name,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_LOG_FORMAT": "JSON",
            **self._clock.env(),
            **self._env,
        }
        self._child = Child(self._stack, self._log, command or [BINARY], env=whole, cwd="/")

    def stop(self):
        if self._child:
            self._child.stop()
            forget_ended_processes()

    def invoke(self, event):
        """One at a time. Without a process that lives, or by its end, the invocation fails."""
        if self._child is None or (self._command is None and self._child.has_ended()):
            self.start(self._command)
        self._number += 1
        self._events.put((self._number, event))
        until = time.monotonic() + ANSWER_TIMEOUT_SECONDS
        while time.monotonic() < until:
            with contextlib.suppress(queue.Empty):
                return self._replies.get(timeout=0.1)
            if self._child.has_ended():
                with contextlib.suppress(queue.Empty):
                    self._events.get_nowait()
                return Reply(None, failed=True)
        raise TimeoutError(f"`{self.name}` did not answer, see {self._child.log}")

    def documents(self):
        """Every metric document that its processes printed; for after they have ended."""
        lines = self._child.log.read_text().splitlines() if self._child else []
        return [json.loads(line) for line in lines if '"_aws"' in line]

    def _handler(self):
        function = self

        class Handler(virtual_http.Handler):
            def do_GET(self):
                number, event = function._events.get()
                headers = {
                    "Lambda-Runtime-Aws-Request-Id": f"00000000-0000-4000-8000-{number:012}",
                    "Lambda-Runtime-Deadline-Ms": str(int((function._clock.now() + function._timeout) * 1000)),
                    "Lambda-Runtime-Invoked-Function-Arn": f"arn:aws:lambda:eu-west-1:123456789012:function:{function.name}",
                }
                self.answer(200, headers, json.dumps(event, ensure_ascii=False).encode())

            def do_POST(self):
                body = self.body()
                failed = not self.path.endswith("/response")
                self.answer(202, {})
                function._replies.put(Reply(json.loads(body or b"null"), failed))

        return Handler
