"""Taking the networks out of a notebook."""

import inspect
import json
import pickle
import sys
import traceback

import pytest
import torch

from utils import config, lesson

BLOCK = """import torch
from torch import nn


class Block(nn.Module):
    def __init__(self, channels: int = 4) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, channels, 3)

    def forward(self, x):
        return self.conv(x)
"""


def cell(source: str | list[str], *tags: str, kind: str = "code") -> dict:
    return {"cell_type": kind, "metadata": {"tags": list(tags)} if tags else {}, "source": source}


@pytest.fixture
def notebook(tmp_path, monkeypatch):
    """Writes notebooks/99_test.ipynb of a course in an empty folder."""
    monkeypatch.setattr(config, "root", tmp_path)
    (tmp_path / "notebooks").mkdir()

    def write(*cells: dict, name: str = "99_test") -> None:
        book = {"cells": list(cells), "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
        (tmp_path / "notebooks" / f"{name}.ipynb").write_text(json.dumps(book), encoding="utf-8")

    lesson.networks.cache_clear()
    yield write
    lesson.networks.cache_clear()
    sys.modules.pop("lesson_99_test", None)


def test_only_the_tagged_cells_are_run_in_their_order(notebook):
    notebook(
        cell("raise RuntimeError('an experiment')"),
        cell(BLOCK.splitlines(keepends=True), "network"),
        cell("# prose", "network", kind="markdown"),
        cell("class Net(Block):\n    name = 'Größe'\n", "other", "network"),
        cell("raise RuntimeError('the data')", "other"),
    )
    found = lesson.networks("99_test")
    assert found.Net.name == "Größe"
    assert found.Net(channels=5)(torch.zeros(2, 3, 8, 8)).shape == (2, 5, 6, 6)
    assert lesson.cells("99_test", "network") == [BLOCK, "class Net(Block):\n    name = 'Größe'\n"]
    assert lesson.cells("99_test", "nothing") == []


def test_the_cells_run_once(notebook):
    notebook(cell(BLOCK, "network"))
    assert lesson.networks("99_test") is lesson.networks("99_test")


def test_a_class_of_a_notebook_is_found_by_its_name(notebook):
    notebook(cell(BLOCK, "network"))
    net = lesson.networks("99_test").Block()
    assert type(net).__module__ == "lesson_99_test"
    assert type(pickle.loads(pickle.dumps(net))) is type(net)


def test_two_notebooks_do_not_mix(notebook):
    notebook(cell("x = 1", "network"), name="98_first")
    notebook(cell("y = 2", "network"), name="99_test")
    first, second = lesson.networks("98_first"), lesson.networks("99_test")
    assert (first.x, second.y) == (1, 2)
    assert not hasattr(second, "x")


def test_an_error_in_a_cell_is_shown_with_its_line(notebook):
    notebook(cell("import torch", "network"), cell("x = 1\nx.no_such_thing", "network"))
    with pytest.raises(AttributeError) as caught:
        lesson.networks("99_test")
    shown = "".join(traceback.format_exception(caught.type, caught.value, caught.tb))
    assert '"<99_test, network cell 2>", line 2' in shown
    assert "    x.no_such_thing\n" in shown
    with pytest.raises(AttributeError):  # and not a half-filled module the second time
        lesson.networks("99_test")


def test_what_is_not_there_is_an_error_that_says_what_is(notebook):
    notebook(cell("x = 1"), name="98_first")
    notebook(cell("x = 1"))
    notebook(cell("x = 1"), name="draft")
    with pytest.raises(ValueError, match="There is no notebook 97: the course has 98_first, 99_test."):
        lesson.networks("97")
    with pytest.raises(ValueError, match="99_test has no cells tagged `network`: tag those that define it."):
        lesson.networks("99_test")


@pytest.mark.parametrize(
    "path", sorted((config.root / "notebooks").glob("[0-9]*.ipynb")), ids=lambda path: path.stem
)
def test_the_networks_of_every_notebook_can_be_had(path):
    if not lesson.cells(path.stem, "network"):
        pytest.skip("this notebook defines no network")
    defined = [
        value
        for value in vars(lesson.networks(path.stem)).values()
        if getattr(value, "__module__", "") == f"lesson_{path.stem}"
    ]
    classes = [value for value in defined if isinstance(value, type) and issubclass(value, torch.nn.Module)]
    assert classes or any(inspect.isfunction(value) for value in defined)  # 15 fetches its classes from 14
