"""The networks that a notebook defines, and what its run leaves: weights and a record."""

import json
import pickle
import subprocess
import sys
import traceback

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from utils import config, lesson
from utils.data import Batches
from utils.machinery import record as records
from utils.machinery.checkpoint import CheckpointError
from utils.machinery.stages import count
from utils.train import History, evaluate, train

NETWORK = """from torch import nn


class Net(nn.Sequential):
    name = "Größe"


def course_network(classes: int = 10) -> nn.Module:
    return Net(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 6 * 6, classes))
"""
pytestmark = pytest.mark.usefixtures("one_thread")


def cell(source: str, *tags: str, kind: str = "code") -> dict:
    return {
        "cell_type": kind,
        "metadata": {"tags": list(tags)},
        "source": source.splitlines(keepends=True),
    }


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course in an empty folder; gives a function that writes its notebooks."""
    monkeypatch.setattr(config, "root", tmp_path)
    for name in ("results_dir", "checkpoints_dir"):
        monkeypatch.setattr(config, name, tmp_path / name)
        (tmp_path / name).mkdir()
    (tmp_path / "notebooks").mkdir()
    lesson.networks.cache_clear()

    def write(name: str, *cells: dict, **about: str) -> None:
        book = {
            "cells": list(cells),
            "metadata": {"course": about},
            "nbformat": 4,
            "nbformat_minor": 5,
        }
        (tmp_path / "notebooks" / f"{name}.ipynb").write_text(json.dumps(book), encoding="utf-8")

    yield write
    lesson.networks.cache_clear()
    for name in [name for name in sys.modules if name.startswith("lesson_9")]:
        del sys.modules[name]


# --- what notebooks define ------------------------------------------------------------------------


def test_only_the_tagged_cells_are_run_and_only_once(course):
    course(
        "99_test",
        cell("raise RuntimeError('an experiment')"),
        cell("first = 1", "network"),
        cell("# prose", "network", kind="markdown"),
        cell(NETWORK, "other", "network"),
        cell("raise RuntimeError('the data')", "other"),
        title="Test",
    )
    found = lesson.networks("99_test")
    assert (found.first, found.Net.name) == (1, "Größe")
    assert lesson.networks("99_test") is found
    net = lesson.build("99_test")
    assert net(torch.zeros(2, 3, 8, 8)).shape == (2, 10)
    assert type(pickle.loads(pickle.dumps(net))) is found.Net, "found by its name, as of any module"
    assert lesson.metadata("99_test") == {"title": "Test"}


def test_the_notebooks_with_a_network_are_those_on_disk(course):
    course("98_first", cell(NETWORK, "network"))
    course("99_second", cell(NETWORK, "network"))
    course("00_none", cell("x = 1"))
    course("draft", cell(NETWORK, "network"))
    course("98_first-Copy1", cell(NETWORK, "network"))  # JupyterLab's Duplicate
    course("98_first (1)", cell(NETWORK, "network"))  # downloaded again
    assert lesson.notebooks() == ["98_first", "99_second"]
    with pytest.raises(ValueError, match="98_first, 99_second"):
        lesson.networks("97_missing")


def test_cells_that_fail_leave_no_module_and_show_their_line(course):
    course("99_test", cell("import torch", "network"), cell("x = 1\nx.no_such_thing", "network"))
    for _ in range(2):
        with pytest.raises(AttributeError) as caught:
            lesson.networks("99_test")
        assert "lesson_99_test" not in sys.modules
    shown = "".join(traceback.format_exception(caught.value))
    assert "    x.no_such_thing\n" in shown
    course("99_test", cell(NETWORK, "network"))
    assert lesson.build("99_test")


# --- weights --------------------------------------------------------------------------------------


def test_own_weights_come_first_then_the_courses(course, tmp_path, capsys):
    own, shipped, net = nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2)
    folder = tmp_path / "runs" / "99_test"
    with pytest.raises(CheckpointError, match="99_test"):
        lesson.load_trained(net, folder)
    lesson.save_weights(shipped, tmp_path / "checkpoints_dir" / "99_test.safetensors")
    lesson.load_trained(net, folder)
    assert torch.equal(net.weight, shipped.weight)
    lesson.save_weights(own, folder / "weights.safetensors")
    lesson.load_trained(net, folder)
    assert torch.equal(net.weight, own.weight)
    assert "your own" in capsys.readouterr().out
    lesson.load_trained(net, folder, own=False)
    assert torch.equal(net.weight, shipped.weight)
    (tmp_path / "checkpoints_dir" / "99_test.safetensors").unlink()
    lesson.load_trained(net, folder, own=False)
    assert torch.equal(net.weight, own.weight), "the network is not trained yet"


def course_run(tmp_path, net: nn.Module, name: str = "99_test", data: str = "CIFAR-10") -> None:
    """The course's weights and record of a network for images of 8 pixels."""
    lesson.save_weights(net, tmp_path / "checkpoints_dir" / f"{name}.safetensors")
    record = {
        "accuracy": 0.75,
        "data": data,
        "train_images": 50_000,
        "epochs": 2,
        "seconds": 120,
        "device": "a GPU",
        "precision": "bfloat16",
        "image_shape": [3, 8, 8],
        "parameters": sum(p.numel() for p in net.parameters()),
        "mult_adds": count(net, (3, 8, 8)).mult_adds[net],
        "by_epoch": {"train_loss": [2.0, 1.0], "test_accuracy": [0.5, 0.75]},
    }
    (tmp_path / "results_dir" / f"{name}.json").write_text(json.dumps(record))


