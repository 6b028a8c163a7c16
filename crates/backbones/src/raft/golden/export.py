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
import sys
from argparse import Namespace
from pathlib import Path

import torch
from torch import nn
from vbench.third_party.RAFT.core.corr import CorrBlock
from vbench.third_party.RAFT.core.extractor import BasicEncoder
from vbench.third_party.RAFT.core.raft import RAFT
from vbench.third_party.RAFT.core.update import FlowHead, SepConvGRU
from vbench.third_party.RAFT.core.utils_core.utils import InputPadder

sys.path.insert(0, str(Path(__file__).parents[3] / "golden"))
import exporting  # noqa: E402
import motion  # noqa: E402
from motion import last  # noqa: E402

SEED = 20_200_326


def tiny():
    model = RAFT(Namespace(small=False, mixed_precision=False))
    hidden, context, moved = 8, 6, 9
    model.hidden_dim, model.context_dim = hidden, context
    model.fnet = BasicEncoder(output_dim=16, norm_fn="instance")
    model.cnet = BasicEncoder(output_dim=hidden + context, norm_fn="batch")
    motion.shrink_encoder(model.fnet, nn.InstanceNorm2d, (6, 10, 12), 20)
    motion.shrink_encoder(model.cnet, nn.BatchNorm2d, (6, 10, 12), hidden + context)
    update = model.update_block
    update.encoder.convc1 = nn.Conv2d(324, 12, 1)
    update.encoder.convc2 = nn.Conv2d(12, 10, 3, padding=1)
    update.encoder.convf1 = nn.Conv2d(2, 9, 7, padding=3)
    update.encoder.convf2 = nn.Conv2d(9, 7, 3, padding=1)
    update.encoder.conv = nn.Conv2d(17, moved - 2, 3, padding=1)
    update.gru = SepConvGRU(hidden_dim=hidden, input_dim=context + moved)
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


def trace(model, first, second, iterations):
    """The official forward pass, and what its parts gave."""
    modules = {"features": model.fnet, "context": model.cnet, "motion": model.update_block.encoder}
    modules |= {"delta": model.update_block.flow_head, "hidden": (model.update_block, lambda output: output[0])}
    correlations = []
    call = CorrBlock.__call__

    def kept(self, coords):
        correlations.append(call(self, coords))
        return correlations[-1]

    CorrBlock.__call__ = kept
    with exporting.watched(modules, each=True) as seen:
        low, up = model(first, second, iters=iterations, test_mode=True)
    CorrBlock.__call__ = call
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
    first, second = motion.crops(image, size)
    first, second = InputPadder(first.shape).pad(first, second)
    activations = trace(model, first, second, iterations)
    tensors = exporting.weights(model.state_dict(), "weights.module.")
    tensors["input.texture"], frames = motion.given(image, size)
    metadata = {"seed": str(SEED), "iterations": str(iterations), "python": platform.python_version()} | frames
    metadata |= exporting.versions("torch", "vbench") | {"official": "vbench.third_party.RAFT"}
    exporting.write(path, tensors | activations, metadata)
    exporting.print_scales(activations)
    return first, second


def main():
    options = exporting.begin(__file__, SEED)
    generator = torch.Generator().manual_seed(SEED)
    model = RAFT(Namespace(small=False, mixed_precision=False)) if options.full else tiny()
    model.eval()
    draw(model, generator)
    iterations = 20 if options.full else 4
    motion.export(
        options,
        (125, 131),
        lambda path, size: write(path, model, motion.texture(size, generator), size, iterations),
        lambda first, second: model(first, second, iters=20, test_mode=True),
    )


main()
