"""Training and evaluation: what is learned, what is measured, and what is said when something does not fit."""

import functools
import sys
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.optim import lr_scheduler
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

import utils.train as module
from utils import checkpoint
from utils.data import Batches
from utils.train import History, TrainingError

pytestmark = pytest.mark.usefixtures("one_thread")
train = functools.partial(module.train, device="cpu", verbose=False)
evaluate = functools.partial(module.evaluate, device="cpu")


class Net(nn.Module):
    """A little of everything: convolution, batch norm, dropout, a linear layer."""

    def __init__(self, classes: int = 3, in_channels: int = 3) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(in_channels, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.head = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(8, classes)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.stem(x))


def sgd(net: nn.Module, lr: float = 0.1) -> torch.optim.SGD:
    return torch.optim.SGD(net.parameters(), lr, momentum=0.9, nesterov=True)


class Loader(list):
    """A list of batches, with the names of the classes where they are given."""

    def __init__(self, batches, classes=None) -> None:
        super().__init__(batches)
        if classes:
            self.classes = classes


class Stream:
    """Batches without a length."""

    def __init__(self, batches) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return iter(self.batches)


@pytest.fixture
def loaders(make_set) -> tuple[Batches, Batches]:
    """30 training images in batches of 8 (the last one has 6), 21 test images in batches of 9 (the last: 3)."""
    return (
        Batches(make_set(30), 8, shuffle=True, flip=True, device="cpu"),
        Batches(make_set(21, seed=1), 9, device="cpu"),
    )


@pytest.fixture
def parts(loaders):
    """A network and all else that train() needs, as keyword arguments."""
    net = Net()
    return {
        "net": net,
        "train_loader": loaders[0],
        "test_loader": loaders[1],
        "epochs": 2,
        "optimizer": sgd(net),
        "criterion": nn.CrossEntropyLoss(),
    }


# --- what is learned and measured -----------------------------------------------------------------------------


def test_a_small_network_learns_a_simple_problem(parts):
    history = train(**parts | {"epochs": 8})
    assert history.test_accuracy[-1] == 1
    assert history.train_loss[-1] < 0.5 * history.train_loss[0]
    assert len(history) == 8
    for figures in vars(history).values():
        assert len(figures) == 8
        assert all(type(figure) is float for figure in figures)


