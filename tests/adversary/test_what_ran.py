"""Other code than the revision's: every way to bring it that `git status` does not tell is named."""

from __future__ import annotations

import importlib.util
import json
import marshal
import os
import py_compile
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from bench.evidence.checkout import blob_id
from bench.evidence.provenance import git_state
from bench.evidence.sources import Sources as Modules
from bench.evidence.sources import record_hash

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="no git")
ROOT = Path(__file__).parents[2]
WHO = ("-c", "user.name=test", "-c", "user.email=test@example.org")


class Sources:
    """A repository of testcases."""

    def __init__(self, folder):
        self.folder = folder
        (folder / ".gitignore").write_text("results/\n__pycache__/\n")
        (folder / "test_a.py").write_text("import helper\ndef test_a(): helper.check('1.1.0')\n")
        (folder / "helper.py").write_text("def check(version): assert version == '1.1.0'\n")
        (folder / "conftest.py").write_text("")
        self.git("init", "-q")
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "testcases")

    def git(self, *arguments):
        command = ["git", "-C", str(self.folder), *WHO, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def change(self, name="helper.py"):
        """The testcase then asserts nothing."""
        (self.folder / name).write_text("def check(version): pass\n")


@pytest.fixture
def sources(tmp_path):
    (tmp_path / "sources").mkdir()
    return Sources(tmp_path / "sources")


def assume_unchanged(sources, monkeypatch):
    sources.git("update-index", "--assume-unchanged", "helper.py")
    sources.change()


def skip_worktree(sources, monkeypatch):
    sources.git("update-index", "--skip-worktree", "helper.py")
    sources.change()


def other_worktree(sources, monkeypatch):
    """Git looks at a copy that is as it was committed."""
    shutil.copytree(sources.folder, sources.folder.parent / "copy", ignore=shutil.ignore_patterns(".git"))
    sources.git("config", "core.worktree", str(sources.folder.parent / "copy"))
    sources.change()


def monitor(sources, monkeypatch):
    """A file system monitor that says that nothing has changed."""
    hook = sources.folder.parent / "monitor"
    hook.write_text('#!/bin/sh\nprintf "token\\0"\n')
    hook.chmod(0o755)
    sources.git("config", "core.fsmonitor", str(hook))
    sources.git("status")
    sources.change()


def clean_filter(sources, monkeypatch):
    """A filter that gives Git what was committed."""
    sources.git("config", "filter.hide.clean", "git show HEAD:%f")
    (sources.folder / ".git" / "info").mkdir(exist_ok=True)
    (sources.folder / ".git" / "info" / "attributes").write_text("*.py filter=hide\n")
    sources.change()


def variables(sources, monkeypatch):
    """Another repository is asked, by the environment."""
    (sources.folder.parent / "other").mkdir()
    other = Sources(sources.folder.parent / "other")
    monkeypatch.setenv("GIT_DIR", str(other.folder / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other.folder))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other.folder / ".git" / "index"))
    sources.change()


def replaced_object(sources, monkeypatch):
    """The blob of the revision is replaced by the changed one."""
    before = sources.git("rev-parse", "HEAD:helper.py").strip()
    sources.change()
    after = sources.git("hash-object", "-w", "helper.py").strip()
    sources.git("replace", before, after)


def deleted(sources, monkeypatch):
    (sources.folder / "conftest.py").unlink()


def staged(sources, monkeypatch):
    sources.change()
    sources.git("add", "helper.py")


def link(sources, monkeypatch):
    (sources.folder.parent / "elsewhere.py").write_text("def check(version): assert version == '1.1.0'\n")
    (sources.folder / "helper.py").unlink()
    (sources.folder / "helper.py").symlink_to(sources.folder.parent / "elsewhere.py")


def exclude_file(sources, monkeypatch):
    (sources.folder / ".git" / "info").mkdir(exist_ok=True)
    (sources.folder / ".git" / "info" / "exclude").write_text("sitecustomize.py\n")
    (sources.folder / "sitecustomize.py").write_text("")


