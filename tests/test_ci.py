"""What watches over the course: CI's program, requirements, types, and what documents name."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from utils import config

README = """\
<!-- test command -->
```bash
python3 -m venv .venv && .venv/bin/python -m pytest
```
"""
# Stands in for a Python: answers CI's question, and makes environments that only say what they do.
PYTHON = """\
#!{shell}
if [ "$1" = -c ]; then
    {answer}
    exit
fi
for folder in "$@"; do :; done
mkdir -p "$folder/bin"
echo "{name} makes $(ls "$(dirname "$folder")" -A | wc -l)"
printf '#!{shell}\\necho "{name} installs $*"\\n' >"$folder/bin/pip"
printf '#!{shell}\\necho "{name} runs $*"\\nexit {code}\\n' >"$folder/bin/python"
chmod +x "$folder/bin/pip" "$folder/bin/python"
"""
needs_bash = pytest.mark.skipif(
    os.name != "posix" or shutil.which("bash") is None, reason="CI's program is one of bash"
)


@pytest.fixture
def ci(tmp_path):
    """Runs .ci/run in a folder of its own, with stand-ins for Pythons: name -> (answer, exit)."""

    def run(**pythons: tuple[str, int]) -> subprocess.CompletedProcess:
        for name, (answer, code) in {"python3": ("echo 3.11.7", 0), **pythons}.items():
            program = tmp_path / "bin" / name
            program.parent.mkdir(exist_ok=True)
            shell = shutil.which("bash")
            program.write_text(PYTHON.format(shell=shell, name=name, answer=answer, code=code))
            program.chmod(0o755)
        (tmp_path / ".ci").mkdir()
        shutil.copy(config.root / ".ci" / "run", tmp_path / ".ci" / "run")
        (tmp_path / "README.md").write_text(README)
        (tmp_path / "tmp").mkdir()
        return subprocess.run(
            [tmp_path / ".ci" / "run"],
            capture_output=True,
            text=True,
            env={
                "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}",
                "CI_PYTHONS": " ".join(str(tmp_path / "bin" / name) for name in pythons) or "none",
                "TMPDIR": str(tmp_path / "tmp"),
            },
        )

    return run


def said(result: subprocess.CompletedProcess) -> list[str]:
    """What the stand-ins said, without the lines of CI itself."""
    return re.findall(r"^\w+ (?:makes|installs|runs) .*$", result.stdout, re.M)


@needs_bash
def test_ci_runs_readmes_command_alone_where_no_other_python_is(ci):
    result = ci()
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "python3 runs -m pytest"
    assert len(said(result)) == 2


@needs_bash
def test_ci_tests_with_each_other_python_once_and_readmes_last(ci, tmp_path):
    result = ci(
        old=("echo 3.10.13 not from 3.11 to 3.14", 1),
        debian=("echo 3.11.2", 0),
        same=("echo 3.11.7", 1),
        broken=("exit 127", 1),
        again=("echo 3.11.2", 1),
        new=("echo 3.13.0", 0),
    )
    assert result.returncode == 0, result.stderr
    assert (
        said(result)
        == [
            "debian makes 1",  # one environment at a time
            "debian installs install -r requirements.txt",
            "debian runs -m pytest",
            "new makes 1",
            "new installs install -r requirements.txt",
            "new runs -m pytest",
            *said(result)[-2:],
        ]
    )
    assert said(result)[-1] == "python3 runs -m pytest"
    for name in ("old", "same", "broken", "again"):
        assert re.search(rf"/{name}: .*left out", result.stdout), name
    assert list((tmp_path / "tmp").iterdir()) == []


@needs_bash
def test_a_test_that_fails_with_another_python_fails_ci_and_is_its_last_line(ci, tmp_path):
    result = ci(debian=("echo 3.11.2", 3), new=("echo 3.13.0", 0))
    assert result.returncode == 3
    assert result.stdout.splitlines()[-1] == "debian runs -m pytest"
    assert list((tmp_path / "tmp").iterdir()) == []


@needs_bash
def test_a_test_that_fails_in_readmes_command_fails_ci(ci):
    assert ci(python3=("echo 3.11.7", 5)).returncode == 5


@needs_bash
def test_ci_asks_a_python_what_it_is():
    """The question itself, put to this Python."""
    text = (config.root / ".ci" / "run").read_text(encoding="utf-8")
    (question,) = re.findall(r"^question='(.+?)^'", text, re.M | re.S)
    answer = subprocess.run(
        [sys.executable, "-c", question], capture_output=True, text=True, check=True
    )
    assert answer.stdout.split(" ")[0] == sys.version.split()[0]


def test_readmes_two_commands_stand_on_one_line_each():
    text = (config.root / "README.md").read_text(encoding="utf-8")
    for mark in ("start", "test"):
        (block,) = re.findall(rf"<!-- {mark} command -->\n```bash\n(.+?)```", text, re.S)
        assert re.fullmatch(r"python3 -m venv \.venv && [^\n]+\n", block), block


def requirements(name: str) -> dict[str, str]:
    """The packages of a file, each with what follows its name."""
    text = (config.root / name).read_text(encoding="utf-8")
    return dict(re.findall(r"^([A-Za-z0-9_-]+)(.*)$", text, re.M))


def test_each_requirement_has_a_lower_bound_and_its_reason_and_no_upper_one():
    for package, rest in requirements("requirements.txt").items():
        assert re.fullmatch(r">=[\d.]+ +# .{10,}", rest), package + rest


def test_constraints_name_a_version_for_each_requirement():
    wanted, tried = requirements("requirements.txt"), requirements("constraints.txt")
    assert set(tried) == set(wanted)
    for package, rest in wanted.items():
        lowest = re.match(r">=([\d.]+)", rest)[1]
        assert numbers(tried[package]) >= numbers(lowest), package


def numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]


def imported(folder: Path) -> set[str]:
    """The packages that files and notebooks below a folder import, by their first name."""
    found = set()
    for path in [*folder.rglob("*.py"), *folder.rglob("*.ipynb")]:
        text = path.read_text(encoding="utf-8")
        found |= set(re.findall(r'^[ "]*(?:from|import) (\w+)', text, re.M))
    return found


def test_requirements_are_what_something_imports_or_runs():
    """A package that is used without an import is named here, with its use."""
    used = {
        "jupyterlab": "README's start command",
        "ipykernel": "runs the cells",
        "tensorboard": "torch.utils.tensorboard",
        "torchinfo": "section 4 of 10: every layer, a call away",
        "nbval": "a plug-in of pytest",
        "pytest-xdist": "a plug-in of pytest",
        "ruff": "run by a test",
        "mypy": "run by a test",
    }
    names = {"pillow": "PIL", "ipython": "IPython"}
    for folder in ("utils", "notebooks", "tests"):
        for package in imported(config.root / folder):
            used[package] = folder
    for package in requirements("requirements.txt"):
        assert names.get(package, package) in used, f"{package}: nothing imports it"


def test_mypy_is_clean():
    result = subprocess.run(
        [sys.executable, "-m", "mypy", "--no-incremental"],
        cwd=config.root,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout + result.stderr


OLD_PYTHON = """
import sys
sys.version_info = (3, 10, 13, "final", 0)
import utils
"""


def test_an_older_python_is_told_so_by_the_import():
    result = subprocess.run(
        [sys.executable, "-c", OLD_PYTHON], cwd=config.root, capture_output=True, text=True
    )
    assert result.returncode != 0
    last = result.stderr.splitlines()[-1]
    assert "The course needs Python 3.11 or newer; this is 3.10" in last


def test_the_package_itself_imports_no_torch():
    """What has to be set before torch is imported can be set in it."""
    code = "import sys, utils; print('torch' in sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=config.root, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "False"


DOCUMENTS = sorted([*config.root.glob("*.md"), *config.root.glob("docs/*.md")])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_of_a_document_lead_somewhere(document):
    text = document.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)", text):
        if not target.startswith("http"):
            assert (document.parent / target).exists(), target


def test_contributing_names_each_room_of_the_machinery_and_each_program():
    text = (config.root / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rooms = {path.name for path in (config.root / "utils" / "machinery").glob("[!_]*.py")}
    programs = {f"tools/{path.name}" for path in (config.root / "tools").glob("*.py")}
    named = set(re.findall(r"^\| `([\w/]+\.py)` \|", text, re.M))
    assert named == rooms | programs
