"""Writes `tiny.safetensors`: what `raft` must compute, from the official code that the `vbench` wheel carries.

The official modules with few channels and random weights, in float32 on one thread; two crops of one texture are the frames,
so that there is a motion. Weights are under the keys of the published checkpoint.

    pip install torch==2.15.0 vbench==0.1.5 safetensors==0.8.0 numpy==1.26.4
    python export.py                  writes tiny.safetensors
    python export.py --full DIR       writes the published size at two sizes of frames, and prints PyTorch's times

Keys: `weights.*`, `input.texture` (the frames are crops of it), activations and outputs with channels last, of which the large
ones are thinned by the strides in their names.
"""

import platform
import statistics
import sys
import time
from argparse import Namespace
from importlib.metadata import version
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn
from vbench.third_party.RAFT.core.corr import CorrBlock
from vbench.third_party.RAFT.core.extractor import BasicEncoder
from vbench.third_party.RAFT.core.raft import RAFT
from vbench.third_party.RAFT.core.update import FlowHead, SepConvGRU
from vbench.third_party.RAFT.core.utils_core.utils import InputPadder

torch.set_grad_enabled(False)

SEED = 20_200_326
# The second frame shows the texture this much lower and further right.
SHIFT = (2, 5)


def shrink_encoder(encoder, norm, widths, output):
    """The layers of `BasicEncoder` with other widths; its forward pass stays."""
    stem = widths[0]
    encoder.conv1 = nn.Conv2d(3, stem, 7, stride=2, padding=3)
    encoder.norm1 = nn.InstanceNorm2d(stem) if norm == "instance" else nn.BatchNorm2d(stem)
    encoder.in_planes = stem
    encoder.layer1 = encoder._make_layer(widths[0], stride=1)
    encoder.layer2 = encoder._make_layer(widths[1], stride=2)
    encoder.layer3 = encoder._make_layer(widths[2], stride=2)
    encoder.conv2 = nn.Conv2d(widths[2], output, 1)


def tiny():
    model = RAFT(Namespace(small=False, mixed_precision=False))
    hidden, context, motion = 8, 6, 9
    model.hidden_dim, model.context_dim = hidden, context
    model.fnet = BasicEncoder(output_dim=16, norm_fn="instance")
    model.cnet = BasicEncoder(output_dim=hidden + context, norm_fn="batch")
    shrink_encoder(model.fnet, "instance", (6, 10, 12), 20)
    shrink_encoder(model.cnet, "batch", (6, 10, 12), hidden + context)
    update = model.update_block
    update.encoder.convc1 = nn.Conv2d(324, 12, 1)
    update.encoder.convc2 = nn.Conv2d(12, 10, 3, padding=1)
    update.encoder.convf1 = nn.Conv2d(2, 9, 7, padding=3)
    update.encoder.convf2 = nn.Conv2d(9, 7, 3, padding=1)
    update.encoder.conv = nn.Conv2d(17, motion - 2, 3, padding=1)
    update.gru = SepConvGRU(hidden_dim=hidden, input_dim=context + motion)
    update.flow_head = FlowHead(hidden, hidden_dim=11)
    update.mask = nn.Sequential(nn.Conv2d(hidden, 10, 3, padding=1), nn.ReLU(), nn.Conv2d(10, 64 * 9, 1))
    return model


def draw(model, generator):
    """No bias or norm weight keeps its first value; flows stay within some pixels."""
    for name, parameter in model.named_parameters():
        value = torch.randn(parameter.shape, generator=generator)
        if name.endswith("bias"):
            value = 0.1 * value
        elif parameter.dim() == 1:
            value = 1 + 0.2 * value
        else:
            value = value * (2.0 / parameter[0].numel()) ** 0.5
            if "flow_head.conv2" in name:
                value = 0.3 * value
        parameter.copy_(value)
    for name, buffer in model.named_buffers():
        if name.endswith("running_mean"):
            buffer.copy_(0.3 * torch.randn(buffer.shape, generator=generator))
        elif name.endswith("running_var"):
            buffer.copy_(1 + torch.rand(buffer.shape, generator=generator))


def texture(height, width, generator):
    """Blobs of several sizes, 0 to 255, whole numbers."""
    total = torch.zeros(1, 3, height, width)
    for cells in (3, 9, 27):
        noise = torch.randn(1, 3, cells, cells, generator=generator)
        total += F.interpolate(noise, size=(height, width), mode="bicubic", align_corners=False)
    total -= total.min()
    return (total * 255 / total.max()).round()


