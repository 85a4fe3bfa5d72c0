"""The settings, read as a new process would read them."""

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from utils import config


@pytest.fixture
def read(monkeypatch):
    """Runs config.py once more, under another name and with these COURSE_* variables only."""

    def read(**variables: str) -> ModuleType:
        for name in [name for name in os.environ if name.startswith("COURSE_")]:
            monkeypatch.delenv(name)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        spec = importlib.util.spec_from_file_location("config_read_again", config.__file__)
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        return module

    return read


@pytest.fixture
def accelerators(monkeypatch):
    """Makes torch say which accelerators there are."""

    def set_accelerators(cuda: bool, mps: bool) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return set_accelerators


@pytest.mark.parametrize(
    ("cuda", "mps", "device", "run"),
    [
        (False, False, "cpu", "short"),
        (True, False, "cuda", "full"),
        (False, True, "mps", "full"),
        (True, True, "cuda", "full"),
    ],
)
def test_without_settings_the_fastest_device_is_used_and_a_cpu_does_a_short_run(
    read, accelerators, cuda, mps, device, run
):
    accelerators(cuda, mps)
    found = read()
    assert (found.device, found.run.name) == (torch.device(device), run)
    assert found.data_source == "auto"
    assert found.root == Path(__file__).resolve().parents[1]
    assert found.data_dir == found.root / "data"
    assert found.runs_dir == found.root / "data" / "runs"
    assert found.pictures == found.root / "data" / "images"


@pytest.mark.parametrize(
    ("value", "name", "train", "test", "epochs"),
    [
        ("full", "full", None, None, 30),
        ("short", "short", 5_000, 2_000, 5),
        ("quick", "quick", 256, 128, 1),
        (" Quick ", "quick", 256, 128, 1),
    ],
)
def test_run_sizes(read, value, name, train, test, epochs):
    found = read(COURSE_RUN=value)
    assert found.run == found.RunSize(name, train, test)
    assert found.epochs(full=30, short=5) == epochs


@pytest.mark.parametrize("run", ["full", "short", "quick"])
def test_the_number_of_epochs_can_be_given(read, capsys, run):
    found = read(COURSE_RUN=run, COURSE_EPOCHS=" 3 ")
    assert found.epochs(full=30, short=5) == 3
    found.show("CIFAR-10", epochs=3, full="30 epochs")
    assert ", 3 epochs (COURSE_EPOCHS), on " in capsys.readouterr().out


@pytest.mark.parametrize("value", ["auto", "float32", "bfloat16", "float16", "BFloat16"])
def test_precisions(read, value):
    assert read(COURSE_PRECISION=value).precision == value.lower()
    assert read().precision == "auto"


def test_resuming_is_asked_for_by_a_word(read):
    assert read(COURSE_RESUME="yes").resume is True
    assert read(COURSE_RESUME="no").resume is False
    assert read().resume is False


def test_empty_values_are_no_values(read, accelerators):
    accelerators(cuda=False, mps=False)
    found = read(COURSE_RUN="", COURSE_DEVICE=" ", COURSE_DATA="", COURSE_DATA_DIR="", COURSE_RUNS_DIR=" ")
    assert (found.run.name, found.device.type, found.data_source) == ("short", "cpu", "auto")
    assert found.data_dir == found.root / "data"


@pytest.mark.parametrize("value", ["auto", "official", "sample", "SAMPLE"])
def test_data_sources(read, value):
    assert read(COURSE_DATA=value).data_source == value.lower()


@pytest.mark.parametrize("value", ["cpu", "CPU", "cpu:0"])
def test_the_device_can_be_chosen(read, accelerators, value):
    accelerators(cuda=True, mps=False)
    found = read(COURSE_DEVICE=value)
    assert (found.device.type, found.run.name) == ("cpu", "short")