class Fixed(nn.Module):
    """Its logits are the first pixels of the image, so that every figure can be counted by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        return x[:, 0, 0, :3] * self.scale


def test_the_history_counts_images_and_not_batches():
    """Batches of 4, 4 and 1 images: a mean of batch means would weigh the last image four times."""
    images, labels = torch.randn(9, 1, 2, 4), torch.arange(9) % 3
    images[8, 0, 0, :3] = torch.tensor([0.0, 50.0, 0.0])  # far from its label, 2
    test_images, test_labels = torch.randn(5, 1, 2, 4), torch.tensor([0, 1, 2, 2, 1])
    net = Fixed()
    history = train(
        net,
        Loader(zip(images.split(4), labels.split(4), strict=True)),
        Loader(zip(test_images.split(2), test_labels.split(2), strict=True)),
        2,
        torch.optim.SGD(net.parameters(), lr=0.0),  # the network stays as it is
        nn.CrossEntropyLoss(),
    )

    def by_hand(images: Tensor, labels: Tensor) -> tuple[float, float]:
        losses, right = [], []
        for image, label in zip(images, labels, strict=True):
            logits = image[0, 0, :3].double()
            losses.append(float(logits.exp().sum().log() - logits[label]))
            right.append(int(logits.argmax()) == int(label))
        return sum(losses) / len(losses), sum(right) / len(right)

    for loss, accuracy, expected in (
        (history.train_loss, history.train_accuracy, by_hand(images, labels)),
        (history.test_loss, history.test_accuracy, by_hand(test_images, test_labels)),
    ):
        assert loss == pytest.approx([expected[0]] * 2, rel=1e-5)
        assert accuracy == pytest.approx([expected[1]] * 2, rel=1e-6)


def test_one_step_is_the_step_of_plain_pytorch(make_set):
    batches = list(Batches(make_set(12), 6, device="cpu"))
    net, plain = Net(), Net()
    plain.load_state_dict(net.state_dict())
    optimizer = sgd(plain)
    torch.manual_seed(1)
    plain.train()
    for images, labels in batches:
        optimizer.zero_grad()
        nn.functional.cross_entropy(plain(images), labels).backward()
        optimizer.step()
    torch.manual_seed(1)
    train(net, batches, batches, 1, sgd(net), nn.CrossEntropyLoss())
    for name, weights in plain.state_dict().items():
        torch.testing.assert_close(net.state_dict()[name], weights, rtol=1e-5, atol=1e-6)


def test_speed_and_time_are_those_of_this_epoch(parts, monkeypatch):
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr(module.time, "perf_counter", lambda: float(next(clock)))
    history = train(**parts)
    assert history.seconds == [20, 20]  # start, end of training, end of the epoch: 10 s apart
    assert history.images_per_second == [3, 3]  # 30 images in 10 s


def test_evaluate_is_a_plain_loop_over_all_images(loaders):
    net = Net()
    result = evaluate(net, loaders[1])
    net.eval()
    with torch.no_grad():
        logits = torch.cat([net(images) for images, _ in loaders[1]])
    labels = torch.cat([labels for _, labels in loaders[1]])
    torch.testing.assert_close(result.probabilities, logits.softmax(1))
    assert torch.equal(result.labels, labels)
    assert result.loss == pytest.approx(float(nn.functional.cross_entropy(logits, labels)), rel=1e-5)
    assert result.accuracy == float((logits.argmax(1) == labels).float().mean().double()) or (
        result.accuracy == pytest.approx(int((logits.argmax(1) == labels).sum()) / 21)
    )
    loss, accuracy, probabilities, _ = evaluate(net, loaders[1], lambda logits, _: logits.sum() * 0 + 7)
    assert (loss, accuracy) == (pytest.approx(7), result.accuracy)
    assert torch.equal(probabilities, result.probabilities)


def test_evaluate_leaves_every_part_of_the_network_in_its_mode(loaders):
    net = Net()
    net.stem.eval()  # a part that is frozen on purpose
    net.head[2].register_forward_hook(lambda layer, *_: modes.append(layer.training))
    modes = []
    evaluate(net, loaders[1])
    assert modes == [False] * 3
    assert (net.training, net.stem.training, net.head.training) == (True, False, True)

    with pytest.raises(TrainingError):
        evaluate(net, [])
    assert (net.training, net.stem.training, net.head.training) == (True, False, True)
    net.eval()
    evaluate(net, loaders[1])
    assert not any(layer.training for layer in net.modules())


def test_training_is_in_training_mode_and_testing_is_not(parts):
    modes = []
    parts["net"].head.register_forward_hook(lambda layer, *_: modes.append(layer.training))
    parts["net"].eval()
    train(**parts)
    assert modes == ([True] * 4 + [False] * 3) * 2


def test_a_network_can_be_trained_after_it_was_evaluated(parts):
    """In inference mode, moving the network to the device or the memory format would spoil its weights."""
    result = evaluate(parts["net"], parts["test_loader"])
    train(**parts)
    result.probabilities.add_(1)  # an ordinary tensor, which can be changed


def test_what_a_network_keeps_from_evaluation_can_be_used_in_training(parts):
    class Caching(Net):
        mask = None

        def forward(self, x: Tensor) -> Tensor:
            if self.mask is None:
                self.mask = torch.ones_like(x[:1]) * 2
            return super().forward(x * self.mask)

    net = Caching()
    evaluate(net, parts["test_loader"])
    train(**parts | {"net": net, "optimizer": sgd(net)})


# --- networks, loaders and precisions -------------------------------------------------------------------------


def test_an_ordinary_dataloader_will_do(make_set, loaders):
    image_set = make_set(30)
    plain = DataLoader(
        TensorDataset(image_set.images / 255, image_set.labels), batch_size=8, shuffle=True, num_workers=0
    )
    net = Net()
    history = train(net, plain, plain, 10, sgd(net), nn.CrossEntropyLoss())
    assert history.test_accuracy[-1] > 0.9
    assert len(evaluate(net, plain).labels) == 30


def test_a_loader_without_a_length_will_do(parts):
    stream = Stream(list(parts["train_loader"]))
    history = train(**parts | {"train_loader": stream, "test_loader": stream})
    assert len(history) == 2


def test_one_channel_will_do(make_set):
    loader = Batches(make_set(30, channels=1), 8, device="cpu")
    net = Net(in_channels=1)
    assert train(net, loader, loader, 10, sgd(net), nn.CrossEntropyLoss()).test_accuracy[-1] > 0.6


def test_the_network_works_in_channels_last(parts):
    seen = []
    parts["net"].stem[0].register_forward_pre_hook(
        lambda layer, x: seen.append(
            (
                x[0].is_contiguous(memory_format=torch.channels_last),
                layer.weight.is_contiguous(memory_format=torch.channels_last),
            )
        )
    )
    train(**parts)
    assert set(seen) == {(True, True)}


@pytest.mark.parametrize(
    "layers",
    [
        nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 3)),
        nn.Sequential(
            nn.Conv2d(3, 4, 3, groups=1), nn.GroupNorm(2, 4), nn.GELU(), nn.Flatten(), nn.LazyLinear(3)
        ),
        nn.Sequential(nn.Conv2d(3, 3, 8), nn.Flatten()),
    ],
    ids=["no convolution", "lazy layer", "no linear layer"],
)
def test_odd_networks_will_do(loaders, layers):
    layers(torch.zeros(2, 3, 8, 8))
    history = train(layers, *loaders, 1, sgd(layers, 0.01), nn.CrossEntropyLoss())
    assert len(history) == 1


@pytest.mark.parametrize(
    ("precision", "inside"),
    [
        ("auto", torch.float32),
        ("float32", torch.float32),
        ("bfloat16", torch.bfloat16),
        ("float16", torch.float16),
    ],
)
@pytest.mark.filterwarnings("error")
def test_precisions(parts, precision, inside):
    types = set()
    parts["net"].stem[0].register_forward_hook(lambda _, __, output: types.add(output.dtype))
    scheduler = lr_scheduler.OneCycleLR(parts["optimizer"], 0.1, total_steps=32)
    history = train(**parts | {"epochs": 8}, scheduler=scheduler, precision=precision)
    assert types == {inside}
    assert history.test_accuracy[-1] > 0.6
    assert all(weights.dtype == torch.float32 for weights in parts["net"].parameters())
    assert (
        evaluate(parts["net"], parts["test_loader"], precision=precision).probabilities.dtype == torch.float32
    )


@pytest.mark.filterwarnings("error")
def test_the_first_step_in_float16_is_not_skipped(parts):
    """With PyTorch's own first scale it is, for gradients of this size, and the scheduler warns that it comes first."""
    bright = [(images * 30, labels) for images, labels in parts["train_loader"]]
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    optimizer = sgd(net, 1e-4)
    scheduler = lr_scheduler.OneCycleLR(optimizer, 1e-4, total_steps=8)
    before = net[3].weight.clone()
    parts |= {"net": net, "train_loader": bright[:1], "epochs": 1, "optimizer": optimizer}
    train(**parts, scheduler=scheduler, precision="float16")
    assert not torch.equal(net[3].weight, before)


