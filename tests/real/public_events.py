"""The events that SAM CLI makes: a clear answer each, although most are of services that are no event source here."""

import json
import os
import pathlib
import subprocess

import samcli
from poller import to_come_again
from samcli.lib.generated_sample_events.events import Events

OTHER_FORMAT = "the request is not of payload format 2.0"
AUTHORIZER = "the event asks a Lambda authorizer"
NAMELESS = "the event comes from no event source of this function, and names no run"
# How the names of events begin, and what has to become of these: the words with which an invocation fails, or the
# status and words with which a request is answered. The longest beginning counts.
TABLE = {
    "sqs receive-message": None,
    "sns notification": "the message is not a JSON object",
    "cloudwatch scheduled-event": "the message is the event `Scheduled Event` of `aws.events`, not Glint's",
    "apigateway http-api-proxy": (401, "signature verification failed"),
    "apigateway aws-proxy": (400, OTHER_FORMAT),
    "apigateway authorizer": AUTHORIZER,
    "apigateway request-authorizer": AUTHORIZER,
    "alb request": (400, OTHER_FORMAT),
    "init cookiecutter-aws-sam-hello-": (400, OTHER_FORMAT),
    "cloudfront ": "the event's `Records` are neither SQS's nor SNS's",
    "codecommit ": "the event's `Records` are of `aws:codecommit`",
    "dynamodb ": "the event's `Records` are of `aws:dynamodb`",
    "kinesis get-records": "the event's `Records` are of `aws:kinesis`",
    "rekognition ": "the event's `Records` are of `aws:s3`",
    "s3 ": "the event's `Records` are of `aws:s3`",
    "ses ": "the event's `Records` are of `aws:ses`",
    "alexa-": NAMELESS,
    "appsync ": NAMELESS,
    "batch ": NAMELESS,
    "cloudformation ": NAMELESS,
    "cloudwatch logs": NAMELESS,
    "codepipeline ": NAMELESS,
    "cognito ": NAMELESS,
    "config ": NAMELESS,
    "connect ": NAMELESS,
    "kinesis ": NAMELESS,
    "lex ": NAMELESS,
    "lex-v2 ": NAMELESS,
    "s3 batch-invocation": NAMELESS,
    "sagemaker ": NAMELESS,
    "stepfunctions ": NAMELESS,
    "workmail ": NAMELESS,
}


def generated():
    """What `sam local generate-event` prints without options, by service and event."""
    library = Events()
    for service, kinds in library.event_mapping.items():
        for kind, definition in kinds.items():
            # The command calls its options so.
            defaults = {name.replace("-", "_"): tag.get("default") for name, tag in definition["tags"].items()}
            yield f"{service} {kind}", json.loads(library.generate_event(service, kind, defaults))


def of_templates():
    """The events of the projects that `sam init` makes, each once."""
    found = {}
    for path in sorted(pathlib.Path(samcli.__file__).parent.glob("lib/init/templates/*/*/events/*.json")):
        event = json.loads(path.read_text())
        if event not in found.values():
            found[f"init {path.parents[2].name}"] = event
    return found


def row(name):
    return max((beginning for beginning in TABLE if name.startswith(beginning)), key=len, default=None)


def answered(event, reply, expected):
    """Whether it is the answer, and what the log has to say too."""
    if expected is None:
        return to_come_again(event, reply) == {record["messageId"] for record in event["Records"]}, ""
    if isinstance(expected, tuple):
        status, words = expected
        body = {} if reply.failed else reply.body()
        # Why a signature does not hold is for the log alone.
        return reply.value.get("statusCode") == status and words in body.get("reason", ""), words
    lines = str(reply.value.get("errorMessage")).splitlines()
    clear = reply.failed and len(lines) == 2 and lines[1].startswith("  hint: ")
    return clear and lines[0].startswith(expected), lines[0]


def own_lines(log):
    """The lines of each invocation, in order, but for metrics and the runtime's own word on a failure."""
    invocations = {}
    for line in log.read_text().splitlines():
        try:
            line = json.loads(line)
        except ValueError:
            continue
        if isinstance(line, dict) and "span" in line and not line["message"].startswith("Diagnostic {"):
            invocations.setdefault(line["span"]["requestId"], []).append(line)
    return list(invocations.values())


def every_public_event(check, world):
    every = {**dict(generated()), **of_templates()}
    printed = subprocess.run(
        ["sam", "local", "generate-event", "sqs", "receive-message"],
        env={**os.environ, "SAM_CLI_TELEMETRY": "0"},
        check=True,
        capture_output=True,
    )
    check.equal("an event is what SAM's command prints", json.loads(printed.stdout), every["sqs receive-message"])
    check.that("SAM makes at least 69 events", len(every) >= 69, sorted(every))
    check.equal("every row is of an event of SAM", sorted({row(name) for name in every} - {None}), sorted(TABLE))
    before = world.sandbox.state()
    function = world.function("public-events", AWS_LAMBDA_LOG_FORMAT="JSON")
    said = {}
    for name, event in every.items():
        reply = function.invoke(event)
        held, said[name] = answered(event, reply, TABLE[row(name)]) if row(name) else (False, "")
        check.that(f"SAM's event `{name}` gets its answer", held, reply.text)
    function.stop()
    invocations = own_lines(function.log)
    check.equal("each event of SAM is one line of the log", [len(lines) for lines in invocations], [1] * len(every))
    silent = [name for (name, words), lines in zip(said.items(), invocations) if words not in lines[0]["message"]]
    check.equal("which says what its sender was told", silent, [])
    check.that("and nothing panicked", "panicked" not in function.log.read_text())
    after = world.sandbox.state()
    for kind in ("pipelines", "runs"):
        check.equal(f"and the {kind} are as they were", after[kind], before[kind])
    return function
