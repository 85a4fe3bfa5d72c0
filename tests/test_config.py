"""The settings, read as a new process would read them."""

import ctypes
import importlib.util
import os
import re
import sys
from pathlib import Path
from types import ModuleType
from unittest.mock import Mock

import pytest
import torch
from torch import nn

from utils import config
from utils.machinery import precision


@pytest.fixture
def read(monkeypatch):
    """Runs config.py once more, with these variables only, on a machine with these GPUs."""

    def read(cuda: bool = False, mps: bool = False, **variables: str) -> ModuleType:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
        for name in list(os.environ):
            if name.upper().startswith("COURSE") or name == "LOCAL_RANK":
                monkeypatch.delenv(name)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        spec = importlib.util.spec_from_file_location("config_read_again", config.__file__)
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        return module

    return read


@pytest.mark.parametrize(
    ("machine", "device", "run"),
    [
        ({}, "cpu", "short"),
        ({"cuda": True, "mps": True}, "cuda", "full"),
        ({"mps": True}, "mps", "full"),
        ({"cuda": True, "LOCAL_RANK": "1"}, "cuda:1", "full"),
        ({"mps": True, "LOCAL_RANK": "1"}, "cpu", "short"),
        ({"cuda": True, "COURSE_DEVICE": " CPU "}, "cpu", "short"),
    ],
)
def test_the_fastest_device_is_tried_and_a_cpu_does_a_short_run(
    read, monkeypatch, machine, device, run
):
    tried = []
    monkeypatch.setattr(
        torch, "ones", lambda *_, device: tried.append(str(device)) or torch.zeros(1)
    )
    found = read(**machine)
    assert (str(found.device), found.run.name, tried) == (device, run, [device])


def test_a_gpu_that_does_not_work_leaves_the_cpu_and_one_line(read, capsys):
    if torch.cuda.is_available():
        pytest.skip("the GPU here works")
    assert read(cuda=True).device.type == "cpu"
    assert len(capsys.readouterr().out.splitlines()) == 1
    with pytest.raises(ValueError, match="COURSE_DEVICE"):
        read(COURSE_DEVICE="cuda")


def test_empty_values_are_no_values(read):
    found = read(
        COURSE_RUN="", COURSE_DEVICE=" ", COURSE_EPOCHS="", COURSE_DATA_DIR="", COURSE_RUNS_DIR=" "
    )
    assert (found.run.name, found.precision, found.resume) == ("short", "auto", False)
    assert (found.root, found.data_dir) == (
        Path(__file__).resolve().parents[1],
        found.root / "data",
    )
    assert found.runs_dir == found.root / "data" / "runs"


@pytest.mark.parametrize(
    ("value", "images", "epochs"),
    [("full", (None, None), 30), ("short", (5_000, 2_000), 5), (" Quick ", (32, 32), 1)],
)
def test_run_sizes(read, capsys, value, images, epochs):
    found = read(COURSE_RUN=value)
    assert found.run[1:] == images
    assert found.epochs(full=30, short=5) == epochs
    assert read(COURSE_RUN=value, COURSE_EPOCHS=" 3 ").epochs(full=30, short=5) == 3
    found.show("CIFAR-10", epochs, "30 epochs, 5 minutes on a GPU")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{value.strip().capitalize()} run: ")
    assert f", {epochs} epoch{'s' * (epochs > 1)}, on CPU with " in lines[0]
    assert "A full run: 30 epochs, 5 minutes on a GPU." in lines
    assert "%env COURSE_RUN=full" in " ".join(lines)
    assert "set COURSE_RUN before Jupyter starts" in " ".join(lines)


def test_long_lines_are_broken_at_100_columns(read, capsys):
    found = read(COURSE_RUN="short", COURSE_PRECISION="bfloat16")
    found.device_name = lambda device: (
        "NVIDIA A device with a name that is very long indeed (rev. 2)"
    )
    found.show("pictures of my own", 1_000, "a sentence that takes far more than one line, " * 3)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[0].startswith("Short run: 5,000 training and 2,000 test images, 1000 epochs, on ")


