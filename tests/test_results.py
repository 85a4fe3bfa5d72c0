"""Records, weights that come with the course, and the README's table: do they belong together, and are they true?

The last test computes every accuracy of the table again, from the weights and the real test sets; it takes some
minutes and is skipped where the data is not there. By hand, with the data in data/:

    .venv/bin/python -m pytest tests/test_results.py -rs
"""

import json
import re

import pytest
import torch
from torch import nn

from utils import config, results
from utils.checkpoint import CheckpointError, load_weights, read_file, save_weights
from utils.data import Batches
from utils.results import ResultsError
from utils.train import evaluate, train

PUBLISHED = [name for name in results.NETWORKS if (config.results / f"{name}.json").is_file()]
SHIPPED_LIMIT = 60e6  # bytes


@pytest.fixture
def elsewhere(monkeypatch, tmp_path):
    """The course's folders, empty, so that a test neither reads nor writes the real ones."""
    for name in ("results", "checkpoints", "runs_dir"):
        monkeypatch.setattr(config, name, tmp_path / name)
        (tmp_path / name).mkdir()
    return tmp_path


@pytest.fixture
def small_run(make_set):
    """What a notebook has at the end of its section 8, for a network of one convolution."""
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 6 * 6, 3))
    train_loader, test_loader = Batches(make_set(30), 8, shuffle=True, flip=True), Batches(make_set(12), 8)
    optimizer = torch.optim.SGD(
        [{"params": [net[0].weight], "weight_decay": 0.01}, {"params": list(net[2].parameters())}],
        lr=0.05,
        momentum=0.9,
        nesterov=True,
    )
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.04, total_steps=2 * len(train_loader))
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
    history = train(net, train_loader, test_loader, 2, optimizer, criterion, scheduler, verbose=False)
    test = evaluate(net, test_loader)
    return net, train_loader, history, test, optimizer, criterion, scheduler


# --- records --------------------------------------------------------------------------------------------------


def test_a_record_holds_what_was_run_and_what_came_out(elsewhere, small_run):
    net, _, history, test, *_ = small_run
    path = elsewhere / "runs" / "record.json"
    record = results.write_record(path, "Small", *small_run)
    assert json.loads(path.read_text(encoding="utf-8")) == json.loads(json.dumps(record))
    assert (record["network"], record["data"], record["run"]) == ("Small", "noise", config.run.name)
    assert (record["train_images"], record["test_images"], record["epochs"]) == (30, 12, 2)
    assert record["accuracy"] == test.accuracy
    for k in range(3):
        chosen = test.labels == k
        right = (test.probabilities[chosen].argmax(1) == k).float().mean().item()
        assert record["class_accuracy"][f"class {k}"] == pytest.approx(right)
    assert record["by_epoch"]["test_loss"] == history.test_loss
    assert record["seconds"] == pytest.approx(sum(history.seconds))
    assert record["parameters"] == 3 * 4 * 9 + 4 + 144 * 3 + 3
    assert record["mult_adds"] == 36 * (3 * 9 * 4 + 4) + 144 * 3 + 3
    assert record["versions"]["torch"] == torch.__version__
    assert record["device"] == config.device_name()
    assert record["precision"] == ("float32" if config.device.type == "cpu" else record["precision"])
    assert record["commit"] is None or re.fullmatch(r"[0-9a-f]{40}", record["commit"])


def test_the_settings_are_those_of_the_objects_that_trained(elsewhere, small_run):
    settings = results.write_record(elsewhere / "record.json", "Small", *small_run)["settings"]
    assert settings == {
        "batch_size": 8,
        "crop_padding": 0,
        "flip": True,
        "cutout": 0,
        "resize": None,
        "optimizer": "SGD",
        "peak_learning_rate": 0.04,
        "momentum": [0.85, 0.95],
        "nesterov": True,
        "weight_decay": [0.01, 0],
        "scheduler": "OneCycleLR",
        "label_smoothing": 0.1,
    }


def test_without_a_scheduler_the_learning_rate_is_the_optimizers(elsewhere, small_run):
    net, train_loader, history, test, _, criterion, _ = small_run
    plain = torch.optim.SGD(net.parameters(), lr=0.3)
    record = results.write_record(
        elsewhere / "record.json", "Small", net, train_loader, history, test, plain, criterion
    )
    assert record["settings"]["peak_learning_rate"] == 0.3
    assert (record["settings"]["scheduler"], record["settings"]["momentum"]) == (None, 0)


def test_a_missing_record_is_one_sentence(elsewhere):
    with pytest.raises(ResultsError, match="There is no record .*99_none.json: do a full run"):
        results.read_record("99_none")


