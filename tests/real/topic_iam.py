"""Holds the AWS actions that the binary really called equal to what the template's roles allow."""

import pathlib

import cloud
from checks import topic
from processes import PARTS
from samcli.yamlhelper import yaml_parse

TEMPLATE = pathlib.Path(__file__).resolve().parents[2] / "template.yaml"
# The topics in which the binary talks to moto.
RECORDED = ("queue", "event_sources", "rotation")
# Allowed, yet not called by the binary itself: who needs each.
NOT_THE_BINARY = {
    "sqs:ReceiveMessage": "the event source mapping reads the queue with the function's role",
    "sqs:DeleteMessage": "the event source mapping deletes what the function is done with",
    "sqs:GetQueueAttributes": "the event source mapping reads the queue's settings",
    "kms:Decrypt": "Secrets Manager and SQS decrypt for the caller, under a key of the customer's",
    "kms:GenerateDataKey": "SQS encrypts what the function sends",
    "logs:CreateLogStream": "Lambda writes the function's log",
    "logs:PutLogEvents": "Lambda writes the function's log",
    "xray:PutTraceSegments": "Lambda's active tracing",
    "xray:PutTelemetryRecords": "Lambda's active tracing",
    "ec2:CreateNetworkInterface": "Lambda attaches the function to a VPC",
    "ec2:DescribeNetworkInterfaces": "Lambda attaches the function to a VPC",
    "ec2:DescribeSubnets": "Lambda attaches the function to a VPC",
    "ec2:DeleteNetworkInterface": "Lambda detaches the function from a VPC",
    "ec2:AssignPrivateIpAddresses": "Lambda attaches the function to a VPC",
    "ec2:UnassignPrivateIpAddresses": "Lambda detaches the function from a VPC",
}


def statements(value):
    """Every policy statement below `value`, whatever condition it stands in."""
    if isinstance(value, dict):
        if "Effect" in value and "Action" in value:
            yield value
            return
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from statements(item)


def grants(resource):
    """Whether the resource says what a function may do: a role that Lambda assumes, or a policy for such roles."""
    if resource["Type"] == "AWS::IAM::ManagedPolicy":
        return True
    assumed_by = str(resource.get("Properties", {}).get("AssumeRolePolicyDocument"))
    return resource["Type"] == "AWS::IAM::Role" and "lambda.amazonaws.com" in assumed_by


def allowed(template):
    """{action: the resources that allow it}."""
    found = {}
    for name, resource in template["Resources"].items():
        policies = statements(resource["Properties"]) if grants(resource) else ()
        for statement in policies:
            actions = statement["Action"]
            if statement["Effect"] != "Allow" or actions == "sts:AssumeRole":
                continue
            for action in [actions] if isinstance(actions, str) else actions:
                found.setdefault(action, []).append(name)
    return found


with topic("the topic `iam` runs to its end") as (check, _stack):
    called = {}
    for name in RECORDED:
        record = PARTS / "logs" / name / "aws-calls.jsonl"
        if not check.that(f"the topic `{name}` left a record of its AWS calls", record.exists(), str(record)):
            continue
        for action, _request in cloud.calls(record):
            called.setdefault(action, set()).add(name)
    template = allowed(yaml_parse(TEMPLATE.read_text()))
    print("     | called:", ", ".join(sorted(called)))
    wild = sorted(action for action in template if "*" in action)
    check.equal("no role allows an action by a wildcard", wild, [])
    check.equal("every AWS action that the binary calls is allowed", sorted(set(called) - set(template)), [])
    unused = sorted(set(template) - set(called) - set(NOT_THE_BINARY))
    check.equal("every action that is allowed is called, or has its reason", unused, [])
    both = sorted(set(called) & set(NOT_THE_BINARY))
    check.equal("no action with a reason for not being called is called", both, [])
    idle = sorted(set(NOT_THE_BINARY) - set(template))
    check.equal("every reason is about an action that a role allows", idle, [])
