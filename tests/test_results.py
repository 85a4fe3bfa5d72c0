"""Records, the weights that come with the course, README's tables: do they belong together, and are
they true?

One test computes every accuracy again, from the weights and all real test images. It takes some
minutes, so it is run by hand, with the data in data/:

    .venv/bin/python -m pytest tests/test_results.py -m by_hand
"""

import hashlib
import json
import re
import sys

import pytest
import safetensors.torch
import torch
import torch.nn.functional as F

from utils import config, lesson
from utils.data import STATISTICS
from utils.machinery import sources

sys.path.insert(0, str(config.root / "tools"))
import publish

TRAINED = [name for name in lesson.notebooks() if lesson.read_record(name)]
IMAGES = {"CIFAR-10": 50_000, "MNIST": 60_000}
LIMIT, ALL_LIMIT = 25e6, 160e6  # bytes


def shipped(name: str) -> bytes:
    return (config.checkpoints_dir / f"{name}.safetensors").read_bytes()


# --- what is in the course now ----------------------------------------------------------------


def test_weights_and_records_belong_to_notebooks_and_stay_small():
    weights = {path.stem: path.stat().st_size for path in config.checkpoints_dir.iterdir()}
    assert set(weights) == set(TRAINED)
    assert max(weights.values()) <= LIMIT
    assert sum(weights.values()) <= ALL_LIMIT


@pytest.mark.parametrize("name", TRAINED)
def test_weights_are_those_of_the_record_in_half_precision(name):
    record, content = lesson.read_record(name), shipped(name)
    assert hashlib.sha256(content).hexdigest() == record["weights_sha256"]
    weights = safetensors.torch.load(content)
    assert {tensor.dtype for tensor in weights.values()} <= {torch.float16, torch.int64}
    assert all(tensor.isfinite().all() for tensor in weights.values())
    with torch.device("meta"):
        net = lesson.build(name)
    assert {key: t.shape for key, t in weights.items()} == {
        key: t.shape for key, t in net.state_dict().items()
    }
    assert sum(p.numel() for p in net.parameters()) == record["parameters"]


@pytest.mark.parametrize("name", TRAINED)
def test_records_are_of_full_runs_and_agree_with_themselves(name):
    record = lesson.read_record(name)
    assert (record["run"], record["train_images"], record["test_images"]) == (
        "full",
        IMAGES[record["data"]],
        10_000,
    )
    assert (
        record["accuracy"] == record["by_epoch"]["test_accuracy"][-1]
    )  # of the last epoch, not of the best
    assert {len(values) for values in record["by_epoch"].values()} == {record["epochs"]}
    assert record["seconds"] == pytest.approx(sum(record["by_epoch"]["seconds"]))
    mean = sum(record["class_accuracy"].values()) / len(record["class_accuracy"])
    assert mean == pytest.approx(record["accuracy"], abs=0.005)  # classes of MNIST differ in size
    assert record["weights_accuracy"] == pytest.approx(record["accuracy"], abs=0.005)


@pytest.mark.parametrize("part", ["course", "results"])
def test_readme_says_what_notebooks_and_records_say(part):
    """A notebook that was added since may be missing: its author runs publish.py at the end."""
    readme = (config.root / "README.md").read_text(encoding="utf-8")
    shown = readme.split(f"<!-- {part}: from")[1].split(f"<!-- end of {part} -->")[0]
    rows = publish.tables()[part].splitlines()
    advice = "run python tools/publish.py"
    assert {line for line in shown.splitlines()[1:] if line} <= set(rows), advice
    of_trained = {row for row in rows if any(publish.link(name) in row for name in TRAINED)}
    assert of_trained <= set(shown.splitlines()), advice


def test_a_notebook_without_a_record_is_not_trained_yet():
    rows = publish.tables()
    for name in lesson.notebooks():
        (row,) = [row for row in rows["course"].splitlines() if publish.link(name) in row]
        assert ("not trained yet" in row) == (name not in TRAINED)
        assert (publish.link(name) in rows["results"]) == (name in TRAINED)


@pytest.mark.by_hand
@pytest.mark.parametrize("name", TRAINED)
def test_the_accuracy_comes_out_again(name):
    record = lesson.read_record(name)
    there = config.data_dir / {"MNIST": "MNIST", "CIFAR-10": "cifar-10-batches-py"}[record["data"]]
    if not there.exists():
        pytest.skip(f"there is no {config.relative(there)}")
    net = lesson.build(name)
    lesson.load_trained(net, config.runs_dir / name, own=False)
    assert publish.accuracy(net, record) == pytest.approx(record["weights_accuracy"], abs=0.0005)