def crops(image, height, width):
    down, right = SHIFT
    return image[..., :height, :width], image[..., down : down + height, right : right + width]


def last(x, every=1):
    """Channels last, no batch, every so many rows and columns."""
    return x[0].movedim(0, -1)[::every, ::every].contiguous()


def trace(model, first, second, iterations):
    """The official forward pass, and what its parts gave."""
    seen = {}

    def keep(name, of=lambda output: output):
        def hook(_, __, output):
            seen.setdefault(name, []).append(of(output))

        return hook

    handles = [
        model.fnet.register_forward_hook(keep("features")),
        model.cnet.register_forward_hook(keep("context")),
        model.update_block.encoder.register_forward_hook(keep("motion")),
        model.update_block.flow_head.register_forward_hook(keep("delta")),
        model.update_block.register_forward_hook(keep("hidden", lambda output: output[0])),
    ]
    correlations = []
    call = CorrBlock.__call__

    def kept(self, coords):
        correlations.append(call(self, coords))
        return correlations[-1]

    CorrBlock.__call__ = kept
    low, up = model(first, second, iters=iterations, test_mode=True)
    CorrBlock.__call__ = call
    for handle in handles:
        handle.remove()
    out = {
        "features.0.thinned2": last(seen["features"][0][0], 2),
        "features.1.thinned2": last(seen["features"][0][1], 2),
        "context.thinned2": last(seen["context"][0], 2),
        "correlation.0.thinned5": last(correlations[0], 5),
        "motion.0.thinned2": last(seen["motion"][0], 2),
        "hidden.0.thinned2": last(seen["hidden"][0], 2),
    }
    total = torch.zeros_like(low)
    for i in range(iterations):
        total = total + seen["delta"][i]
        if i in (0, 1, 3, 7, iterations - 1):
            out[f"flow.{i}"] = last(total)
    out["correlation.last.thinned5"] = last(correlations[-1], 5)
    out["upsampled.thinned3"] = last(up, 3)
    return out


def write(path, model, image, size, iterations):
    first, second = crops(image, *size)
    padder = InputPadder(first.shape)
    first, second = padder.pad(first, second)
    activations = trace(model, first, second, iterations)
    weights = {name: value.clone() for name, value in model.state_dict().items() if value.is_floating_point()}
    tensors = {f"weights.module.{name}": value for name, value in weights.items()}
    # Whole numbers up to 255 are exact in bf16.
    tensors["input.texture"] = last(image).to(torch.bfloat16)
    tensors.update(activations)
    metadata = {
        "seed": str(SEED),
        "size": f"{size[0]} {size[1]}",
        "shift": f"{SHIFT[0]} {SHIFT[1]}",
        "iterations": str(iterations),
        "python": platform.python_version(),
        "torch": version("torch"),
        "vbench": version("vbench"),
        "official": "vbench.third_party.RAFT",
    }
    save_file(tensors, path, metadata=metadata)
    for name, value in activations.items():
        print(f"{name:28} {tuple(value.shape)} largest {value.abs().max():.3f} deviation {value.std():.3f}")
    print(path, path.stat().st_size)
    return first, second


def main():
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(SEED)
    if len(sys.argv) == 3 and sys.argv[1] == "--full":
        model = RAFT(Namespace(small=False, mixed_precision=False)).eval()
        draw(model, generator)
        for height, width in ((240, 320), (256, 448)):
            image = texture(height + SHIFT[0], width + SHIFT[1], generator)
            path = Path(sys.argv[2]) / f"raft-{height}x{width}.safetensors"
            first, second = write(path, model, image, (height, width), 20)
            torch.set_num_threads(2)
            seconds = []
            for _ in range(3):
                start = time.perf_counter()
                model(first, second, iters=20, test_mode=True)
                seconds.append(time.perf_counter() - start)
            torch.set_num_threads(1)
            print(f"{height}x{width}: median {statistics.median(seconds):.3f} s of {seconds}")
        return
    model = tiny().eval()
    draw(model, generator)
    image = texture(125 + SHIFT[0], 131 + SHIFT[1], generator)
    write(Path(__file__).parent / "tiny.safetensors", model, image, (125, 131), 4)


main()
