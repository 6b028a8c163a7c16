"""What do the exporters of the networks that see motion share? Two crops of one texture as frames, and encoders with few channels."""

import torch
import torch.nn.functional as F
from torch import nn

import exporting

# The second frame shows the texture this much lower and further right.
SHIFT = (2, 5)
# Frames of the published sizes: height and width.
SIZES = ((240, 320), (256, 448))


def texture(size, generator):
    """Blobs of several sizes, 0 to 255, whole numbers, of which crops of a size can be taken."""
    height, width = size[0] + SHIFT[0], size[1] + SHIFT[1]
    total = torch.zeros(1, 3, height, width)
    for cells in (3, 9, 27):
        noise = torch.randn(1, 3, cells, cells, generator=generator)
        total += F.interpolate(noise, size=(height, width), mode="bicubic", align_corners=False)
    total -= total.min()
    return (total * 255 / total.max()).round()


def crops(image, size):
    """The two frames."""
    (height, width), (down, right) = size, SHIFT
    return image[..., :height, :width], image[..., down : down + height, right : right + width]


def last(x, every=1):
    """Channels last, no batch, every so many rows and columns."""
    return x[0].movedim(0, -1)[::every, ::every].contiguous()


def given(image, size):
    """The texture as a golden has it, and what else tells a reader which frames were seen."""
    # Whole numbers up to 255 are exact in bf16.
    return last(image).to(torch.bfloat16), {"size": f"{size[0]} {size[1]}", "shift": f"{SHIFT[0]} {SHIFT[1]}"}


def shrink_encoder(encoder, norm, widths, output):
    """The layers of RAFT's encoder and of AMT's copy with other widths; its forward pass stays."""
    encoder.conv1 = nn.Conv2d(3, widths[0], 7, stride=2, padding=3)
    encoder.norm1 = norm(widths[0])
    encoder.in_planes = widths[0]
    for i, (width, stride) in enumerate(zip(widths, (1, 2, 2)), 1):
        setattr(encoder, f"layer{i}", encoder._make_layer(width, stride=stride))
    encoder.conv2 = nn.Conv2d(widths[-1], output, 1)


def export(options, tiny_size, write, run):
    """The tiny golden, or one of each of `SIZES` with PyTorch's time. `write` makes the file of a path and a size, and gives the two frames
    that `run` takes."""
    if not options.full:
        write(options.path, tiny_size)
        return
    for size in SIZES:
        frames = write(options.folder / f"{options.path.stem}-{size[0]}x{size[1]}.safetensors", size)
        exporting.print_time(f"{size}", lambda: run(*frames), options.runs)