def excludes_of_the_user(sources, monkeypatch):
    excluded = sources.folder.parent / "excluded"
    excluded.write_text("*\n")
    sources.git("config", "core.excludesFile", str(excluded))
    (sources.folder / "plugin.py").write_text("")


HOW = [
    assume_unchanged,
    skip_worktree,
    other_worktree,
    monitor,
    clean_filter,
    variables,
    replaced_object,
    deleted,
    staged,
    link,
    exclude_file,
    excludes_of_the_user,
]
POSIX_ONLY = (monitor, link)


@pytest.mark.parametrize("how", HOW, ids=lambda how: how.__name__)
def test_difference_that_git_status_does_not_tell(sources, monkeypatch, how):
    if os.name != "posix" and how in POSIX_ONLY:
        pytest.skip("hooks and links of POSIX")
    assert git_state(sources.folder)["git_dirty"] is False
    how(sources, monkeypatch)
    state = git_state(sources.folder)
    assert state["git_dirty"] is True
    assert state["git_differs"]
    assert len(state["git_revision"]) == 40


def test_revision_is_named_by_its_content(sources):
    before = git_state(sources.folder)
    sources.git("commit", "-q", "--allow-empty", "-m", "another title")
    after = git_state(sources.folder)
    assert before["git_revision"] != after["git_revision"]
    assert before["git_tree"] == after["git_tree"]


def test_content_has_the_name_that_git_gives_it(sources):
    for data in (b"", b"text\n", bytes(range(256)) * 9):
        (sources.folder / "blob").write_bytes(data)
        assert blob_id(data) == sources.git("hash-object", "--no-filters", "blob").strip()


# ---- what a run has imported


CONTROL = """
import json, sys
sys.path.insert(0, {folder!r})
from bench.evidence.sources import Sources
seen = Sources()
{before}
import helper
seen.look()
{after}
print(json.dumps(seen.told({{}})))
"""


