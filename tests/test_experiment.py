"""Short trainings, the stopwatch, and studies that are kept."""

import json

import pytest

from utils import config, experiment

pytestmark = pytest.mark.usefixtures("one_thread")


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
