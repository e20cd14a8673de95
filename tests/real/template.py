"""Checks `template.yaml`: every linter on every stack that it can make, then what linters miss (`stack_rules`)."""

import json
import os
import pathlib
import subprocess
import time

os.environ.setdefault("AWS_DEFAULT_REGION", "eu-west-1")
os.environ["SAM_CLI_TELEMETRY"] = "0"

from samcli.yamlhelper import yaml_parse

from checks import topic
from cloudformation import Stack, translate
from processes import log_directory
import stack_rules

ROOT = pathlib.Path(__file__).resolve().parents[2]
METRICS = ROOT / "src/telemetry/metrics.rs"
OUTCOMES = ROOT / "src/outcome.rs"
ACCOUNT = "eu-west-1:123456789012"
KEY = f"arn:aws:kms:{ACCOUNT}:key/11111111-2222-3333-4444-555555555555"
KAFKA = {
    "KafkaBootstrapServers": "b-1.kafka.example.com:9196,b-2.kafka.example.com:9196",
    "KafkaTopic": "org_id.runs",
    "KafkaConsumerGroup": "org_id.glint-gitlab-trigger",
    "KafkaSecretArn": f"arn:aws:secretsmanager:{ACCOUNT}:secret:glint/kafka-AbCdEf",
}
# Everything that can be left out, left out.
OFF = {
    "FunctionUrl": "false",
    "HandOver": "false",
    "EndDeadLetters": "false",
    "AsyncFailures": "false",
    "ConsumerConcurrency": 0,
    "IngressConcurrency": 0,
}
# Each switch with what it needs.
SWITCHES = {
    "url": {"FunctionUrl": "true"},
    "hand-over": {"HandOver": "true"},
    "dead-letters": {"EndDeadLetters": "true"},
    "async-failures": {"AsyncFailures": "true"},
    "consumer-share": {"ConsumerConcurrency": 20},
    "ingress-share": {"IngressConcurrency": 5},
    "synchronized": {"SynchronizedActions": "true"},
    "relay": {"RelayPrincipalArn": "arn:aws:iam::123456789012:role/relay"},
    "kafka-pipe": {"KafkaDelivery": "pipe", **KAFKA},
    "kafka-function": {"KafkaDelivery": "function", **KAFKA},
    "sweep": {"SweepSchedule": "rate(1 hour)", "GitLabReadSecretId": "glint/gitlab-read"},
    "hook": {"GitLabHookSecretId": "glint/gitlab-hook"},
    "read": {"GitLabReadSecretId": "glint/gitlab-read"},
    "per-project-tokens": {"GitLabTokensSecretId": "glint/tokens/{project}"},
    "allow-variables": {"AllowVariables": "ENV,PATH"},
    "entity": {"DeploymentBlueprint": "deployment"},
    "vpc": {"SubnetIds": "subnet-0123456789abcdef0,subnet-0123456789abcdef1", "SecurityGroupIds": "sg-0123456789abcdef0"},
    "proxy": {"HttpsProxy": "http://proxy.example.com:3128"},
    "no-proxy": {"NoProxy": "gitlab.example.com"},
    "ca": {"SslCertFile": "/opt/ca.pem"},
    "ca-layer": {"CaLayerArn": f"arn:aws:lambda:{ACCOUNT}:layer:ca:1"},
    "secrets-key": {"SecretsKeyArn": KEY},
    "queues-key": {"QueuesKeyArn": KEY},
    "logs-key": {"LogsKeyArn": KEY},
    "code-signing": {"CodeSigningConfigArn": f"arn:aws:lambda:{ACCOUNT}:code-signing-config:csc-0123456789abcdef0"},
    "alarm-topic": {"AlarmTopicArn": f"arn:aws:sns:{ACCOUNT}:alarms"},
    "x86": {"Architecture": "x86_64"},
}


def all_on(kafka):
    """Every switch, with Kafka by this way: its two ways exclude each other."""
    given = {}
    for settings in SWITCHES.values():
        given |= settings
    return {**given, "KafkaDelivery": kafka}


def stacks(template):
    given = {"defaults": {}, "off": OFF, "on-function": all_on("function"), "on-pipe": all_on("pipe")}
    given |= {f"only-{name}": {**OFF, **settings} for name, settings in SWITCHES.items()}
    return {name: Stack(template, values) for name, values in given.items()}


def check_switches(checks, template):
    """A parameter that a condition reads and no switch turns would leave half of the template unseen."""
    read = {ref for condition in template["Conditions"].values() for ref in references(condition)}
    turned = {name for settings in SWITCHES.values() for name in settings}
    checks.equal("every parameter that a condition reads is switched here", sorted(read - turned), [])
    unknown = (turned | set(OFF)) - set(template["Parameters"])
    checks.equal("every switch here is a parameter of the template", sorted(unknown), [])