@pytest.mark.parametrize(
    ("generation", "expected"), [(7, torch.float16), (8, torch.bfloat16), (9, torch.bfloat16)]
)
def test_the_precision_on_a_gpu_is_one_that_it_has(monkeypatch, generation, expected):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (generation, 0))
    assert module.calculation_dtype(torch.device("cuda"), "auto") == expected
    assert module.calculation_dtype(torch.device("mps"), "auto") == torch.float32
    # what the environment asks for holds unless train() is told otherwise
    monkeypatch.setattr(module.config, "precision", "float16")
    assert module.calculation_dtype(torch.device("cuda"), "auto") == torch.float16
    assert module.calculation_dtype(torch.device("cuda"), "float32") == torch.float32


def test_a_weighted_criterion_goes_to_the_device_with_the_network(parts):
    criterion = nn.CrossEntropyLoss(weight=torch.ones(3, dtype=torch.float64).float())
    moved = []
    criterion._apply, original = lambda f, *a: moved.append(True) or original(f, *a), criterion._apply
    train(**parts | {"criterion": criterion})
    assert moved


# --- schedulers -----------------------------------------------------------------------------------------------


class Steps:
    """Counts the calls of a scheduler's step()."""

    def __init__(self, scheduler) -> None:
        self.calls, original = [], scheduler.step

        def step(*figures: float) -> None:
            self.calls.append(figures)
            original(*figures)

        scheduler.step = step