@pytest.mark.parametrize(
    ("variable", "value", "advice"),
    [
        ("COURSE_RUN", "fast", "set it to full or short or quick, or unset it."),
        ("COURSE_EPOCHS", "0", "set it to 1 or more, or unset it."),
        ("COURSE_EPOCHS", "-1", "set it to 1 or more, or unset it."),
        ("COURSE_EPOCHS", "2.5", "set it to 1 or more, or unset it."),
        ("COURSE_PRECISION", "fp16", "set it to auto or float32 or bfloat16 or float16, or unset it."),
        ("COURSE_RESUME", "maybe", "set it to yes or no, or unset it."),
        ("COURSE_DATA", "samples", "set it to auto or official or sample, or unset it."),
        ("COURSE_DEVICE", "gpu", "set it to cpu, cuda or mps, or unset it."),
        ("COURSE_DEVICE", "cuda:99", "set it to cpu, cuda or mps, or unset it."),
        ("COURSE_DEVICE", "meta", "set it to cpu, cuda or mps, or unset it."),
        ("COURSE_DATA_DIR", "~there-is-no-such-user/data", "give its full path."),
        ("COURSE_RUNS_DIR", "~there-is-no-such-user/data", "give its full path."),
    ],
)
def test_a_wrong_value_gets_one_sentence_that_names_it(read, variable, value, advice):
    with pytest.raises(ValueError, match=".") as caught:
        read(**{variable: value})
    assert type(caught.value).__name__ == "ConfigError"
    assert str(caught.value).startswith(f"{variable}={value.lower()} ")
    assert str(caught.value).endswith(advice)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["COURSE_RUNS", "COURSE_DATADIR", "COURSE_"])
def test_a_misspelt_variable_is_not_passed_over(read, name):
    with pytest.raises(
        ValueError, match="not a setting of the course.*COURSE_RUN, .*correct or unset it"
    ) as caught:
        read(**{name: "quick"})
    assert str(caught.value).startswith(f"{name} ")


def test_folders_can_be_moved(read, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    found = read(COURSE_DATA_DIR="~/sets", COURSE_RUNS_DIR="runs", COURSE_RUN="quick")
    assert found.data_dir == tmp_path / "home" / "sets"
    assert found.runs_dir == tmp_path / "runs"
    assert found.pictures == found.root / "data" / "images"  # belongs to the course, not to the data sets

    assert not found.runs_dir.exists()
    assert found.run_folder("10_mobilenet_v2") == tmp_path / "runs" / "quick" / "10_mobilenet_v2"
    assert found.run_folder("10_mobilenet_v2").is_dir()  # the second time, too


def test_a_runs_folder_that_cannot_be_written_is_an_error_that_says_so(read, tmp_path):
    (tmp_path / "file").write_text("no folder")
    found = read(COURSE_RUNS_DIR=str(tmp_path / "file" / "runs"))
    with pytest.raises(
        ValueError, match="Nothing can be written in .*set COURSE_RUNS_DIR to a folder"
    ) as caught:
        found.run_folder("10_mobilenet_v2")
    assert type(caught.value).__name__ == "ConfigError"


def test_paths_inside_the_course_are_shown_without_the_folders_above_it(tmp_path):
    assert config.relative(config.root / "data" / "runs" / "a.pt") == "data/runs/a.pt"
    assert config.relative(str(config.root / "README.md")) == "README.md"
    assert config.relative(tmp_path / "a.pt") == str(tmp_path / "a.pt")
    assert config.relative("a.pt") == "a.pt"


@pytest.mark.parametrize(
    ("run", "size"),
    [
        ("full", "Full run: all images, 1 epoch, on CPU with "),
        ("short", "Short run: 5,000 training and 2,000 test images, 1 epoch, on CPU with "),
        ("quick", "Quick run: 256 training and 128 test images, 1 epoch, on CPU with "),
    ],
)
def test_show_says_what_this_run_is(read, capsys, run, size):
    read(COURSE_RUN=run, COURSE_DEVICE="cpu").show("CIFAR-10", epochs=1, full="30 epochs, 5 minutes on a GPU")
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(size)
    assert "Data: CIFAR-10, or the built-in sample where it cannot be had." in first
    assert f"torch {torch.__version__}" in first
    assert second.startswith("Full run: 30 epochs, 5 minutes on a GPU. ")
    assert "COURSE_RUN" in second


@pytest.mark.parametrize(
    ("source", "words"), [("official", "Data: CIFAR-10."), ("sample", "Data: the built-in sample.")]
)
def test_show_names_the_data_source(read, capsys, source, words):
    read(COURSE_DATA=source, COURSE_DEVICE="cpu").show("CIFAR-10", epochs=3, full="30 epochs")
    first = capsys.readouterr().out.splitlines()[0]
    assert words in first
    assert ", 3 epochs, " in first
