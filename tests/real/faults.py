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


# How long a day goes on after a fault has ended: three runs, and as long as the slowest alarm looks back.
AFTER = 40


@dataclasses.dataclass
class Fault:
    what: str
    alarm: str
    begin: typing.Callable
    # How long after the first delivery that meets it, in minutes; or `BY_CHECK`.
    within: object = 15
    # The minutes from BEGIN until something can meet it: a cached secret, or the first run.
    meets: int = 7
    # What the operator does, and when, where that is not as soon as the alarm must have rung.
    fix: typing.Callable = None
    fixed_at: int = None

    def limit(self):
        """The minute by which the alarm must ring."""
        return LENGTH if self.within == BY_CHECK else BEGIN + self.meets + self.within

    def fix_minute(self):
        return self.fixed_at or self.limit()

    def length(self):
        """The minutes of the day that are played: the rest would only take time."""
        return self.fix_minute() + AFTER if self.fix else self.limit()


def on(what, alarm, **more):
    """Adds the decorated function to the table."""
    def add(begin):
        FAULTS.append(Fault(what, alarm, begin, **more))
        return begin
    return add


def put(name):
    """Puts the secret in place again."""
    return lambda day: day.aws.put_secret(name, day.sandbox.secrets[name])


def allow(day):
    day.aws.denied.clear()


FAULTS = []


@on("the client secret is rotated in Glint alone", "OperatorAlarm")
def _(day):
    day.client_secret = OTHER_SECRET


@on("`glint/credentials` is deleted", "OperatorAlarm", fix=put(CREDENTIALS))
def _(day):
    day.aws.delete_secret(CREDENTIALS)


@on("the functions may not read `glint/credentials`", "OperatorAlarm", fix=allow)
def _(day):
    day.aws.denied.add(CREDENTIALS)


@on("the trigger tokens are deleted", "OperatorAlarm", fix=put(TOKENS))
def _(day):
    day.aws.delete_secret(TOKENS)


@on("the consumer may not read the trigger tokens", "OperatorAlarm", fix=allow)
def _(day):
    day.aws.denied.add(TOKENS)


@on("the secret of the trigger tokens is not what it should be", "OperatorAlarm", fix=put(TOKENS))
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


@on("GitLab is down for two hours", "UpstreamsAlarm", fix=lambda day: day.sandbox.heal(), fixed_at=BEGIN + TWO_HOURS)
def _(day):
    for call in ("Trigger", "ListPipelines", "GetPipeline", "PipelineVariables"):
        day.sandbox.fail(call, fault="ResetBefore")


@on("Glint is down for two hours", "UpstreamsAlarm", fix=lambda day: day.sandbox.refuse_glint(None), fixed_at=BEGIN + TWO_HOURS)
def _(day):
    day.sandbox.refuse_glint(503)


@on("Secrets Manager is down for two hours while the functions start anew", "UrlAlarm", fix=lambda day: setattr(day.aws, "secrets_down", False), fixed_at=BEGIN + TWO_HOURS)
def _(day):
    day.aws.secrets_down = True
    day.consumer.start()
    day.ingress.start()


@on("SQS throttles", "UrlAlarm", fix=lambda day: setattr(day.aws, "sqs_throttled", False))
def _(day):
    day.aws.sqs_throttled = True


@on("five hundred dead letters cannot be read", "DeadLettersAlarm", meets=0, fix=lambda day: day.aws.dead.messages.clear())
def _(day):
    for number in range(500):
        day.aws.dead.send("not a run", f"group-{number}", f"dead-{number}")


@on("the account's concurrent executions are used up", "ThrottledAlarm", fix=lambda day: day.throttled.clear())
def _(day):
    day.throttled.update((NAME, INGRESS))
    # What is on the queue already meets it too.
    day.aws.runs.send("not a run", "group", "waits")


@on("a deployment cannot start", "BrokenAlarm", fix=lambda day: day.consumer.start())
def _(day):
    day.consumer.start(["/bin/false"])


@on("the function behind the URL cannot start", "BrokenAlarm", fix=lambda day: day.ingress.start())
def _(day):
    day.ingress.start(["/bin/false"])


@on("the runs queue's event source is disabled", "BacklogAlarm", fix=lambda day: setattr(day, "consumer_takes", True))
def _(day):
    day.consumer_takes = False


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