def own_bytecode():
    """The environment, with bytecode beside its sources."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPYCACHEPREFIX"}


def imported(sources, *, before="", after="", path=None):
    """What a process tells that imports `helper`."""
    text = CONTROL.format(folder=str(path or sources.folder), before=before, after=after)
    done = subprocess.run(
        [sys.executable, "-c", text],
        env={**own_bytecode(), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    own = [text for text in told["differs"] if not text.startswith(f"{ROOT.name}/")]
    return told, own


def test_as_it_was_committed(sources):
    told, differs = imported(sources)
    assert differs == []
    assert told["files"]["sources/helper.py"] == sources.git("rev-parse", "HEAD:helper.py").strip()
    assert told["checkouts"]["sources"]["revision"] == sources.git("rev-parse", "HEAD").strip()


def test_changed_for_the_run_and_put_back_after_it(sources):
    good = (sources.folder / "helper.py").read_text()
    sources.change()
    _, differs = imported(sources, after=f"open(helper.__file__, 'w').write({good!r})")
    assert [text.partition(" ")[0] for text in differs] == ["sources/helper.py"]


def test_bytecode_of_another_source(sources):
    """The .pyc that Python takes, for the time and size of the source in it are right."""
    file = sources.folder / "helper.py"
    good, times = file.read_bytes(), file.stat()
    file.write_bytes(b"def check(version): pass".ljust(len(good) - 1) + b"\n")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    cached = Path(importlib.util.cache_from_source(str(file)))
    py_compile.compile(str(file), cfile=str(cached), doraise=True)
    file.write_bytes(good)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert git_state(sources.folder)["git_dirty"] is False
    _, differs = imported(sources, before="import helper; helper.check('1.0.0')")
    assert len(differs) == 1
    assert "is not what" in differs[0]


def test_bytecode_that_is_out_of_date_is_not_what_ran(sources):
    """Python compiles the source anew; where it may not write, the old bytecode stays."""
    file = sources.folder / "helper.py"
    good = file.read_bytes()
    sources.change()
    cached = Path(importlib.util.cache_from_source(str(file)))
    py_compile.compile(str(file), cfile=str(cached), doraise=True)
    file.write_bytes(good)
    _, differs = imported(sources, before="sys.dont_write_bytecode = True")
    assert differs == []


def test_bytecode_that_is_never_looked_at(sources):
    file = sources.folder / "helper.py"
    cached = Path(importlib.util.cache_from_source(str(file)))
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    py_compile.compile(str(file), cfile=str(cached), doraise=True, invalidation_mode=mode)
    _, differs = imported(sources)
    assert len(differs) == 1
    assert "unchecked" in differs[0]


def test_bytecode_without_a_source(sources):
    file = sources.folder / "helper.py"
    py_compile.compile(str(file), cfile=str(sources.folder / "helper.pyc"), doraise=True)
    file.unlink()
    _, differs = imported(sources)
    assert any("bytecode without a source" in text for text in differs)


def test_module_from_elsewhere(sources, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "helper.py").write_text("def check(version): pass\n")
    _, differs = imported(sources, path=tmp_path / "elsewhere")
    assert any("is of no revision and of no installed distribution" in text for text in differs)


def test_module_in_an_archive(sources, tmp_path):
    (tmp_path / "packed").mkdir()
    (tmp_path / "packed" / "helper.py").write_text("def check(version): pass\n")
    archive = shutil.make_archive(str(tmp_path / "archive"), "zip", tmp_path / "packed")
    _, differs = imported(sources, path=archive)
    assert any("helper.py" in text for text in differs)


def test_installed_module_that_was_edited(sources, tmp_path):
    """A distribution whose RECORD says otherwise."""
    packages = tmp_path / "env" / "site-packages"
    (packages / "helper-1.0.dist-info").mkdir(parents=True)
    (packages / "helper.py").write_text("def check(version): pass\n")
    (packages / "helper-1.0.dist-info" / "METADATA").write_text("Name: helper\nVersion: 1.0\n")
    (packages / "helper-1.0.dist-info" / "RECORD").write_text("helper.py,sha256=AAAA,9\n")
    told, differs = imported(sources, path=packages)
    assert any("is not what the RECORD of its distribution says" in text for text in differs)
    assert told["distributions"]["helper"]["version"] == "1.0"


# ---- in the ledger of a run


def run(sources, *options, env=None):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--ledger", *options]
    done = subprocess.run(
        [*command, "--results", "results", "--alluredir", "results/allure"],
        cwd=sources.folder,
        env={**own_bytecode(), "PYTHONPATH": str(ROOT), **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
    )
    (ledger,) = (sources.folder / "results" / "runs").glob("*/ledger.jsonl")
    lines = [json.loads(text) for text in ledger.read_text().splitlines()]
    told = [line for line in lines if line["kind"] == "sources"]
    assert told, done.stdout
    differs = {text for line in told for text in line["differs"] if not text.startswith(f"{ROOT.name}/")}
    return lines[0], differs


PLUGIN = """
def pytest_runtest_makereport(item, call): pass
"""


def elsewhere(folder):
    (folder / "elsewhere").mkdir()
    file = folder / "elsewhere" / "other_plugin.py"
    file.write_text(textwrap.dedent(PLUGIN))
    return file


@pytest.mark.parametrize("by", ["PYTEST_PLUGINS", "PYTEST_ADDOPTS", "-p"])
def test_plug_in_from_elsewhere(sources, tmp_path, by):
    file = elsewhere(tmp_path)
    env = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(file.parent)])}
    options = ["-p", "other_plugin"] if by == "-p" else []
    if by in ("PYTEST_PLUGINS", "PYTEST_ADDOPTS"):
        env[by] = "other_plugin" if by == "PYTEST_PLUGINS" else "-p other_plugin"
    begin, differs = run(sources, *options, env=env)
    assert any("other_plugin.py" in text for text in differs), differs
    assert any("other_plugin" in name for name in begin["plugins"])
    if by != "-p":
        assert begin["variables"][by] == env[by]


def test_settings_and_conftest_from_elsewhere(sources, tmp_path):
    """Testcases of another folder, with its settings, while the rootdir is a clean one."""
    other = tmp_path / "elsewhere"
    other.mkdir()
    (other / "pytest.ini").write_text("[pytest]\n")
    (other / "conftest.py").write_text("")
    (other / "test_a.py").write_text("def test_a(): pass\n")
    begin, differs = run(sources, "-c", str(other / "pytest.ini"), f"--rootdir={sources.folder}", str(other))
    assert {Path(text.partition(" ")[0]).name for text in differs} == {"conftest.py", "test_a.py"}
    assert begin["options"]["inifilename"] == str(other / "pytest.ini")


def test_nothing_differs(sources):
    begin, differs = run(sources)
    assert differs == set()
    assert begin["testcases"]["git_dirty"] is False
    assert begin["options"]["bench_retries"] == 1


def test_rewritten_bytecode_of_another_testcase(sources):
    """What pytest keeps of a testcase is not what the testcase says, and its header is right."""

    def bytecode():
        run(sources)
        shutil.rmtree(sources.folder / "results")
        (kept,) = (sources.folder / "__pycache__").glob("test_a.*pytest*.pyc")
        return kept, kept.read_bytes()

    file = sources.folder / "test_a.py"
    good, times = file.read_bytes(), file.stat()
    file.write_text("def test_a(): pass\n")
    _, harmless = bytecode()
    file.write_bytes(good)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    kept, right = bytecode()
    kept.write_bytes(right[:16] + harmless[16:])
    _, differs = run(sources)
    assert any(text.startswith("sources/test_a.py is not what") for text in differs), differs


# ---- bytecode of installed distributions


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A distribution of one module, as pip leaves it, with its bytecode; returns the module's file."""
    site = tmp_path / "site-packages"
    info = site / "thing-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: thing\nVersion: 1.0\n")
    (site / "thing.py").write_text("def check(version): assert version == '1.1.0'\n")
    kept = Path(py_compile.compile(str(site / "thing.py"), doraise=True))
    monkeypatch.syspath_prepend(str(site))
    return site / "thing.py", kept, info / "RECORD"