def test_every_notebook_and_its_files_are_linked():
    course = publish.tables()["course"]
    for target in re.findall(r"\]\((notebooks/[^)]+)\)", course):
        assert (config.root / target).is_file(), target
    assert course.count("](notebooks/") == len(publish.all_notebooks())


@pytest.mark.parametrize("name", ["01_lenet-Copy1", "01_lenet (1)", "1_lenet", "01_LeNet", "x"])
def test_copies_beside_a_notebook_are_no_notebooks(monkeypatch, tmp_path, name):
    (tmp_path / "notebooks").mkdir()
    for stem in ("01_lenet", name):
        (tmp_path / "notebooks" / f"{stem}.ipynb").write_text("{}")
    monkeypatch.setattr(config, "root", tmp_path)
    assert publish.all_notebooks() == ["01_lenet"]


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (
            "Good.\n\n**The paper:** Ann Lee, Bo Ek and Cy Oz,\n*Nets*, 2016,\n"
            "[arXiv:1601.00001](https://arxiv.org/abs/1601.00001). *More.*",
            "[Lee et al., 2016](https://arxiv.org/abs/1601.00001)",
        ),
        (
            "**The paper:** Ann Lee and Bo van Ek, *Nets*, NIPS 2012. Ours is from Cy Oz, *One*, "
            "2014,\n[arXiv:1404.00002](https://arxiv.org/abs/1404.00002).",
            "Lee and Ek, 2012",
        ),
        ("**The paper:** Ann Lee, *Nets of 1984*, in a book, 1998.", "Lee, 1998"),
        ("No paper.", ""),
    ],
)
def test_the_paper_is_the_one_that_the_first_cell_names(cell, expected):
    assert publish.paper(cell) == expected


def test_minutes_on_two_cores_are_reckoned_from_speeds_or_those_of_the_clock(monkeypatch):
    speeds = {"train": {"24": 100.0, "32": 50.0}, "test": {"24": 500.0, "32": 250.0}}
    monkeypatch.setattr(publish, "speeds", lambda name: speeds if name == "known" else None)
    record = {
        "device": "a GPU",
        "train_images": 6_000,
        "test_images": 3_000,
        "image_shape": [3, 32, 32],
    }
    record |= {"by_epoch": {"seconds": [60.0, 120.0], "height": [24, 32]}, "images_per_second": 7.0}
    assert publish.minutes("known", record) == [1.1, 2.2]
    assert publish.speed("known", record) == 50
    assert publish.minutes("unknown", record) == [1, 2]
    assert publish.speed("unknown", record) == 7


# --- publishing -------------------------------------------------------------------------------

NETWORK = """from torch import nn

def course_network(classes=10):
    return nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(48, classes))
"""
README = "<!-- {0}: from python tools/publish.py -->\nold\n<!-- end of {0} -->\n"


def normalised(images: torch.Tensor) -> torch.Tensor:
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in STATISTICS["CIFAR-10"])
    return (images / 255 - mean) / std


