"""The house: how large it is, and who may import whom (DESIGN: notebook -> the seven -> machinery -> config)."""

import ast
from pathlib import Path

from utils import config

UTILS = config.root / "utils"
SEVEN = (
    "config",
    "metrics",
    "plot",
    "data",
    "train",
    "predict",
    "lesson",
)  # each may import those before it
NOBODYS = ("utils.script",)  # a program: it imports, and is not imported
FILES = {
    ".".join(path.relative_to(config.root).with_suffix("").parts): path
    for path in UTILS.rglob("*.py")
    if path.name != "__init__.py"
}


def lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


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


def test_a_beginner_reads_the_seven_in_one_sitting():
    sizes = {name: lines(UTILS / f"{name}.py") for name in SEVEN}
    assert sum(sizes.values()) <= 1_200, sizes


def test_utils_stay_small():
    sizes = {name: lines(path) for name, path in FILES.items()}
    assert sum(sizes.values()) <= 2_560, sizes
    assert {name for name in FILES if name.count(".") == 1} == {
        f"utils.{name}" for name in (*SEVEN, "script")
    }


def test_the_functions_of_train_can_be_read():
    tree = ast.parse((UTILS / "train.py").read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    assert {"train", "train_epoch", "evaluate"} <= {node.name for node in functions}
    assert max(node.end_lineno - node.lineno + 1 for node in functions) <= 75


def test_the_packages_themselves_are_a_docstring():
    for path in UTILS.rglob("__init__.py"):
        assert len(ast.parse(path.read_text(encoding="utf-8")).body) == 1, path


def test_the_seven_import_machinery_and_each_other_downwards():
    for place, name in enumerate(SEVEN):
        below = {f"utils.{other}" for other in SEVEN[:place]}
        machinery = {module for module in FILES if module.startswith("utils.machinery.")}
        assert imports(f"utils.{name}") <= below | machinery, name
    for name in ("metrics", "plot"):
        assert imports(f"utils.{name}") == set(), name
    assert imports("utils.config") == set(), "everything stands on it"


def test_machinery_imports_only_machinery_and_config():
    for module in FILES.keys() - set(NOBODYS):
        if module.startswith("utils.machinery."):
            above = [name for name in imports(module) if not name.startswith("utils.machinery.")]
            assert set(above) <= {"utils.config"}, module


def test_machinery_has_no_circles():
    done: set[str] = set()
    left = {module: imports(module) - {module} for module in FILES}
    while ready := [module for module in left if left[module] <= done]:
        done |= set(ready)
        left = {module: needs for module, needs in left.items() if module not in done}
    assert not left


def test_nobody_imports_the_programs():
    assert not {module for module in FILES if imports(module) & set(NOBODYS)}
