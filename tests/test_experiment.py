"""Short trainings, the stopwatch, and studies that are kept."""

import json
import math
import time

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR

from utils import config, experiment
from utils.data import Batches
from utils.train import History, evaluate, parameter_groups, train_epoch

pytestmark = pytest.mark.usefixtures("one_thread")


def small() -> nn.Module:
    """A network for images of 8 pixels and three classes."""
    conv, pool = nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1)
    return nn.Sequential(conv, nn.BatchNorm2d(4), nn.ReLU(), pool, nn.Flatten(), nn.Linear(4, 3))


@pytest.fixture
def stopped(monkeypatch) -> None:
    """train() as it returns when the stop button was pressed."""
    monkeypatch.setattr(experiment, "train", lambda *_, **__: History(stopped=True))


# --- short trainings ------------------------------------------------------------------------------


def test_a_trial_is_the_recipe_in_small(make_set):
    train_set, held_out = make_set(30), make_set(12, seed=1)
    options = {"rate": 0.04, "batch_size": 8, "size": 6, "criterion": nn.CrossEntropyLoss()}
    found = experiment.trial(small, train_set, held_out, 2, seed=3, **options)

    torch.manual_seed(3)
    net = small().to(config.device, memory_format=torch.channels_last)
    loader = Batches(
        train_set, 8, shuffle=True, crop_padding=2, flip="alternating", resize=options["size"]
    )
    groups = parameter_groups(net, 5e-4)
    optimizer = torch.optim.SGD(groups, lr=0.04, momentum=0.9, nesterov=True)
    rise = {"pct_start": 0.2, "anneal_strategy": "linear", "cycle_momentum": False}
    scheduler = OneCycleLR(optimizer, 0.04, 2 * len(loader), **rise)
    losses = []
    for epoch in (1, 2):
        loader.set_epoch(epoch)
        losses.append(train_epoch(net, loader, optimizer, options["criterion"], scheduler).loss)
    tested = evaluate(net, Batches(held_out, 250, resize=6))
    assert found.history.train_loss == losses
    assert found.accuracy == tested.accuracy
    assert torch.equal(found.net[0].weight, net[0].weight)


def test_a_trial_without_held_out_images(make_set, capsys):
    found = experiment.trial(small, make_set(30), epochs=1, title="small")
    assert math.isnan(found.accuracy)
    assert "small, seed 1: training loss" in capsys.readouterr().out
    assert experiment.accuracy_on(found.net, make_set(12)) in [k / 12 for k in range(13)]


def test_a_trial_that_is_followed_is_the_same_trial(make_set):
    train_set, held_out = make_set(30), make_set(12, seed=1)
    options = {"epochs": 2, "batch_size": 8, "size": {1: 6, 2: 8}}
    plain = experiment.trial(small, train_set, held_out, **options)
    followed = experiment.trial(small, train_set, held_out, follow=True, **options)
    assert followed.history.train_loss == plain.history.train_loss
    assert math.isnan(plain.history.test_accuracy[0])
    assert followed.history.test_accuracy[-1] == followed.accuracy == plain.accuracy


@pytest.mark.usefixtures("stopped")
def test_the_stop_button_ends_all_trainings_of_a_cell(make_set):
    with pytest.raises(KeyboardInterrupt):
        experiment.trial(small, make_set(30))


@pytest.fixture
def noise(monkeypatch, make_set) -> list:
    """In place of CIFAR-10: 2,000 images and 30 held out; gives the list of what was asked for."""
    asked = []

    def load(validation, run):
        asked.append((validation, run.name))
        return make_set(2_000), make_set(30, seed=1)

    monkeypatch.setattr(experiment, "load_cifar10", load)
    return asked


def test_an_ablation_trains_all_variants_alike(monkeypatch, capsys, noise):
    monkeypatch.setattr(config, "run", config.RUN_SIZES["full"])
    variants = {"a": small, "the same": small}
    result = experiment.ablation(variants, 1, images=60, size=16, batch_size=8, seeds=3)
    printed = capsys.readouterr().out
    assert noise == [(5_000, "full")], "held-out training images, not the test set"
    assert list(result) == ["a", "the same"]
    assert result["a"] == result["the same"], "the same seeds and batches"
    assert len(set(result["a"])) > 1, "each seed is another"
    thirtieths = [accuracy * 30 for accuracy in result["a"]]
    assert thirtieths == pytest.approx([round(part) for part in thirtieths]), "all are looked at"
    assert any(round(part) % 3 for part in thirtieths), "not ten of them"
    assert printed.startswith("6 trainings of 60 images and 1 epoch each, judged on 30 others.\n")
    assert printed.count("mean") == 2