def references(node):
    if isinstance(node, dict):
        if set(node) == {"Ref"}:
            yield node["Ref"]
        node = list(node.values())
    if isinstance(node, list):
        for part in node:
            yield from references(part)


def check_rules(checks, template):
    """The template refuses settings that cannot work together, and only those."""
    broken = {name: said for name, stack in stacks(template).items() if (said := list(stack.broken_rules()))}
    checks.equal("the template accepts every set of parameters that is linted here", broken, {})
    for name, given, said in [
        ("Kafka without a topic", {**all_on("pipe"), "KafkaTopic": ""}, ["KafkaDelivery needs KafkaTopic"]),
        ("Kafka without brokers", {**all_on("pipe"), "KafkaBootstrapServers": ""}, ["KafkaDelivery needs KafkaBootstrapServers"]),
        ("a sweep without a read token", {"SweepSchedule": "rate(1 hour)"}, ["SweepSchedule needs GitLabReadSecretId"]),
        ("subnets without security groups", {"SubnetIds": "subnet-0123456789abcdef0"}, ["SubnetIds needs SecurityGroupIds"]),
    ]:
        checks.equal(f"the template refuses {name}", list(Stack(template, given).broken_rules()), said)


def write_stacks(made):
    """Writes each stack raw (the template with these defaults) and translated (what is deployed); returns their paths."""
    directory = log_directory() / "stacks"
    directory.mkdir(exist_ok=True)
    raw, deployed = [], {}
    for name, stack in made.items():
        raw.append(write(directory / f"{name}.raw.json", stack.with_defaults()))
        translated = translate(stack.concrete())
        deployed[write(directory / f"{name}.translated.json", translated)] = translated
    return raw, deployed


def write(path, value):
    path.write_text(json.dumps(value, indent=1))
    return path


def lint(checks, sentence, command):
    began = time.monotonic()
    done = subprocess.run([str(part) for part in command], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    checks.that(f"{sentence} ({time.monotonic() - began:.0f} s)", done.returncode == 0, done.stdout)
    return done.stdout


def check_checkov(checks, files):
    """One process for all files; what it counts shows that it read them."""
    began = time.monotonic()
    command = ["checkov", "--skip-download", "--compact", "--quiet", "--framework", "cloudformation", "--output", "json"]
    for file in files:
        command += ["--file", str(file)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        report = json.loads(done.stdout)
    except ValueError:
        checks.that("checkov reports", False, done.stdout + done.stderr)
        return
    findings = [f"{f['check_id']} {f['resource']} {f['file_path']}" for f in report["results"]["failed_checks"]]
    summary = report["summary"]
    sentence = f"checkov finds nothing in {len(files)} templates: {summary['passed']} passed, {summary['skipped']} skipped with a reason"
    checks.equal(f"{sentence} ({time.monotonic() - began:.0f} s)", findings, [])
    checks.that("checkov read every template", not summary["parsing_errors"] and summary["passed"] > 10 * len(files), summary)


def emitted_metrics():
    """The names that the code emits, or nothing where that module is not there."""
    if METRICS.exists():
        return stack_rules.metric_names(METRICS.read_text())
    print(f"note: `{METRICS.relative_to(ROOT)}` is not there, so no metric's name was compared with the code")
    return None


def main():
    with topic("the template is checked") as (checks, _):
        template = yaml_parse((ROOT / "template.yaml").read_text())
        check_switches(checks, template)
        check_rules(checks, template)
        made = stacks(template)
        raw, deployed = write_stacks(made)
        lint(checks, "sam validate --lint accepts the template", ["sam", "validate", "--lint", "--template", ROOT / "template.yaml"])
        lint(checks, f"cfn-lint finds nothing in the template and in {len(raw)} sets of defaults", ["cfn-lint", ROOT / "template.yaml", *raw])
        lint(checks, f"cfn-lint finds nothing in {len(deployed)} translated stacks", ["cfn-lint", "--regions", "eu-west-1", "--", *deployed])
        check_checkov(checks, [ROOT / "template.yaml", *raw, *deployed])
        for name, translated in zip(made, deployed.values()):
            problems = stack_rules.problems(translated)
            checks.equal(f"stack `{name}` keeps the rules that linters do not know", problems, [])
        stack_rules.check_exceptions(checks)
        everything = made["on-function"].concrete()
        stack_rules.check_metrics(checks, everything, emitted_metrics())
        stack_rules.check_outcomes(checks, everything, OUTCOMES.read_text())
        for text in stack_rules.RULES:
            print(f"rule: {text}")


main()
