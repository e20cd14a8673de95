"""A secret rotated in Secrets Manager while the function is warm heals inside one invocation."""

import events
from checks import topic
from poller import to_come_again
from world import CREDENTIALS, TOKENS, World

PROJECT = "acme/backend/billing"
ROTATED_TOKEN = "glptt-" + "5" * 40
ROTATED_SECRET = "rotated-client-secret-0123456789abcdef"


def starts(check, world, function, run_id, sentence):
    """One invocation, one message: the run must be linked after it."""
    event = {"Records": [events.message(run_id)]}
    world.sandbox.new_run(run_id)
    reply = function.invoke(event)
    check.equal(f"{sentence}: the message is done after one invocation", to_come_again(event, reply), set())
    pipelines, run = world.sandbox.pipelines_of(run_id), world.sandbox.run(run_id)
    linked = len(pipelines) == 1 and run["link"] == [pipelines[0]["web_url"]]
    check.that(f"{sentence}: and its run is linked to its one pipeline", linked, run)


def reads(world, name):
    return sum(
        1 for action, call in world.cloud.calls() if action.endswith("GetSecretValue") and call["SecretId"] == name
    )


def rotate_token(check, world, function):
    tokens = dict(world.sandbox.secrets[TOKENS])
    world.sandbox.rotate_token(PROJECT, ROTATED_TOKEN)
    world.cloud.put_secret(TOKENS, {**tokens, PROJECT: ROTATED_TOKEN})
    before = reads(world, TOKENS)
    starts(check, world, function, "r_Rr02rOtAtEd000", "a rotated trigger token")
    check.equal("a rotated trigger token: with one forced read of the secret", reads(world, TOKENS) - before, 1)


def webhook(check, function, run_id, secret, status, sentence):
    """How a function with a queue answers a webhook: it proves it before Glint is asked anything."""
    event = events.load("webhook")
    body = events.raw_body(event).replace(events.run_ids(event)[0].encode(), run_id.encode())
    reply = function.invoke(events.signed(event, secret, body))
    check.equal(f"a webhook signed with {sentence} is answered {status}", reply.value["statusCode"], status)


def rotate_client_secret(check, world):
    """Glint signs with the new secret at once; what it signed before may still be on its way."""
    function = world.function("with-queue", **world.queue_settings())
    webhook(check, function, "r_Rr03fIrSt00000", world.client_secret, 202, "the client secret")
    world.cloud.put_secret(CREDENTIALS, {**world.sandbox.secrets[CREDENTIALS], "clientSecret": ROTATED_SECRET})
    webhook(check, function, "r_Rr04nEw0000000", ROTATED_SECRET, 202, "the new client secret")
    webhook(check, function, "r_Rr05oLd0000000", world.client_secret, 202, "the previous client secret")
    before = reads(world, CREDENTIALS)
    for _ in range(5):
        webhook(check, function, "r_Rr06oTher00000", "some-other-secret", 401, "any other secret")
    check.that("five forgeries cost no more than one read", reads(world, CREDENTIALS) - before <= 1)
    return function


with topic("the topic `rotation` runs to its end") as (check, stack):
    world = World(stack)
    function = world.function()
    starts(check, world, function, "r_Rr01wArM000000", "a warm function")
    rotate_token(check, world, function)
    functions = [function, rotate_client_secret(check, world)]
    world.silent(check, *functions)
    text = "".join(function.log.read_text() for function in functions)
    check.that("nor is a rotated one", ROTATED_TOKEN not in text and ROTATED_SECRET not in text)