def test_the_precision_is_named_where_it_does_not_depend_on_the_network(read, capsys):
    for wanted, named in (
        ("auto", "thread"),
        ("float32", " in float32"),
        ("bfloat16", " in bfloat16"),
    ):
        read(COURSE_DEVICE="cpu", COURSE_PRECISION=wanted).show("MNIST", 1, "a minute")
        before, _, _ = capsys.readouterr().out.partition(".\nData: ")
        assert before.removesuffix("s").endswith(named)


@pytest.mark.parametrize(
    "setting",
    [
        "RUN=fast",
        "EPOCHS=0",
        "EPOCHS=2.5",
        "PRECISION=fp16",
        "RESUME=maybe",
        "DATA=samples",
        "DEVICE=meta",
        "THREADS=0",
        "THREADS=two",
    ],
)
def test_a_wrong_value_is_one_sentence_that_names_it(read, setting):
    variable, value = setting.split("=")
    with pytest.raises(ValueError, match=f"{value}.*(unset|COURSE_DEVICE)[^\n]*$") as caught:
        read(**{f"COURSE_{variable}": value})
    assert type(caught.value).__name__ == "ConfigError"


def test_a_near_miss_is_named_and_a_variable_of_somebody_else_is_not(read, capsys):
    read(COURSE_ID="cs231", COURSE_NAME="vision", COURSES="3", SOURCE_DATA_DIR="/src")
    assert capsys.readouterr().out == ""
    slips = ("COURSE_RUNS", "COURSE_DATADIR", "COURSERUN", "COURSE_EPOCH", "course_device")
    read(**dict.fromkeys(slips, "quick"))
    assert {line.split()[1] for line in capsys.readouterr().out.splitlines()} == set(slips)


def test_all_that_the_text_above_names_is_read_and_the_other_way_round():
    named = re.findall(r"^    (COURSE_\w+)", config.__doc__, re.MULTILINE)
    assert tuple(named) == config.VARIABLES
    source = Path(config.__file__).read_text(encoding="utf-8")
    asked = re.findall(r"_(?:text|choice|number)\(\s*\"(COURSE_\w+)", source)
    assert set(asked) == set(config.VARIABLES)


def test_a_variable_that_comes_too_late_is_named(read, monkeypatch, capsys):
    found = read(COURSE_RUN="short", COURSE_DATA="auto")
    found.show("MNIST", 1, "a minute")
    assert "WARNING" not in capsys.readouterr().out
    monkeypatch.setenv("COURSE_RUN", "full")
    monkeypatch.setenv("COURSE_EPOCHS", "2")
    monkeypatch.setenv("COURSE_RUNDIR", "here")
    monkeypatch.delenv("COURSE_DATA")
    found.show("MNIST", 1, "a minute")
    _, printed = capsys.readouterr().out.split("Jupyter starts.\n")
    assert "COURSE_RUNDIR is no setting of the course" in printed
    assert "COURSE_DATA, COURSE_EPOCHS, COURSE_RUN have changed" in printed
    assert "restart the kernel" in printed


def test_threads_are_those_that_were_asked_for(read, monkeypatch):
    monkeypatch.setattr(torch, "set_num_threads", asked := Mock())
    read()
    assert not asked.called
    read(COURSE_THREADS=" 3 ")
    asked.assert_called_once_with(3)


