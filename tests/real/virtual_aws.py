"""Secrets Manager and SQS as far as the function calls them, in virtual time, and broken as a check wants."""

import hashlib
import json

import virtual_http

ACCOUNT = "123456789012"
REGION = "eu-west-1"
VISIBILITY_SECONDS = 270
DEDUPLICATION_SECONDS = 300


class Queue:
    """A FIFO queue: one message of a group at a time, and a dead-letter queue behind it."""

    def __init__(self, name, clock, max_receives=None, dead=None):
        self.name, self._clock, self.max_receives, self.dead = name, clock, max_receives, dead
        self.arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"
        self.messages, self._sent = [], {}
        self._number = 0

    def send(self, body, group, deduplication, attributes=None):
        now = self._clock.now()
        if self._sent.get(deduplication, 0) + DEDUPLICATION_SECONDS > now:
            return
        self._sent[deduplication] = now
        self.put({"body": body, "group": group, "deduplication": deduplication, "attributes": attributes or {}})

    def put(self, message):
        self._number += 1
        id_ = f"{self.name}-{self._number}"
        self.messages.append({**message, "id": id_, "sent": self._clock.now(), "receives": 0, "visible": 0.0, "receipt": None})

    def receive(self, most):
        now = self._clock.now()
        if self.dead:
            spent = [m for m in self.messages if m["visible"] <= now and m["receives"] >= self.max_receives]
            for message in spent:
                self.messages.remove(message)
                self.dead.put({**message, "source": self.arn})
        held = {m["group"] for m in self.messages if m["visible"] > now}
        taken = [m for m in self.messages if m["visible"] <= now and m["group"] not in held][:most]
        for message in taken:
            message["receives"] += 1
            message["visible"] = now + VISIBILITY_SECONDS
            message["receipt"] = f"{message['id']}.{message['receives']}"
        return taken

    def event(self, taken):
        """The event that Lambda makes of received messages."""
        return {"Records": [self._record(message) for message in taken]}

    def _record(self, m):
        attributes = {
            "ApproximateReceiveCount": str(m["receives"]),
            "SentTimestamp": str(int(m["sent"] * 1000)),
            "ApproximateFirstReceiveTimestamp": str(int(m["sent"] * 1000)),
            "SenderId": "AROAEXAMPLE:sender",
            "SequenceNumber": m["id"].rpartition("-")[2].zfill(20),
            "MessageGroupId": m["group"],
            "MessageDeduplicationId": m["deduplication"],
        }
        if "source" in m:
            attributes["DeadLetterQueueSourceArn"] = m["source"]
        return {
            "messageId": m["id"],
            "receiptHandle": m["receipt"],
            "body": m["body"],
            "attributes": attributes,
            "messageAttributes": {
                name: {"stringValue": value, "stringListValues": [], "binaryListValues": [], "dataType": "String"}
                for name, value in m["attributes"].items()
            },
            "md5OfBody": hashlib.md5(m["body"].encode()).hexdigest(),
            "eventSource": "aws:sqs",
            "eventSourceARN": self.arn,
            "awsRegion": REGION,
        }

    def delete(self, ids):
        self.messages = [message for message in self.messages if message["id"] not in ids]

    def counts(self):
        """How many are visible, and how many are not."""
        now = self._clock.now()
        hidden = sum(message["visible"] > now for message in self.messages)
        return len(self.messages) - hidden, hidden

    def next_visible(self):
        return min((m["visible"] for m in self.messages if m["visible"] > self._clock.now()), default=None)


class Refusal(Exception):
    def __init__(self, code, status=400):
        super().__init__(code)
        self.status = status


class VirtualAws:
    def __init__(self, stack, clock, max_receives=20):
        self._clock = clock
        self.secrets, self.denied = {}, set()
        self.secrets_down = self.sqs_throttled = False
        # The deduplication ids of what each function sent to the queue.
        self.sent_by = {}
        self.dead = Queue("runs-dead.fifo", clock)
        self.runs = Queue("runs.fifo", clock, max_receives, self.dead)
        self.url = f"http://{virtual_http.serve(stack, self._handler())}"
        self.runs_url = f"{self.url}/{ACCOUNT}/runs.fifo"

    def env(self, key):
        """`key` is the access key by which a function is known here."""
        return {
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": self.url,
            "AWS_ENDPOINT_URL_SQS": self.url,
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": "not-a-secret",
            "RUNS_QUEUE_URL": self.runs_url,
        }

    def put_secret(self, name, value):
        """A new current version; the one before stays readable."""
        text = value if isinstance(value, str) else json.dumps(value)
        self.secrets.setdefault(name, []).append((text, self._clock.now()))

    def delete_secret(self, name):
        self.secrets.pop(name)

    def answer(self, target, query, key):
        service, _, action = target.partition(".")
        if service == "secretsmanager" and action == "GetSecretValue":
            return self._secret(query)
        if self.sqs_throttled:
            raise Refusal("com.amazonaws.sqs#RequestThrottled", 403)
        if action == "SendMessage":
            given = query.get("MessageAttributes") or {}
            attributes = {name: value["StringValue"] for name, value in given.items()}
            self.sent_by.setdefault(key, []).append(query["MessageDeduplicationId"])
            self.runs.send(query["MessageBody"], query["MessageGroupId"], query["MessageDeduplicationId"], attributes)
            return {"MessageId": "m", "MD5OfMessageBody": hashlib.md5(query["MessageBody"].encode()).hexdigest()}
        if action == "GetQueueAttributes":
            redrive = {"deadLetterTargetArn": self.dead.arn, "maxReceiveCount": self.runs.max_receives}
            return {
                "Attributes": {
                    "QueueArn": self.runs.arn,
                    "FifoQueue": "true",
                    "VisibilityTimeout": str(VISIBILITY_SECONDS),
                    "RedrivePolicy": json.dumps(redrive),
                }
            }
        if action == "ChangeMessageVisibility":
            for message in self.runs.messages:
                if message["receipt"] == query["ReceiptHandle"]:
                    message["visible"] = self._clock.now() + query["VisibilityTimeout"]
            return {}
        raise Refusal("UnknownOperationException")

    def _secret(self, query):
        name = query["SecretId"]
        if self.secrets_down:
            raise Refusal("InternalServiceError", 500)
        if name in self.denied:
            raise Refusal("AccessDeniedException")
        versions = self.secrets.get(name, [])
        place = 2 if query.get("VersionStage") == "AWSPREVIOUS" else 1
        if len(versions) < place:
            raise Refusal("ResourceNotFoundException")
        text, created = versions[-place]
        return {
            "ARN": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{name}-AbCdEf",
            "Name": name,
            "VersionId": f"00000000-0000-4000-8000-{len(versions) - place + 1:012}",
            "SecretString": text,
            "CreatedDate": created,
            "VersionStages": ["AWSCURRENT" if place == 1 else "AWSPREVIOUS"],
        }

    def _handler(self):
        aws = self

        class Handler(virtual_http.Handler):
            def do_POST(self):
                query = json.loads(self.body())
                key = self.headers["Authorization"].partition("Credential=")[2].partition("/")[0]
                try:
                    status, answer = 200, aws.answer(self.headers["X-Amz-Target"], query, key)
                except Refusal as refusal:
                    status, answer = refusal.status, {"__type": str(refusal), "message": "refused by the check"}
                self.answer(status, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(answer).encode())

        return Handler