@pytest.fixture
def finished(tmp_path, monkeypatch, make_set):
    """A course of one notebook with a finished full run, on more images than a quick run takes."""
    for name in ("root", "results_dir", "checkpoints_dir", "runs_dir"):
        monkeypatch.setattr(config, name, tmp_path if name == "root" else tmp_path / name)
    for name in ("notebooks", "results_dir", "checkpoints_dir"):
        (tmp_path / name).mkdir()
    cells = [{"cell_type": "code", "metadata": {"tags": ["network"]}, "source": NETWORK}]
    cells.insert(0, {"cell_type": "markdown", "metadata": {}, "source": "# Small"})
    book = {"cells": cells, "metadata": {"course": {"title": "Small", "experiment": "none"}}}
    (tmp_path / "notebooks" / "99_small.ipynb").write_text(json.dumps(book))
    (tmp_path / "README.md").write_text(
        "".join(README.format(part) for part in ("course", "results")) + "end\n"
    )
    train_set, test_set = make_set(600, classes=10), make_set(310, classes=10, seed=1)
    test_set.labels[::3] = (test_set.labels[::3] + 1) % 10  # so that nobody is right everywhere
    pairs = [(images.images, images.labels) for images in (train_set, test_set)]
    monkeypatch.setattr(sources, "cifar10", lambda fetch: (*pairs, test_set.classes))
    lesson.networks.cache_clear()
    net = lesson.build("99_small")
    with torch.no_grad():  # a network that knows its classes: least squares
        inputs = torch.cat([net[:2](normalised(train_set.images)), torch.ones(600, 1)], dim=1)
        weights = torch.linalg.lstsq(inputs, F.one_hot(train_set.labels).float()).solution.T
        net[2].weight.copy_(weights[:, :-1])
        net[2].bias.copy_(weights[:, -1])
    record = {
        "network": "Small",
        "data": "CIFAR-10",
        "run": "full",
        "train_images": 600,
        "test_images": 310,
        "image_shape": [3, 8, 8],
        "epochs": 1,
        "seconds": 60.0,
        "images_per_second": 100.0,
        "device": "CPU",
        "precision": "float32",
        "parameters": 490,
        "mult_adds": 490,
        "by_epoch": {"test_accuracy": [0.5], "seconds": [60.0]},
    }
    folder = tmp_path / "runs_dir" / "full" / "CIFAR-10" / "99_small"
    record["accuracy"] = publish.accuracy(net, record)
    lesson.save_weights(net, folder / "weights.safetensors")
    (folder / "record.json").write_text(json.dumps(record))
    yield folder
    lesson.networks.cache_clear()
    sys.modules.pop("lesson_99_small", None)


def test_publishing_ships_half_precision_measured_on_all_test_images(finished, tmp_path):
    publish.publish("99_small")
    record = lesson.read_record("99_small")
    weights = safetensors.torch.load(shipped("99_small"))
    assert {tensor.dtype for tensor in weights.values()} == {torch.float16}
    assert record["weights_sha256"] == hashlib.sha256(shipped("99_small")).hexdigest()
    net = lesson.build("99_small")
    net.load_state_dict(weights)
    images, labels = sources.cifar10(fetch=False)[1]
    assert len(labels) == 310, "and the quick run, which these tests are, takes 128"
    right = (net(normalised(images)).argmax(1) == labels).sum().item()
    assert record["weights_accuracy"] == right / 310
    assert 0.2 < right / 310 < 0.8


@pytest.mark.parametrize(
    "change", [{"run": "short"}, {"train_images": 500}, {"test_images": 128}, {"accuracy": 0.99}]
)
def test_what_is_no_full_run_is_not_published(finished, tmp_path, change):
    record = json.loads((finished / "record.json").read_text())
    (finished / "record.json").write_text(json.dumps(record | change))
    with pytest.raises(SystemExit, match="99_small"):
        publish.publish("99_small")
    assert not list((tmp_path / "checkpoints_dir").iterdir())
    assert lesson.read_record("99_small") is None


def test_weights_that_half_precision_spoils_are_not_published(finished, tmp_path):
    net = lesson.build("99_small")
    lesson.load_trained(net, finished)
    net[2].weight.data += 20_000  # the same for all classes; half precision has steps of 16 there
    lesson.save_weights(net, finished / "weights.safetensors")
    record = json.loads((finished / "record.json").read_text())
    (finished / "record.json").write_text(
        json.dumps(record | {"accuracy": publish.accuracy(net, record)})
    )
    with pytest.raises(SystemExit, match="half precision"):
        publish.publish("99_small")
    assert not list((tmp_path / "checkpoints_dir").iterdir())


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--no-such-option"], ["99_small", "98_no_such_notebook"]]
)
def test_help_and_typing_errors_change_nothing(finished, tmp_path, arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        publish.main(arguments)
    assert caught.value.code == (0 if arguments == ["--help"] else 2)
    assert "usage" in "".join(capsys.readouterr())
    assert "old" in (tmp_path / "README.md").read_text()
    assert not list((tmp_path / "results_dir").iterdir())


def test_the_program_publishes_and_writes_readme(finished, tmp_path):
    publish.main(["99_small"])
    record, readme = (
        lesson.read_record("99_small"),
        (tmp_path / "README.md").read_text(encoding="utf-8"),
    )
    assert readme.count(f"{record['accuracy']:.2%} of CIFAR-10") == 2
    assert "old" not in readme
    assert readme.endswith("end\n")
    assert b"<svg" in (tmp_path / "results_dir" / "accuracy.svg").read_bytes()
