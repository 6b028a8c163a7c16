"""Writes golden activations of the Swin transformer of Tag2Text from vbench 0.1.5 (not a dependency of this repository).

Usage: python export.py [--full DIR]; needs torch, timm 1.0.12, scipy, vbench and safetensors. `--full` writes the published size with
random weights, which is not kept in the repository, and prints PyTorch's time.
"""

import importlib.metadata
import importlib.util
import pathlib
import sys

import torch

sys.path.insert(0, str(pathlib.Path(__file__).parents[3] / "golden"))
import exporting  # noqa: E402

SEED = 11


def official():
    """The module by its file: importing its package would import the captioner, too."""
    file = importlib.metadata.distribution("vbench").locate_file("vbench/third_party/tag2Text/swin_transformer.py")
    spec = importlib.util.spec_from_file_location("swin_transformer", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


swin_transformer = official()


def draw(name, noise):
    return noise if "bias_table" in name else noise / noise[0].numel() ** 0.5


def tiny():
    """Maps of 12, 6 and 3: windows of 3 that move on the first two, and one that is the whole of the last."""
    return swin_transformer.SwinTransformer(
        img_size=48, patch_size=4, embed_dim=8, depths=[2, 2, 2], num_heads=[1, 2, 4], window_size=3,
    ), (2, 3, 48, 48)


def full():
    return swin_transformer.SwinTransformer(
        img_size=384, patch_size=4, embed_dim=128, depths=[2, 2, 18, 2], num_heads=[4, 8, 16, 32], window_size=12,
    ), (1, 3, 384, 384)


def export(model, shape, options):
    generator = torch.Generator().manual_seed(SEED)
    exporting.randomise(model, generator, draw)
    model.eval()
    image = torch.randn(shape, generator=generator)
    modules = {"patches": model.patch_embed}
    for i, stage in enumerate(model.layers):
        modules |= {f"stage.{i}.block.{j}": block for j, block in enumerate(stage.blocks)}
        if stage.downsample is not None:
            modules[f"stage.{i}.merged"] = stage.downsample
    with exporting.watched(modules) as seen:
        seen["features"] = model(image)
    tensors = {"input.image": image.permute(0, 2, 3, 1)} | seen | exporting.weights(model.state_dict())
    exporting.write(options.path, tensors, {"seed": str(SEED)} | exporting.versions("torch", "vbench"))
    exporting.print_scales(seen)
    if options.full:
        exporting.print_time(f"{shape}", lambda: model(image), options.runs)


def main():
    options = exporting.begin(__file__, SEED)
    export(*(full() if options.full else tiny()), options)


main()
