"""The official DINOv2 (github facebookresearch/dinov2) for parity tests; the folder of a clone is named by DINOV2. `export.py` writes the
tiny golden beside itself; `export.py --full DIR` writes ViT-B/14 with random weights, and prints PyTorch's time."""

import functools
import os
import pathlib
import sys
import warnings

import torch

sys.path.insert(0, str(pathlib.Path(__file__).parents[3] / "golden"))
import exporting  # noqa: E402

sys.path.insert(0, os.environ["DINOV2"])
warnings.filterwarnings("ignore")
from dinov2.layers import MemEffAttention  # noqa: E402
from dinov2.layers import NestedTensorBlock as Block  # noqa: E402
from dinov2.models import vision_transformer as official  # noqa: E402

SEED = 31
# As dinov2/hub/backbones.py has them.
PUBLISHED = {"img_size": 518, "patch_size": 14, "init_values": 1.0, "ffn_layer": "mlp", "block_chunks": 0}


def main():
    options = exporting.begin(__file__, SEED)
    if options.full:
        network = official.vit_base(**PUBLISHED)
        sizes = {"square": (2, 3, 224, 224)}
    else:
        block = functools.partial(Block, attn_class=MemEffAttention)
        sizes_of = {"img_size": 20, "patch_size": 4, "embed_dim": 24, "depth": 3, "num_heads": 3, "block_fn": block}
        network = official.DinoVisionTransformer(**PUBLISHED | sizes_of)
        sizes = {"square": (2, 3, 16, 16), "own": (1, 3, 20, 20), "wide": (1, 3, 12, 28)}
    network.eval()
    for name, weight in network.named_parameters():
        if "norm" in name or "gamma" in name:
            weight.normal_(0.0 if name.endswith("bias") else 1.0, 0.2)
        elif weight.ndim > 1 and "token" not in name and "pos" not in name:
            weight.normal_(0.0, weight[0].numel() ** -0.5)
        else:
            weight.normal_(0.0, 0.3)
    out = exporting.weights(network.state_dict())
    last = len(network.blocks) - 1
    modules = {"patches": network.patch_embed}
    modules |= {f"block.{i}": (block, lambda x, one=i == last: x[:, :1] if one else x) for i, block in enumerate(network.blocks)}
    for case, size in sizes.items():
        images = out[f"input.{case}"] = torch.randn(size)
        with exporting.watched(modules) as seen:
            seen["feature"] = network(images)
        seen["embedded"] = network.prepare_tokens_with_masks(images)
        out |= {f"{case}.{name}": values for name, values in seen.items()}
        if options.full:
            exporting.print_time(f"{size}", lambda: network(images), options.runs)
    exporting.write(options.path, out, {"seed": str(SEED)} | exporting.versions("torch"))


if __name__ == "__main__":
    main()