def small_net(width: int = 4, stride: int = 1, classes: int = 10) -> nn.Module:
    pool = nn.AdaptiveAvgPool2d(1)
    conv = nn.Conv2d(3, width, 3, stride)
    return nn.Sequential(conv, pool, nn.Flatten(), nn.Linear(width, classes))


@pytest.mark.parametrize(
    ("data", "net", "why"),
    [
        ("CIFAR-10", small_net(), None),
        ("mine", small_net(classes=2), "another data set"),
        ("mine", small_net(), "another data set"),
        ("CIFAR-10", small_net(width=8), "another network"),
        ("CIFAR-10", small_net(stride=2), "another network"),
    ],
    ids=["the course's", "two classes of one's own", "own data", "wider", "other strides"],
)
def test_own_weights_serve_where_the_courses_do_not(course, tmp_path, capsys, data, net, why):
    shipped, folder = small_net(), tmp_path / data / "99_test"
    course_run(tmp_path, shipped)
    lesson.save_weights(net, folder / "weights.safetensors")
    own = net[0].weight.clone()
    lesson.load_trained(net, folder, own=False)
    printed = capsys.readouterr().out
    assert torch.equal(net[0].weight, shipped[0].weight if why is None else own)
    assert ("your own" in printed) == (why is not None)
    assert why is None or why in printed


def test_own_weights_serve_where_the_courses_have_other_names(course, tmp_path, capsys):
    shipped, folder = small_net(), tmp_path / "CIFAR-10" / "99_test"
    course_run(tmp_path, nn.Sequential(shipped))
    lesson.save_weights(shipped, folder / "weights.safetensors")
    lesson.load_trained(shipped, folder, own=False)
    assert "your own, since the course's are of another network" in capsys.readouterr().out


# --- records --------------------------------------------------------------------------------------


@pytest.fixture
def run(make_set) -> dict:
    """What a notebook has at the end of its section 8, by the names of write_record's arguments."""
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 6 * 6, 3))
    loader, tests = (
        Batches(make_set(30), 8, shuffle=True, flip="alternating"),
        Batches(make_set(12), 8),
    )
    groups = [
        {"params": [net[0].weight], "weight_decay": 0.01},
        {"params": [net[0].bias, *net[2].parameters()]},
    ]
    optimizer = torch.optim.SGD(groups, lr=0.05, momentum=0.9, nesterov=True)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=0.04, total_steps=2 * len(loader)
    )
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
    options = {"verbose": False, "precision": "bfloat16", "device": "cpu"}
    history = train(net, loader, tests, 2, optimizer, criterion, scheduler, **options)
    parts = {
        "net": net,
        "train_loader": loader,
        "history": history,
        "test": evaluate(net, tests, device="cpu"),
    }
    return parts | {"optimizer": optimizer, "criterion": criterion, "scheduler": scheduler}


def strict(path) -> dict:
    """The JSON of a file, by its own rules: no NaN, no Infinity."""

    def refuse(word: str) -> None:
        raise ValueError(f"{word} is no JSON")

    return json.loads(path.read_bytes().decode("utf-8"), parse_constant=refuse)