def test_folders_can_be_moved_and_relative_ones_count_from_the_root(read, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(tmp_path / "home"))
    found = read(COURSE_DATA_DIR="~/sets", COURSE_RUNS_DIR="my/runs")
    assert found.data_dir == tmp_path / "home" / "sets"
    assert found.runs_dir == found.root / "my" / "runs"
    found = read(COURSE_RUNS_DIR=str(tmp_path), COURSE_RUN="quick")
    folders = [
        found.run_folder("10_mobilenet_v2", data) for data in ("CIFAR-10", "Emoji-10", "Emoji-10")
    ]
    assert folders[0] != folders[1] == folders[2]
    assert all(folder.is_dir() and folder.is_relative_to(tmp_path / "quick") for folder in folders)
    with pytest.raises(ValueError, match="COURSE_RUNS_DIR"):
        read(COURSE_RUNS_DIR=__file__).run_folder("10_mobilenet_v2", "CIFAR-10")


def test_paths_inside_the_course_are_shown_without_the_folders_above_it(tmp_path):
    assert config.relative(config.root / "data" / "runs" / "a.pt") == "data/runs/a.pt"
    assert config.relative(tmp_path / "a.pt") == str(tmp_path / "a.pt")
    assert config.relative("a.pt") == "a.pt"


@pytest.mark.parametrize(("has", "expected"), [(True, torch.bfloat16), (False, torch.float16)])
def test_the_precision_on_a_gpu_is_one_that_it_has(read, monkeypatch, has, expected):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: has)
    assert precision.autocast_dtype(torch.device("cuda"), read().precision) == expected
    assert precision.autocast_dtype(torch.device("mps"), "auto") == torch.float32
    assert precision.autocast_dtype(torch.device("cpu"), "float16") == torch.float16


OLDER_NAMES = {
    "avx512_bf16": "_is_avx512_bf16_supported",
    "amx_tile": "_is_amx_tile_supported",
    "avx512_f": "_is_avx512_supported",
}


@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize(
    ("has", "expected"),
    [
        ("avx512_bf16", torch.bfloat16),
        ("amx_tile", torch.bfloat16),
        ("avx512_f", torch.float32),
    ],
)
def test_a_cpu_with_bfloat16_uses_it_for_ordinary_convolutions(monkeypatch, has, expected, older):
    if older:  # before torch had get_capabilities()
        monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
        for capability, name in OLDER_NAMES.items():
            monkeypatch.setattr(torch.cpu, name, lambda c=capability: c == has, raising=False)
    else:
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {has: True}, raising=False)
    dense = nn.Sequential(nn.Conv2d(3, 8, 3))
    depthwise = nn.Sequential(nn.Conv2d(8, 8, 3, groups=8))
    cpu = torch.device("cpu")
    assert precision.autocast_dtype(cpu, "auto", dense) == expected
    assert precision.autocast_dtype(cpu, "auto", nn.Sequential(dense, depthwise)) == torch.float32
    assert precision.autocast_dtype(cpu, "auto", nn.Linear(3, 3)) == torch.float32
    assert precision.autocast_dtype(cpu, "float32", dense) == torch.float32
    assert precision.autocast_dtype(cpu, "auto") == torch.float32


def test_a_grey_stem_is_an_ordinary_convolution():
    """Its one input channel makes one group, and that is no depthwise convolution."""
    assert not precision.has_depthwise(nn.Conv2d(1, 6, 5))
    assert precision.has_depthwise(nn.Conv2d(6, 6, 5, groups=6))
    assert not precision.has_depthwise(nn.Conv2d(6, 6, 5, groups=3))


def test_the_c_library_is_asked_to_keep_large_blocks(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", Mock())
    config.keep_large_blocks()
    asked = dict(call.args for call in ctypes.CDLL.return_value.mallopt.call_args_list)
    m_trim_threshold, m_mmap_threshold = -1, -3  # of glibc's malloc.h
    assert asked[m_mmap_threshold] >= 2**30
    assert asked[m_trim_threshold] >= 2**30


def test_a_system_without_mallopt_goes_on_without_a_word(monkeypatch, capsys):
    for library in (
        Mock(return_value=object()),
        Mock(side_effect=OSError),
        Mock(side_effect=TypeError),
    ):
        monkeypatch.setattr(ctypes, "CDLL", library)
        config.keep_large_blocks()
    assert capsys.readouterr().out == ""
