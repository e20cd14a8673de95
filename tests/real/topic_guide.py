"""The guide from end to end: a trigger, a real run of the pipeline's jobs, GitLab's hook, the run's end in Glint."""

import pathlib

import events
import gitlab_ci
from checks import topic
from poller import to_come_again
from world import CREDENTIALS, World

HERE = pathlib.Path(__file__).resolve().parent
EXAMPLES = HERE.parents[1] / "examples/deploy-service"
PIPELINES = {
    "guide": HERE / "guide.gitlab-ci.yml",
    "self-reporting": EXAMPLES / "self-reporting.gitlab-ci.yml",
    "hook": EXAMPLES / "gitlab-ci.yml",
}
# Those whose jobs tell Glint themselves, and therefore hold its credentials.
REPORTING = ("guide", "self-reporting")
# All that the guide's own jobs ask of Glint.
GUIDE_CALLS = ["Login", "UpsertEntity", "PostLog", "PatchRun"]
# The line that a pipeline's author replaces by the deployment.
DEPLOYS = '- echo "Deploying application..."'


class Story:
    """One run from its trigger on, with one of the pipelines."""

    def __init__(self, world, function, pipeline, ending):
        self.world, self.sandbox, self.function = world, world.sandbox, function
        self.reports = pipeline in REPORTING
        self.name = f"{pipeline}, {ending}"
        self.file_name = f"{pipeline}-{ending}".replace(" ", "-")
        self.run_id = "r_Rg" + "".join(word[:4] for word in self.file_name.split("-"))
        # A service of its own, so that no story sees another's entity.
        self.service = self.file_name
        self.ci_file = PIPELINES[pipeline].read_text()

    def trigger(self, check):
        record = events.message(self.run_id, service=self.service)
        event = {"Records": [record]}
        self.image_tag = events.inputs(record).get("imageTag", "latest")
        self.sandbox.new_run(self.run_id, events.inputs(record))
        check.equal(f"{self.name}: the trigger is done", to_come_again(event, self.function.invoke(event)), set())
        (self.pipeline,) = self.sandbox.pipelines_of(self.run_id)

    def run_jobs(self, deploy_fails=False):
        ci_file = gitlab_ci.with_host(self.ci_file, self.sandbox.glint_url)
        if deploy_fails:
            assert ci_file.count(DEPLOYS) == 1, "the pipeline has one line that deploys"
            ci_file = ci_file.replace(DEPLOYS, "- exit 1")
        credentials = self.sandbox.secrets[CREDENTIALS]
        project_variables = {
            "GLINT_CLIENT_ID": credentials["clientId"],
            "GLINT_CLIENT_SECRET": credentials["clientSecret"],
            "GLINT_API_URL": self.sandbox.glint_url,
        }
        variables = {**(project_variables if self.reports else {}), **self.pipeline["variables"]}
        before = len(self.sandbox.state()["exchanges"])
        self.jobs = gitlab_ci.run(self.file_name, ci_file, self.pipeline["trigger_payload"], variables)
        # What the jobs asked, all of Glint: nobody else is at work meanwhile.
        self.calls = self.sandbox.state()["exchanges"][before:]

    def hook(self):
        """GitLab tells the function how the pipeline ended; returns the status it is answered with."""
        if self.sandbox.pipeline(self.pipeline["id"])["status"] != self.jobs.status:
            self.sandbox.finish(self.pipeline["id"], self.jobs.status, self.jobs.for_gitlab())
        headers, body = self.sandbox.hook(self.pipeline["id"])
        return self.function.invoke(events.webhook("/-/hooks/gitlab", headers, body)).value["statusCode"]

    def run(self):
        return self.sandbox.run(self.run_id)

    def entity(self):
        """The deployment entity, if this story's jobs or its hook wrote it."""
        wanted = f"{self.service}-staging"
        return next((entity for entity in self.sandbox.state()["entities"] if entity["identifier"] == wanted), None)

    def ended(self, check, status):
        run = self.run()
        check.equal(f"{self.name}: the run ended as {status}", run["status"], status)
        terminal = [write for write in run["writes"] if "status" in write]
        check.equal(f"{self.name}: by one write", len(terminal), 1)
        check.equal(f"{self.name}: and nobody wrote to it afterwards", run["refused_writes"], 0)
        check.that(f"{self.name}: with a log line", len(run["logs"]) > 0, run)


