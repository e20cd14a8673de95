"""What can go wrong with a stack, how each fault begins and ends in a day, and the alarm that must ring for it."""

import dataclasses
import json
import typing

from day import CHECK_AT, CREDENTIALS, FIRST_RUN, HOOK, INGRESS, LENGTH, NAME, PROJECT, READ, TOKENS

# In the middle of the working day, between two runs.
BEGIN = FIRST_RUN + 125
TWO_HOURS = 120
OTHER_SECRET = "another-client-secret-0123456789abcdef"
# Only the check's or the sweep's next turn can find it.
BY_CHECK = "check"


@dataclasses.dataclass
class Fault:
    what: str
    alarm: str
    begin: typing.Callable
    # How long after the first delivery that meets it, in minutes; or `BY_CHECK`.
    within: object = 15
    # The minutes from BEGIN until something can meet it: a cached secret, or the first run.
    meets: int = 7


def on(what, alarm, **more):
    """Adds the decorated function to the table."""
    def add(begin):
        FAULTS.append(Fault(what, alarm, begin, **more))
        return begin
    return add


FAULTS = []


@on("the client secret is rotated in Glint alone", "OperatorAlarm")
def _(day):
    day.client_secret = OTHER_SECRET


@on("`glint/credentials` is deleted", "OperatorAlarm")
def _(day):
    day.aws.delete_secret(CREDENTIALS)


@on("the functions may not read `glint/credentials`", "OperatorAlarm")
def _(day):
    day.aws.denied.add(CREDENTIALS)


@on("the trigger tokens are deleted", "OperatorAlarm")
def _(day):
    day.aws.delete_secret(TOKENS)


@on("the consumer may not read the trigger tokens", "OperatorAlarm")
def _(day):
    day.aws.denied.add(TOKENS)


@on("the secret of the trigger tokens is not what it should be", "OperatorAlarm")
def _(day):
    day.aws.put_secret(TOKENS, "glptt-a-token-without-its-project")


@on("a project's trigger token is revoked in GitLab", "OperatorAlarm", within=BY_CHECK)
def _(day):
    day.sandbox.rotate_token(PROJECT, "glptt-" + "7" * 40)


@on("the read token has expired", "OperatorAlarm", within=BY_CHECK)
def _(day):
    day.aws.put_secret(READ, "glpat-expired-0123456789")


@on("the hook secret is not what it should be", "OperatorAlarm", within=BY_CHECK)
def _(day):
    day.aws.put_secret(HOOK, json.dumps({"signingToken": "not-a-signing-token"}))


@on("Kafka's credentials have expired", "KafkaAlarm", meets=0)
def _(day):
    before = day.offset_lag
    day.offset_lag = lambda minute: None if minute >= BEGIN else before(minute)


@on("Kafka's records are not taken", "KafkaAlarm", meets=0)
def _(day):
    day.offset_lag = lambda minute: max(0, minute - BEGIN)


@on("a burst exceeds the URL's concurrency for one minute", "UrlAlarm", meets=0)
def _(day):
    day.throttled.add(INGRESS)
    for _ in range(20):
        day.webhook()
    day.at(BEGIN + 1, day.throttled.discard, INGRESS)


@on("a message that nobody can read is put on the queue", "OperatorAlarm", meets=0)
def _(day):
    day.aws.runs.send("not a run", "group", "unreadable")


@on("a message of a newer version is on the queue after a rollback", "OperatorAlarm", meets=0)
def _(day):
    day.aws.runs.send(json.dumps({"v": 99, "report": {}}), "r_newer", "r_newer.report")


@on("GitLab is down for two hours", "UpstreamsAlarm")
def _(day):
    for call in ("Trigger", "ListPipelines", "GetPipeline", "PipelineVariables"):
        day.sandbox.fail(call, fault="ResetBefore")
    day.at(BEGIN + TWO_HOURS, day.sandbox.heal)


@on("Glint is down for two hours", "UpstreamsAlarm")
def _(day):
    day.sandbox.refuse_glint(503)
    day.at(BEGIN + TWO_HOURS, day.sandbox.refuse_glint, None)


@on("Secrets Manager is down for two hours while the functions start anew", "UrlAlarm")
def _(day):
    day.aws.secrets_down = True
    day.consumer.start()
    day.ingress.start()
    day.at(BEGIN + TWO_HOURS, setattr, day.aws, "secrets_down", False)


@on("SQS throttles", "UrlAlarm")
def _(day):
    day.aws.sqs_throttled = True


@on("five hundred dead letters cannot be read", "DeadLettersAlarm", meets=0)
def _(day):
    for number in range(500):
        day.aws.dead.send("not a run", f"group-{number}", f"dead-{number}")


@on("the account's concurrent executions are used up", "ThrottledAlarm")
def _(day):
    day.throttled.update((NAME, INGRESS))
    # What is on the queue already meets it too.
    day.aws.runs.send("not a run", "group", "waits")


@on("a deployment cannot start", "BrokenAlarm")
def _(day):
    day.consumer.start(["/bin/false"])


@on("the function behind the URL cannot start", "BrokenAlarm")
def _(day):
    day.ingress.start(["/bin/false"])


@on("the runs queue's event source is disabled", "BacklogAlarm")
def _(day):
    day.consumer_takes = False


def limits(fault):
    """The minutes between which the fault's alarm must ring."""
    if fault.within == BY_CHECK:
        return BEGIN, LENGTH
    return BEGIN, BEGIN + fault.meets + fault.within


def ordinary(day):
    """Bursts, retries and users' mistakes: what must ring no alarm."""
    day.work()
    day.at(200, day.sandbox.limit_pipelines, PROJECT, 25)
    for _ in range(80):
        day.at(200, day.webhook)
    day.at(300, day.webhook, "/acme/backend/biling")
    day.at(310, lambda: day.webhook(ref="no-such-branch"))
    day.at(320, lambda: day.webhook(**{"CI_JOB_TOKEN": "taken-over"}))
    day.at(330, lambda: day.webhook(**{"a name with spaces": "x"}))
    day.at(340.2, lambda: day.sandbox.fail_once("Trigger", fault="DropAfter"))
    day.at(360, lambda: day.sandbox.fail_once("GetRun", status=503))
    day.at(380, junk, day)
    day.at(CHECK_AT - 60, junk, day)


def junk(day):
    """What anybody may send to a public URL."""
    import events

    for path in ("/", "/.env", "/acme/backend/billing", "/-/hooks/gitlab"):
        for body in ("", "{}", "not JSON", json.dumps({"context": {"runId": "r_forged0000000000"}})):
            day.url(events.webhook(path, {"content-type": "application/json"}, body))
