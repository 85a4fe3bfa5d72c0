"""The drawings: the files that the notebooks show, and the programs that make them."""

import importlib
import re
import sys
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

from utils import config

FIGURES = config.root / "notebooks" / "figures"
PROGRAMS = config.root / "tools" / "drawings"
FILES = sorted(FIGURES.glob("*.*"))
MARKDOWN = [config.root / "README.md", config.root / "TEACHING.md"]
MARKDOWN += sorted((config.root / "docs").rglob("*.md"))
PNG = sorted(FIGURES.glob("*.png"))
SVG = "{http://www.w3.org/2000/svg}"

sys.path.append(str(PROGRAMS))
drawing = importlib.import_module("drawing")
DRAWINGS: dict[str, Callable] = {}
for program in sorted(PROGRAMS.glob("draw_[0-9][0-9].py")):
    DRAWINGS |= importlib.import_module(program.stem).DRAWINGS


@pytest.mark.parametrize("path", PNG, ids=lambda path: path.stem)
def test_files_are_small_and_can_be_read_on_a_dark_page(path):
    assert path.stat().st_size < 120_000
    with Image.open(path) as image:
        assert image.mode == "P"
        assert "transparency" not in image.info
        assert 1_500 <= image.width <= 2_100
        pixels = image.convert("RGB")
    assert len(pixels.getcolors(256)) <= 256
    corners = [(x, y) for x in (0, pixels.width - 1) for y in (0, pixels.height - 1)]
    assert {pixels.getpixel(corner) for corner in corners} == {(255, 255, 255)}


def test_every_drawing_that_is_named_exists_and_every_one_is_named():
    shown = set()
    for notebook in (config.root / "notebooks").glob("[0-9][0-9]_*.ipynb"):
        shown |= set(re.findall(r"\(figures/([^)]+)\)", notebook.read_text(encoding="utf-8")))
    named = set(shown)
    for text in MARKDOWN:
        named |= set(re.findall(r"figures/([a-z0-9_.]+)", text.read_text(encoding="utf-8")))
    assert shown <= {path.name for path in PNG}
    assert named <= {path.name for path in FILES}
    assert {path.name for path in PNG} <= named


def test_every_file_has_its_program():
    """The drawings of a notebook stand in the program with its number."""
    for name, draw in DRAWINGS.items():
        assert Path(draw.__code__.co_filename).stem == f"draw_{name[:2]}"
    assert set(DRAWINGS) == {path.stem for path in FILES}


@pytest.mark.parametrize("name", DRAWINGS)
def test_files_are_those_of_the_programs(name):
    picture = DRAWINGS[name]()
    root = ElementTree.fromstring(picture.svg())
    with Image.open(FIGURES / f"{name}.png") as image:
        assert image.size == (2 * int(root.get("width")), 2 * int(root.get("height")))
    kept = FIGURES / f"{name}.svg"
    assert kept.exists() == picture.keep_svg
    if picture.keep_svg:
        again = f"run python tools/drawings/draw_{name[:2]}.py"
        assert kept.read_text(encoding="utf-8") == picture.svg(), again


@pytest.mark.parametrize("name", DRAWINGS)
def test_words_can_be_read(name):
    """No letters are tiny, no words leave the picture, and none lie on others."""
    root = ElementTree.fromstring(DRAWINGS[name]().svg())
    boxes = []
    for text in root.iter(f"{SVG}text"):
        size = float(text.get("font-size"))
        assert size >= 11, text.text
        width = drawing.text_width(text.text, size, text.get("font-weight") == "bold")
        before = {"start": 0, "middle": width / 2, "end": width}[text.get("text-anchor")]
        left = float(text.get("x")) - before
        bottom = float(text.get("y")) + 0.2 * size
        assert left >= 4, text.text
        assert left + width <= float(root.get("width")) - 4, text.text
        assert size <= bottom <= float(root.get("height")) - 2, text.text
        boxes.append((left, bottom - size, left + width, bottom, text.text))
    for one, two in combinations(boxes, 2):
        beside = one[2] < two[0] or two[2] < one[0]
        below = one[3] < two[1] or two[3] < one[1]
        assert beside or below, f"{one[4]!r} lies on {two[4]!r}"


def test_the_family_tree_stands_on_its_own():
    """It has a title and a white ground, so that it can be read in a dark theme, and no script."""
    text = (FIGURES / "00_family_tree.svg").read_text(encoding="utf-8")
    assert "<title>" in text
    assert re.search(r'<rect[^>]*fill="#ffffff"', text)
    assert "<script" not in text
    assert not re.search(r'href="http', text)


def test_few_colours_keep_the_frequent_ones():
    image = Image.new("RGB", (100, 100), "#ffffff")
    image.paste("#9ccbe8", (0, 0, 50, 50))
    for x in range(100):  # a soft edge: a hundred greys
        image.putpixel((x, 99), (x, x, x))
    few = drawing.few_colours(image).convert("RGB")
    colours = {colour: count for count, colour in few.getcolors()}
    assert len(colours) == drawing.COLOURS
    assert colours[(156, 203, 232)] == 2_500
    assert few.getpixel((99, 0)) == (255, 255, 255)