BY_BATCH = {
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(o, 0.1, total_steps=8),
    "CyclicLR": lambda o: lr_scheduler.CyclicLR(o, 0.01, 0.1),
}
BY_EPOCH = {
    "StepLR": lambda o: lr_scheduler.StepLR(o, 1),
    "MultiStepLR": lambda o: lr_scheduler.MultiStepLR(o, [1]),
    "CosineAnnealingLR": lambda o: lr_scheduler.CosineAnnealingLR(o, 2),
    "LambdaLR": lambda o: lr_scheduler.LambdaLR(o, lambda epoch: 0.9**epoch),
    "SequentialLR": lambda o: lr_scheduler.SequentialLR(
        o, [lr_scheduler.LinearLR(o), lr_scheduler.ExponentialLR(o, 0.5)], [1]
    ),
    "ReduceLROnPlateau": lambda o: lr_scheduler.ReduceLROnPlateau(o),
}


@pytest.mark.parametrize("name", [*BY_BATCH, *BY_EPOCH])
@pytest.mark.filterwarnings("error")
def test_a_scheduler_is_stepped_as_its_kind_needs(parts, name):
    scheduler = (BY_BATCH | BY_EPOCH)[name](parts["optimizer"])
    steps = Steps(scheduler)
    history = train(**parts, scheduler=scheduler)
    assert len(steps.calls) == (8 if name in BY_BATCH else 2)
    plateau = name == "ReduceLROnPlateau"
    assert steps.calls == ([(loss,) for loss in history.train_loss] if plateau else [()] * len(steps.calls))


@pytest.mark.parametrize(("scheduler_step", "calls"), [("batch", 8), ("epoch", 2)])
def test_the_rhythm_of_a_scheduler_can_be_given(parts, scheduler_step, calls):
    scheduler = lr_scheduler.StepLR(parts["optimizer"], 3)
    steps = Steps(scheduler)
    train(**parts, scheduler=scheduler, scheduler_step=scheduler_step)
    assert len(steps.calls) == calls


def test_the_learning_rate_in_the_history_is_that_of_the_last_batch(parts):
    used = []
    parts["optimizer"].register_step_pre_hook(
        lambda optimizer, *_: used.append(optimizer.param_groups[0]["lr"])
    )
    scheduler = lr_scheduler.StepLR(parts["optimizer"], 1, gamma=0.5)
    assert train(**parts, scheduler=scheduler).learning_rate == [0.1, 0.05] == used[3::4]

    used.clear()
    parts["optimizer"] = sgd(parts["net"])
    parts["optimizer"].register_step_pre_hook(
        lambda optimizer, *_: used.append(optimizer.param_groups[0]["lr"])
    )
    scheduler = lr_scheduler.OneCycleLR(parts["optimizer"], 0.1, total_steps=8)
    assert train(**parts, scheduler=scheduler).learning_rate == used[3::4]
    assert len(set(used)) == 8


def test_a_learning_rate_that_is_a_tensor_becomes_a_number(parts):
    parts["optimizer"] = torch.optim.SGD(parts["net"].parameters(), torch.tensor(0.1))
    assert train(**parts).learning_rate == [pytest.approx(0.1)] * 2


# --- what is shown --------------------------------------------------------------------------------------------


