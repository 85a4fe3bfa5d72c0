"""Training and evaluation: what is learned, what is measured, and what is refused."""

import functools
import json
import math
from collections.abc import Iterator
from contextlib import suppress
from unittest.mock import Mock

import pytest
import torch
import torch.nn.functional as F
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn
from torch.optim import lr_scheduler
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.tensorboard import SummaryWriter

import utils.train as module
from utils.data import Batches
from utils.machinery.log import Log
from utils.train import TrainingError

pytestmark = pytest.mark.usefixtures("one_thread")
train = functools.partial(module.train, device="cpu", verbose=False)
evaluate = functools.partial(module.evaluate, device="cpu")


class Net(nn.Module):
    """A little of everything: convolution, batch norm, dropout, a linear layer."""

    def __init__(self, classes: int = 3, channels: int = 3) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(channels, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()
        )
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2))
        self.head = nn.Linear(8, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.pool(self.stem(x)))


def sgd(net: nn.Module, lr: float = 0.1) -> torch.optim.SGD:
    return torch.optim.SGD(net.parameters(), lr, momentum=0.9, nesterov=True)


def of_network(net: nn.Module) -> dict:
    """The arguments of train() that come with a network."""
    return {"net": net, "optimizer": sgd(net)}


class Stream:
    """Batches without a length; in epoch `stop`, somebody presses Ctrl-C before the second one."""

    def __init__(self, batches, stop: int = 0) -> None:
        self.batches, self.stop, self.epoch = list(batches), stop, 0

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        self.epoch += 1
        for number, batch in enumerate(self.batches):
            if (self.epoch, number) == (self.stop, 1):
                raise KeyboardInterrupt
            yield batch


@pytest.fixture
def parts(make_set) -> dict:
    """30 training images in batches of 8 (the last: 6), 21 test images in batches of 9 (then 3)."""
    train_loader = Batches(make_set(30), 8, shuffle=True, flip=True, device="cpu")
    test_loader = Batches(make_set(21, seed=1), 9, device="cpu")
    loaders = {"train_loader": train_loader, "test_loader": test_loader}
    return of_network(Net()) | loaders | {"epochs": 2, "criterion": nn.CrossEntropyLoss()}


