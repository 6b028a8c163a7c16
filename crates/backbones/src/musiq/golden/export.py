"""Writes golden activations of MUSIQ from pyiqa 0.1.10 (not a dependency of this repository).

Usage: python export.py [--full DIR]; needs torch, pyiqa and safetensors. `--full` writes the published size with random weights,
which is not kept in the repository.
"""

import argparse
import importlib
import importlib.metadata
import pathlib
import sys
import time
import types

import torch
from safetensors.torch import save_file

SEED = 7


def packages_without_their_imports(*names):
    """Importing pyiqa imports all its metrics and what they need; its packages are entered here without that."""
    for name in names:
        package = types.ModuleType(name)
        parent = importlib.metadata.distribution("pyiqa").locate_file("")
        package.__path__ = [str(pathlib.Path(str(parent)) / name.replace(".", "/"))]
        sys.modules[name] = package


packages_without_their_imports("pyiqa", "pyiqa.archs", "pyiqa.utils", "pyiqa.data", "pyiqa.matlab_utils")
sys.modules["pyiqa.matlab_utils"].__dict__.update(importlib.import_module("pyiqa.matlab_utils.padding").__dict__)
musiq_arch = importlib.import_module("pyiqa.archs.musiq_arch")


def randomise(model, generator):
    """Weights under which activations neither vanish nor grow, and norms and biases are not the identity."""
    with torch.no_grad():
        for name, value in model.named_parameters():
            noise = torch.randn(value.shape, generator=generator)
            if value.dim() == 1 and "weight" in name:
                value.copy_(1 + 0.2 * noise)
            elif value.dim() == 1:
                value.copy_(0.1 * noise)
            elif "emb" in name and value.dim() != 2 or "cls" in name or "scale_emb" in name:
                value.copy_(0.5 * noise)
            else:
                value.copy_(noise / value[0].numel() ** 0.5)


def tiny():
    model = musiq_arch.MUSIQ(
        patch_size=8, hidden_size=12, mlp_dim=20, num_heads=2, num_layers=2, spatial_pos_grid_size=4,
        pretrained=False, longer_side_lengths=[20, 28],
    )
    # The channels of the stem are no argument: the published 64 alone would fill the golden.
    channels = 32
    model.conv_root = musiq_arch.StdConv(3, channels, 7, 2, bias=False)
    model.gn_root = torch.nn.GroupNorm(32, channels, eps=1e-6)
    model.block1 = musiq_arch.Bottleneck(channels, 4 * channels)
    model.embedding = torch.nn.Linear(4 * channels * 4, 12)
    return model, (2, 3, 29, 38)


def full():
    return musiq_arch.MUSIQ(pretrained=False), (1, 3, 288, 512)


def export(model, shape, path):
    generator = torch.Generator().manual_seed(SEED)
    randomise(model, generator)
    model.eval()
    batch = shape[0]
    image = torch.rand(shape, generator=generator)
    # The last picture is a ramp: a score that looks at its picture tells the two apart.
    ramp = torch.linspace(0, 1, shape[3]) * torch.linspace(0.2, 1, shape[2])[:, None]
    image[-1] = 0.9 * ramp + 0.1 * image[-1]
    tensors = {"input.image": image.permute(0, 2, 3, 1)}
    seen = {}

    def keep(name):
        def hook(_, __, output):
            seen[name] = output
        return hook

    encoder = model.transformer_encoder
    blocks = list(encoder.transformer.values())
    for name, module in [("root", model.root_pool), ("block", model.block1), ("embedding", model.embedding)]:
        module.register_forward_hook(keep(name))
    encoder.dropout.register_forward_hook(keep("tokens"))
    for i, block in enumerate(blocks):
        block.register_forward_hook(keep(f"blocks.{i}"))
    scaled = []
    official = musiq_arch.get_multiscale_patches.__globals__["resize_preserve_aspect_ratio"]

    def resize(*arguments):
        result = official(*arguments)
        scaled.append(result[0])
        return result

    masks = {}
    musiq_arch.get_multiscale_patches.__globals__["resize_preserve_aspect_ratio"] = resize
    encoder.register_forward_pre_hook(lambda _, arguments: masks.update(mask=arguments[3]))
    with torch.no_grad():
        start = time.time()
        tensors["scores"] = model(image).reshape(batch)
        print(f"{time.time() - start:.3f} s for {tuple(shape)}")
    tensors["small"], tensors["middle"] = (x.permute(0, 2, 3, 1) for x in scaled)
    mask = masks["mask"]
    with_class = torch.cat([torch.ones(batch, 1, dtype=torch.bool), mask], dim=1)
    tensors["root"] = seen["root"].permute(0, 2, 3, 1)[mask.flatten()]
    tensors["block"] = seen["block"].permute(0, 2, 3, 1)[mask.flatten()]
    tensors["embedding"] = seen["embedding"][mask]
    tensors["tokens"] = seen["tokens"][with_class]
    for i in range(len(blocks) - 1):
        tensors[f"blocks.{i}"] = seen[f"blocks.{i}"][with_class]
    tensors["last"] = seen[f"blocks.{len(blocks) - 1}"][:, 0]
    tensors.update({f"weights.{name}": value for name, value in model.state_dict().items()})
    metadata = {
        "seed": str(SEED),
        "torch": torch.__version__,
        "pyiqa": importlib.metadata.version("pyiqa"),
    }
    save_file({name: value.float().contiguous() for name, value in tensors.items()}, path, metadata=metadata)
    print(path, "scores", tensors["scores"].tolist())
    for name in ["root", "block", "embedding", "tokens", "last"]:
        print(name, tuple(tensors[name].shape), "std", tensors[name].std().item())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--full", type=pathlib.Path)
    arguments = parser.parse_args()
    torch.manual_seed(SEED)
    if arguments.full:
        arguments.full.mkdir(parents=True, exist_ok=True)
        export(*full(), arguments.full / "musiq.safetensors")
    else:
        export(*tiny(), pathlib.Path(__file__).parent / "tiny.safetensors")


main()