def test_one_line_an_epoch(parts, capsys):
    history = train(**parts | {"verbose": True})
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("epoch 1/2   train: loss ")
    assert (
        second.split()
        == (
            f"epoch 2/2 train: loss {history.train_loss[1]:.3f}, {history.train_accuracy[1]:.2%} "
            f"test: loss {history.test_loss[1]:.3f}, {history.test_accuracy[1]:.2%} lr 0.1 "
            f"{history.seconds[1]:.1f} s, {history.images_per_second[1]:,.0f} images/s"
        ).split()
    )


@pytest.fixture
def bars(monkeypatch):
    """The tests run with TQDM_DISABLE=1, which tqdm reads when it is imported: this undoes it."""
    monkeypatch.setattr(
        module, "tqdm", functools.partial(module.tqdm, disable=False, mininterval=0, miniters=1)
    )


def test_the_bar_is_text_on_standard_output(parts, bars, capsys):
    """Standard error is red in JupyterLab."""
    train(**parts | {"verbose": True})
    output, error = capsys.readouterr()
    assert error == ""
    bar, *_, line = output.split("\n")[1].split("\r")[1:]
    assert bar.startswith("epoch 2/2:   0%|")
    assert len(bar) <= 80
    assert "| 4/4 [00:00<00:00, " in output
    assert line.startswith("epoch 2/2   train: loss")


def test_without_verbose_there_is_no_bar(parts, bars, capsys):
    train(**parts)
    assert capsys.readouterr() == ("", "")


def test_the_bar_is_gone_before_the_stop_button_is_answered(parts, bars, capsys):
    train(**parts | {"verbose": True, "train_loader": Interrupted(parts["train_loader"], 1, 3)})
    shown = capsys.readouterr().out.split("\r")
    assert shown[-2].strip() == ""  # the bar is wiped out
    assert shown[-1].startswith("Stopped in epoch 1, batch 2")


def test_tensorboard_gets_every_figure_and_the_graph(parts, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(tmp_path) as writer:
        history = train(**parts, writer=writer)
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    expected = {
        "loss/train": history.train_loss,
        "loss/test": history.test_loss,
        "accuracy/train": history.train_accuracy,
        "accuracy/test": history.test_accuracy,
        "learning rate": history.learning_rate,
        "images per second": history.images_per_second,
    }
    assert set(events.Tags()["scalars"]) == set(expected)
    for tag, figures in expected.items():
        scalars = events.Scalars(tag)
        assert [scalar.step for scalar in scalars] == [1, 2]
        assert [scalar.value for scalar in scalars] == pytest.approx(figures, rel=1e-6)
    assert events.Tags()["graph"]
    assert "Conv2d" in str(events.Graph()) or "convolution" in str(events.Graph())
    assert parts["net"].training


def test_a_network_that_cannot_be_traced_is_trained_without_a_graph(parts, capsys):
    class Writer:
        scalars = 0

        def add_scalar(self, *_):
            self.scalars += 1

        def add_graph(self, *_):
            raise RuntimeError

        def flush(self):
            pass

    writer = Writer()
    assert len(train(**parts | {"epochs": 1}, writer=writer)) == 1
    assert writer.scalars == 6
    assert parts["net"].training
    assert capsys.readouterr().out == "TensorBoard gets no graph of this network (RuntimeError).\n"


# --- Ctrl-C ---------------------------------------------------------------------------------------------------


class Interrupted:
    """A loader in which Ctrl-C is pressed: in this epoch, when this batch is asked for."""

    def __init__(self, batches, epoch: int, batch: int) -> None:
        self.batches, self.epoch, self.batch, self.now = batches, epoch, batch, 0
        self.classes = batches.classes

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self):
        self.now += 1
        for number, batch in enumerate(self.batches, start=1):
            if (self.now, number) == (self.epoch, self.batch):
                raise KeyboardInterrupt
            yield batch


