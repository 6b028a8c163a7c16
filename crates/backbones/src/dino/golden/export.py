"""The reference of DINO's features, for parity tests: timm's blocks (they have DINO's weights by the same names) between an embedding
that does what facebookresearch/dino does about positions. `export.py` writes the tiny golden beside itself;
`export.py --full DIR` writes the published size with random weights, and prints PyTorch's time."""

import functools
import pathlib
import sys

import torch
from timm.models.vision_transformer import Block
from torch import nn

sys.path.insert(0, str(pathlib.Path(__file__).parents[3] / "golden"))
import exporting  # noqa: E402

SEED = 7


class Dino(nn.Module):
    def __init__(self, patch, grid, width, depth, heads):
        super().__init__()
        norm = functools.partial(nn.LayerNorm, eps=1e-6)
        self.grid = grid
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + grid * grid, width))
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, width, patch, patch)})
        self.blocks = nn.ModuleList(
            Block(width, heads, mlp_ratio=4, qkv_bias=True, norm_layer=norm) for _ in range(depth)
        )
        self.norm = norm(width)

    def positions(self, images, rows, columns):
        square = images.shape[2] == images.shape[3]
        if square and rows * columns == self.grid**2:
            return self.pos_embed
        table = self.pos_embed[:, 1:].reshape(1, self.grid, self.grid, -1).permute(0, 3, 1, 2)
        scale = ((rows + 0.1) / self.grid, (columns + 0.1) / self.grid)
        table = nn.functional.interpolate(table, scale_factor=scale, mode="bicubic")
        assert table.shape[2:] == (rows, columns)
        return torch.cat([self.pos_embed[:, :1], table.flatten(2).transpose(1, 2)], dim=1)

    def forward(self, images, seen=None):
        seen = {} if seen is None else seen
        maps = self.patch_embed["proj"](images)
        x = seen["patches"] = maps.flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1)
        x = seen["embedded"] = x + self.positions(images, *maps.shape[2:])
        for i, block in enumerate(self.blocks):
            x = block(x)
            seen[f"block.{i}"] = x
        seen[f"block.{len(self.blocks) - 1}"] = x[:, :1]
        seen["feature"] = self.norm(x)[:, 0]
        return seen["feature"]


def randomise(network):
    """Weights of a scale that keeps activations apart, and norms that are not the identity."""
    for name, weight in network.named_parameters():
        if "norm" in name:
            weight.normal_(1.0 if name.endswith("weight") else 0.0, 0.2)
        elif weight.ndim > 1 and "token" not in name and "pos" not in name:
            weight.normal_(0.0, weight[0].numel() ** -0.5)
        else:
            weight.normal_(0.0, 0.3)


def main():
    options = exporting.begin(__file__, SEED)
    if options.full:
        network = Dino(16, 14, 768, 12, 12)
        sizes = {"wide": (1, 3, 224, 398)}
    else:
        network = Dino(4, 4, 24, 3, 3)
        sizes = {"square": (2, 3, 16, 16), "odd": (1, 3, 22, 31), "oblong": (1, 3, 18, 16)}
    network.eval()
    randomise(network)
    out = exporting.weights(network.state_dict())
    for case, size in sizes.items():
        images = out[f"input.{case}"] = torch.randn(size)
        seen = {}
        network(images, seen)
        out |= {f"{case}.{name}": values for name, values in seen.items()}
        if options.full:
            exporting.print_time(f"{size}", lambda: network(images), options.runs)
    metadata = {"seed": str(SEED)} | exporting.versions("torch", "timm")
    exporting.write(options.path, out, metadata)


if __name__ == "__main__":
    main()
