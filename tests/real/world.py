"""One function in one world: moto's AWS, the sandbox's GitLab and Glint, and the built binary behind AWS's emulator."""

from cloud import Cloud
from function import Function
from sandbox import Sandbox

CREDENTIALS = "glint/credentials"
TOKENS = "glint/gitlab-trigger-tokens"
HOOK = "glint/gitlab-hook"
READ = "glint/gitlab-read"
MAX_RECEIVES = 3


class World:
    """Starts all of it but the function, whose settings each check chooses."""

    def __init__(self, stack):
        self._stack = stack
        self.cloud = Cloud(stack)
        self.sandbox = Sandbox(stack)
        self.runs_queue, self.dead_queue = self.cloud.queue(MAX_RECEIVES)
        told = self.sandbox.secrets
        for name in (CREDENTIALS, TOKENS, HOOK, READ):
            self.cloud.put_secret(name, told[name])
        self.client_secret = told[CREDENTIALS]["clientSecret"]

    def function(self, name="function", **settings):
        env = {
            **self.sandbox.env(),
            **self.cloud.function_env(),
            "GITLAB_HOOK_SECRET_ID": HOOK,
            "GITLAB_READ_SECRET_ID": READ,
            "MAX_RECEIVES": str(MAX_RECEIVES),
            **settings,
        }
        return Function(self._stack, env, name)

    def queue_settings(self):
        return {"RUNS_QUEUE_URL": self.runs_queue, "DEAD_LETTER_QUEUE_ARN": self.cloud.arn(self.dead_queue)}

    def send(self, record):
        """Puts the message of one of `events/`'s SQS records on the runs queue, as its sender did."""
        attributes = {
            name: {"DataType": attribute["dataType"], "StringValue": attribute["stringValue"]}
            for name, attribute in record["messageAttributes"].items()
        }
        return self.cloud.sqs.send_message(
            QueueUrl=self.runs_queue,
            MessageBody=record["body"],
            MessageGroupId=record["attributes"]["MessageGroupId"],
            MessageDeduplicationId=record["attributes"]["MessageDeduplicationId"],
            MessageAttributes=attributes,
        )

    def all_secrets(self):
        return [secret for value in self.sandbox.secrets.values() for secret in plain(value)]

    def silent(self, check, *functions):
        """No secret in any line that the functions printed, and no request that the upstreams do not know."""
        secrets = self.all_secrets()
        for function in functions:
            text = function.log.read_text()
            shown = [secret for secret in secrets if secret in text]
            check.equal(f"no secret is in the log of `{function.name}`", shown, [])
        met = [f"{stray['method']} {stray['path_and_query']}" for stray in self.sandbox.state()["strays"]]
        check.equal("every request met a route", met, [])


def plain(secret):
    """The secret texts in a secret's value."""
    return [value for key, value in secret.items() if key != "clientId"] if isinstance(secret, dict) else [secret]
