"""Every file of `events/` and every event of SAM CLI through the built function: what its source is told, what GitLab and Glint hold then."""

import base64
import hashlib

import events
from checks import topic
from poller import Poller, to_come_again
from public_events import every_public_event
from world import HOOK, TOKENS, World

WEBHOOKS = ("webhook", "webhook-project", "http-api")
HOOKS = {"gitlab-hook": "SUCCESS", "gitlab-hook-failed": "FAILURE"}
QUEUED = ("sqs", "sqs-fifo-batch", "sqs-sns", "sqs-eventbridge")
STREAMED = ("kafka", "kafka-msk")
INVOKED = ("direct", "secret-input", "sns", "eventbridge")
QUESTIONS = ("check", "sweep")


def started(check, world, name):
    for run_id in events.run_ids(events.load(name)):
        pipelines, run = world.sandbox.pipelines_of(run_id), world.sandbox.run(run_id)
        linked = len(pipelines) == 1 and run["link"] == [pipelines[0]["web_url"]] and run["status"] == "IN_PROGRESS"
        check.that(
            f"`{name}`: `{run_id}` is linked to its one pipeline", linked, {"run": run, "pipelines": len(pipelines)}
        )


def queued(check, world, function, name):
    event = events.load(name)
    reply = function.invoke(event)
    poison = {record["messageId"] for record in event["Records"] if record["body"] == "not json"}
    check.equal(f"`{name}`: exactly what cannot be read comes again", to_come_again(event, reply), poison)
    started(check, world, name)


def invoked(check, world, function, name):
    reply = function.invoke(events.load(name))
    check.that(f"`{name}`: the invocation succeeds", not reply.failed, reply.text)
    started(check, world, name)


def webhook(check, world, function, name):
    """The file's own signature is older than 300 s by now; a fresh one holds."""
    event = events.load(name)
    run_id = events.run_ids(event)[0]
    stale = function.invoke(event)
    check.equal(f"`{name}`: a stale signature is answered 401", stale.value["statusCode"], 401)
    check.equal(f"`{name}`: and starts nothing", world.sandbox.pipelines_of(run_id), [])
    reply = function.invoke(events.signed(event, world.client_secret))
    check.equal(f"`{name}`: a fresh one is answered 200", reply.value["statusCode"], 200)
    started(check, world, name)
    told = reply.body()
    link = world.sandbox.run(run_id)["link"][0]
    check.that(f"`{name}`: the reply names the run and the pipeline", run_id in str(told) and link in str(told), told)


def hook(check, world, function, name):
    event = events.load(name)
    run_id = events.run_ids(event)[0]
    if "webhook-signature" in event["headers"]:
        check.equal(f"`{name}`: a stale signature is answered 401", function.invoke(event).value["statusCode"], 401)
        event = events.signed_hook(event, world.sandbox.secrets[HOOK]["signingToken"])
    reply = function.invoke(event)
    check.equal(f"`{name}`: is answered 200", reply.value["statusCode"], 200)
    run = world.sandbox.run(run_id)
    check.equal(f"`{name}`: `{run_id}` ended", run["status"], HOOKS[name])
    check.that(f"`{name}`: with a log line", len(run["logs"]) > 0, run)


def everything_works(check, world, function):
    """`events/check.json`: settings, secrets, login, clock and each project's token."""
    pipelines = len(world.sandbox.state()["pipelines"])
    reply = function.invoke(events.load("check"))
    check.that("`check`: finds that everything works", not reply.failed and reply.value["ok"] is True, reply.text)
    unnamed = [project for project in world.sandbox.secrets[TOKENS] if project not in reply.text]
    check.equal("`check`: names every project of the token map", unnamed, [])
    check.equal("`check`: shows no secret", [secret for secret in world.all_secrets() if secret in reply.text], [])
    check.equal("`check`: starts nothing", len(world.sandbox.state()["pipelines"]), pipelines)


def sweep(check, world, function):
    """`events/sweep.json`: one pipeline ended and its hook never came; the others go on."""
    run_id = events.run_ids(events.load("sqs"))[0]
    (pipeline,) = world.sandbox.pipelines_of(run_id)
    world.sandbox.finish(pipeline["id"], "success", [{"name": "deploy", "status": "success"}])
    before = {run["id"]: run["status"] for run in world.sandbox.state()["runs"]}
    reply = function.invoke(events.load("sweep"))
    check.that("`sweep`: succeeds", not reply.failed, reply.text)
    after = {run["id"]: run["status"] for run in world.sandbox.state()["runs"]}
    check.equal("`sweep`: ends the run whose pipeline ended, and no other", after, {**before, run_id: "SUCCESS"})


