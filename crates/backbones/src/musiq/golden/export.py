"""Writes golden activations of MUSIQ from pyiqa 0.1.10 (not a dependency of this repository).

Usage: python export.py [--full DIR]; needs torch, pyiqa and safetensors. `--full` writes the published size with random weights,
which is not kept in the repository, and prints PyTorch's time.
"""

import importlib
import importlib.metadata
import pathlib
import sys
import types

import torch

sys.path.insert(0, str(pathlib.Path(__file__).parents[3] / "golden"))
import exporting  # noqa: E402

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


def draw(name, noise):
    if "emb" in name and noise.dim() != 2 or "cls" in name or "scale_emb" in name:
        return 0.5 * noise
    return noise / noise[0].numel() ** 0.5


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


def export(model, shape, options):
    generator = torch.Generator().manual_seed(SEED)
    exporting.randomise(model, generator, draw)
    model.eval()
    batch = shape[0]
    image = torch.rand(shape, generator=generator)
    # The last picture is a ramp: a score that looks at its picture tells the two apart.
    ramp = torch.linspace(0, 1, shape[3]) * torch.linspace(0.2, 1, shape[2])[:, None]
    image[-1] = 0.9 * ramp + 0.1 * image[-1]
    tensors = {"input.image": image.permute(0, 2, 3, 1)}
    encoder = model.transformer_encoder
    blocks = list(encoder.transformer.values())
    modules = {"root": model.root_pool, "block": model.block1, "embedding": model.embedding, "tokens": encoder.dropout}
    modules |= {f"blocks.{i}": block for i, block in enumerate(blocks)}
    scaled = []
    official = musiq_arch.get_multiscale_patches.__globals__["resize_preserve_aspect_ratio"]

    def resize(*arguments):
        result = official(*arguments)
        scaled.append(result[0])
        return result

    masks = {}
    musiq_arch.get_multiscale_patches.__globals__["resize_preserve_aspect_ratio"] = resize
    encoder.register_forward_pre_hook(lambda _, arguments: masks.update(mask=arguments[3]))
    with exporting.watched(modules) as seen:
        tensors["scores"] = model(image).reshape(batch)
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
    tensors |= exporting.weights(model.state_dict())
    exporting.write(options.path, tensors, {"seed": str(SEED)} | exporting.versions("torch", "pyiqa"))
    print("scores", tensors["scores"].tolist())
    exporting.print_scales({name: tensors[name] for name in ["root", "block", "embedding", "tokens", "last"]})
    if options.full:
        exporting.print_time(f"{shape}", lambda: model(image), options.runs)


def main():
    options = exporting.begin(__file__, SEED)
    export(*(full() if options.full else tiny()), options)


main()