def test_a_record_holds_what_was_run_and_what_came_out(tmp_path, run):
    record = lesson.write_record(tmp_path / "new" / "record.json", "Small", **run)
    assert strict(tmp_path / "new" / "record.json") == record
    assert b"\r" not in (tmp_path / "new" / "record.json").read_bytes()
    history, test = run["history"], run["test"]
    assert (record["network"], record["data"], record["run"]) == ("Small", "noise", config.run.name)
    assert (record["train_images"], record["test_images"], record["epochs"]) == (30, 12, 2)
    assert record["accuracy"] == test.accuracy
    for k in range(3):
        right = (test.probabilities[test.labels == k].argmax(1) == k).float().mean().item()
        assert record["class_accuracy"][f"class {k}"] == pytest.approx(right)
    assert record["seconds"] == pytest.approx(sum(history.seconds))
    assert record["parameters"] == 3 * 4 * 9 + 4 + 144 * 3 + 3
    assert record["mult_adds"] == 36 * 3 * 9 * 4 + 144 * 3, "of weights, not of biases"
    assert record["threads"] == torch.get_num_threads()
    assert record["precision"] == "bfloat16", "what train() calculated in, not what config says"
    assert record["device"].startswith("CPU")
    assert record["by_epoch"]["test_loss"] == history.test_loss
    assert all(len(values) == 2 for values in record["by_epoch"].values())
    every_tenth = [rates[::10] for rates in history.learning_rates]
    assert record["by_epoch"]["learning_rates"] == [
        pytest.approx(rates, rel=1e-3) for rates in every_tenth
    ]
    assert record["by_epoch"]["height"] == [8, 8]
    settings = record["settings"]
    assert (settings["network"], settings["batch size"], settings["scheduler"]) == (
        "Sequential",
        "8",
        "OneCycleLR",
    )
    assert "alternating" in settings["augmentation"]
    assert {"nesterov True", "max_lr 0.04", "weight_decay 0.01"} <= set(
        settings["setting of the optimizer"].splitlines()
    )
    assert "label_smoothing 0.1" in settings["setting of the loss"]


def test_a_class_without_images_and_a_lost_loss_are_null(tmp_path, make_set):
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 3))
    tests = make_set(12)
    test = evaluate(net, Batches(tests.subset(torch.nonzero(tests.labels < 2).flatten()), 8))
    history = History()
    history.append(train_loss=float("nan"), test_loss=float("inf"), seconds=1.0)
    parts = (
        net,
        Batches(tests, 8),
        history,
        test,
        torch.optim.SGD(net.parameters(), 0.3),
        nn.CrossEntropyLoss(),
    )
    lesson.write_record(tmp_path / "record.json", "Small", *parts)
    record = strict(tmp_path / "record.json")
    assert record["class_accuracy"]["class 2"] is None
    assert record["by_epoch"]["train_loss"] == record["by_epoch"]["test_loss"] == [None]
    assert record["settings"]["learning rate"] == "[0.3]"


def test_a_run_with_a_dataloader_has_a_record(tmp_path, run):
    loader = DataLoader(TensorDataset(torch.randn(30, 3, 8, 8), torch.arange(30) % 3), batch_size=8)
    record = lesson.write_record(
        tmp_path / "record.json", "Small", **run | {"train_loader": loader}
    )
    assert (record["data"], record["train_images"], record["settings"]["batch size"]) == (
        None,
        30,
        "8",
    )
    assert list(record["class_accuracy"]) == ["0", "1", "2"]


def test_a_record_that_cannot_be_written_is_a_warning(tmp_path, run, capsys):
    (tmp_path / "file").write_text("no folder")
    assert lesson.write_record(tmp_path / "file" / "record.json", "Small", **run)["epochs"] == 2
    assert "WARNING" in capsys.readouterr().out


def test_the_commit_is_the_courses_own(tmp_path, monkeypatch):
    course = tmp_path / "course"
    course.mkdir()
    (course / "a.txt").write_text("1")

    def git(*words: str) -> str:
        you = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false"]
        return subprocess.run(
            ["git", *you, *words], check=True, capture_output=True, text=True
        ).stdout.strip()

    monkeypatch.setattr(config, "root", course.resolve())
    git(
        "-C", str(tmp_path), "init", "-q"
    )  # somebody's own repository, around the course from a ZIP
    git("-C", str(tmp_path), "commit", "-q", "--allow-empty", "-m", "mine")
    assert records._commit() is None
    git("-C", str(course), "init", "-q")
    git("-C", str(course), "add", "a.txt")
    git("-C", str(course), "commit", "-q", "-m", "the course")
    assert records._commit() == git("-C", str(course), "rev-parse", "HEAD")
    (course / "a.txt").write_text("2")
    assert records._commit() == git("-C", str(course), "rev-parse", "HEAD") + "-dirty"


def test_the_speed_is_the_median_at_full_size(tmp_path, run):
    history = History()
    for height, speed in ((4, 900.0), (8, 300.0), (8, 100.0), (8, 200.0)):
        history.append(height=height, images_per_second=speed, seconds=1.0)
    record = lesson.write_record(tmp_path / "record.json", "Small", **run | {"history": history})
    assert record["images_per_second"] == 200.0