def every_file(check, world, function):
    known = {*WEBHOOKS, *HOOKS, *QUEUED, *STREAMED, *INVOKED, *QUESTIONS}
    check.equal("every file of `events/` is one of these", sorted(known), events.names())
    for name in QUEUED:
        queued(check, world, function, name)
    for name in STREAMED + INVOKED:
        invoked(check, world, function, name)
    for name in WEBHOOKS:
        webhook(check, world, function, name)
    for name in HOOKS:
        hook(check, world, function, name)
    everything_works(check, world, function)
    sweep(check, world, function)


def fresh_webhook(world, name, run_id):
    """The file's message for a run of its own, signed now."""
    event = events.load(name)
    body = events.raw_body(event).replace(events.run_ids(event)[0].encode(), run_id.encode())
    world.sandbox.new_run(run_id)
    return events.signed(event, world.client_secret, body), body


def enqueued(check, world, function, poller, name, expected_attributes):
    """A webhook of a function that has a queue is answered 202, waits there as it came, and then starts."""
    run_id = f"r_Rd{name.replace('-', '')[:12]}"
    event, body = fresh_webhook(world, name, run_id)
    reply = function.invoke(event)
    check.equal(f"`{name}` with a queue: is answered 202", reply.value["statusCode"], 202)
    check.equal(f"`{name}` with a queue: and starts nothing yet", world.sandbox.pipelines_of(run_id), [])
    batch = poller.poll()
    if not check.that(f"`{name}` with a queue: its message is on the queue", batch is not None):
        return
    message = batch.event["Records"][0]
    check.equal(f"`{name}` with a queue: its group is the run's", message["attributes"]["MessageGroupId"], run_id)
    deduplication = message["attributes"]["MessageDeduplicationId"]
    # Where the URL says something, a hash of it follows.
    said_by_url = f"{run_id}." if expected_attributes else run_id
    check.that(f"`{name}` with a queue: its deduplication id is too", deduplication.startswith(said_by_url), deduplication)
    check.equal(f"`{name}` with a queue: the body is as it came", message["body"].encode(), body)
    attributes = {key: value["stringValue"] for key, value in message["messageAttributes"].items()}
    signed = {key: event["headers"][key] for key in ("x-glint-signature", "x-glint-timestamp")}
    check.equal(
        f"`{name}` with a queue: the attributes carry what the body does not",
        attributes,
        {**signed, **expected_attributes},
    )
    check.equal(f"`{name}` with a queue: the message is done", batch.bodies_kept(), [])
    run = world.sandbox.run(run_id)
    pipelines = world.sandbox.pipelines_of(run_id)
    linked = len(pipelines) == 1 and run["link"] == [pipelines[0]["web_url"]]
    check.that(f"`{name}` with a queue: the run is linked to its one pipeline", linked, run)


def forged(check, world, function, poller):
    event, _ = fresh_webhook(world, "webhook", "r_Rd00fOrGeD0000")
    event["headers"]["x-glint-signature"] = "v1," + base64.b64encode(hashlib.sha256(b"forged").digest()).decode()
    reply = function.invoke(event)
    check.equal("a forged webhook is answered 401", reply.value["statusCode"], 401)
    check.equal("and never reaches the queue", poller.poll(), None)


def hook_enqueued(check, world, function, poller):
    """The hook's facts wait on the queue too, and end the run from there."""
    run_id = "r_Rd00hOoKrUn000"
    event, _ = fresh_webhook(world, "webhook", run_id)
    function.invoke(event)
    poller.poll()
    pipeline = world.sandbox.pipelines_of(run_id)[0]
    world.sandbox.finish(pipeline["id"], "success", [{"name": "deploy", "status": "success"}])
    headers, body = world.sandbox.hook(pipeline["id"])
    reply = function.invoke(events.webhook("/-/hooks/gitlab", headers, body))
    check.that("a pipeline hook with a queue is accepted", reply.value["statusCode"] in (200, 202), reply.text)
    batch = poller.poll()
    if check.that("and its facts are on the queue", batch is not None, world.sandbox.run(run_id)):
        check.equal(
            "in the run's group or the pipeline's",
            batch.event["Records"][0]["attributes"]["MessageGroupId"]
            in (run_id, f"gl_{pipeline['project_id']}_{pipeline['id']}"),
            True,
        )
        check.equal("and are done", batch.bodies_kept(), [])
    check.equal("and the run ended as SUCCESS", world.sandbox.run(run_id)["status"], "SUCCESS")


with topic("the topic `event_sources` runs to its end") as (check, stack):
    world = World(stack)
    in_place = world.function("in-place")
    every_file(check, world, in_place)
    in_place.stop()
    public = every_public_event(check, world)
    with_queue = world.function("with-queue", **world.queue_settings())
    poller = Poller(world.cloud, world.runs_queue, with_queue)
    enqueued(check, world, with_queue, poller, "webhook", {})
    url = {"x-glint-v": "1", "x-glint-url": "/acme/backend/billing?ref=main"}
    enqueued(check, world, with_queue, poller, "webhook-project", url)
    forged(check, world, with_queue, poller)
    hook_enqueued(check, world, with_queue, poller)
    world.silent(check, in_place, public, with_queue)