class Failing:
    """Batches that end with this error."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        raise self.error


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), torch.OutOfMemoryError("CUDA out of memory."), KeyError("x")]
)
def test_however_it_ends_the_loaders_give_full_size(parts, make_set, error):
    test_loader = Batches(make_set(21, seed=1), 9, resize={1: 4, 2: 8}, device="cpu")
    changed = {"train_loader": Failing(error), "test_loader": test_loader}
    with suppress(TrainingError, KeyError):
        train(**parts | changed)
    assert next(iter(test_loader))[0].shape[2:] == (8, 8)


def test_a_small_network_learns_a_simple_problem(parts):
    history = train(**parts | {"epochs": 8})
    assert history.test_accuracy[-1] == 1
    assert history.train_loss[-1] < 0.5 * history.train_loss[0]
    assert {len(figures) for figures in history.as_lists().values()} == {8}


def test_the_history_counts_images_and_its_test_loss_is_plain_cross_entropy():
    """Batches of 4, 4 and 1 images: a mean of batch means would weigh the last image four times."""
    images, labels = torch.randn(9, 1, 2, 4), torch.arange(9) % 3
    images[8] *= 50
    batches = list(zip(images.split(4), labels.split(4), strict=True))
    net, smooth = (
        nn.Sequential(nn.Flatten(), nn.Linear(8, 3)),
        nn.CrossEntropyLoss(label_smoothing=0.5),
    )
    history = train(net, batches, batches[1:], 2, torch.optim.SGD(net.parameters(), lr=0.0), smooth)
    logits = net(images).detach().double()
    right = (logits.argmax(1) == labels).double()
    assert history.train_loss == pytest.approx([smooth(logits, labels).item()] * 2, rel=1e-5)
    assert history.test_loss == pytest.approx(
        [F.cross_entropy(logits[4:], labels[4:]).item()] * 2, rel=1e-5
    )
    assert history.train_accuracy == pytest.approx([right.mean().item()] * 2, rel=1e-6)
    assert history.test_accuracy == pytest.approx([right[4:].mean().item()] * 2, rel=1e-6)


@pytest.mark.parametrize("clip", [None, 0.05])
def test_two_steps_are_the_steps_of_plain_pytorch(make_set, clip):
    batches = list(Batches(make_set(12), 6, device="cpu"))
    net, plain = Net(), Net()
    plain.load_state_dict(net.state_dict())
    optimizer = sgd(plain)
    torch.manual_seed(1)
    plain.train()
    for images, labels in batches:
        optimizer.zero_grad()
        F.cross_entropy(plain(images), labels).backward()
        norm = nn.utils.clip_grad_norm_(plain.parameters(), clip or 1e9)
        assert norm > 0.1  # so that clipping to 0.05 changes something
        optimizer.step()
    torch.manual_seed(1)
    train(net, batches, batches, 1, sgd(net), nn.CrossEntropyLoss(), clip=clip)
    for name, weights in plain.state_dict().items():
        torch.testing.assert_close(net.state_dict()[name], weights, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("scale", [1.0, 1024.0])
def test_gradients_are_clipped_at_their_own_size_and_not_scaled(make_set, scale):
    """In float16 the loss is scaled up, and with it the gradients."""
    batches = list(Batches(make_set(12), 6, device="cpu"))
    net, plain = Net(), Net()
    plain.load_state_dict(net.state_dict())
    optimizer = sgd(plain)
    torch.manual_seed(1)
    plain.train()
    for images, labels in batches:
        optimizer.zero_grad()
        F.cross_entropy(plain(images), labels).backward()
        nn.utils.clip_grad_norm_(plain.parameters(), 0.05)
        optimizer.step()
    torch.manual_seed(1)
    scaler = torch.amp.GradScaler("cpu", init_scale=scale)
    criterion = nn.CrossEntropyLoss()
    module.train_epoch(net, batches, sgd(net), criterion, scaler=scaler, clip=0.05)
    for name, weights in plain.state_dict().items():
        torch.testing.assert_close(net.state_dict()[name], weights, rtol=1e-5, atol=1e-6)


def test_the_speed_is_that_of_training_and_the_seconds_are_of_both(parts, monkeypatch):
    clock = [0.0]

    class Slow(Stream):
        def __iter__(self):
            clock[0] += self.stop
            return iter(self.batches)

    monkeypatch.setattr(module.time, "perf_counter", lambda: clock[0])
    loaders = {name: Slow(parts[f"{name}_loader"], seconds) for name, seconds in SECONDS.items()}
    changed = {f"{name}_loader": loader for name, loader in loaders.items()}
    history = train(**parts | changed)
    assert history.images_per_second == [30 / SECONDS["train"]] * 2
    assert history.seconds == [SECONDS["train"] + SECONDS["test"]] * 2


SECONDS = {"train": 2, "test": 100}


def test_without_a_test_loader_nothing_is_tested(parts, capsys, tmp_path):
    with SummaryWriter(tmp_path) as writer:
        history = train(**parts | {"test_loader": None, "verbose": True, "writer": writer})
    assert len(history) == 2
    assert all(map(math.isnan, history.test_loss + history.test_accuracy))
    printed = capsys.readouterr().out
    assert printed.count("train: loss") == 2
    assert "test: " not in printed
    tags = EventAccumulator(str(tmp_path)).Reload().Tags()["scalars"]
    assert "loss/train" in tags
    assert "loss/test" not in tags


def test_a_history_comes_back_from_its_lists(parts):
    history = train(**parts)
    assert history.as_lists()["test_loss"] == history.test_loss
    stored = json.loads(json.dumps(history.as_lists()))
    again = module.History.from_lists(stored, history.device, history.precision)
    assert again == history
    assert [epoch.learning_rates for epoch in again.epochs] == history.learning_rates
    short = module.History.from_lists({"train_loss": [1.0, 2.0], "test_loss": [None, 3.0]})
    assert short.train_loss == [1.0, 2.0]
    assert math.isnan(short.test_loss[0])
    assert math.isnan(short.epochs[1].seconds)
    short.append(train_loss=0.5)
    assert len(short) == 3
    with pytest.raises(TypeError, match="trian_loss"):
        short.append(trian_loss=0.5)


def test_an_epoch_takes_one_line_of_at_most_100_columns():
    epoch = module.Epoch(2.345, 0.5678, 2.345, 0.5678, 0.1, 1234.5, 12345.6, 224)
    line = Log(100).line(7, epoch._asdict())
    assert line.startswith("epoch   7/100, 224 px  train: loss 2.345, 56.78%  test: loss 2.345")
    assert len(line) <= 100


def test_the_precision_is_the_settings_at_the_time_of_the_call(parts, monkeypatch):
    monkeypatch.setattr(module.config, "precision", "bfloat16")
    assert train(**parts).precision == "bfloat16"
    types = []
    parts["net"].stem[0].register_forward_hook(lambda _, __, output: types.append(output.dtype))
    evaluate(parts["net"], parts["test_loader"])
    assert set(types) == {torch.bfloat16}


def test_evaluate_is_a_plain_loop_over_all_images(parts):
    net, loader = parts["net"], parts["test_loader"]
    result = evaluate(net, loader)
    net.eval()
    with torch.no_grad():
        logits = torch.cat([net(images) for images, _ in loader])
    torch.testing.assert_close(result.probabilities, logits.softmax(1))
    assert not result.probabilities.requires_grad
    assert torch.equal(result.labels, loader.labels)
    assert result.loss == pytest.approx(float(F.cross_entropy(logits, loader.labels)), rel=1e-5)
    assert result.accuracy == int((logits.argmax(1) == loader.labels).sum()) / 21


def test_evaluate_leaves_every_part_of_the_network_in_its_mode(parts):
    net, modes = parts["net"].train(), []
    net.stem.eval()  # a part that is frozen on purpose
    net.head.register_forward_hook(lambda layer, *_: modes.append(layer.training))
    evaluate(net, parts["test_loader"])
    with pytest.raises(TrainingError):
        evaluate(net, [])
    assert [part.training for part in (net, net.stem, net.stem[1], net.head)] == [
        True,
        False,
        False,
        True,
    ]
    assert modes == [False] * 3
    train(**parts)  # after evaluation its weights can still be trained
    assert modes[3:] == ([True] * 4 + [False] * 3) * 2


def test_a_criterion_may_take_several_outputs(parts):
    """As for GoogLeNet: the first output is what counts, the other one only teaches."""

    class Two(Net):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return super().forward(x), self.side(self.stem(x).mean((2, 3)))

    def both(outputs: tuple[Tensor, Tensor], labels: Tensor) -> Tensor:
        return F.cross_entropy(outputs[0], labels) + 0.3 * F.cross_entropy(outputs[1], labels)

    net = Two()
    net.side = nn.Linear(8, 3)
    before = net.side.weight.clone()
    history = train(**parts | of_network(net) | {"criterion": both, "epochs": 8})
    assert not torch.equal(net.side.weight, before)
    assert history.test_accuracy[-1] == 1


def test_probabilities_are_labels_too(parts):
    hard = list(parts["train_loader"])
    soft, histories = [(images, F.one_hot(labels, 3).double()) for images, labels in hard], []
    for batches in (hard, soft):
        torch.manual_seed(1)
        histories.append(
            train(**parts | of_network(Net()) | {"train_loader": batches, "test_loader": batches})
        )
    for name in ("train_loss", "train_accuracy", "test_loss", "test_accuracy"):
        assert getattr(histories[0], name) == pytest.approx(getattr(histories[1], name), rel=1e-4)


@pytest.mark.parametrize("kinds", [(torch.float32, torch.int64), (torch.float64, torch.int32)])
def test_an_ordinary_dataloader_will_do(make_set, kinds):
    image_set, net = make_set(30, channels=1), Net(channels=1)
    tensors = TensorDataset((image_set.images / 255).to(kinds[0]), image_set.labels.to(kinds[1]))
    loader = DataLoader(tensors, 8, shuffle=True)
    history = train(net, loader, Stream(loader), 10, sgd(net), nn.CrossEntropyLoss())
    assert history.test_accuracy[-1] > 0.6


def test_channels_come_last_but_where_that_harms(parts):
    """On Apple's GPU batch norms learn wrongly with it; on NVIDIA's, depthwise ones become slow."""
    expected = {
        "mps": torch.preserve_format,
        "cuda": torch.channels_last,
        "cpu": torch.channels_last,
    }
    formats = {kind: module.memory_format(torch.device(kind), parts["net"]) for kind in expected}
    assert formats == expected
    depthwise = nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 3, groups=8))
    formats = {kind: module.memory_format(torch.device(kind), depthwise) for kind in expected}
    assert formats == expected | {"cuda": torch.contiguous_format}
    seen, last = set(), {"memory_format": torch.channels_last}
    parts["net"].stem[0].register_forward_pre_hook(
        lambda layer, x: seen.add((x[0].is_contiguous(**last), layer.weight.is_contiguous(**last)))
    )
    train(**parts)
    assert seen == {(True, True)}


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
@pytest.mark.filterwarnings(
    "error"
)  # there is one if a scheduler steps and the first step was left out
def test_precisions(parts, precision):
    types, bright = set(), [(images * 30, labels) for images, labels in parts["train_loader"]]
    parts["net"].stem[0].register_forward_hook(lambda _, __, output: types.add(output.dtype))
    scheduler = lr_scheduler.OneCycleLR(parts["optimizer"], 0.1, total_steps=32)
    parts |= {"epochs": 8, "train_loader": bright, "test_loader": bright, "scheduler": scheduler}
    history = train(**parts, precision=precision)
    assert types == {getattr(torch, precision)}
    assert (history.precision, history.test_accuracy[-1] > 0.6) == (precision, True)
    assert {weights.dtype for weights in parts["net"].parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("make", "each"),
    [
        (lambda o: lr_scheduler.OneCycleLR(o, 0.1, total_steps=8), 1),
        (lambda o: lr_scheduler.CyclicLR(o, 0.01, 0.1), 1),
        (lambda o: lr_scheduler.StepLR(o, 1), 4),
    ],
)
@pytest.mark.filterwarnings("error")
def test_a_scheduler_steps_as_its_kind_needs_and_each_learning_rate_is_kept(parts, make, each):
    history = train(**parts, scheduler=make(parts["optimizer"]))
    optimizer, expected = sgd(Net()), []
    scheduler = make(optimizer)
    for step in range(1, 9):  # two epochs of four batches
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step % each == 0:
            scheduler.step()
    assert history.learning_rates == [pytest.approx(expected[:4]), pytest.approx(expected[4:])]
    assert history.learning_rate == pytest.approx([expected[3], expected[7]])


def test_tensorboard_gets_every_figure(parts, tmp_path):
    with SummaryWriter(tmp_path) as writer:
        history = train(**parts, writer=writer)
    events = EventAccumulator(str(tmp_path)).Reload()
    for tag in ("loss/train", "loss/test", "accuracy/train", "accuracy/test"):
        figures = getattr(history, "_".join(reversed(tag.split("/"))))
        assert [scalar.step for scalar in events.Scalars(tag)] == [1, 2]
        assert [scalar.value for scalar in events.Scalars(tag)] == pytest.approx(figures, rel=1e-6)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_tensorboard_that_cannot_write_ends_nothing(parts, tmp_path, monkeypatch, capsys):
    def full(*_) -> None:
        raise OSError(28, "No space left on device")

    writer = SummaryWriter(tmp_path)
    monkeypatch.setattr("tensorboard.summary.writer.record_writer.RecordWriter.write", full)
    assert len(train(**parts | {"epochs": 4}, writer=writer)) == 4
    writer.close()
    assert capsys.readouterr().out.count("WARNING") == 1


@pytest.mark.parametrize("loader", ["train_loader", "test_loader"])
def test_the_stop_button_keeps_whole_epochs(parts, capsys, loader):
    assert not train(**parts | {"epochs": 1}).stopped
    history = train(**parts | {"epochs": 3, loader: Stream(parts[loader], stop=3)})
    assert history.stopped
    assert {len(figures) for figures in history.as_lists().values()} == {2}
    assert "Stopped in epoch 3" in capsys.readouterr().out


@pytest.mark.parametrize("loader", ["train_loader", "test_loader"])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_before_a_checkpoint_is_written(
    parts, tmp_path, loader, bad
):
    class Spoilt(Stream):
        def __iter__(self):
            for images, labels in super().__iter__():
                yield images * (bad if self.epoch == 2 else 1), labels

    with pytest.raises(TrainingError, match="not finite"):
        train(**parts | {loader: Spoilt(parts[loader])}, save_path=tmp_path / "checkpoint.pt")
    saved = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert len(saved["history"]["train_loss"]) == 1


def batch(images: tuple = (4, 3, 8, 8), labels=(0, 1, 2, 0), dtype=torch.float32) -> dict:
    return {"train_loader": [(torch.zeros(images, dtype=dtype), torch.tensor(labels))]}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"resume": True}, "save_path"),
        ({"epochs": 0}, "epochs=0 has to be a whole number from 1 up"),
        ({"epochs": -1}, "epochs=-1"),
        ({"epochs": 2.0}, "epochs=2.0"),
        ({"epochs": True}, "epochs=True"),
        ({"criterion": nn.CrossEntropyLoss(reduction="none")}, r"The loss gave \[8\]"),
        ({"criterion": nn.BCEWithLogitsLoss()}, r"The loss takes no labels that are torch.int64"),
        ({"train_loader": []}, "empty"),
        ({"test_loader": Stream([])}, "no batches"),
        ({"optimizer": sgd(Net())}, "no parameter of this network"),
        ({"scheduler": lr_scheduler.StepLR(sgd(Net()), 1)}, "another optimizer"),
        (of_network(Net(classes=5)), "5 outputs and the data set 3 classes"),
        (of_network(nn.Conv2d(3, 3, 3)), r"\[8, 3, 6, 6\]"),
        (batch(labels=(0, 1, 2, 3)), "labels"),
        (batch(labels=(0, -1, 2, 1)), "labels"),
        (batch(labels=((0,), (1,), (2,), (1,))), r"\[4, 1\]"),
        (batch(labels=(0, 1, 2)), r"4 images with labels that are torch.int64 \[3\]"),
        (batch(dtype=torch.uint8), "uint8"),
        (batch(images=(4, 8, 8)), r"\[4, 8, 8\]"),
    ],
)
def test_what_does_not_fit_is_refused(parts, changed, words):
    with pytest.raises(TrainingError, match=words):
        train(**parts | changed)


PICTURES = {  # networks for other pictures than [8, 3, 8, 8]
    "one channel": nn.Sequential(nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    "a Linear too short": nn.Sequential(nn.Flatten(), nn.Linear(400, 3)),
    "a picture too small": nn.Sequential(nn.Conv2d(3, 4, 11), nn.Flatten(), nn.Linear(4, 3)),
    "pooled away": nn.Sequential(
        nn.Conv2d(3, 3, 1), nn.MaxPool2d(4), nn.MaxPool2d(4), nn.Flatten(), nn.Linear(4, 3)
    ),
}


@pytest.mark.parametrize("net", PICTURES.values(), ids=PICTURES)
def test_pictures_that_a_network_does_not_take_are_named_with_pytorch_s_words(parts, net):
    for call in (
        lambda: train(**parts | of_network(net)),
        lambda: evaluate(net, parts["train_loader"]),
    ):
        with pytest.raises(TrainingError, match=r"takes no \[8, 3, 8, 8\]: .{15}") as caught:
            call()
        assert str(caught.value.__cause__).splitlines()[0] in str(caught.value)


@pytest.mark.parametrize("place", ["train_loader", "test_loader"])
def test_a_later_picture_of_another_size_is_named_too(parts, place):
    batches = [
        (torch.zeros(2, 3, 8, 8), torch.arange(2)),
        (torch.zeros(2, 3, 5, 5), torch.arange(2)),
    ]
    net = nn.Sequential(nn.Flatten(), nn.Linear(192, 3))
    with pytest.raises(TrainingError, match=r"takes no \[2, 3, 5, 5\]"):
        train(**parts | of_network(net) | {place: batches})


@pytest.mark.parametrize("label", [3, 255, -1, -100])
@pytest.mark.parametrize("place", ["train_loader", "test_loader"])
def test_a_label_that_no_class_has_is_found_in_any_batch(parts, place, label):
    batches = [(torch.rand(3, 3, 8, 8), torch.arange(3)) for _ in range(3)]
    batches[2][1][1] = label
    with pytest.raises(TrainingError, match=f"a label {label}, .* from 0 to 2 for 3 outputs"):
        train(**parts | {place: batches})
    with pytest.raises(TrainingError, match=f"a label {label}"):
        evaluate(parts["net"], batches)


def test_a_loop_of_ones_own_has_the_checks_of_training(parts):
    net, criterion, loader = parts["net"].eval(), parts["criterion"], parts["test_loader"]
    images, labels = next(iter(loader))
    loss, logits = module.batch_loss(net, (images, labels), criterion, loader)
    assert torch.allclose(logits, net(images), atol=1e-5)
    assert torch.equal(loss, criterion(logits, labels))
    for batch, words in {
        (images,): "pairs of tensors",
        (images[:, :1], labels): "The network takes no",
        (images, labels + 7): "There is a label",
    }.items():
        with pytest.raises(TrainingError, match=words):
            module.batch_loss(net, batch, criterion)
    with pytest.raises(TrainingError, match="one number"):
        module.batch_loss(net, (images, labels), nn.CrossEntropyLoss(reduction="none"))


def test_labels_that_the_loader_knows_are_looked_at_before_the_first_step(parts):
    loader = Stream([(torch.rand(3, 3, 8, 8), torch.arange(3))] * 9)
    loader.labels = torch.tensor([0] * 26 + [7])
    before = parts["net"].head.weight.clone()
    with pytest.raises(TrainingError, match="a label 7"):
        train(**parts | {"train_loader": loader})
    assert torch.equal(parts["net"].head.weight, before)


PICTURE = torch.rand(3, 8, 8)


@pytest.mark.parametrize(
    ("dataset", "words"),
    [
        ([{"pixels": PICTURE, "label": 1}] * 4, "gave a dict: .* pairs"),
        ([(PICTURE, 1, "a.png")] * 4, r"gave \(Tensor, Tensor, .*\): .* pairs"),
        ([(PICTURE, "tea")] * 4, r"gave \(Tensor, tuple\): .* pairs"),
        ([PICTURE] * 4, "gave a Tensor"),
        ([(PICTURE, 1), (PICTURE[:1], 0)] * 2, "cannot give a batch: stack expects"),
        ([(None, 1)] * 4, "cannot give a batch: default_collate"),
    ],
)
@pytest.mark.parametrize("place", ["train_loader", "test_loader"])
def test_batches_that_are_no_pairs_are_named(parts, dataset, words, place):
    with pytest.raises(TrainingError, match=words):
        train(**parts | {place: DataLoader(dataset, 4)})


def test_lazy_layers_get_their_shapes(parts, make_set):
    def lazy() -> nn.Sequential:
        layers = (nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.ReLU(), nn.Flatten())
        return nn.Sequential(*layers, nn.LazyLinear(3))

    assert len(train(**parts | of_network(lazy()))) == 2
    assert evaluate(lazy(), parts["test_loader"]).probabilities.shape == (21, 3)
    tensors = TensorDataset(torch.rand(8, 3, 8, 8), torch.arange(8) % 3)
    evaluate(lazy(), DataLoader(tensors, 4))
    with pytest.raises(TrainingError, match="send one batch through it first"):
        evaluate(lazy(), Stream(parts["test_loader"]))


def test_weights_that_can_learn_belong_to_the_optimizer(parts):
    net = parts["net"]
    head = torch.optim.SGD(net.head.parameters(), 0.1)
    with pytest.raises(TrainingError, match="lacks 4 of the 6 parameters .*stem.0.weight is one"):
        train(**parts | {"optimizer": head})
    net.stem.requires_grad_(False)
    assert len(train(**parts | {"optimizer": head})) == 2
    net.requires_grad_(False)
    with pytest.raises(TrainingError, match="All weights are frozen"):
        train(**parts)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_another_type_are_explained(parts, dtype):
    net = Net().to(dtype)
    with pytest.raises(TrainingError, match=r"not float32: call net.float\(\)"):
        evaluate(net, parts["test_loader"], precision="float32")
    with pytest.raises(TrainingError, match=r"not float32: call net.float\(\)"):
        train(**parts | of_network(net), precision="float32")


def test_a_full_memory_is_told_as_such_and_not_as_a_wrong_size(parts):
    full = Mock(side_effect=torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"))
    parts["net"].pool.register_forward_pre_hook(full)
    with pytest.raises(TrainingError, match="^The memory is full"):
        evaluate(parts["net"], parts["test_loader"])


def test_a_scheduler_with_too_few_steps_is_refused(parts):
    with pytest.raises(TrainingError, match="7 of its 7 steps left"):
        train(**parts, scheduler=lr_scheduler.OneCycleLR(parts["optimizer"], 0.1, total_steps=7))


def test_a_refused_call_leaves_the_earlier_run_where_it_was(parts, tmp_path):
    train(**parts, save_path=(path := tmp_path / "checkpoint.pt"))
    before = path.read_bytes()
    with pytest.raises(TrainingError, match="steps left"):
        train(
            **parts,
            scheduler=lr_scheduler.OneCycleLR(parts["optimizer"], 0.1, total_steps=7),
            save_path=path,
        )
    assert path.read_bytes() == before
    assert not (tmp_path / "kept").exists()


@pytest.mark.parametrize(
    ("what", "error", "words"),
    [
        (lambda x: x.new_empty(10**16), TrainingError, "memory is full.* smaller"),
        (Mock(side_effect=torch.OutOfMemoryError("CUDA out of memory.")), TrainingError, "smaller"),
        (
            lambda x: x.view(len(x), -1),
            TrainingError,
            "flatten",
        ),  # not to be had with channels last
        (Mock(side_effect=LookupError("something else")), LookupError, "^something else$"),
    ],
)
def test_errors_that_say_too_little_are_explained(parts, what, error, words):
    parts["net"].pool.register_forward_pre_hook(lambda _, inputs: what(*inputs))
    with pytest.raises(error, match=words):
        train(**parts)


def test_a_last_batch_of_one_image_is_left_out_or_explained(make_set):
    """Batch norm on maps of 1 x 1 pixels cannot learn from a single image."""
    image_set, net = (
        make_set(9, size=1),
        nn.Sequential(nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(3, 3)),
    )
    plain = DataLoader(TensorDataset(image_set.images / 255, image_set.labels), 4)
    arguments = (plain, 1, sgd(net), nn.CrossEntropyLoss())
    assert len(train(net, Batches(image_set, 4, shuffle=True, device="cpu"), *arguments)) == 1
    with pytest.raises(TrainingError, match="drop_last"):
        train(net, plain, *arguments)


def test_weight_decay_is_for_weights_only():
    net = Net()
    net.stem[0].weight.requires_grad_(False)
    decayed, plain = module.parameter_groups(net, 0.01)
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.01, 0)
    assert [p.shape for p in decayed["params"]] == [(3, 8)]
    assert [p.shape for p in plain["params"]] == [(8,), (8,), (8,), (3,)]
