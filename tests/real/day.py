"""A day of the stack in virtual time: the built function, the sandbox's GitLab and Glint, and queues that keep time."""

import heapq
import itertools
import json

import alarms
import events
import stack_rules
from processes import log_directory
from sandbox import Sandbox
from stack_rules import properties
from virtual_aws import VirtualAws
from virtual_lambda import VirtualLambda
from virtual_time import VirtualTime

CREDENTIALS, TOKENS = "glint/credentials", "glint/gitlab-trigger-tokens"
HOOK, READ = "glint/gitlab-hook", "glint/gitlab-read"
PROJECT = "acme/backend/billing"
NAME = "glint-gitlab-trigger"
INGRESS = f"{NAME}-ingress"
CONSUMER_KEY, INGRESS_KEY = "AKIAVIRTUALCONSUMER1", "AKIAVIRTUALINGRESS01"
# Fifty runs: one every twelve minutes of ten hours of work.
RUNS, FIRST_RUN, EVERY = 50, 120, 12
LENGTH = 24 * 60
# The check comes once a day, and late in this one: a fault in the morning waits for it almost as long as it can.
CHECK_AT = LENGTH - 30
PIPELINE_MINUTES = 5
BATCH = 5


class Day:
    def __init__(self, stack, name, cloudformation):
        # Their metrics would be counted again.
        for log in log_directory().glob(f"{name}-*.log"):
            log.unlink()
        self.clock = VirtualTime(log_directory() / f"{name}.time")
        self.begin = self.clock.now()
        self.series = alarms.Series()
        self.aws = VirtualAws(stack, self.clock)
        self.sandbox = Sandbox(stack, env={"PATH": "/usr/bin:/bin", **self.clock.env()}, name=f"{name}-sandbox")
        for secret in (CREDENTIALS, TOKENS, HOOK, READ):
            self.aws.put_secret(secret, self.sandbox.secrets[secret])
        self.client_secret = self.sandbox.secrets[CREDENTIALS]["clientSecret"]
        # The template's own settings, also those that it leaves empty; only addresses are others.
        given = stack_rules.variables(properties(cloudformation, "AWS::Lambda::Function")["ConsumerFunction"])
        settings = {name: str(value) for name, value in given.items() if not isinstance(value, dict)}
        settings |= self.sandbox.env()
        consumer = {**settings, **self.aws.env(CONSUMER_KEY), "DEAD_LETTER_QUEUE_ARN": self.aws.dead.arn}
        ingress = {**settings, **self.aws.env(INGRESS_KEY)}
        self.consumer = VirtualLambda(stack, NAME, self.clock, 45, consumer, log=f"{name}-consumer")
        self.ingress = VirtualLambda(stack, INGRESS, self.clock, 15, ingress, log=f"{name}-ingress")
        self.alarms = alarms.of_stack(cloudformation, self._metric_name)
        # What AWS does by itself, and a fault may change.
        self.consumer_takes = True
        self.throttled = set()
        self.offset_lag = lambda minute: 0
        self._heap, self._order, self._ids = [], itertools.count(), itertools.count(1)
        self._wakes = set()

    def _metric_name(self, value):
        """The name that CloudFormation would put into an alarm's dimension."""
        if isinstance(value, str):
            return value
        (word, body), = value.items()
        if word == "Fn::Sub":
            return body.replace("${AWS::StackName}", NAME)
        resource = body if word == "Ref" else body[0]
        return {"ConsumerFunction": NAME, "RunsQueue": "runs.fifo", "DeadLetterQueue": "runs-dead.fifo"}[resource]

    # ---- what happens when ------------------------------------------------------------------------------------

    def at(self, minute, action, *arguments):
        heapq.heappush(self._heap, (float(minute), next(self._order), action, arguments))

    def minute(self):
        return int((self.clock.now() - self.begin) / 60)

    def play(self, length=LENGTH):
        """Plays all that is planned for these minutes, which are sampled as AWS does; returns the alarms that rang, and when."""
        for minute in range(length):
            self.at(minute + 0.99, self._sample, minute)
        for hour in range(1, LENGTH // 60):
            self.at(hour * 60 + 7, self.scheduled, {"sweep": True})
        self.at(CHECK_AT, self.scheduled, {"check": True})
        while self._heap:
            minute, _, action, arguments = heapq.heappop(self._heap)
            if minute > length:
                break
            self.clock.advance_to(self.begin + minute * 60)
            action(*arguments)
            self.consume()
        for function in (self.consumer, self.ingress):
            function.stop()
            self._collect(function)
        return {alarm.logical: rung for alarm in self.alarms if (rung := alarm.rings(self.series, 15, length - 1))}

    def ringing(self, minute):
        """The alarms that are in ALARM."""
        return [alarm.logical for alarm in self.alarms if alarm.is_breached(self.series, minute)]

    def started(self, first):
        """How many runs were started since this minute."""
        return self.series.window(("GlintGitLabTrigger", "RunsStarted", NAME), first, LENGTH, "Sum") or 0

    def loops(self):
        """What the consumer sent to its own queue but one report for each run: Lambda would take it for a loop."""
        sent = self.aws.sent_by.get(CONSUMER_KEY, [])
        return [id_ for id_ in sent if not id_.endswith(".report") or sent.count(id_) > 1]

    def work(self):
        """The runs of an ordinary day and the ends of their pipelines."""
        for number in range(RUNS):
            self.at(FIRST_RUN + number * EVERY, self.webhook)

    # ---- what comes to the URL --------------------------------------------------------------------------------

    def webhook(self, path=None, **inputs):
        """A run is asked for; its pipeline ends some minutes later, and GitLab says so."""
        run_id = f"r_{next(self._ids):016}"
        self.sandbox.new_run(run_id, inputs)
        event = events.load("webhook-project")
        body = json.loads(events.raw_body(event))
        text = json.dumps(replaced(body, events.run_ids(event)[0], run_id, inputs), ensure_ascii=False)
        self.url(signed(event, self.client_secret, text.encode(), self.clock.now(), path))
        self.at(self.minute() + PIPELINE_MINUTES, self.pipeline_ends, run_id, 3)

    def pipeline_ends(self, run_id, times):
        for pipeline in self.sandbox.pipelines_of(run_id):
            if pipeline["status"] != "success":
                self.sandbox.finish(pipeline["id"], "success", [{"name": "deploy", "status": "success"}])
                headers, body = self.sandbox.hook(pipeline["id"])
                self.url(events.webhook("/-/hooks/gitlab", headers, body))
                return
        if times:
            self.at(self.minute() + PIPELINE_MINUTES, self.pipeline_ends, run_id, times - 1)

    def url(self, event):
        """A request to the URL; GitLab and Glint do not repeat what is refused."""
        if INGRESS in self.throttled:
            self._count("AWS/Lambda", "Throttles", INGRESS)
            return
        reply = self._invoke(self.ingress, event)
        if reply.failed or reply.value["statusCode"] >= 500:
            self._count("AWS/Lambda", "Url5xxCount", INGRESS)

    # ---- what Lambda does ---------------------------------------------------------------------------------------

    def scheduled(self, event):
        self._invoke(self.consumer, event)

    def consume(self):
        """Both event source mappings, as long as there is something to receive."""
        for queue in (self.aws.runs, self.aws.dead):
            while self.consumer_takes and (taken := queue.receive(BATCH)):
                if NAME in self.throttled:
                    self._count("AWS/Lambda", "Throttles", NAME)
                    continue
                event = queue.event(taken)
                reply = self._invoke(self.consumer, event)
                kept = {m["id"] for m in taken}
                if not reply.failed:
                    kept = {failure["itemIdentifier"] for failure in reply.value["batchItemFailures"]}
                queue.delete({m["id"] for m in taken} - kept)
            following = queue.next_visible()
            if following is not None and following not in self._wakes:
                self._wakes.add(following)
                self.at((following - self.begin) / 60 + 0.001, lambda: None)

    def _invoke(self, function, event):
        reply = function.invoke(event)
        if reply.failed:
            self._count("AWS/Lambda", "Errors", function.name)
        return reply

    def _count(self, namespace, name, of):
        self.series.add(namespace, name, of, self.minute(), 1)

    def _collect(self, function):
        """What the function printed of itself, at the minutes that it says."""
        for document in function.documents():
            minute = int((document["_aws"]["Timestamp"] / 1000 - self.begin) / 60)
            for directive in document["_aws"]["CloudWatchMetrics"]:
                for metric in directive["Metrics"]:
                    values = document[metric["Name"]]
                    for value in values if isinstance(values, list) else [values]:
                        self.series.add(directive["Namespace"], metric["Name"], function.name, minute, value)

    def _sample(self, minute):
        for queue in (self.aws.runs, self.aws.dead):
            visible, hidden = queue.counts()
            self.series.add("AWS/SQS", "ApproximateNumberOfMessagesVisible", queue.name, minute, visible)
            self.series.add("AWS/SQS", "ApproximateNumberOfMessagesNotVisible", queue.name, minute, hidden)
        lag = self.offset_lag(minute)
        if lag is not None:
            self.series.add("AWS/Lambda", "OffsetLag", NAME, minute, lag)


def replaced(body, old, new, inputs):
    """The message for another run, with these user inputs."""
    body = json.loads(json.dumps(body).replace(old, new))
    properties = body.get("payload", {}).get("properties")
    if properties is not None:
        properties |= inputs
    return body


def signed(event, secret, body, now, path=None):
    """The webhook as Glint sends it at this time, to another path where one is given."""
    timestamp = str(int(now))
    headers = {**event["headers"], "content-length": str(len(body)), "x-glint-timestamp": timestamp}
    headers["x-glint-signature"] = events.signature(secret, timestamp, body)
    event = {**event, "headers": headers, "body": body.decode(), "isBase64Encoded": False}
    if path is not None:
        http = {**event["requestContext"]["http"], "path": path}
        event |= {"rawPath": path, "requestContext": {**event["requestContext"], "http": http}}
    return event