@pytest.mark.parametrize(
    ("epoch", "kept"), [(1, "0 finished epochs"), (2, "1 finished epoch"), (3, "2 finished epochs")]
)
def test_the_stop_button_keeps_the_history(parts, capsys, epoch, kept):
    history = train(**parts | {"epochs": 3, "train_loader": Interrupted(parts["train_loader"], epoch, 3)})
    assert [len(figures) for figures in vars(history).values()] == [epoch - 1] * 7
    assert capsys.readouterr().out == f"Stopped in epoch {epoch}, batch 2: the history holds {kept}.\n"


def test_the_stop_button_works_while_testing_too(parts, capsys):
    history = train(**parts | {"test_loader": Interrupted(parts["test_loader"], 2, 1)})
    assert len(history) == 1
    assert parts["net"].training
    assert capsys.readouterr().out == "Stopped in epoch 2, batch 4: the history holds 1 finished epoch.\n"


def test_after_the_stop_button_the_way_to_go_on_is_named(parts, tmp_path, capsys):
    loader = Interrupted(parts["train_loader"], 2, 1)
    train(**parts | {"train_loader": loader}, save_path=tmp_path / "net.pt")
    assert capsys.readouterr().out.endswith(
        f" With resume=True, train() goes on from {tmp_path / 'net.pt'}.\n"
    )
    loader = Interrupted(parts["train_loader"], 1, 1)
    train(**parts | {"train_loader": loader}, save_path=tmp_path / "net.pt")
    assert "resume" not in capsys.readouterr().out  # the checkpoint is that of another run


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
def test_the_stop_button_at_any_line_keeps_whole_epochs_and_a_whole_checkpoint(parts, tmp_path, capsys):
    """KeyboardInterrupt comes between any two lines of Python: here at every 7th of these two modules, in turn."""
    path = tmp_path / "net.pt"
    images, labels = next(iter(parts["train_loader"]))
    parts |= {"train_loader": [(images, labels)], "test_loader": [(images, labels)]}
    lines_left = 0

    def interrupt(frame, event, _):
        nonlocal lines_left
        if frame.f_code.co_filename not in (module.__file__, checkpoint.__file__):
            return None
        if event == "line":
            lines_left -= 1
            if lines_left == 0:
                raise KeyboardInterrupt
        return interrupt

    before_or_after = stopped = 0
    for first in range(1, 10_000, 7):
        lines_left = first
        net = nn.Sequential(nn.Flatten(), nn.Linear(images[0].numel(), 3))
        sys.settrace(interrupt)
        try:
            history = train(**parts | {"net": net, "optimizer": sgd(net)}, save_path=path)
        except KeyboardInterrupt:
            before_or_after += 1  # of the epochs, where there is nothing to keep
        finally:
            sys.settrace(None)
        if lines_left > 0:
            break  # training was over first
        if "Stopped in epoch" in capsys.readouterr().out:
            stopped += 1
            lengths = {len(figures) for figures in vars(history).values()}
            assert lengths in ({0}, {1}, {2}), f"line event {first}"
        if path.exists():
            checkpoint.load_weights(net, path)
    assert stopped > 20
    assert before_or_after < stopped
    assert len(list(tmp_path.iterdir())) < 5  # no heap of unfinished files


# --- what does not fit ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("batch", [1, 3])
def test_a_loss_that_is_not_finite_stops_before_it_spoils_the_weights(parts, bad, batch):
    images, labels = next(iter(parts["train_loader"]))
    batches = [(images, labels)] * 4
    batches[batch - 1] = (images * bad, labels)
    epoch = 0

    def changing():
        nonlocal epoch
        epoch += 1
        return iter(batches if epoch == 2 else [(images, labels)] * 4)

    loader = Stream([])
    loader.__class__ = type("Changing", (), {"__iter__": lambda self: changing()})
    with pytest.raises(
        TrainingError, match=f"not finite in epoch 2, batch {batch}: the usual causes are a learning rate"
    ):
        train(**parts | {"train_loader": loader})
    assert all(weights.isfinite().all() for weights in parts["net"].parameters())


