"""From a real FIFO queue to pipelines: each run once, poison to the dead-letter queue, outages survived."""

import events
from checks import topic
from poller import Poller
from world import World


def started_once(check, world, run_id):
    pipelines, run = world.sandbox.pipelines_of(run_id), world.sandbox.run(run_id)
    if not check.equal(f"`{run_id}` started one pipeline", len(pipelines), 1):
        return
    pipeline = pipelines[0]
    external = f"gl_{pipeline['project_id']}_{pipeline['id']}"
    check.equal(f"`{run_id}` is linked to it", (run["link"], run["external_run_id"]), ([pipeline["web_url"]], external))
    check.equal(f"`{run_id}` is still in progress", run["status"], "IN_PROGRESS")
    check.that(
        f"`{run_id}` has a log line that names it",
        any(pipeline["web_url"] in log["message"] for log in run["logs"]),
        run["logs"],
    )


def single(check, world, poller):
    record = events.load("sqs")["Records"][0]
    world.send(record)
    world.send(record)
    batch = poller.poll()
    check.equal("the queue drops a message that is sent twice", len(batch.event["Records"]), 1)
    check.equal("`events/sqs.json` is done after one receive", batch.bodies_kept(), [])
    started_once(check, world, events.run_ids(events.load("sqs"))[0])


def fifo_batch(check, world, poller):
    """Three runs, one of them twice, and a poison message."""
    event = events.load("sqs-fifo-batch")
    for record in event["Records"]:
        world.send(record)
    batch = poller.poll()
    check.equal("the batch came in one receive", len(batch.event["Records"]), len(event["Records"]))
    check.equal("only the poison message comes again", batch.bodies_kept(), ["not json"])
    for run_id in events.run_ids(event):
        started_once(check, world, run_id)
    batch.let_visibility_pass()
    again = poller.drain(5)
    check.equal("poison is received as often as the queue allows", len(again) + 1, 3)
    check.equal("and is then in the dead-letter queue", world.cloud.messages(world.dead_queue), 1)
    check.equal("and the runs queue is empty", world.cloud.messages(world.runs_queue), 0)


def duplicate(check, world, poller):
    """A copy under another deduplication id, or after the queue's five minutes, is the function's to drop."""
    record = events.load("sqs")["Records"][0]
    copy = {**record, "attributes": {**record["attributes"], "MessageDeduplicationId": "another"}}
    world.send(copy)
    check.equal("a copy that the queue lets through is done", poller.poll().bodies_kept(), [])
    started_once(check, world, events.run_ids(events.load("sqs"))[0])


def deferred(check, world, poller):
    """GitLab's 429 is honoured: the message waits in the queue as long as GitLab asked."""
    run_id = "r_Rq01dEfErReDrUn0"
    world.sandbox.new_run(run_id)
    world.sandbox.fail("Trigger", status=429, body="Retry later", retry_after="600")
    world.send(events.message(run_id))
    batch = poller.poll()
    check.equal("a run that GitLab throttles comes again", len(batch.kept), 1)
    check.equal("and no pipeline was created", world.sandbox.pipelines_of(run_id), [])
    waits = [
        call["VisibilityTimeout"] for action, call in world.cloud.calls() if action == "sqs:ChangeMessageVisibility"
    ]
    check.that("its visibility was set to at least what GitLab asked", waits and 600 <= waits[-1] <= 900, waits)
    world.sandbox.heal()
    batch.let_visibility_pass()
    check.equal("the next receive starts it", poller.poll().bodies_kept(), [])
    started_once(check, world, run_id)


def dead_letter(check, world, poller, function):
    """Glint is down for every receive: the run ends in Glint from the dead-letter queue."""
    run_id = "r_Rq02dEaDlEtTeR00"
    world.sandbox.new_run(run_id)
    world.sandbox.refuse_glint(503)
    world.send(events.message(run_id))
    batches = poller.drain(5)
    world.sandbox.refuse_glint(None)
    check.equal("a run that Glint cannot be asked about comes again each time", len(batches), 3)
    check.equal("and joins the poison in the dead-letter queue", world.cloud.messages(world.dead_queue), 2)
    dead = Poller(world.cloud, world.dead_queue, function)
    bodies = [body for _ in range(2) if (batch := dead.poll()) for body in batch.bodies_kept()]
    check.equal("only the poison stays in the dead-letter queue", bodies, ["not json"])
    run = world.sandbox.run(run_id)
    check.equal("the run ended as FAILURE", run["status"], "FAILURE")
    check.that("with a summary", bool(run["summary"]), run)
    check.equal("and without a pipeline", world.sandbox.pipelines_of(run_id), [])


with topic("the topic `queue` runs to its end") as (check, stack):
    world = World(stack)
    function = world.function(**world.queue_settings())
    poller = Poller(world.cloud, world.runs_queue, function)
    single(check, world, poller)
    fifo_batch(check, world, poller)
    duplicate(check, world, poller)
    deferred(check, world, poller)
    dead_letter(check, world, poller, function)
    world.silent(check, function)
