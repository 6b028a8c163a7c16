"""Writes golden activations of the Swin transformer of Tag2Text from vbench 0.1.5 (not a dependency of this repository).

Usage: python export.py [--full DIR]; needs torch, timm 1.0.12, scipy, vbench and safetensors. `--full` writes the published size with
random weights, which is not kept in the repository.
"""

import argparse
import importlib.metadata
import importlib.util
import pathlib
import time

import torch
from safetensors.torch import save_file

SEED = 11


def official():
    """The module by its file: importing its package would import the captioner, too."""
    file = importlib.metadata.distribution("vbench").locate_file("vbench/third_party/tag2Text/swin_transformer.py")
    spec = importlib.util.spec_from_file_location("swin_transformer", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


swin_transformer = official()


def randomise(model, generator):
    """Weights under which activations neither vanish nor grow, and norms and biases are not the identity."""
    with torch.no_grad():
        for name, value in model.named_parameters():
            noise = torch.randn(value.shape, generator=generator)
            if value.dim() == 1 and "weight" in name:
                value.copy_(1 + 0.2 * noise)
            elif value.dim() == 1:
                value.copy_(0.1 * noise)
            elif "bias_table" in name:
                value.copy_(noise)
            else:
                value.copy_(noise / value[0].numel() ** 0.5)


def tiny():
    """Maps of 12, 6 and 3: windows of 3 that move on the first two, and one that is the whole of the last."""
    return swin_transformer.SwinTransformer(
        img_size=48, patch_size=4, embed_dim=8, depths=[2, 2, 2], num_heads=[1, 2, 4], window_size=3,
    ), (2, 3, 48, 48)


def full():
    return swin_transformer.SwinTransformer(
        img_size=384, patch_size=4, embed_dim=128, depths=[2, 2, 18, 2], num_heads=[4, 8, 16, 32], window_size=12,
    ), (1, 3, 384, 384)


def export(model, shape, path):
    generator = torch.Generator().manual_seed(SEED)
    randomise(model, generator)
    model.eval()
    image = torch.randn(shape, generator=generator)
    tensors = {"input.image": image.permute(0, 2, 3, 1)}

    def keep(name):
        def hook(_, __, output):
            tensors[name] = output
        return hook

    model.patch_embed.register_forward_hook(keep("patches"))
    for i, stage in enumerate(model.layers):
        for j, block in enumerate(stage.blocks):
            block.register_forward_hook(keep(f"stage.{i}.block.{j}"))
        if stage.downsample is not None:
            stage.downsample.register_forward_hook(keep(f"stage.{i}.merged"))
    with torch.no_grad():
        start = time.time()
        tensors["features"] = model(image)
        print(f"{time.time() - start:.3f} s for {shape}")
    tensors.update({f"weights.{name}": value for name, value in model.state_dict().items()})
    metadata = {
        "seed": str(SEED),
        "torch": torch.__version__,
        "vbench": importlib.metadata.version("vbench"),
    }
    kept = {name: value.contiguous() for name, value in tensors.items() if value.is_floating_point()}
    save_file(kept, path, metadata=metadata)
    print(path, {name: round(value.std().item(), 3) for name, value in kept.items() if "." not in name})


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--full", type=pathlib.Path)
    arguments = parser.parse_args()
    torch.manual_seed(SEED)
    if arguments.full:
        arguments.full.mkdir(parents=True, exist_ok=True)
        export(*full(), arguments.full / "swin.safetensors")
    else:
        export(*tiny(), pathlib.Path(__file__).parent / "tiny.safetensors")


main()