def test_a_learning_rate_that_is_far_too_high_is_found_out(parts):
    parts["optimizer"] = torch.optim.SGD(parts["net"].parameters(), 1e30)
    with pytest.raises(TrainingError, match=r"not finite in epoch 1, batch \d: the usual causes"):
        train(**parts)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"epochs": 0}, "epochs is 0: give a whole number from 1 up"),
        ({"epochs": -2}, "epochs is -2"),
        ({"precision": "half"}, 'precision="half" is not known: give "auto" or one of float32'),
        ({"scheduler_step": "step"}, 'scheduler_step="step" is not known'),
        ({"resume": True}, "resume=True needs to know the checkpoint: give save_path too"),
        ({"train_loader": []}, "The training loader is empty"),
        ({"test_loader": []}, "The test loader is empty"),
        ({"train_loader": Stream([])}, "The training loader gave no batches in epoch 1"),
        ({"test_loader": Stream([])}, "loader to evaluate on gave no batches"),
        ({"optimizer": sgd(Net())}, "optimizer holds no parameter of this network"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_said_in_one_sentence(parts, changed, words):
    with pytest.raises(TrainingError, match=words) as caught:
        train(**parts | changed)
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


def test_a_data_set_that_is_used_up_is_named_with_its_epoch(parts):
    once = iter(list(parts["train_loader"]))
    with pytest.raises(TrainingError, match="gave no batches in epoch 2"):
        train(**parts | {"train_loader": Stream(once)})


def test_an_empty_iterable_data_set_is_an_empty_loader(parts):
    class Nothing(IterableDataset):
        def __iter__(self):
            return iter(())

    with pytest.raises(TrainingError, match="gave no batches"):
        train(**parts | {"train_loader": DataLoader(Nothing())})


def test_a_scheduler_of_another_optimizer_is_refused(parts):
    other = lr_scheduler.StepLR(sgd(parts["net"]), 1)
    with pytest.raises(TrainingError, match="scheduler belongs to another optimizer"):
        train(**parts, scheduler=other)


def test_a_scheduler_with_too_few_steps_is_refused_before_training(parts):
    before = {name: weights.clone() for name, weights in parts["net"].state_dict().items()}
    scheduler = lr_scheduler.OneCycleLR(parts["optimizer"], 0.1, total_steps=7)
    with pytest.raises(TrainingError, match="has 7 of its 7 steps left and training takes 8.*total_steps=8"):
        train(**parts, scheduler=scheduler)
    assert all(torch.equal(before[name], weights) for name, weights in parts["net"].state_dict().items())
    scheduler = lr_scheduler.OneCycleLR(parts["optimizer"], 0.1, total_steps=8)
    assert len(train(**parts, scheduler=scheduler)) == 2


def test_a_cell_that_is_run_again_with_a_used_up_scheduler_is_told_so(parts):
    scheduler = lr_scheduler.OneCycleLR(parts["optimizer"], 0.1, total_steps=8)
    train(**parts, scheduler=scheduler)
    with pytest.raises(TrainingError, match="has 0 of its 8 steps left and .* again, with total_steps=8"):
        train(**parts, scheduler=scheduler)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ([0, 1, 2, 3], "A label is 3 and the network has 3 outputs, for labels from 0 to 2"),
        ([0, -1, 2, 1], "A label is -1 and"),
        ([0.0, 1.0, 2.0, 1.0], "labels that are torch.float32"),
        ([[0], [1], [2], [1]], r"labels that are torch.int64 \[4, 1\]: they have to be int64 \[images\]"),
        ([0, 1, 2], r"gave \[4, 3\] for 3 images"),
    ],
)
@pytest.mark.parametrize("classes", [None, ("a", "b", "c")])
def test_labels_that_do_not_fit_are_found_in_the_first_batch_that_has_them(parts, labels, words, classes):
    good = (torch.rand(4, 3, 8, 8), torch.tensor([0, 1, 2, 0]))
    bad = (torch.rand(4, 3, 8, 8), torch.tensor(labels))
    with pytest.raises(TrainingError, match=words):
        train(**parts | {"train_loader": Loader([good, bad], classes)})
    with pytest.raises(TrainingError, match=words):
        evaluate(parts["net"], Loader([good, bad], classes))


