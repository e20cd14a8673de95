"""What linters miss in a translated stack. Each rule yields a sentence for each place that breaks it."""

import json
import re

NAMESPACE = "GlintGitLabTrigger"
# The only permissions on `*`, each with its reason.
ANY_RESOURCE = {
    ("SharedPolicy", "WriteTraces"): "X-Ray has no resources to name",
    ("SharedPolicy", "AttachToVpc"): "Lambda names the network interfaces that it makes",
}
# AWS's own metrics that alarms and the dashboard read.
AWS_METRICS = {
    "AWS/SQS": {"ApproximateNumberOfMessagesVisible", "ApproximateNumberOfMessagesNotVisible", "ApproximateAgeOfOldestMessage"},
    "AWS/Lambda": {"Invocations", "Errors", "Throttles", "Url5xxCount", "OffsetLag"},
}
used_exceptions = set()


def of_type(stack, kind):
    return {name: r for name, r in stack["Resources"].items() if r["Type"] == kind}


def properties(stack, kind):
    return {name: r["Properties"] for name, r in of_type(stack, kind).items()}


def target(reference):
    """The logical id that a `Ref`, `Fn::GetAtt` or `Fn::Sub` of one resource means."""
    if not isinstance(reference, dict):
        return reference
    (word, body), = reference.items()
    body = body[0] if isinstance(body, list) else body
    return body if word != "Fn::Sub" else re.sub(r"^.*\$\{(\w+)(\.\w+)?\}.*$", r"\1", body)


def suffix(name):
    """What follows the stack's name in the name of a resource."""
    return name["Fn::Sub"].removeprefix("${AWS::StackName}-")


def as_list(value):
    return value if isinstance(value, list) else [value]


def statements(stack):
    """Each statement of each role and policy, with the resource that holds it."""
    for name, role in properties(stack, "AWS::IAM::Role").items():
        for policy in role.get("Policies", []):
            for statement in policy["PolicyDocument"]["Statement"]:
                yield name, statement
    for name, policy in properties(stack, "AWS::IAM::ManagedPolicy").items():
        for statement in policy["PolicyDocument"]["Statement"]:
            yield name, statement


def queue_sources(stack):
    queues = properties(stack, "AWS::SQS::Queue")
    for name, source in properties(stack, "AWS::Lambda::EventSourceMapping").items():
        if target(source.get("EventSourceArn")) in queues:
            yield name, source, queues[target(source["EventSourceArn"])]


def visibility(stack):
    """a queue's visibility is at least six times the timeout of the function that it feeds"""
    functions = properties(stack, "AWS::Lambda::Function")
    for name, source, queue in queue_sources(stack):
        timeout = functions[target(source["FunctionName"])]["Timeout"]
        if queue["VisibilityTimeout"] < 6 * timeout:
            yield f"{name}: visibility {queue['VisibilityTimeout']} s, timeout {timeout} s"


def batch_failures(stack):
    """a queue's source reports batch item failures, in batches that FIFO allows, and leaves the URL a part of ten executions"""
    total = 0
    for name, source, _ in queue_sources(stack):
        if source.get("FunctionResponseTypes") != ["ReportBatchItemFailures"]:
            yield f"{name}: no ReportBatchItemFailures"
        if not 1 <= source["BatchSize"] <= 10 or "MaximumBatchingWindowInSeconds" in source:
            yield f"{name}: batches that FIFO does not allow"
        total += source["ScalingConfig"]["MaximumConcurrency"]
    if total > 8:
        yield f"sources may take {total} of the ten executions of a fresh account"


def dead_letters(stack):
    """the runs queue has a dead-letter queue of its own kind, both keep messages as long as SQS can and outlive the stack, and MAX_RECEIVES agrees"""
    queues = properties(stack, "AWS::SQS::Queue")
    runs = queues["RunsQueue"]
    letters = queues[target(runs["RedrivePolicy"]["deadLetterTargetArn"])]
    if not (runs.get("FifoQueue") and letters.get("FifoQueue")):
        yield "the runs queue and its dead-letter queue are not both FIFO"
    for name, resource in of_type(stack, "AWS::SQS::Queue").items():
        if resource["Properties"]["MessageRetentionPeriod"] != 14 * 86400:
            yield f"{name}: does not keep messages 14 days"
        if resource.get("DeletionPolicy") != "RetainExceptOnCreate" or resource.get("UpdateReplacePolicy") != "Retain":
            yield f"{name}: deleted with messages in it"
        if "QueueName" in resource["Properties"]:
            yield f"{name}: a queue that outlives its stack has a name that the next stack needs"
    for name, function in properties(stack, "AWS::Lambda::Function").items():
        if int(variables(function)["MAX_RECEIVES"]) != int(runs["RedrivePolicy"]["maxReceiveCount"]):
            yield f"{name}: MAX_RECEIVES is not the queue's maxReceiveCount"


