"""One picture, from anywhere, through a network: `load_image` gets it, `predict` classifies it."""

import os
import re
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor, nn

from utils.data import Batches, ImageSet
from utils.machinery.pictures import (
    MAX_LINK_BYTES,
    MAX_LINK_PIXELS,
    ImageError,
    decode_image,
    middle_square,
    open_image,
    to_rgb,
)
from utils.machinery.precision import evaluation_mode
from utils.machinery.web import fetch, serve_folder

__all__ = ["ImageError", "Prediction", "load_image", "predict", "serve_folder"]

Source = str | os.PathLike | bytes | Image.Image  # what load_image takes
LINK = r"\s*([a-z][a-z0-9+.-]+://|data:|blob:)"


@dataclass(frozen=True)
class Prediction:
    """What a network saw and what it made of it."""

    seen: Image.Image  # RGB or greyscale, at the size of the data set's images
    classes: tuple[str, ...]  # K names
    probabilities: np.ndarray  # float32 [K], sum 1


def load_image(source: Source) -> Image.Image:
    """The picture at a path or an http(s) link, in bytes or in a PIL image, as RGB.

    A JPEG of more than 25 megapixels comes at a half, a quarter or an eighth of its size. Raises
    ImageError.
    """
    if isinstance(source, Image.Image):
        return to_rgb(source)
    if isinstance(source, bytes | bytearray | memoryview):
        return decode_image(bytes(source))
    if isinstance(source, str) and re.match(LINK, source, re.IGNORECASE):
        data = fetch(source.strip())
        return decode_image(data, "The picture behind the link", MAX_LINK_BYTES, MAX_LINK_PIXELS)
    if isinstance(source, str | os.PathLike):
        return open_image(source)
    kind = type(source).__name__
    raise ImageError(
        f"A picture is a path, a link, bytes or a PIL image, not {kind}: try Image.fromarray."
    )


def predict(
    net: nn.Module,
    image: Source,
    dataset: ImageSet,
    size: int | None = None,
    *,
    invert: bool = False,
) -> Prediction:
    """The class probabilities of one picture, which goes the way that the training pictures went.

    The middle square of `image` (anything that `load_image` takes) is shrunk to the size of the
    data set's images, then enlarged to `size` if the network was trained with
    Batches(resize=size), and normalised. `invert=True` turns dark on light into light on dark, as
    in MNIST. Raises ImageError where there is no picture, MemoryError where the memory is full,
    ValueError where the network does not take the picture or gives not one output for each class.
    """
    channels = dataset.images.shape[1]
    side = dataset.images.shape[-1]
    seen = middle_square(load_image(image), side).convert("L" if channels == 1 else "RGB")
    if invert:
        seen = ImageOps.invert(seen)
    logits = _logits(net, _as_batch(seen, dataset, size, net))
    shape = list(getattr(logits, "shape", [type(logits).__name__]))
    if shape != [1, len(dataset.classes)]:
        raise ValueError(
            f"The network gives {shape}, not [1, {len(dataset.classes)}]: build it for these "
            "classes."
        )
    probabilities = logits.float().softmax(dim=1)[0].cpu().numpy()
    return Prediction(seen, tuple(dataset.classes), probabilities)


def _as_batch(seen: Image.Image, dataset: ImageSet, size: int | None, net: nn.Module) -> Tensor:
    """The picture as Batches gives the data set's, in the network's number type, on its device."""
    pixels = torch.from_numpy(np.array(seen)).reshape(1, seen.height, seen.width, -1)
    images = pixels.permute(0, 3, 1, 2)  # [1, C, H, W]
    one = replace(dataset, images=images, labels=torch.zeros(1, dtype=torch.int64))
    weight = next(net.parameters(), torch.zeros(0))
    batch, _ = next(iter(Batches(one, 1, resize=size, device=weight.device)))
    return batch.to(weight.dtype)


def _logits(net: nn.Module, batch: Tensor) -> Tensor:
    """The network's outputs, with an error of PyTorch told in a sentence."""
    try:
        with evaluation_mode(net), torch.inference_mode():
            return net(batch)
    except RuntimeError as error:
        # On a CPU it is "not enough memory" or "can't allocate memory".
        if re.search(r"out of memory|allocate memory|not enough memory", str(error)):
            raise MemoryError(
                f"The memory of {batch.device} is full: stop the other notebooks that use it, and "
                f"restart this one ({str(error).splitlines()[0]})."
            ) from error
        raise ValueError(
            f"The network takes no {list(batch.shape)}: give its size as size= ({error})."
        ) from error