def test_a_record_draws_no_random_numbers(tmp_path, run):
    before = torch.get_rng_state()
    record = lesson.write_record(tmp_path / "record.json", "Small", **run)
    assert torch.equal(torch.get_rng_state(), before)
    assert record["image_shape"] == [3, 8, 8]


def test_a_record_names_the_processor(tmp_path, run, monkeypatch):
    record = lesson.write_record(tmp_path / "record.json", "Small", **run)
    assert record["processor"] is None or len(record["processor"]) > 1
    monkeypatch.setattr(records, "Path", lambda _: tmp_path / "cpuinfo")
    monkeypatch.setattr(records.platform, "processor", lambda: "")
    assert records._processor() is None, "a system that tells nothing"
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: A fast one: 3 GHz\n")
    assert records._processor() == "A fast one: 3 GHz"


# --- the network that is shown --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("run_size", "data", "whose"),
    [("short", "CIFAR-10", "course"), ("full", "CIFAR-10", "own"), ("short", "Emoji-10", "own")],
)
def test_after_a_short_run_the_courses_network_is_shown(
    course, tmp_path, monkeypatch, capsys, run_size, data, whose
):
    monkeypatch.setattr(config, "run", config.RUN_SIZES[run_size])
    course("99_test", cell(NETWORK, "network"))
    net, history = lesson.build("99_test"), History()
    history.append(train_loss=1.0, test_accuracy=0.4)
    folder = tmp_path / data / "99_test"
    assert lesson.network_to_show(net, history, folder) == (net, history), "it is not trained yet"
    shipped = lesson.build("99_test")
    course_run(tmp_path, shipped)
    shown, curve = lesson.network_to_show(net, history, folder)
    printed = capsys.readouterr().out
    assert "40.00%" in printed
    if whose == "own":
        assert (shown, curve) == (net, history)
        assert ("another data set" in printed) == (run_size == "short")
    else:
        assert torch.equal(shown[0].weight.cpu(), shipped[0].weight)
        assert (len(curve), curve.test_accuracy) == (2, [0.5, 0.75])
        assert (curve.device, curve.precision) == ("a GPU", "bfloat16")
        assert "75.00% after 2 epochs on all 50,000 images, 2 minutes on a GPU." in printed
    assert max(map(len, printed.splitlines())) <= 100


@pytest.mark.parametrize("saved", [True, False], ids=["saved", "not saved"])
def test_a_network_that_was_edited_is_shown_itself(course, tmp_path, monkeypatch, capsys, saved):
    monkeypatch.setattr(config, "run", config.RUN_SIZES["short"])
    course("99_test", cell(NETWORK, "network"))
    course_run(tmp_path, lesson.build("99_test"))
    lesson.networks.cache_clear()
    edited = NETWORK.replace("4 * 6", "5 * 6").replace("(3, 4, 3)", "(3, 5, 3)")
    course("99_test", cell(edited, "network"))
    net, history = lesson.build("99_test"), History()
    if not saved:
        course("99_test", cell(NETWORK, "network"))
        lesson.networks.cache_clear()
    history.append(test_accuracy=0.4)
    folder = tmp_path / "CIFAR-10" / "99_test"
    assert lesson.network_to_show(net, history, folder) == (net, history)
    assert "yours, since the course's are of another network" in capsys.readouterr().out


# --- counting and comparing -----------------------------------------------------------------------


def test_the_table_of_stages_counts(capsys):
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.Conv2d(4, 8, 3, 2, 1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(8 * 16, 10),
    ).train()
    lesson.stage_table(net, {"stem": net[0], "stage 1": net[1:3], "head": net[3:]}, (3, 8, 8))
    stem, stage, head, together = (
        line.split() for line in capsys.readouterr().out.splitlines()[1:]
    )
    assert stem[:5] == ["stem", "4", "8", "×", "8"]
    assert stage[2:6] == ["8", "4", "×", "4"]
    assert head[1:5] == ["10", "1", "×", "1"]
    assert "296" in stage, "8 * 4 * 9 weights and 8 biases"
    assert float(stem[-2]) == pytest.approx(64 * 3 * 4 * 9 / 1e6, abs=0.01)
    assert together[1] == f"{sum(p.numel() for p in net.parameters()):,}"
    assert net.training