def queues_are_closed(stack):
    """every queue is encrypted and denied to calls without TLS"""
    denied = set()
    for policy in properties(stack, "AWS::SQS::QueuePolicy").values():
        for statement in policy["PolicyDocument"]["Statement"]:
            if statement["Effect"] == "Deny" and statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}:
                denied |= {target(queue) for queue in policy["Queues"]}
            elif statement.get("Principal") == "*":
                yield "a queue is open to anybody"
    for name, queue in properties(stack, "AWS::SQS::Queue").items():
        if name not in denied:
            yield f"{name}: allows calls without TLS"
        if bool(queue.get("KmsMasterKeyId")) == bool(queue.get("SqsManagedSseEnabled")):
            yield f"{name}: not encrypted, or encrypted twice"


def functions_are_watched(stack):
    """every function has a role of its own, tracing, loop detection, and JSON logs at level INFO in a group that forgets"""
    roles, groups = properties(stack, "AWS::IAM::Role"), properties(stack, "AWS::Logs::LogGroup")
    taken = []
    for name, function in properties(stack, "AWS::Lambda::Function").items():
        taken.append(target(function["Role"]))
        logs = function["LoggingConfig"]
        if target(function["Role"]) not in roles:
            yield f"{name}: a role that is not in this template"
        if function["TracingConfig"]["Mode"] != "Active":
            yield f"{name}: no tracing"
        if logs["LogFormat"] != "JSON" or target(logs["LogGroup"]) not in groups:
            yield f"{name}: no JSON logs in a group of this template"
        if logs["ApplicationLogLevel"] != "INFO":
            yield f"{name}: a log level that drops metrics"
        if "RecursiveLoop" in function:
            yield f"{name}: loop detection is changed"
        if function["Runtime"] != "provided.al2023" or function["Handler"] != "bootstrap":
            yield f"{name}: another runtime"
    if len(taken) != len(set(taken)):
        yield "two functions share a role"
    yield from (f"{name}: keeps its lines for ever" for name, group in groups.items() if not group.get("RetentionInDays"))


def least_privilege(stack):
    """no action is a wildcard, no resource is `*` but those listed with a reason, no managed policy of AWS's"""
    for name, statement in statements(stack):
        place = (name, statement.get("Sid"))
        if any("*" in action for action in as_list(statement["Action"])):
            yield f"{place}: a wildcard action"
        if "*" in as_list(statement["Resource"]):
            used_exceptions.add(place)
            if place not in ANY_RESOURCE:
                yield f"{place}: any resource"
    own = of_type(stack, "AWS::IAM::ManagedPolicy")
    for name, role in properties(stack, "AWS::IAM::Role").items():
        for policy in role.get("ManagedPolicyArns", []):
            if target(policy) not in own:
                yield f"{name}: a managed policy that is not in this template"


def variables(function):
    return function["Environment"]["Variables"]


def allowed(stack, role, action):
    """The resources on which this role may take this action, as text."""
    return [str(resource) for name, s in statements(stack) if name == role and action in as_list(s["Action"]) for resource in as_list(s["Resource"])]


# The secrets that each function may read, by the variable that names them; trigger tokens never behind the URL.
READABLE = {
    "ConsumerFunction": {"GLINT_SECRET_ID", "GITLAB_TOKENS_SECRET_ID", "GITLAB_HOOK_SECRET_ID", "GITLAB_READ_SECRET_ID"},
    "IngressFunction": {"GLINT_SECRET_ID", "GITLAB_HOOK_SECRET_ID"},
}


def roles_fit_settings(stack):
    """a function may send to the queue that it is told of, and read the secrets that are its part and no other, stored or missing"""
    for name, function in properties(stack, "AWS::Lambda::Function").items():
        role, told = target(function["Role"]), variables(function)
        if not any("RunsQueue" in resource for resource in allowed(stack, role, "sqs:SendMessage")):
            yield f"{name}: may not send to the runs queue"
        secrets = {re.sub(r"^.*:secret:(.*)'}$", r"\1", resource) for resource in allowed(stack, role, "secretsmanager:GetSecretValue")}
        names = {told[variable].replace("{project}", "*") for variable in READABLE[name]}
        expected = names | {secret + "-??????" for secret in names}
        if name == "ConsumerFunction" and of_type(stack, "AWS::Lambda::EventSourceMapping").get("KafkaSource"):
            expected.add(told["GLINT_SECRET_ID"].replace("credentials", "kafka-??????"))
        if secrets != expected:
            yield f"{name}: may read {sorted(secrets ^ expected)} against its part"


def url_is_open_to_callers(stack):
    """a URL without IAM has both permissions, no CORS, a whole answer, and leads to a function that no queue feeds"""
    urls = properties(stack, "AWS::Lambda::Url")
    permissions = [p for p in properties(stack, "AWS::Lambda::Permission").values() if p["Principal"] == "*"]
    fed = {target(source["FunctionName"]) for source in properties(stack, "AWS::Lambda::EventSourceMapping").values()}
    for name, url in urls.items():
        function = target(url["TargetFunctionArn"])
        granted = {p["Action"]: p for p in permissions if target(p["FunctionName"]) == function}
        if granted.get("lambda:InvokeFunctionUrl", {}).get("FunctionUrlAuthType") != "NONE":
            yield f"{name}: nobody may call it"
        if granted.get("lambda:InvokeFunction", {}).get("InvokedViaFunctionUrl") is not True:
            yield f"{name}: the function may not be invoked by it, or by more than it"
        if "Cors" in url or url["InvokeMode"] != "BUFFERED" or function in fed:
            yield f"{name}: CORS, a streamed answer, or a function that a queue feeds"
    if not urls and permissions:
        yield "anybody may invoke a function that has no URL"


