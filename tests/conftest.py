"""What the tests share: figures without a window, random numbers that repeat, small image sets."""

from collections.abc import Callable, Iterator

import matplotlib
import pytest
import torch

from utils.data import ImageSet

matplotlib.use("agg")
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _same_random_numbers_every_time() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """For networks so small that threads cost more than they bring."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def make_set() -> Callable[..., ImageSet]:
    """Makes an ImageSet of noise around one colour a class: learned within an epoch or two."""

    def make(
        count: int = 30, classes: int = 3, channels: int = 3, size: int = 8, seed: int = 0
    ) -> ImageSet:
        generator = torch.Generator().manual_seed(seed)
        labels = torch.arange(count) % classes
        colours = (
            torch.rand(classes, channels, 1, 1, generator=torch.Generator().manual_seed(99)) * 200
        )
        noise = torch.rand(count, channels, size, size, generator=generator) * 55
        images = (colours[labels] + noise).to(torch.uint8)
        names = tuple(f"class {k}" for k in range(classes))
        return ImageSet(images, labels, names, "noise", (0.5,) * channels, (0.25,) * channels)

    return make