class Attention(nn.Module):
    """Attention over tokens [N, 25, 4], once in PyTorch's own layer and once by its function."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.MultiheadAttention(4, 2, bias=False, batch_first=True)
        self.head = nn.Linear(4, 8, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.layer(x, x, x, need_weights=False)[0]
        x = nn.functional.scaled_dot_product_attention(x, x, x)
        return self.head(x)


def test_multiply_adds_of_tokens_and_attention():
    net = Attention().train()
    fast = torch.backends.mha.get_fastpath_enabled()
    counted = count(net, (25, 4))
    products = 2 * 25 * 25 * 4  # queries times keys, and their shares times values
    assert counted.mult_adds[net.head] == 25 * 4 * 8
    assert counted.mult_adds[net.layer] == 4 * 25 * 4 * 4 + products
    assert counted.mult_adds[net] == 25 * 4 * 8 + 4 * 25 * 4 * 4 + 2 * products
    assert torch.backends.mha.get_fastpath_enabled() == fast
    assert net.training


def test_tokens_in_the_table_of_stages(capsys):
    net = nn.Sequential(nn.Linear(4, 8, bias=False), nn.ReLU(), nn.Linear(8, 6, bias=False))
    lesson.stage_table(net, {"first": net[:2], "second": net[2]}, (25, 4))
    first, second, together = capsys.readouterr().out.splitlines()[1:]
    assert first.split()[:4] == ["first", "8", "25", "32"]
    assert second.split()[:4] == ["second", "6", "25", "48"]
    assert together.split() == ["together", "80", "0.00"]


def test_a_part_that_no_image_comes_through_is_named():
    net = nn.Sequential(nn.Linear(4, 8))
    with pytest.raises(ValueError, match="Tanh"):
        lesson.stage_table(net, {"other": nn.Tanh()}, (25, 4))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("05_resnet", 40_551_040),
        ("08_senet", 555_509_760),
        ("10_mobilenet_v2", 87_976_448),
        ("13_shufflenet_v2", 45_002_112),
    ],
)
def test_multiply_adds_of_the_courses_networks(name, expected):
    net = lesson.build(name)
    assert count(net, (3, 32, 32)).mult_adds[net] == expected


def test_multiply_adds_of_a_part_and_of_a_network_without_numbers():
    conv = nn.Conv2d(4, 8, 3, padding=1, groups=2)
    assert lesson.multiply_adds(conv, (4, 5, 6)) == 5 * 6 * 9 * 8 * 2
    with torch.device("meta"):
        net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Flatten(), nn.Linear(4 * 64 * 64, 10))
    assert lesson.multiply_adds(net, (3, 64, 64)) == 64 * 64 * 4 * (3 + 10)


@pytest.mark.parametrize("name", lesson.notebooks())
def test_the_courses_weights_serve_for_the_network_of_their_notebook(name):
    record = lesson.read_record(name)
    if record is not None:  # else it is not trained yet
        folder = config.runs_dir / "short" / record["data"] / name
        assert lesson._why_not_the_courses(lesson.build(name), folder) is None


def test_lesson_exports_what_notebooks_use():
    assert {"load_trained", "network_to_show", "stage_table"} <= set(lesson.__all__)
    for name in lesson.__all__:
        assert hasattr(lesson, name), name


def test_the_table_of_peers_marks_one_and_leaves_out_other_data_sets(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(config, "results_dir", tmp_path)
    monkeypatch.setattr(lesson, "notebooks", lambda: ["01_a", "02_b", "03_c", "04_d"])
    same = {"parameters": 62_006, "mult_adds": 651_720}
    for name, data, accuracy, heights in (
        ("01_a", "CIFAR-10", 0.6886, [32] * 12),
        ("02_b", "MNIST", 0.9949, [32] * 5),
        ("03_c", "CIFAR-10", 0.905, [24, 24, 32]),
    ):
        record = {"network": f"Net {name}", "data": data, "accuracy": accuracy}
        record |= same | {"by_epoch": {"height": heights}}
        (tmp_path / f"{name}.json").write_text(json.dumps(record), encoding="utf-8")

    lesson.peer_table("03_c")
    header, first, last = capsys.readouterr().out.splitlines()
    assert header.split()[:3] == ["accuracy", "parameters", "multiply-adds"]
    assert " ".join(first.split()) == "Net 01_a 68.86 % 62,006 0.7 M 12 at 32"
    assert " ".join(last.split()) == "→ Net 03_c 90.50 % 62,006 0.7 M 2 at 24, 1 at 32"

    lesson.peer_table("04_d")  # not trained yet
    assert len(capsys.readouterr().out.splitlines()) == 3
    lesson.peer_table("02_b")
    assert "→ Net 02_b" in capsys.readouterr().out
