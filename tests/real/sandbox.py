"""The sandbox's GitLab and Glint as a process of their own, and what can be asked of them."""

import json
import os
import pathlib
import urllib.request

import events
from processes import Child

# The client secret with which the files of `events/` are signed, and the projects that they name.
SEED = pathlib.Path(__file__).resolve().parent / "seed.json"
# What the function is told of the sandbox; Lambda's own variables are the emulator's business.
UPSTREAMS = ("GITLAB_URL", "GLINT_API_URL")
AWS = (
    "AWS_ENDPOINT_URL_SECRETS_MANAGER",
    "AWS_ENDPOINT_URL_SQS",
    "AWS_REGION",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
)


class Sandbox:
    """Starts with every run that a file of `events/` asks for. `env` is the whole environment of its process."""

    def __init__(self, stack, env=None, name="sandbox"):
        child = Child(stack, name, [os.environ["SANDBOX_BINARY"], "--seed", SEED], env=env)
        self._told = json.loads(child.line(lambda line: line.startswith("{")))
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self.secrets = self._told["secrets"]
        self.glint_url = self._told["glint"]
        for name in events.names():
            for run_id in events.run_ids(events.load(name)):
                self.new_run(run_id)

    def env(self, aws=False):
        """`aws`: its Secrets Manager and SQS too, where moto has no part."""
        names = UPSTREAMS + (AWS if aws else ())
        return {name: self._told["env"][name] for name in names}

    def _ask(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self._told["control"] + path, data=data, method=method, headers=headers)
        with self._opener.open(request, timeout=30) as answer:
            return json.loads(answer.read())

    def state(self):
        return self._ask("GET", "/state")

    def run(self, run_id):
        return next(run for run in self.state()["runs"] if run["id"] == run_id)

    def pipeline(self, pipeline_id):
        return next(pipeline for pipeline in self.state()["pipelines"] if pipeline["id"] == pipeline_id)

    def pipelines_of(self, run_id):
        """The pipelines that carry this run in their payload."""
        return [pipeline for pipeline in self.state()["pipelines"] if run_of(pipeline) == run_id]

    def new_run(self, run_id, properties=None):
        """A run in progress; `properties` are its user inputs, as Glint keeps them."""
        self._ask("POST", "/runs", {"id": run_id, "properties": properties or {}})

    def finish(self, pipeline_id, status, jobs):
        self._ask("POST", f"/pipelines/{pipeline_id}/finish", {"status": status, "jobs": jobs})

    def hook(self, pipeline_id):
        """GitLab's headers and body about the pipeline as it stands now."""
        hook = self._ask("GET", f"/pipelines/{pipeline_id}/hook")
        return hook["headers"], hook["body"]

    def rotate_token(self, project, token):
        self._ask("POST", "/tokens/rotate", {"project": project, "token": token})

    def fail(self, call, **fault):
        """Every such call from now on, until `heal`."""
        self._ask("POST", "/faults", {"call": call, "every": True, **fault})

    def fail_once(self, call, **fault):
        """The next such call."""
        self._ask("POST", "/faults", {"call": call, "nth": 1, **fault})

    def heal(self):
        self._ask("DELETE", "/faults")

    def limit_pipelines(self, project, per_minute):
        """GitLab's limit for one project, owner and commit."""
        self._ask("POST", "/projects", {"path": project, "per_minute": per_minute})

    def refuse_glint(self, status):
        """Glint answers this status to everything, until told None."""
        self._ask("POST", "/glint/refuse", {"status": status})


def run_of(pipeline):
    return json.loads(pipeline["trigger_payload"]).get("glint", {}).get("runId")