@pytest.mark.parametrize(
    ("size", "images", "others", "trainings"),
    [("full", 1_800, 2_500, 3), ("short", 1_500, 2_000, 2), ("quick", 1_800, 2_500, 1)],
)
def test_an_ablation_shrinks_with_the_run(monkeypatch, make_set, size, images, others, trainings):
    monkeypatch.setattr(config, "run", config.RUN_SIZES[size])
    sets = make_set(2_000), make_set(2_500, seed=1)
    monkeypatch.setattr(experiment, "load_cifar10", lambda validation, run: sets)
    trained = []

    def trial(build, train_set, held_out, epochs, **_):
        trained.append((len(train_set), len(held_out), epochs))
        return experiment.Trial(build(), History(), 0.5)

    monkeypatch.setattr(experiment, "trial", trial)
    experiment.ablation({"a": small}, 4, images=1_800, seeds=3)
    assert trained == [(images, others, 1 if size == "quick" else 4)] * trainings


@pytest.mark.usefixtures("stopped", "noise")
def test_the_stop_button_ends_an_ablation():
    with pytest.raises(KeyboardInterrupt):
        experiment.ablation({"a": small})


# --- the stopwatch --------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch) -> list:
    """A clock that only works move on; gives a function that takes so many seconds."""
    now = [0.0]

    def work(seconds: float):
        def call() -> None:
            now[0] += seconds

        return call

    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(config, "run", config.RUN_SIZES["short"])
    return work


def test_the_stopwatch_compares_each_round_with_the_first_way(clock, capsys):
    found = experiment.stopwatch({"plain": clock(0.25), "twice": clock(0.5)}, rounds=5)
    assert found.seconds == {
        "plain": [0.25] * 5,
        "plain, again": [0.25] * 5,
        "twice": [0.5] * 5,
    }
    assert list(found.ratios) == ["plain, again", "twice"], "the twin first: it is the noise"
    assert found.ratios["twice"] == [2.0] * 5
    header, plain, again, twice = capsys.readouterr().out.splitlines()
    assert header.split()[0] == "ms,"
    assert plain.split() == ["plain", "250.00", "250.00", "to", "250.00"]
    assert again.endswith("1.00 (1.00 to 1.00)  the noise")
    assert twice.endswith("2.00 (2.00 to 2.00)  beyond the noise")


def test_the_stopwatch_gives_no_verdict_inside_the_noise(clock, capsys):
    durations = iter([1.0, 2.0] * 1_000)

    def uneven() -> None:
        clock(next(durations))()

    experiment.stopwatch({"a": uneven, "b": uneven}, rounds=20)
    assert capsys.readouterr().out.splitlines()[-1].endswith("within the noise")


def test_the_stopwatch_takes_another_order_each_round_and_drops_the_first(clock):
    calls = []
    ways = {name: lambda name=name: calls.append(name) for name in "abc"}
    ways = {name: (lambda way=way: (way(), clock(1.0)())) for name, way in ways.items()}
    found = experiment.stopwatch(ways, rounds=8)
    rounds = [tuple(calls[i : i + 4]) for i in range(0, len(calls), 4)]
    assert len(rounds) == 9
    assert all(sorted(order) == ["a", "a", "b", "c"] for order in rounds)
    assert len(set(rounds)) > 3
    assert {len(times) for times in found.seconds.values()} == {8}
    calls.clear()
    experiment.stopwatch(ways, rounds=8)
    again = [tuple(calls[i : i + 4]) for i in range(0, len(calls), 4)]
    assert again == rounds, "the same orders every time"


def test_the_stopwatch_can_tell_speeds(clock, capsys):
    ways = {"small": clock(1.0), "large": clock(2.0)}
    found = experiment.stopwatch(ways, rounds=3, work={"small": 1e9, "large": 6e9})
    assert found.ratios["large"] == [3.0] * 3, "three times as many operations a second"
    header, small_row, *_ = capsys.readouterr().out.splitlines()
    assert "billions/s" in header
    assert small_row.split()[1] == "1.00"


