"""Says what held and what did not: one sentence a line, and an exit code for the whole topic."""

import contextlib
import json
import sys
import traceback


class Checks:
    """Counts; `run` adds up the topics by their lines."""

    def __init__(self):
        self.failed = 0

    def that(self, sentence, held, seen=None):
        """`seen` is shown only where the sentence does not hold."""
        print(f"{'ok' if held else 'not ok'} - {sentence}", flush=True)
        if not held:
            self.failed += 1
            if seen is not None:
                print(indent(seen), flush=True)
        return bool(held)

    def equal(self, sentence, actual, expected):
        return self.that(sentence, actual == expected, {"expected": expected, "actual": actual})


def indent(seen):
    text = seen if isinstance(seen, str) else json.dumps(seen, indent=1, ensure_ascii=False, default=str)
    return "\n".join("     | " + line for line in text[:6000].splitlines())


@contextlib.contextmanager
def topic(sentence):
    """Yields the checks, and a stack that stops what the topic started."""
    checks = Checks()
    try:
        with contextlib.ExitStack() as stack:
            yield checks, stack
    except Exception:
        checks.that(sentence, False, traceback.format_exc())
    sys.exit(1 if checks.failed else 0)
