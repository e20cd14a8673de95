"""AWS as moto plays it: real secrets, a real FIFO queue with its dead-letter queue, and a record of every call."""

import base64
import json
import os
import re

import boto3
from processes import PARTS, Child, log_directory

REGION = "eu-west-1"
# Who called is read from the signature's credential: the checks' own calls are not the function's.
CHECKS_KEY = "AKIAREALCHECKS000001"
FUNCTION_KEY = "AKIAREALFUNCTION0001"


class Cloud:
    def __init__(self, stack):
        self.record = log_directory() / "aws-calls.jsonl"
        env = dict(os.environ, MOTO_ENABLE_RECORDING="1", MOTO_RECORDER_FILEPATH=str(self.record))
        server = Child(stack, "moto", [PARTS / "venv/bin/moto_server", "-H", "127.0.0.1", "-p", "0"], env=env)
        line = server.line(lambda line: "Running on" in line)
        self.url = re.search(r"http://127\.0\.0\.1:\d+", line).group()
        options = {
            "endpoint_url": self.url,
            "region_name": REGION,
            "aws_access_key_id": CHECKS_KEY,
            "aws_secret_access_key": "not-a-secret",
        }
        self._options = options
        self.secrets = self.client("secretsmanager")
        self.sqs = self.client("sqs")

    def client(self, service):
        """A client of the checks' own."""
        return boto3.client(service, **self._options)

    def function_env(self):
        """What Lambda and an endpoint override give the function."""
        return {
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": self.url,
            "AWS_ENDPOINT_URL_SQS": self.url,
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": FUNCTION_KEY,
            "AWS_SECRET_ACCESS_KEY": "not-a-secret",
            "AWS_SESSION_TOKEN": "not-a-token",
        }

    def put_secret(self, name, value):
        value = value if isinstance(value, str) else json.dumps(value)
        try:
            self.secrets.put_secret_value(SecretId=name, SecretString=value)
        except self.secrets.exceptions.ResourceNotFoundException:
            self.secrets.create_secret(Name=name, SecretString=value)

    def queue(self, max_receives):
        """The runs queue as the template makes it; returns its URL and its dead-letter queue's."""
        dead = self.sqs.create_queue(QueueName="runs-dead.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
        redrive = {"deadLetterTargetArn": self.arn(dead), "maxReceiveCount": str(max_receives)}
        attributes = {"FifoQueue": "true", "VisibilityTimeout": "270", "RedrivePolicy": json.dumps(redrive)}
        runs = self.sqs.create_queue(QueueName="runs.fifo", Attributes=attributes)["QueueUrl"]
        return runs, dead

    def arn(self, queue_url):
        wanted = {"QueueUrl": queue_url, "AttributeNames": ["QueueArn"]}
        return self.sqs.get_queue_attributes(**wanted)["Attributes"]["QueueArn"]

    def messages(self, queue_url):
        """How many are there, in flight or not."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        counts = self.sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=names)["Attributes"]
        return sum(int(counts[name]) for name in names)

    def calls(self, key=FUNCTION_KEY):
        """Every call that `key` signed, as (IAM action, request)."""
        return calls(self.record, key)


def calls(record, key=FUNCTION_KEY):
    """The IAM actions in one of moto's recordings."""
    services = {"secretsmanager": "secretsmanager", "AmazonSQS": "sqs"}
    found = []
    for line in record.read_text().splitlines():
        request = json.loads(line)
        if f"Credential={key}/" not in request["headers"].get("Authorization", ""):
            continue
        service, _, action = request["headers"]["X-Amz-Target"].partition(".")
        body = base64.b64decode(request["body"]) if request["body_encoded"] else request["body"]
        found.append((f"{services[service]}:{action}", json.loads(body)))
    return found
