"""The documented way with cargo-lambda: the commands of `docs/deploy.md` against moto, then the function as they set it up."""

import fnmatch
import json
import os
import pathlib
import subprocess
import urllib.request

import boto3
import documents
import events
from checks import topic
from cloud import CHECKS_KEY, REGION, Cloud
from function import Function
from poller import Poller
from processes import PARTS, log_directory
from sandbox import Sandbox

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
NAME = "glint-gitlab-trigger"
SECRETS, DEPLOY, HOOKS = "## Put the secrets in place", "## Deploy with cargo-lambda", "## Let pipelines end their runs"
# The topic `release` runs what stands there.
RELEASE = "## Deploy a release"
ACCOUNT = "123456789012"
POLICY = json.loads((CHECKOUT / "examples/cargo-lambda/policy.json").read_text())["Statement"]
# What the function's role needs for others than the binary: the mappings read the queues with it, Lambda writes the log.
FOR_LAMBDA = {
    "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "logs:CreateLogStream", "logs:PutLogEvents",
}


class Shell:
    """Runs documented commands with moto as AWS."""

    def __init__(self, cloud):
        commands = log_directory() / "bin"
        commands.mkdir()
        # Version 1 of the CLI knows no endpoint for SQS from the environment.
        program = commands / "aws"
        program.write_text(f'#!/bin/sh\nexec {PARTS}/venv/bin/aws --endpoint-url {cloud.url} "$@"\n')
        program.chmod(0o755)
        self.env = {
            **os.environ,
            "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}",
            "AWS_ENDPOINT_URL": cloud.url,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": CHECKS_KEY,
            "AWS_SECRET_ACCESS_KEY": "not-a-secret",
            "AWS_PAGER": "",
            "CARGO_TARGET_DIR": str(PARTS / "cargo"),
        }

    def run(self, script, cwd):
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=cwd, env=self.env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )
        return done.returncode == 0, done.stdout + done.stderr


def put_secrets(check, shell, cloud, heading, values):
    """Writes the files that the document names, with `values` in place of its dots, and runs its commands."""
    directory = log_directory() / "work"
    directory.mkdir(exist_ok=True)
    documented = documents.files("deploy.md", heading)
    check.equal(f"`{heading}` shows the files that its commands read", set(documented), set(values))
    for name, text in documented.items():
        check.that(f"`{name}` is JSON as documented", isinstance(json.loads(text), dict), text)
        (directory / name).write_text(json.dumps(values[name]))
    held, seen = shell.run(documents.commands("deploy.md", heading), directory)
    check.that(f"the commands of `{heading}` succeed", held, seen)
    check.equal("and leave no secret in a file", list(directory.iterdir()), [])
    names = [secret["Name"] for secret in cloud.secrets.list_secrets()["SecretList"]]
    check.that(f"and the secrets are there: {', '.join(names)}", len(names) >= len(values), names)


def queues(check, cloud, configuration):
    runs, dead = (
        cloud.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        for url in (configuration["RUNS_QUEUE_URL"], dead_letters_url(cloud))
    )
    redrive = json.loads(runs["RedrivePolicy"])
    check.equal("dead letters go where the function expects them", redrive["deadLetterTargetArn"], configuration["DEAD_LETTER_QUEUE_ARN"])
    check.equal("after as many receives as the function counts by default", int(redrive["maxReceiveCount"]), 20)
    for name, attributes in (("runs", runs), ("dead-letters", dead)):
        check.equal(f"the {name} queue is FIFO", attributes["FifoQueue"], "true")
        check.equal(f"its visibility timeout is six times the function's timeout ({name})", attributes["VisibilityTimeout"], "270")


def dead_letters_url(cloud):
    return cloud.sqs.get_queue_url(QueueName=f"{NAME}-dead-letters.fifo")["QueueUrl"]


def function(check, client):
    """What `cargo lambda deploy` made; returns the function's environment."""
    made = client.get_function_configuration(FunctionName=NAME)
    wanted = {"Runtime": "provided.al2023", "Architectures": ["arm64"], "Timeout": 45, "MemorySize": 256}
    seen = {name: made[name] for name in wanted}
    check.equal("the function has the runtime, the architecture, the timeout and the memory of the template", seen, wanted)
    check.equal("it has the documented role", made["Role"], f"arn:aws:iam::{ACCOUNT}:role/{NAME}")
    check.equal("its URL is open", client.get_function_url_config(FunctionName=NAME)["AuthType"], "NONE")
    statements = json.loads(client.get_policy(FunctionName=NAME)["Policy"])["Statement"]
    actions = sorted(statement["Action"] for statement in statements)
    check.equal("the URL has both permissions that AWS asks for", actions, ["lambda:InvokeFunction", "lambda:InvokeFunctionUrl"])
    mappings = client.list_event_source_mappings(FunctionName=NAME)["EventSourceMappings"]
    check.equal(
        "a mapping reads each queue and reports failures by message",
        sorted((m["EventSourceArn"].rsplit(":", 1)[1], m["FunctionResponseTypes"]) for m in mappings),
        [(f"{NAME}-dead-letters.fifo", ["ReportBatchItemFailures"]), (f"{NAME}-runs.fifo", ["ReportBatchItemFailures"])],
    )
    # moto would feed the queue's messages to a function of its own; the poller feeds them to the real one.
    for mapping in mappings:
        client.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    return made["Environment"]["Variables"]


