"""VBench's copy of UMT's classifier, for parity tests. `export.py` writes the tiny golden beside itself; `export.py --full DIR` writes
ViT-L/16 of 16 frames with random weights, and prints PyTorch's time."""

import functools
import pathlib
import sys

import torch
from torch import nn
from vbench.third_party.umt.models.modeling_finetune import VisionTransformer, get_sinusoid_encoding_table

sys.path.insert(0, str(pathlib.Path(__file__).parents[3] / "golden"))
import exporting  # noqa: E402

SEED = 17


def randomise(network):
    """Weights of a scale that keeps activations apart, and norms that are not the identity."""
    for name, weight in network.named_parameters():
        if "norm" in name:
            weight.normal_(1.0 if name.endswith("weight") else 0.0, 0.2)
        elif name.endswith("bias"):
            weight.normal_(0.0, 0.3)
        elif name != "pos_embed":
            weight.normal_(0.0, weight[0].numel() ** -0.5)


def watch(network, video):
    """Activations of `[1, 3, T, H, W]` by name."""
    modules = {"patches": network.patch_embed, "embedded": network.pos_drop}
    modules |= {f"block.{i}": block for i, block in enumerate(network.blocks)} | {"pooled": network.fc_norm}
    with exporting.watched(modules) as seen:
        seen["logits"] = network(video)
    return seen


def main():
    options = exporting.begin(__file__, SEED)
    shared = dict(tubelet_size=1, qkv_bias=True, norm_layer=functools.partial(nn.LayerNorm, eps=1e-6))
    if options.full:
        network = VisionTransformer(patch_size=16, embed_dim=1024, depth=24, num_heads=16, num_classes=400, all_frames=16, **shared)
        video = torch.randn(1, 3, 16, 224, 224)
    else:
        network = VisionTransformer(8, 4, num_classes=7, embed_dim=24, depth=2, num_heads=3, all_frames=5, **shared)
        video = torch.randn(1, 3, 5, 8, 8)
    network.eval()
    randomise(network)
    out = exporting.weights(network.state_dict())
    del out["weights.pos_embed"]
    out |= {"input.video": video[0].transpose(0, 1)} | watch(network, video)
    if options.full:
        exporting.print_time("16 frames", lambda: network(video), options.runs)
    else:
        # Before the table is changed.
        out = {key: value.clone() for key, value in out.items()}
        network.pos_embed.normal_(0.0, 0.5)
        out |= {"learned.pos_embed": network.pos_embed, "learned.logits": network(video)}
        out["table.16"] = get_sinusoid_encoding_table(16 * 14 * 14, 4, 16)
        out["table.8"] = get_sinusoid_encoding_table(8 * 14 * 14, 4, 8)
        out["table.8.small"] = get_sinusoid_encoding_table(8 * 5 * 5, 4, 8)
    metadata = {"seed": str(SEED)} | exporting.versions("torch", "vbench")
    exporting.write(options.path, out, metadata)


if __name__ == "__main__":
    main()
