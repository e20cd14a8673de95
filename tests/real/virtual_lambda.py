"""The built function behind a Lambda Runtime API that tells deadlines by a virtual clock."""

import contextlib
import http.server
import json
import os
import pathlib
import queue
import threading
import time

from processes import Child

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
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        stack.callback(server.shutdown)
        self._address = f"127.0.0.1:{server.server_address[1]}"

    def start(self, command=None):
        """A cold start; `command` in place of the binary plays a broken deployment."""
        self.stop()
        self._command = command
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

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *_):
                pass

            def do_GET(self):
                number, event = function._events.get()
                body = json.dumps(event, ensure_ascii=False).encode()
                self.send_response(200)
                deadline = int((function._clock.now() + function._timeout) * 1000)
                self.send_header("Lambda-Runtime-Aws-Request-Id", f"00000000-0000-4000-8000-{number:012}")
                self.send_header("Lambda-Runtime-Deadline-Ms", str(deadline))
                arn = f"arn:aws:lambda:eu-west-1:123456789012:function:{function.name}"
                self.send_header("Lambda-Runtime-Invoked-Function-Arn", arn)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or self._chunks()
                failed = not self.path.endswith("/response")
                self.send_response(202)
                self.send_header("Content-Length", "0")
                self.end_headers()
                function._replies.put(Reply(json.loads(body or b"null"), failed))

            def _chunks(self):
                if self.headers.get("Transfer-Encoding") != "chunked":
                    return b""
                whole = b""
                while size := int(self.rfile.readline(), 16):
                    whole += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return whole

        return Handler
