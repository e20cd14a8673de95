"""A runner: runs a pipeline's jobs for real, by gitlab-ci-local, as GitLab would after a trigger."""

import os
import re
import subprocess

from processes import PARTS, log_directory

# What `gitlab-ci-local` needs in PATH beside the machine's own: its Node.
NODE = PARTS / "node/node_modules/.bin"
IDENTITY = ["-c", "user.name=Developer", "-c", "user.email=developer@example.com"]
# Installing packages is what a job's image is for; here it must change nothing.
NO_APT = "#!/bin/sh\nexit 0\n"


class Jobs:
    """How the jobs ended, as {name: "success" or "failed"}, in the order in which they ran."""

    def __init__(self, status, output, artifacts):
        self.output = output
        self.artifacts = artifacts
        ends = re.findall(r"^ *(PASS|FAIL|WARN) +(\S+)", output, re.MULTILINE)
        self.ended = {name: "failed" if end == "FAIL" else "success" for end, name in ends}
        self.status = "success" if status == 0 else "failed"

    def for_gitlab(self):
        """The same, as the sandbox's GitLab is told it."""
        reasons = {"failed": "script_failure"}
        return [
            {
                "name": name,
                "status": end,
                "failure_reason": reasons.get(end),
                "artifacts": self.artifacts.get(name, {}),
            }
            for name, end in self.ended.items()
        ]


def run(name, ci_file, payload, variables):
    """Runs the text `ci_file` in a repository of its own; `payload` is what TRIGGER_PAYLOAD's file holds."""
    directory = log_directory() / name
    repository = directory / "repository"
    repository.mkdir(parents=True)
    (repository / ".gitlab-ci.yml").write_text(ci_file)
    (directory / "trigger-payload.json").write_text(payload)
    git(repository, "init", "--quiet", "--initial-branch=main")
    git(repository, "add", ".")
    git(repository, *IDENTITY, "commit", "--quiet", "--message=pipeline")
    git(repository, "remote", "add", "origin", "https://gitlab.example.com/group/project.git")
    git(repository, "update-ref", "refs/remotes/origin/main", "HEAD")
    git(repository, "symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main")
    command = [NODE / "gitlab-ci-local", "--force-shell-executor", "--shell-isolation", "--color=false"]
    command += ["--ignore-predefined-vars", "CI_PIPELINE_SOURCE", "--variable", "CI_PIPELINE_SOURCE=trigger"]
    command += ["--variable", f"TRIGGER_PAYLOAD={directory / 'trigger-payload.json'}"]
    for key, value in variables.items():
        command += ["--variable", f"{key}={value}"]
    done = subprocess.run(
        command,
        cwd=repository,
        env=environment(directory),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    (log_directory() / f"{name}.log").write_text(done.stdout)
    return Jobs(done.returncode, done.stdout, artifacts(repository))


def artifacts(repository):
    """The text files that the jobs left under `artifacts: paths:`, as {job: {path: text}}."""
    left = {}
    for path in (repository / ".gitlab-ci-local/artifacts").glob("**/*"):
        if path.is_file() and path.suffix == ".json":
            job, *inside = path.relative_to(repository / ".gitlab-ci-local/artifacts").parts
            left.setdefault(job, {})["/".join(inside)] = path.read_text()
    return left


def git(repository, *arguments):
    subprocess.run(["git", *arguments], cwd=repository, check=True, capture_output=True)


def environment(directory):
    stubs = directory / "bin"
    stubs.mkdir()
    (stubs / "apt-get").write_text(NO_APT)
    (stubs / "apt-get").chmod(0o755)
    path = os.pathsep.join([str(stubs), str(NODE), os.environ["PATH"]])
    # A home of its own: a developer's variables for gitlab-ci-local are not this check's.
    return {"PATH": path, "HOME": str(directory), "LANG": "C.UTF-8"}


def with_host(ci_file, glint_url):
    """The guide's file, with the sandbox in the place of Glint's public host and nothing else changed."""
    return ci_file.replace("https://api.useglint.io", glint_url)