def alarms_notify(stack):
    """no alarm but Kafka's rings for silence, each says what to do, and all of them notify the same topic or none"""
    notified = set()
    for name, alarm in properties(stack, "AWS::CloudWatch::Alarm").items():
        notified.add(json.dumps(alarm.get("AlarmActions")))
        silence = "breaching" if name == "KafkaAlarm" else "notBreaching"
        if alarm.get("TreatMissingData") != silence or alarm.get("AlarmActions") != alarm.get("OKActions"):
            yield f"{name}: rings for silence, or notifies of a beginning without an end"
        if len(alarm["AlarmDescription"]) < 100:
            yield f"{name}: does not say what to do"
    if len(notified) != 1:
        yield "alarms notify different topics"


def kafka_does_not_wait(stack):
    """Kafka's source hands records over at once, and needs no provisioned pollers"""
    for name, source in properties(stack, "AWS::Lambda::EventSourceMapping").items():
        if "SelfManagedEventSource" not in source:
            continue
        if source["MaximumBatchingWindowInSeconds"] != 0 or "ProvisionedPollerConfig" in source or source["Topics"] != ["org_id.runs"]:
            yield f"{name}: waits, costs, or reads another topic"


def schedules(stack):
    """the sweep runs every hour and the check every day"""
    rules = {rule["Targets"][0]["Input"]: rule["ScheduleExpression"] for rule in properties(stack, "AWS::Events::Rule").values()}
    if rules != {'{"sweep": true}': "rate(1 hour)", '{"check": true}': "rate(1 day)"}:
        yield f"schedules are {rules}"


CHECKS = [
    visibility, batch_failures, dead_letters, queues_are_closed, functions_are_watched, least_privilege, roles_fit_settings, url_is_open_to_callers,
    alarms_notify, kafka_does_not_wait, schedules,
]
RULES = [check.__doc__ for check in CHECKS]


def problems(stack):
    return [problem for check in CHECKS for problem in check(stack)]


def check_exceptions(checks):
    unused = [place for place in ANY_RESOURCE if place not in used_exceptions]
    checks.equal("every listed permission on `*` is still there", unused, [])


def read_metrics(stack):
    """Each (namespace, name) that an alarm or the dashboard reads."""
    for alarm in properties(stack, "AWS::CloudWatch::Alarm").values():
        named = [alarm] if "MetricName" in alarm else [m["MetricStat"]["Metric"] for m in alarm["Metrics"] if "MetricStat" in m]
        yield from ((metric["Namespace"], metric["MetricName"]) for metric in named)
    for board in properties(stack, "AWS::CloudWatch::Dashboard").values():
        for widget in json.loads(board["DashboardBody"]["Fn::Sub"])["widgets"]:
            namespace = None
            for row in widget["properties"]["metrics"]:
                namespace = namespace if row[0] == "." else row[0]
                yield namespace, row[1]


def metric_names(source):
    """The variants of the code's `Metric`: their names are the metrics' names."""
    body = re.search(r"pub enum Metric \{\n(.*?)\n\}", source, re.DOTALL)[1]
    return set(re.findall(r"^ +([A-Z]\w*),$", body, re.MULTILINE))


def check_metrics(checks, stack, emitted):
    read = set(read_metrics(stack))
    own = {name for namespace, name in read if namespace == NAMESPACE}
    others = sorted(pair for pair in read if pair[0] != NAMESPACE and pair[1] not in AWS_METRICS.get(pair[0], ()))
    checks.equal("alarms and dashboard read no metric that AWS does not have", others, [])
    if emitted is not None:
        checks.equal("alarms and dashboard read exactly the metrics that the code emits", sorted(own), sorted(emitted))


def asked_outcomes(stack):
    """The outcomes that saved queries and the dashboard's tables filter by."""
    asked = [query["QueryString"] for query in properties(stack, "AWS::Logs::QueryDefinition").values()]
    asked += [board["DashboardBody"]["Fn::Sub"] for board in properties(stack, "AWS::CloudWatch::Dashboard").values()]
    for text in asked:
        for names in re.findall(r"outcome in \[(.*?)\]", text):
            yield from re.findall(r"'(\w+)'", names)


def check_outcomes(checks, stack, source):
    """`source` is the code that names the outcomes in log lines."""
    asked = set(asked_outcomes(stack))
    unknown = sorted(name for name in asked if f'=> "{name}"' not in source)
    checks.that("saved queries and the dashboard ask for outcomes", asked)
    checks.equal("and only for outcomes that log lines have", unknown, [])
