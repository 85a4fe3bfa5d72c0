"""The house: who may import whom. Notebook -> the eight -> machinery -> config."""

import ast

import pytest

from utils import config

UTILS = config.root / "utils"
EIGHT = (  # each may import those before it
    "config",
    "metrics",
    "plot",
    "data",
    "train",
    "predict",
    "experiment",
    "lesson",
)
PROGRAMS = ("utils.script",)  # they import, and are not imported
FILES = {
    ".".join(path.relative_to(config.root).with_suffix("").parts): path
    for path in UTILS.rglob("*.py")
    if path.name != "__init__.py"
}


def imports(module: str) -> set[str]:
    """The modules of utils/ that one of them imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(FILES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are written in full"
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found & FILES.keys()


def test_the_course_has_eight_modules_and_a_program():
    above_machinery = {name for name in FILES if name.count(".") == 1}
    assert above_machinery == {*(f"utils.{name}" for name in EIGHT), *PROGRAMS}


def test_config_imports_nothing_of_the_course():
    assert imports("utils.config") == set()


@pytest.mark.parametrize("name", ["metrics", "plot"])
def test_figures_and_measures_know_arrays_and_no_network(name):
    assert imports(f"utils.{name}") <= {"utils.machinery.printing"}


@pytest.mark.parametrize("place", range(len(EIGHT)), ids=EIGHT)
def test_the_eight_import_machinery_and_each_other_downwards(place):
    below = {f"utils.{other}" for other in EIGHT[:place]}
    machinery = {module for module in FILES if module.startswith("utils.machinery.")}
    assert imports(f"utils.{EIGHT[place]}") <= below | machinery


def test_machinery_imports_only_machinery_and_config():
    for module in FILES:
        if module.startswith("utils.machinery."):
            above = {name for name in imports(module) if not name.startswith("utils.machinery.")}
            assert above <= {"utils.config"}, module


def test_the_house_has_no_circles():
    left = {module: imports(module) - {module} for module in FILES}
    done: set[str] = set()
    while left:
        ready = {module for module, needs in left.items() if needs <= done}
        assert ready, f"in a circle, or above one: {sorted(left)}"
        done |= ready
        left = {module: needs for module, needs in left.items() if module not in done}


def test_nobody_imports_the_programs():
    for module in FILES:
        assert not imports(module) & set(PROGRAMS), module
