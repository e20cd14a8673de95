"""What Lambda's event source mapping does between a queue and a function; moto's own needs a container engine."""

from cloud import REGION


class Poller:
    def __init__(self, cloud, queue_url, function):
        self.cloud, self.queue_url, self.function = cloud, queue_url, function
        self.queue_arn = cloud.arn(queue_url)

    def poll(self):
        """Receives at most ten, invokes, and settles. None when nothing is visible."""
        received = self.cloud.sqs.receive_message(
            QueueUrl=self.queue_url,
            MaxNumberOfMessages=10,
            AttributeNames=["All"],
            MessageAttributeNames=["All"],
            WaitTimeSeconds=0,
        )
        messages = received.get("Messages", [])
        if not messages:
            return None
        event = {"Records": [record(message, self.queue_arn) for message in messages]}
        reply = self.function.invoke(event)
        kept = to_come_again(event, reply)
        for message in messages:
            if message["MessageId"] not in kept:
                self.cloud.sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=message["ReceiptHandle"])
        return Batch(self, event, reply, [message for message in messages if message["MessageId"] in kept])

    def drain(self, rounds):
        """Polls until nothing is left to come, at most `rounds` times; the visibility timeout passes each time."""
        batches = []
        while len(batches) < rounds and (batch := self.poll()) is not None:
            batches.append(batch)
            batch.let_visibility_pass()
        return batches


class Batch:
    """One invocation and what became of its messages."""

    def __init__(self, poller, event, reply, kept):
        self.event, self.reply, self.kept = event, reply, kept
        self._poller = poller

    def bodies_kept(self):
        return [message["Body"] for message in self.kept]

    def let_visibility_pass(self):
        """The visibility timeout is over at once: nobody waits 270 s for a check."""
        for message in self.kept:
            self._poller.cloud.sqs.change_message_visibility(
                QueueUrl=self._poller.queue_url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
            )


def record(message, queue_arn):
    """A received message as Lambda hands it to a function."""
    whole = {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message["Attributes"],
        "messageAttributes": {
            name: {
                "stringValue": attribute["StringValue"],
                "stringListValues": [],
                "binaryListValues": [],
                "dataType": attribute["DataType"],
            }
            for name, attribute in message.get("MessageAttributes", {}).items()
        },
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": REGION,
    }
    if "MD5OfMessageAttributes" in message:
        whole["md5OfMessageAttributes"] = message["MD5OfMessageAttributes"]
    return whole


def to_come_again(event, reply):
    """The ids that stay in the queue, by AWS's rules for partial batch responses."""
    every = {record["messageId"] for record in event["Records"]}
    if reply.failed:
        return every
    if not reply.value:
        return set()
    if not isinstance(reply.value, dict):
        return every
    failures = reply.value.get("batchItemFailures") or []
    if not isinstance(failures, list):
        return every
    kept = set()
    for failure in failures:
        identifier = failure.get("itemIdentifier") if isinstance(failure, dict) else None
        if identifier not in every:
            return every
        kept.add(identifier)
    return kept
