"""Checks `template.yaml`: every linter on every stack that it can make, then what linters miss (`stack_rules`)."""

import json
import os
import pathlib
import re
import subprocess
import time

os.environ["SAM_CLI_TELEMETRY"] = "0"

from samcli.yamlhelper import yaml_parse

from checks import topic
from cloudformation import Stack, translate
from processes import log_directory
import stack_rules

ROOT = pathlib.Path(__file__).resolve().parents[2]
METRICS = ROOT / "src/telemetry/metrics.rs"
OUTCOMES = ROOT / "src"
ACCOUNT = "eu-west-1:123456789012"
KEY = f"arn:aws:kms:{ACCOUNT}:key/11111111-2222-3333-4444-555555555555"
KAFKA = {
    "KafkaBootstrapServers": "b-1.kafka.example.com:9196,b-2.kafka.example.com:9196",
    "KafkaConsumerGroup": "org_id.glint-gitlab-trigger",
}
# Everything that can be left out, left out.
OFF = {"UrlConcurrency": "none"}
# Each switch with what it needs.
SWITCHES = {
    "shared-url": {"UrlConcurrency": "shared"},
    "reserved-url": {"UrlConcurrency": "20"},
    "kafka": KAFKA,
    "all-alarms": {"Alarms": "full"},
    "alarm-topic": {"AlarmTopicArn": f"arn:aws:sns:{ACCOUNT}:alarms"},
    "per-project-tokens": {"SecretPerProject": "true"},
    "escaped": {"UserInputs": "escaped-variables"},
    "inputs": {"UserInputs": "inputs"},
    "entity": {"DeploymentEntity": "deployment,{service}-{environment}"},
    "vpc": {"SubnetIds": "subnet-0123456789abcdef0,subnet-0123456789abcdef1", "SecurityGroupIds": "sg-0123456789abcdef0"},
    "ca-layer": {"CaLayerArn": f"arn:aws:lambda:{ACCOUNT}:layer:ca:1"},
    "key": {"KmsKeyArn": KEY},
}
MAX_LINES = 500
MAX_RESOURCES = 30
MAX_PARAMETERS = 20
MAX_GROUPS = 4
MAX_FIRST_GROUP = 8
MAX_CONDITIONS = 8


def all_on():
    given = {}
    for settings in SWITCHES.values():
        given |= settings
    return given


def stacks(template):
    given = {"defaults": {}, "off": OFF, "all": SWITCHES["all-alarms"], "on": all_on()}
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
        ("Kafka without a group", {**all_on(), "KafkaConsumerGroup": ""}, ["KafkaBootstrapServers needs KafkaConsumerGroup"]),
        ("subnets without security groups", {"SubnetIds": "subnet-0123456789abcdef0"}, ["SubnetIds needs SecurityGroupIds"]),
    ]:
        checks.equal(f"the template refuses {name}", list(Stack(template, given).broken_rules()), said)


def check_size(checks, template, text, made):
    """Small enough to be read in one sitting; every parameter and alarm has its reason beside it."""
    groups = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    defaults = translate(made["defaults"].concrete())["Resources"]
    whole = translate(made["on"].concrete())["Resources"]
    for sentence, number, most in [
        ("lines in the template", len(text.splitlines()), MAX_LINES - 1),
        ("parameters", len(template["Parameters"]), MAX_PARAMETERS),
        ("groups of parameters", len(groups), MAX_GROUPS),
        ("parameters that a first user meets", len(groups[0]["Parameters"]), MAX_FIRST_GROUP),
        ("conditions", len(template["Conditions"]), MAX_CONDITIONS),
        ("resources with everything on", len(whole), MAX_RESOURCES),
    ]:
        checks.that(f"at most {most} {sentence}: {number}", number <= most)
    print(f"note: {len(defaults)} resources by default")
    grouped = [name for group in groups for name in group["Parameters"]]
    checks.equal("every parameter is in one group", sorted(grouped), sorted(template["Parameters"]))
    reasons = re.findall(r"^  (\w+): # .+$", text, re.MULTILINE)
    named = list(template["Parameters"]) + [name for name, r in template["Resources"].items() if r["Type"].endswith("::Alarm")]
    checks.equal("every parameter and alarm has its reason in one line", sorted(set(named) - set(reasons)), [])
    alarms = {name: [r for r, body in translate(made[name].concrete())["Resources"].items() if body["Type"].endswith("::Alarm")] for name in ("defaults", "on")}
    checks.equal("the minimal set has four alarms and the full one eight", [len(alarms["defaults"]), len(alarms["on"])], [4, 8])


def check_document(checks, made):
    """The document of operations names every alarm, and counts what they cost."""
    text = (ROOT / "docs/operations.md").read_text()
    metrics = {}
    for name in ("defaults", "all", "on"):
        alarms = stack_rules.properties(translate(made[name].concrete()), "AWS::CloudWatch::Alarm").values()
        metrics[name] = sum("MetricStat" in query for alarm in alarms for query in alarm["Metrics"])
        missing = [a["AlarmName"] for a in alarms if f"| `{stack_rules.suffix(a['AlarmName'])}` |" not in text]
        checks.equal(f"the document of operations has a row for each alarm of stack `{name}`", missing, [])
    for row in (
        f"minimal ({metrics['defaults']} metrics) | {metrics['defaults'] / 10:.2f} |",
        f"full ({metrics['all']} metrics, {metrics['on']} with Kafka) | {metrics['all'] / 10:.2f} |",
    ):
        checks.that(f"and says what they cost: `{row}`", row in text)


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
    command = ["checkov", "--skip-download", "--config-file", ".checkov.yaml", "--output", "json"]
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
    sentence = f"checkov finds nothing in {len(files)} templates: {summary['passed']} passed"
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
        text = (ROOT / "template.yaml").read_text()
        template = yaml_parse(text)
        check_switches(checks, template)
        check_rules(checks, template)
        made = stacks(template)
        check_size(checks, template, text, made)
        check_document(checks, made)
        raw, deployed = write_stacks(made)
        lint(checks, "sam validate --lint accepts the template", ["sam", "validate", "--lint", "--template", ROOT / "template.yaml"])
        lint(checks, f"cfn-lint finds nothing in the template and in {len(raw)} sets of defaults", ["cfn-lint", ROOT / "template.yaml", *raw])
        whole = write(log_directory() / "stacks/expanded.json", translate(template))
        lint(checks, "cfn-lint finds nothing in the expanded template", ["cfn-lint", "--regions", "eu-west-1", "--", whole])
        lint(checks, f"cfn-lint finds nothing in {len(deployed)} translated stacks", ["cfn-lint", "--regions", "eu-west-1", "--", *deployed])
        check_checkov(checks, [ROOT / "template.yaml", whole, *raw, *deployed])
        for name, translated in zip(made, deployed.values()):
            problems = stack_rules.problems(translated)
            checks.equal(f"stack `{name}` keeps the rules that linters do not know", problems, [])
        stack_rules.check_exceptions(checks)
        everything = made["on"].concrete()
        stack_rules.check_metrics(checks, everything, emitted_metrics())
        stack_rules.check_outcomes(checks, everything, "".join(path.read_text() for path in sorted(OUTCOMES.glob("**/outcome*/**/*.rs")) + sorted(OUTCOMES.glob("outcome*.rs"))))
        for text in stack_rules.RULES:
            print(f"rule: {text}")


main()