def listed(file, kept, record, *, with_hash):
    def of(path):
        return record_hash(path.read_bytes())

    lines = [f"thing.py,{of(file)},", f"{kept.parent.name}/{kept.name},{of(kept) if with_hash else ''},"]
    record.write_text("\n".join(lines) + "\n")


def told_of_thing():
    import thing  # noqa: F401

    try:
        return Modules().told({})
    finally:
        del sys.modules["thing"]


def changed(file, kept):
    """Other bytecode under the header of the source."""
    header = kept.read_bytes()[:16]
    code = compile("def check(version): pass\n", str(file), "exec")
    kept.write_bytes(header + marshal.dumps(code))


def test_bytecode_that_record_lists_is_held_against_it(installed):
    file, kept, record = installed
    listed(file, kept, record, with_hash=True)
    before = told_of_thing()
    assert not [text for text in before["differs"] if "thing" in text]
    changed(file, kept)
    after = told_of_thing()
    (text,) = [text for text in after["differs"] if "thing" in text]
    assert text.endswith(f"thing.py is loaded from {kept.name}, which is not what RECORD says")
    assert after["unlisted"] == before["unlisted"]


def test_bytecode_of_which_record_has_no_hash_is_told(installed):
    file, kept, record = installed
    listed(file, kept, record, with_hash=True)
    before = told_of_thing()["unlisted"]
    listed(file, kept, record, with_hash=False)
    assert told_of_thing()["unlisted"] == before + 1
    kept.unlink()
    sys.dont_write_bytecode, was = True, sys.dont_write_bytecode
    try:
        assert told_of_thing()["unlisted"] == before
    finally:
        sys.dont_write_bytecode = was