def succeeds(check, world, function, pipeline):
    story = Story(world, function, pipeline, "success")
    story.trigger(check)
    story.run_jobs()
    check.equal(f"{story.name}: every job passed", story.jobs.status, "success")
    before = "SUCCESS" if story.reports else "IN_PROGRESS"
    check.equal(f"{story.name}: the run before the hook", story.run()["status"], before)
    calls = [call["call"] for call in story.calls if call["status"] < 300]
    check.equal(f"{story.name}: Glint took every call of the jobs", len(calls), len(story.calls))
    if pipeline == "guide":
        check.equal(f"{story.name}: which are the guide's four", calls, GUIDE_CALLS)
    check.equal(f"{story.name}: the jobs called Glint only where they report", bool(calls), story.reports)
    check.equal(f"{story.name}: the hook is answered", story.hook(), 200)
    story.ended(check, "SUCCESS")
    entity = story.entity()
    there = entity is not None and entity["blueprint"] == "deployment"
    if check.that(f"{story.name}: the deployment entity is there", there, entity) and pipeline != "guide":
        properties = entity["properties"]
        check.equal(f"{story.name}: it names its run", entity["run_id"], story.run_id)
        check.that(f"{story.name}: and who deployed", bool(properties["deployingUser"]), entity)
        check.that(f"{story.name}: and a commit and a link", properties["commitSha"] and properties["jobUrl"], entity)
        check.equal(f"{story.name}: and an image", properties["imageTag"], story.image_tag)
    if pipeline == "hook":
        summary = f"{story.service} {story.image_tag} is deployed to staging"
        check.that(f"{story.name}: the run shows the artifact's summary", summary in story.run()["summary"], story.run())
        check.equal(f"{story.name}: no job holds a credential", story.calls, [])


def fails(check, world, function, pipeline):
    """The guide alone would leave this run in progress for ever; the hook ends it."""
    story = Story(world, function, pipeline, "failing deploy")
    story.trigger(check)
    story.run_jobs(deploy_fails=True)
    check.equal(f"{story.name}: the pipeline failed", story.jobs.status, "failed")
    before = {"guide": "IN_PROGRESS", "self-reporting": "FAILURE", "hook": "IN_PROGRESS"}[pipeline]
    check.equal(f"{story.name}: the run before the hook", story.run()["status"], before)
    check.equal(f"{story.name}: the hook is answered", story.hook(), 200)
    story.ended(check, "FAILURE")
    failed = [name for name, end in story.jobs.ended.items() if end == "failed"]
    told = str(story.run()["logs"]) + str(story.run()["summary"])
    check.that(f"{story.name}: the failed job is named", failed and failed[0] in told, story.run())
    check.equal(f"{story.name}: no deployment entity was written", story.entity(), None)


def refused(check, world, function, pipeline):
    """Glint answers 401 to everything while the jobs and the first hook run, and is well again for the next."""
    story = Story(world, function, pipeline, "Glint refuses")
    story.trigger(check)
    story.sandbox.refuse_glint(401)
    story.run_jobs()
    # The guide's jobs are green whatever Glint says; a pipeline that must report fails when it cannot.
    expected = {"guide": "success", "self-reporting": "failed", "hook": "success"}[pipeline]
    check.equal(f"{story.name}: how the jobs ended", story.jobs.status, expected)
    check.equal(f"{story.name}: the hook is to be sent again", story.hook(), 503)
    story.sandbox.refuse_glint(None)
    check.equal(f"{story.name}: the run waits", story.run()["status"], "IN_PROGRESS")
    check.equal(f"{story.name}: the hook that is sent again is answered", story.hook(), 200)
    story.ended(check, {"success": "SUCCESS", "failed": "FAILURE"}[expected])


with topic("the topic `guide` runs to its end") as (check, stack):
    world = World(stack)
    function = world.function(DEPLOYMENT_BLUEPRINT="deployment", OUTPUTS_FILE="glint.json")
    for pipeline in PIPELINES:
        succeeds(check, world, function, pipeline)
        fails(check, world, function, pipeline)
        refused(check, world, function, pipeline)
    world.silent(check, function)