# --- what the notebooks print and load ------------------------------------------------------------------------


def test_your_own_weights_come_first_then_the_courses(elsewhere, capsys):
    own, shipped = nn.Linear(2, 2), nn.Linear(2, 2)
    save_weights(shipped, elsewhere / "checkpoints" / "small.pt")
    net = nn.Linear(2, 2)
    results.load_trained(net, "99_small")
    assert torch.equal(net.weight, shipped.weight)
    assert re.fullmatch(r"Weights: the course's, .*checkpoints.small\.pt\.\n", capsys.readouterr().out)

    save_weights(own, elsewhere / "runs_dir" / config.run.name / "99_small" / "weights.pt")
    results.load_trained(net, "99_small")
    assert torch.equal(net.weight, own.weight)
    assert capsys.readouterr().out.startswith("Weights: your own, ")
    results.load_trained(net, "99_small", own=False)
    assert torch.equal(net.weight, shipped.weight)


def test_no_weights_at_all_is_an_error_that_says_so(elsewhere):
    with pytest.raises(CheckpointError, match=r"There is no file .*none\.pt: train the network first"):
        results.load_trained(nn.Linear(2, 2), "99_none")


def test_the_result_stands_beside_its_peers(elsewhere, capsys):
    record = {"accuracy": 0.75, "data": "CIFAR-10", "train_images": 50_000, "epochs": 4, "device": "a GPU"}
    (elsewhere / "results" / "99_small.json").write_text(json.dumps(record))
    tutorials = {"99_small": {"accuracy": 0.5, "epochs": 10, "variant": ", twisted"}}
    (elsewhere / "results" / "tutorials.json").write_text(json.dumps(tutorials))
    results.compare_results("99_small", 0.625, "noise", 3)
    assert capsys.readouterr().out.splitlines() == [
        f"this run: 62.50% on noise, {config.run.name} run, epochs: 3",
        "the course's weights: 75.00% on CIFAR-10, 50,000 images, epochs: 4, a GPU",
        "the tutorial, twisted: 50.00%, all images, epochs: 10",
    ]
    results.compare_results("99_other", 0.625, "noise", 3)
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_the_recipe_is_printed_with_differences_in_points(elsewhere, capsys):
    setting = {"network": "Small", "training_images": 10_000, "held_out_images": 5_000, "epochs": 5}
    record = {"setting": setting, "held_out_accuracy": {"as it is": 0.5, "hotter": 0.4825}}
    (elsewhere / "results" / "recipe_99_small.json").write_text(json.dumps(record))
    results.show_recipe("99_small")
    first, *lines = capsys.readouterr().out.splitlines()
    assert first.startswith("Small, 10,000 training images, 5 epochs; accuracy on 5,000 held-out")
    assert [line.split(maxsplit=2) for line in lines] == [
        ["50.00%", "+0.00", "as it is"],
        ["48.25%", "-1.75", "hotter"],
    ]


# --- publishing -----------------------------------------------------------------------------------------------


@pytest.fixture
def published(elsewhere, small_run, make_set, monkeypatch):
    """A full run of a small network on `noise` under the name of a real data set, ready to be published."""
    net, *_ = small_run
    folder = elsewhere / "runs_dir" / "full" / "99_small"
    record = results.write_record(folder / "record.json", "Small", *small_run)
    (folder / "record.json").write_text(json.dumps(record | {"data": "CIFAR-10", "train_images": 50_000}))
    save_weights(net, folder / "weights.pt")
    monkeypatch.setitem(results.NETWORKS, "99_small", lambda: type(net)(nn.Conv2d(3, 4, 3), *net[1:]))
    monkeypatch.setattr(results, "_test_loader", lambda record: Batches(make_set(12), 8))
    return folder


def test_publishing_ships_half_precision_and_the_record(elsewhere, published, small_run):
    net, _, _, test, *_ = small_run
    results.publish("99_small")
    weights = read_file(elsewhere / "checkpoints" / "small.pt")
    assert {tensor.dtype for tensor in weights.values()} == {torch.float16}
    assert (weights["0.weight"].float() - net[0].weight).abs().max() < 1e-3
    record = results.read_record("99_small")
    assert record["accuracy"] == test.accuracy
    assert abs(record["float16_accuracy"] - record["accuracy"]) < 0.0005
    assert results.recompute("99_small") == (record["float16_accuracy"], 12)


def test_a_short_run_is_not_published(elsewhere, published):
    record = json.loads((published / "record.json").read_text())
    (published / "record.json").write_text(json.dumps(record | {"train_images": 5_000}))
    with pytest.raises(ResultsError, match="99_small was trained on 5000 images of CIFAR-10: use all"):
        results.publish("99_small")
    assert not list((elsewhere / "checkpoints").iterdir())