def test_the_stopwatch_leaves_no_threads_behind_when_it_is_stopped():
    before, seen = torch.get_num_threads(), []

    def stop() -> None:
        seen.append(torch.get_num_threads())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        experiment.stopwatch({"a": stop}, threads=before + 1)
    assert seen == [before + 1]
    assert torch.get_num_threads() == before


def test_a_quick_run_has_two_rounds():
    calls = []
    found = experiment.stopwatch({"a": lambda: calls.append(1)}, rounds=60)
    assert len(found.seconds["a"]) == 2
    assert len(calls) == 2 * 3, "and one that warms up, for it and its twin"


def test_there_has_to_be_something_to_time():
    with pytest.raises(ValueError, match="at least one"):
        experiment.stopwatch({})


# --- studies --------------------------------------------------------------------------------------


def test_a_study_keeps_each_run_and_goes_on_where_it_was(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(config, "results_dir", tmp_path)
    path, asked = tmp_path / "study_gates.json", []

    def measure(seed: int) -> dict:
        asked.append(seed)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return {"accuracy": seed / 10, "train_loss": [2.0, float("nan")], "minutes": 7}

    variants = {"gates": measure, "none": measure}
    setting = {"network": "ResNet-20", "sides": (24, 32)}
    with pytest.raises(KeyboardInterrupt):
        experiment.study(path, setting, variants, (1, 2))
    assert len(json.loads(path.read_text())["entries"]) == 2
    experiment.study(path, setting, variants, (1, 2))
    experiment.study(path, setting, variants, (1, 2))
    assert asked == [1, 1, 2, 2, 2], "seed by seed, and nothing twice but what was stopped"
    assert "gates, seed 2: 20.00%, 7.0 minutes" in capsys.readouterr().out

    found = experiment.read_study("gates")
    assert found.setting["sides"] == [24, 32]
    assert found.values() == {"gates": [0.1, 0.2], "none": [0.1, 0.2]}
    assert found.values("train_loss")["none"] == [[2.0, None], [2.0, None]]
    assert {"variant", "seed", "device", "threads"} <= found.runs["gates"][0].keys()
    with pytest.raises(ValueError, match="another file"):
        experiment.study(path, setting | {"sides": 32}, variants, (3,))


def test_a_study_is_printed_with_rates_means_and_seeds(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(config, "results_dir", tmp_path)
    setting = {"network": "N", "training_images": 45_000, "held_out_images": 5_000, "epochs": 15}
    reached = {"gates": (0.5, 0.6), "no gates at all": (0.25, 0.5)}
    variants = {
        name: lambda seed, name=name: {"accuracy": reached[name][seed - 1], "rate": 0.2}
        for name in reached
    }
    experiment.study(tmp_path / "study_gates.json", setting, variants, (1, 2))
    capsys.readouterr()
    found = experiment.read_study("gates")
    assert found.percent() == {"gates": [50, 60], "no gates at all": [25, 50]}
    experiment.study_table(found)
    first, gates, none = capsys.readouterr().out.splitlines()
    assert first == "N: 45,000 images to learn from, 5,000 held out, 15 epochs."
    assert gates == "gates            rate 0.2    mean 55.00 %   seed by seed 50.00  60.00"
    assert none == "no gates at all  rate 0.2    mean 37.50 %   seed by seed 25.00  50.00"


def test_two_programs_can_share_a_study(tmp_path):
    path = tmp_path / "study.json"

    def other_program(_: int) -> dict:
        experiment.study(path, {}, {"b": lambda _: {"accuracy": 0.2}}, (1,))
        return {"accuracy": 0.1}

    experiment.study(path, {}, {"a": other_program, "b": other_program}, (1,))
    entries = json.loads(path.read_text())["entries"]
    assert [entry["variant"] for entry in entries] == ["b", "a"]


def test_the_courses_studies_can_be_read():
    names = [path.stem.removeprefix("study_") for path in config.results_dir.glob("study_*.json")]
    assert names
    for name in names:
        values = experiment.read_study(name).values()
        assert all(0 < value < 1 for accuracies in values.values() for value in accuracies), name
