"""Writes `tiny.safetensors`: what `amt` must compute, from the official code that the `vbench` wheel carries.

The official modules with few channels and random weights, in float32 on one thread; two crops of one texture are the frames,
so that there is a motion. Weights are under the keys of the published checkpoint's `state_dict`.

    pip install torch==2.15.0 vbench==0.1.5 safetensors==0.8.0 numpy==1.26.4
    python export.py                  writes tiny.safetensors
    python export.py --full DIR       writes the published size at two sizes of frames, and prints PyTorch's times

Keys: `weights.*`, `input.texture` (the frames are crops of it, divided by 255), activations and the result with channels last,
of which the large ones are thinned by the strides in their names.
"""

import importlib
import platform
import sys
from pathlib import Path

import torch
from torch import nn
from vbench.third_party.amt.networks.blocks.feat_enc import SmallEncoder
from vbench.third_party.amt.networks.blocks.raft import SmallUpdateBlock
from vbench.third_party.amt.utils.utils import InputPadder

sys.path.insert(0, str(Path(__file__).parents[3] / "golden"))
import exporting  # noqa: E402
import motion  # noqa: E402
from motion import last  # noqa: E402

Model = importlib.import_module("vbench.third_party.amt.networks.AMT-S").Model

SEED = 20_230_418
EMBT = torch.tensor(0.5).view(1, 1, 1, 1)


def tiny():
    channels = [4, 5, 6, 7]
    model = Model(channels=channels, skip_channels=3)
    model.feat_encoder = SmallEncoder(output_dim=18, norm_fn="instance", dropout=0.0)
    motion.shrink_encoder(model.feat_encoder, nn.InstanceNorm2d, (8, 8, 12), 18)

    def update(width, scale):
        return SmallUpdateBlock(width, hidden_dim=7, flow_dim=3, corr_dim=5, fc_dim=6, scale_factor=scale, radius=3)

    model.update4, model.update3, model.update2 = update(6, None), update(5, 2), update(4, 4)
    return model


def draw(model, generator):
    """No bias or slope keeps its first value; flows stay within some pixels and colours mostly within 0 and 1."""
    for name, parameter in model.named_parameters():
        value = torch.randn(parameter.shape, generator=generator)
        if name.endswith("bias"):
            value = 0.1 * value
        elif parameter.dim() == 1:
            value = 0.25 + 0.1 * value
        else:
            # A transposed convolution of stride 2 adds a quarter of its taps.
            fan_in = parameter[:, 0].numel() / 4 if "convblock.2" in name else parameter[0].numel()
            value = value * (1.6 / fan_in) ** 0.5
        if "convblock.2.weight" in name and "decoder1" not in name:
            value[:, :4] = 0.3 * value[:, :4]
        if "_head.2" in name or "decoder1.convblock.2" in name or name.startswith("comb_block.2"):
            value = 0.2 * value
        parameter.copy_(value)


def trace(model, first, second, every):
    """The official forward pass, and what its parts gave."""
    names = ["feat_encoder", "encoder", "decoder4", "decoder3", "decoder2", "decoder1", "update4", "update3", "update2"]
    with exporting.watched({name: getattr(model, name) for name in names}, each=True) as seen:
        out = model(first, second, EMBT)
    activations = {}

    def put(name, *parts):
        """As many rows and columns of each map as an eighth of the frame has, or every so many of them."""
        value = torch.cat(parts, 1)
        stride = max(1, value.shape[2] * 8 * every // first.shape[2])
        activations[f"{name}.thinned{every}"] = last(value, stride)

    for frame in range(2):
        put(f"features.{frame}", seen["feat_encoder"][0][frame])
        for level in range(4):
            put(f"pyramid.{frame}.{level}", seen["encoder"][frame][level])
    for level in (4, 3, 2):
        flow0, flow1, feature = seen[f"decoder{level}"][0]
        put(f"decoded.{level}", flow0, flow1)
        put(f"feature.{level}", feature)
        put(f"update.{level}", seen[f"update{level}"][0][0])
        put(f"flow.{level}", *(out[f"flow{i}_pred"][level - 1] for i in range(2)))
        put(f"feature.{level}.updated", out["ft_pred"][level - 2])
    flows = [out[f"flow{i}_pred"][0].flatten(1, 2) for i in range(2)]
    put("decoded.1", *flows, *seen["decoder1"][0][2:])
    activations["midpoint"] = out["imgt_pred"]
    return activations


def write(path, model, image, size, every):
    first, second = (frame / 255.0 for frame in motion.crops(image, size))
    padder = InputPadder(first.shape, 16)
    first, second = padder.pad(first, second)
    activations = trace(model, first, second, every)
    # Whole rows and columns of the frame, not of the padded one.
    midpoint = padder.unpad(activations.pop("midpoint"))
    activations[f"midpoint.thinned{every + 1}"] = last(midpoint, every + 1)
    tensors = exporting.weights(model.state_dict())
    tensors["input.texture"], frames = motion.given(image, size)
    metadata = {"seed": str(SEED), "python": platform.python_version()} | frames
    metadata |= exporting.versions("torch", "vbench") | {"official": "vbench.third_party.amt, AMT-S"}
    exporting.write(path, tensors | activations, metadata)
    exporting.print_scales(activations)
    return first, second


def main():
    options = exporting.begin(__file__, SEED)
    generator = torch.Generator().manual_seed(SEED)
    model = Model() if options.full else tiny()
    model.eval()
    draw(model, generator)
    every = 1 if options.full else 2
    motion.export(
        options,
        (121, 139),
        lambda path, size: write(path, model, motion.texture(size, generator), size, every),
        lambda first, second: model(first, second, EMBT, eval=True),
    )


main()
