"""The revision of sources is that of what is kept, whatever the user has set for Git."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from bench.evidence.provenance import git_state

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="no git")


@pytest.fixture
def sources(tmp_path):
    def git(*arguments):
        who = ("-c", "user.name=test", "-c", "user.email=test@example.org")
        subprocess.run(["git", "-C", str(tmp_path), *who, *arguments], check=True, capture_output=True)

    git("init", "-q")
    (tmp_path / ".gitignore").write_text("env/\n")
    (tmp_path / "test_a.py").write_text("def test_a(): pass\n")
    git("add", "-A")
    git("commit", "-q", "-m", "testcases")
    git("config", "status.showUntrackedFiles", "no")
    return tmp_path


def test_as_it_was_committed(sources):
    state = git_state(sources)
    assert len(state["git_revision"]) == 40
    assert state["git_dirty"] is False


def test_file_that_git_does_not_know(sources):
    """A conftest.py can change everything, and some have told Git not to look for new files."""
    (sources / "conftest.py").write_text("")
    assert git_state(sources)["git_dirty"] is True


def test_environment_inside_a_repository_is_not_of_its_revision(sources):
    (sources / "env" / "bench").mkdir(parents=True)
    (sources / "env" / "bench" / "verdict.py").write_text("")
    assert git_state(sources / "env") == {"git_revision": None, "git_dirty": None}