def test_weights_that_half_precision_spoils_are_not_published(elsewhere, published, monkeypatch):
    accuracies = iter([0.9, 0.8994])
    found = type("Found", (), {})
    monkeypatch.setattr(
        results, "evaluate", lambda *_, **__: setattr(found, "accuracy", next(accuracies)) or found
    )
    with pytest.raises(ResultsError, match="float16 costs 99_small 0.06 points: ship float32"):
        results.publish("99_small")


def test_a_readme_without_the_marks_is_not_overwritten(monkeypatch, tmp_path):
    monkeypatch.setattr(config, "root", tmp_path)
    (tmp_path / "README.md").write_text("# Nothing\n")
    with pytest.raises(ResultsError, match="README.md has no lines"):
        results.write_readme()
    assert (tmp_path / "README.md").read_text() == "# Nothing\n"


# --- what is in the course now --------------------------------------------------------------------------------


def test_every_notebook_with_a_network_has_a_result():
    notebooks = {path.stem for path in (config.root / "notebooks").glob("[0-9]*.ipynb")} - {"00_start_here"}
    assert notebooks == set(PUBLISHED)


def test_the_readmes_table_is_the_one_that_the_program_writes():
    text = (config.root / "README.md").read_text(encoding="utf-8")
    assert results.BEGIN + "\n" + results.table() + "\n" + results.END in text, (
        "run python -m utils.results, which writes it again"
    )


def test_the_figure_names_what_the_table_names():
    drawing = (config.results / "accuracy.svg").read_text(encoding="utf-8")
    for name in PUBLISHED:
        record = results.read_record(name)
        if record["data"] == "CIFAR-10":
            assert f"{record['network']} ({record['epochs']} epochs)" in drawing, (
                "run python -m utils.results"
            )


def test_the_picture_is_the_notebooks():
    assert (config.results / "predictions.jpg").read_bytes() == results.picture(), (
        "run python -m utils.results"
    )


def test_the_weights_stay_small():
    files = list(config.checkpoints.glob("*.pt"))
    assert sum(path.stat().st_size for path in files) <= SHIPPED_LIMIT
    assert {path.name for path in files} == {results.shipped_weights(name).name for name in PUBLISHED}


@pytest.mark.parametrize("name", PUBLISHED)
def test_weights_are_of_the_network_in_half_precision(name):
    net = results.NETWORKS[name]()
    load_weights(net, results.shipped_weights(name))
    record = results.read_record(name)
    assert sum(p.numel() for p in net.parameters()) == record["parameters"]
    types = {t.dtype for t in read_file(results.shipped_weights(name)).values()}
    assert types <= {torch.float16, torch.int64}
    assert all(t.isfinite().all() for t in net.state_dict().values())


@pytest.mark.parametrize("name", PUBLISHED)
def test_records_are_of_full_runs_on_real_data_and_agree_with_themselves(name):
    record = results.read_record(name)
    assert record["run"] == "full"
    assert (record["data"], record["train_images"]) in (("CIFAR-10", 50_000), ("MNIST", 60_000))
    assert record["test_images"] == 10_000
    assert record["accuracy"] == pytest.approx(record["by_epoch"]["test_accuracy"][-1])  # the last epoch's
    assert record["epochs"] == len(record["by_epoch"]["train_loss"])
    mean = sum(record["class_accuracy"].values()) / len(record["class_accuracy"])
    assert mean == pytest.approx(record["accuracy"], abs=0.005)  # classes of MNIST differ in size
    assert abs(record["float16_accuracy"] - record["accuracy"]) < 0.001
    tutorial = json.loads((config.results / "tutorials.json").read_text(encoding="utf-8")).get(name)
    assert tutorial is None or record["accuracy"] > tutorial["accuracy"]


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_accuracy_of_the_table_comes_out_again(name, monkeypatch):
    record = results.read_record(name)
    there = "MNIST" if record["data"] == "MNIST" else "cifar-10-batches-py"
    if not (config.data_dir / there).exists():
        pytest.skip(
            f"{record['data']} is not in {config.relative(config.data_dir)}: nothing was computed again"
        )
    monkeypatch.setattr(config, "run", config.RUN_SIZES["full"])
    monkeypatch.setattr(config, "data_source", "official")
    accuracy, images = results.recompute(name)
    assert images == 10_000
    assert abs(accuracy - record["accuracy"]) <= 0.001, f"{accuracy:.2%}, and the table says otherwise"
