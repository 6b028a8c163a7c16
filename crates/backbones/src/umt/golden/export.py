"""VBench's copy of UMT's classifier, for parity tests. `export.py` writes the tiny golden beside itself; `export.py --full DIR` writes
ViT-L/16 of 16 frames with random weights, and prints PyTorch's time."""

import argparse
import functools
import importlib.metadata
import pathlib
import statistics
import time

import torch
from safetensors.torch import save_file
from torch import nn
from vbench.third_party.umt.models.modeling_finetune import VisionTransformer, get_sinusoid_encoding_table

SEED = 17
HERE = pathlib.Path(__file__).parent


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
    seen, hooks = {}, []

    def hook(module, name):
        hooks.append(module.register_forward_hook(lambda _, given, out: seen.update({name: out})))

    hook(network.patch_embed, "patches")
    hook(network.pos_drop, "embedded")
    for i, block in enumerate(network.blocks):
        hook(block, f"block.{i}")
    hook(network.fc_norm, "pooled")
    seen["logits"] = network(video)
    for handle in hooks:
        handle.remove()
    return seen


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--full", type=pathlib.Path)
    parser.add_argument("--runs", type=int, default=3, help="how often PyTorch is timed; 0: not at all")
    arguments = parser.parse_args()
    full, runs = arguments.full, arguments.runs
    torch.manual_seed(SEED)
    shared = dict(tubelet_size=1, qkv_bias=True, norm_layer=functools.partial(nn.LayerNorm, eps=1e-6))
    if full:
        torch.set_num_threads(2)
        network = VisionTransformer(patch_size=16, embed_dim=1024, depth=24, num_heads=16, num_classes=400, all_frames=16, **shared)
        video = torch.randn(1, 3, 16, 224, 224)
    else:
        network = VisionTransformer(8, 4, num_classes=7, embed_dim=24, depth=2, num_heads=3, all_frames=5, **shared)
        video = torch.randn(1, 3, 5, 8, 8)
    network.eval()
    randomise(network)
    weights = {name: weight for name, weight in network.state_dict().items() if name != "pos_embed"}
    out = {f"weights.{name}": weight for name, weight in weights.items()}
    out |= {"input.video": video[0].transpose(0, 1)} | watch(network, video)
    if full:
        times = []
        for _ in range(runs):
            start = time.perf_counter()
            network(video)
            times.append(time.perf_counter() - start)
        if times:
            print(f"PyTorch, 2 threads: {statistics.median(times):.3f} s")
    else:
        # Before the table is changed.
        out = {key: value.clone() for key, value in out.items()}
        network.pos_embed.normal_(0.0, 0.5)
        out |= {"learned.pos_embed": network.pos_embed, "learned.logits": network(video)}
        out["table.16"] = get_sinusoid_encoding_table(16 * 14 * 14, 4, 16)
        out["table.8"] = get_sinusoid_encoding_table(8 * 14 * 14, 4, 8)
        out["table.8.small"] = get_sinusoid_encoding_table(8 * 5 * 5, 4, 8)
    metadata = {"seed": str(SEED), "torch": torch.__version__, "vbench": importlib.metadata.version("vbench")}
    path = full / "umt.safetensors" if full else HERE / "tiny.safetensors"
    # A file holds no views; weights are none.
    whole = {key: value if key.startswith("weights.") else value.clone().contiguous() for key, value in out.items()}
    save_file(whole, path, metadata)
    print(path, path.stat().st_size)


if __name__ == "__main__":
    main()