@pytest.mark.parametrize(
    ("net", "words"),
    [
        (
            Net(classes=5),
            "The network has 5 outputs and the data set 3 classes: build the network for 3 classes",
        ),
        (Net(classes=2), "The network has 2 outputs and the data set 3 classes"),
        (
            nn.Conv2d(3, 3, 3),
            r"The network gave \[8, 3, 6, 6\] for 8 images: it has to give \[images, classes\]",
        ),
    ],
)
def test_a_network_with_the_wrong_outputs_is_refused_in_the_first_batch(parts, net, words):
    with pytest.raises(TrainingError, match=words):
        train(**parts | {"net": net, "optimizer": sgd(net)})


def test_a_network_that_gives_more_than_one_tensor_is_refused(parts):
    class Two(Net):
        def forward(self, x):
            return super().forward(x), x

    net = Two()
    with pytest.raises(
        TrainingError, match=r"The network gave a tuple for 8 images: it has to give \[images, classes\]"
    ):
        train(**parts | {"net": net, "optimizer": sgd(net)})


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (torch.zeros(4, 3, 8, 8, dtype=torch.uint8), r"images that are torch.uint8 \[4, 3, 8, 8\]"),
        (torch.zeros(4, 8, 8), r"\[4, 8, 8\]: they have to be float \[images, channels, height, width\]"),
    ],
)
def test_images_that_are_not_float_batches_are_refused(parts, images, words):
    with pytest.raises(TrainingError, match=words):
        train(**parts | {"train_loader": [(images, torch.zeros(4, dtype=torch.int64))]})


def impossible(x: Tensor) -> Tensor:
    return x.new_empty(10**16)


def fails(error: Exception):
    def forward(_: Tensor) -> Tensor:
        raise error

    return forward


@pytest.mark.parametrize(
    "forward",
    [
        impossible,
        fails(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")),
        fails(RuntimeError("MPS backend out of memory (MPS allocated: 9.00 GB).")),
        fails(
            RuntimeError(
                "[enforce fail at alloc_cpu.cpp:80] data. DefaultCPUAllocator: not enough memory: you tried"
            )
        ),
        fails(MemoryError()),
    ],
    ids=["this CPU", "CUDA", "Apple", "Windows", "Python"],
)
def test_out_of_memory_says_what_to_make_smaller(parts, forward):
    class Greedy(Net):
        def forward(self, x: Tensor) -> Tensor:
            return forward(x)

    net = Greedy()
    with pytest.raises(
        TrainingError, match="epoch 1, batch 1: cpu ran out of memory; make the batches or the pictures"
    ):
        train(**parts | {"net": net, "optimizer": sgd(net)})


def test_view_after_a_convolution_is_explained(parts):
    """In channels_last, .view() does what it does not in PyTorch's default order."""

    class Viewing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(4 * 36, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(self.conv(x).view(-1, 4 * 36))

    net = Viewing()
    with pytest.raises(
        TrainingError, match=r"epoch 1, batch 1: use .flatten\(1\) or .reshape\(\) in the network"
    ):
        train(**parts | {"net": net, "optimizer": sgd(net)})


def test_other_errors_stay_what_they_are(parts):
    class Broken(Net):
        def forward(self, x: Tensor) -> Tensor:
            raise RuntimeError("something else")

    net = Broken()
    with pytest.raises(RuntimeError, match="^something else$") as caught:
        train(**parts | {"net": net, "optimizer": sgd(net)})
    assert not isinstance(caught.value, TrainingError)


def test_weight_decay_is_for_weights_only():
    net = Net()
    net.stem[0].weight.requires_grad_(False)
    decayed, plain = module.parameter_groups(net, 0.01)
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.01, 0)
    assert [p.shape for p in decayed["params"]] == [(3, 8)]
    assert [p.shape for p in plain["params"]] == [(8,), (8,), (8,), (3,)]
    torch.optim.SGD([decayed, plain], 0.1)


def test_a_new_history_is_empty():
    assert len(History()) == 0
    first, second = History(), History()
    first.train_loss.append(1.0)
    assert second.train_loss == []
