"""The files of `events/`, read and signed as their senders would."""

import base64
import hashlib
import hmac
import json
import pathlib
import time

DIRECTORY = pathlib.Path(__file__).resolve().parents[2] / "events"


def names():
    return sorted(path.stem for path in DIRECTORY.glob("*.json"))


def load(name):
    return json.loads((DIRECTORY / f"{name}.json").read_text())


def run_ids(event):
    """Every run that the event asks for, however deep its messages are wrapped, once each and in order."""
    found = []
    for value in unwrapped(event):
        context = value.get("context")
        if isinstance(context, dict) and isinstance(run_id := context.get("runId"), str) and run_id not in found:
            found.append(run_id)
    return found


def unwrapped(value):
    """Every object in `value`, also those inside JSON texts and base64."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from unwrapped(item)
    if isinstance(value, str) and (inner := decoded(value)) is not None:
        yield from unwrapped(inner)


def decoded(text):
    if text[:1] not in ("{", "e"):
        return None
    try:
        return json.loads(text if text[0] == "{" else base64.b64decode(text, validate=True))
    except ValueError:
        return None


def raw_body(event):
    body = event["body"].encode()
    return base64.b64decode(body) if event["isBase64Encoded"] else body


def signature(secret, timestamp, body):
    digest = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def signed(event, secret, body=None):
    """The webhook as Glint would send it now, with `body` in place of its own where given."""
    body = raw_body(event) if body is None else body
    timestamp = str(int(time.time()))
    fresh = {"x-glint-timestamp": timestamp, "x-glint-signature": signature(secret, timestamp, body)}
    headers = {**event["headers"], "content-length": str(len(body)), **fresh}
    encoded = base64.b64encode(body).decode() if event["isBase64Encoded"] else body.decode()
    return {**event, "headers": headers, "body": encoded}


def signed_hook(event, token):
    """The pipeline hook as a GitLab with this signing token would send it now."""
    key = base64.b64decode(token.removeprefix("whsec_"))
    timestamp = str(int(time.time()))
    text = f"{event['headers']['webhook-id']}.{timestamp}.".encode() + raw_body(event)
    signature = "v1," + base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()
    fresh = {"webhook-timestamp": timestamp, "webhook-signature": signature}
    return {**event, "headers": {**event["headers"], **fresh}}


def webhook(path, headers, body):
    """A function URL event for a request that no file of `events/` holds."""
    event = load("gitlab-hook")
    http = {**event["requestContext"]["http"], "path": path}
    return {
        **event,
        "rawPath": path,
        "headers": {name.lower(): value for name, value in headers.items()},
        "requestContext": {**event["requestContext"], "http": http},
        "body": body,
        "isBase64Encoded": False,
    }


def inputs(record):
    """The user inputs of an SQS record's run."""
    return json.loads(record["body"])["payload"]["properties"]


def message(run_id, **inputs):
    """The SQS record of `events/sqs.json` for another run, with these user inputs changed."""
    record = load("sqs")["Records"][0]
    body = json.loads(record["body"])
    body["context"]["runId"] = run_id
    body["payload"]["properties"] |= inputs
    ids = {"MessageGroupId": run_id, "MessageDeduplicationId": run_id}
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return {**record, "body": text, "attributes": {**record["attributes"], **ids}}
