"""The built function behind AWS's runtime interface emulator."""

import json
import os
import pathlib
import shutil
import urllib.error
import urllib.request

from processes import PARTS, Child, free_port

BINARY = pathlib.Path(os.environ["FUNCTION_BINARY"])
TIMEOUT_SECONDS = 45
INVOKE_PATH = "/2015-03-31/functions/function/invocations"


class Reply:
    """What Lambda hands to the caller: a value, or an error that fails the invocation."""

    def __init__(self, status, text):
        self.text = text
        try:
            self.value = json.loads(text)
        except ValueError:
            self.value = None
        told = isinstance(self.value, dict) and "errorType" in self.value
        # The emulator answers 200 to a handler's error, and words to a timeout.
        self.failed = status != 200 or told or (self.value is None and text.strip() != "null")

    def body(self):
        """The JSON inside a function URL's reply."""
        return json.loads(self.value["body"])


class Function:
    def __init__(self, stack, env, name="function"):
        self.name = name
        api, runtime = free_port(), free_port()
        self.url = f"http://127.0.0.1:{api}{INVOKE_PATH}"
        # Nothing of the caller's environment: a proxy or a CA bundle there would change what is checked.
        whole = {"PATH": "/usr/bin:/bin", "AWS_LAMBDA_FUNCTION_TIMEOUT": str(TIMEOUT_SECONDS), **env}
        addresses = [f"127.0.0.1:{api}", "--runtime-api-address", f"127.0.0.1:{runtime}"]
        command = [emulator(), "--runtime-interface-emulator-address", *addresses, BINARY]
        self._child = Child(stack, name, command, env=whole, cwd="/")
        self._child.listens(api)
        self.log = self._child.log

    def invoke(self, event):
        """One at a time: a second invocation at once kills the emulator."""
        request = urllib.request.Request(self.url, data=json.dumps(event, ensure_ascii=False).encode())
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=TIMEOUT_SECONDS + 15) as answer:
                return Reply(answer.status, answer.read().decode())
        except urllib.error.HTTPError as refused:
            return Reply(refused.code, refused.read().decode())

    def stop(self):
        self._child.stop()


def emulator():
    """A copy of the wheel's file, which pip does not mark as a program."""
    found = next((PARTS / "venv").glob("lib/python3*/site-packages/samcli/local/rapid/aws-lambda-rie-x86_64"))
    program = PARTS / "aws-lambda-rie"
    if not program.exists() or program.stat().st_size != found.stat().st_size:
        shutil.copy(found, program)
        program.chmod(0o755)
    return program