def first_run(check, stack, cloud, sandbox, configuration):
    """A webhook through the function as deployed: onto the queue, and from there to a pipeline."""
    env = {**sandbox.env(), **cloud.function_env(), **configuration}
    deployed = Function(stack, env)
    reply = deployed.invoke(events.load("check"))
    check.that("the deployed function's check finds that everything works", not reply.failed and reply.value["ok"] is True, reply.text)
    event = events.load("webhook-project")
    run_id = events.run_ids(event)[0]
    reply = deployed.invoke(events.signed(event, sandbox.secrets["glint/credentials"]["clientSecret"]))
    check.equal("a webhook is put on the queue", reply.value["statusCode"], 202)
    batch = Poller(cloud, configuration["RUNS_QUEUE_URL"], deployed).poll()
    check.that("and its message is done after one receive", batch is not None and batch.kept == [], batch and batch.reply.text)
    check.equal("and has started one pipeline", len(sandbox.pipelines_of(run_id)), 1)


def resource(request):
    """The ARN of what a call of the function is about."""
    if "QueueUrl" in request:
        return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{request['QueueUrl'].rsplit('/', 1)[1]}"
    return f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{request['SecretId']}-AbCdEf"


def allowed(action, arn):
    for statement in POLICY:
        patterns = statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        if action in actions and any(fnmatch.fnmatchcase(arn, pattern) for pattern in patterns):
            return True
    return False


def policy(check, cloud):
    """moto does not judge conditions and resources, so the recorded calls are held against the policy here."""
    calls = {(action, resource(request)) for action, request in cloud.calls()}
    refused = sorted(call for call in calls if not allowed(*call))
    check.that(f"the function made {len(calls)} kinds of calls", len(calls) >= 3, sorted(calls))
    check.equal("the policy allows every call that the function made", refused, [])
    actions = {action for s in POLICY for action in ([s["Action"]] if isinstance(s["Action"], str) else s["Action"])}
    needed = {action for action, _ in calls} | FOR_LAMBDA | {"sqs:ChangeMessageVisibility"}
    check.equal("and nothing that nobody needs", sorted(actions - needed), [])
    for queue in ("runs", "dead-letters"):
        arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{NAME}-{queue}.fifo"
        held = all(allowed(action, arn) for action in FOR_LAMBDA if action.startswith("sqs:"))
        check.that(f"the mapping may read the {queue} queue", held)


def nothing_left_out(check):
    ran = [block.text for heading in (SECRETS, DEPLOY, HOOKS, RELEASE) for block in documents.blocks("deploy.md", heading)]
    left = [b.text for b in documents.blocks("deploy.md") if b.language == "sh" and b.is_run and b.text not in ran]
    check.equal("every command of `docs/deploy.md` is run by a check or says why not", left, [])


def bare(check, shell, iam):
    """What the document says of a deploy without any of this."""
    held, seen = shell.run(f"cargo lambda deploy bare --binary-name {NAME}", CHECKOUT)
    check.that("a bare `cargo lambda deploy` succeeds", held, seen)
    role = next(role["RoleName"] for role in iam.list_roles()["Roles"] if role["RoleName"] != NAME)
    attached = [policy["PolicyName"] for policy in iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]]
    inline = iam.list_role_policies(RoleName=role)["PolicyNames"]
    check.equal("and its role may write logs and nothing else", attached + inline, ["AWSLambdaBasicExecutionRole"])


def update(check, shell, client, before):
    held, seen = shell.run("cargo lambda deploy --merge-env", CHECKOUT)
    check.that("`cargo lambda deploy --merge-env` updates the function", held, seen)
    made = client.get_function_configuration(FunctionName=NAME)
    check.equal("and keeps its variables", made["Environment"]["Variables"], before)
    check.equal("and its role", made["Role"], f"arn:aws:iam::{ACCOUNT}:role/{NAME}")


with topic("the topic `cargo_lambda` runs to its end") as (check, stack):
    # For the role that a bare deploy makes.
    os.environ["MOTO_IAM_LOAD_MANAGED_POLICIES"] = "true"
    cloud, sandbox = Cloud(stack), Sandbox(stack)
    without_containers = json.dumps({"lambda": {"use_docker": False}}).encode()
    urllib.request.urlopen(f"{cloud.url}/moto-api/config", data=without_containers).close()
    shell = Shell(cloud)
    options = {
        "endpoint_url": cloud.url, "region_name": REGION,
        "aws_access_key_id": CHECKS_KEY, "aws_secret_access_key": "not-a-secret",
    }
    client, iam = boto3.client("lambda", **options), boto3.client("iam", **options)
    secrets = {"credentials.json": sandbox.secrets["glint/credentials"], "tokens.json": sandbox.secrets["glint/gitlab-trigger-tokens"]}
    nothing_left_out(check)
    put_secrets(check, shell, cloud, SECRETS, secrets)
    held, seen = shell.run(documents.commands("deploy.md", DEPLOY), CHECKOUT)
    if check.that(f"the commands of `{DEPLOY}` succeed", held, seen):
        configuration = function(check, client)
        queues(check, cloud, configuration)
        put_secrets(check, shell, cloud, HOOKS, {"hook.json": sandbox.secrets["glint/gitlab-hook"]})
        cloud.put_secret("glint/gitlab-read", sandbox.secrets["glint/gitlab-read"])
        first_run(check, stack, cloud, sandbox, configuration)
        policy(check, cloud)
        update(check, shell, client, configuration)
        bare(check, shell, iam)
