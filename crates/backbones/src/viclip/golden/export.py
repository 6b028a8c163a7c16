"""VBench's copy of ViCLIP, for parity tests. `export.py` writes the tiny golden beside itself; `export.py --full DIR` writes the
published size with random weights, and prints PyTorch's times."""

import atexit
import os
import pathlib
import shutil
import sys
import tempfile
import types

import clip
import torch
from torch import nn

sys.path.insert(0, str(pathlib.Path(__file__).parents[3] / "golden"))
import exporting  # noqa: E402

SEED = 13

# Importing its tokenizer opens a vocabulary in VBench's cache, and asks pkg_resources about versions.
CACHE = tempfile.mkdtemp()
os.environ["VBENCH_CACHE_DIR"] = CACHE
os.makedirs(f"{CACHE}/ViCLIP")
shutil.copy(pathlib.Path(clip.__file__).with_name("bpe_simple_vocab_16e6.txt.gz"), f"{CACHE}/ViCLIP")
if "pkg_resources" not in sys.modules:
    import packaging.version

    sys.modules["pkg_resources"] = types.SimpleNamespace(packaging=packaging)

from vbench.third_party.ViCLIP.viclip_text import CLIP_TEXT  # noqa: E402
from vbench.third_party.ViCLIP.viclip_vision import VisionTransformer  # noqa: E402

atexit.register(shutil.rmtree, CACHE)


class ViCLIP(nn.Module):
    """The official class's parts under its names, of any size."""

    def __init__(self, vision, text):
        super().__init__()
        self.vision_encoder = VisionTransformer(**vision)
        self.text_encoder = CLIP_TEXT(**text, checkpoint_num=0)
        self.temp = nn.Parameter(torch.ones([]) / 100)


def randomise(network):
    """Weights of a scale that keeps activations apart, and norms that are not the identity."""
    for name, weight in network.named_parameters():
        if "ln_" in name:
            weight.normal_(1.0 if name.endswith("weight") else 0.0, 0.2)
        elif name.endswith(("embedding", "embedding.weight", "bias")):
            weight.normal_(0.0, 0.3)
        elif name.endswith("proj") or name.endswith("projection"):
            weight.normal_(0.0, weight.shape[0] ** -0.5)
        elif weight.ndim:
            weight.normal_(0.0, weight[0].numel() ** -0.5)


def watch(network, frames):
    """Activations of `[T, 3, H, W]` by name; the last block's of the class token alone. The official order of patches is by place and
    then by time; here it is by time, which attention does not tell apart."""
    tower = network.vision_encoder

    def by_time(x):
        if x.shape[1] == 1:
            return x
        patches = x[:, 1:].unflatten(1, (-1, len(frames))).transpose(1, 2).flatten(1, 2)
        return torch.cat([x[:, :1], patches], dim=1)

    modules = {"patches": (tower.conv1, lambda x: x[0].permute(1, 2, 3, 0).flatten(1, 2)), "embedded": (tower.ln_pre, by_time)}
    blocks = tower.transformer.resblocks
    for i, block in enumerate(blocks):
        end = 1 if i + 1 == len(blocks) else None
        modules[f"block.{i}"] = (block, lambda x, end=end: by_time(x.transpose(0, 1)[:, :end]))
    with exporting.watched(modules) as seen:
        # As encode_vision hands it over: [1, 3, T, H, W].
        seen["feature"] = tower(frames.transpose(0, 1)[None])
    return seen


def main():
    options = exporting.begin(__file__, SEED)
    if options.full:
        vision = dict(input_resolution=224, patch_size=14, width=1024, layers=24, heads=16, output_dim=768, num_frames=8)
        text = dict(embed_dim=768, context_length=32, vocab_size=49408, transformer_width=768, transformer_heads=12, transformer_layers=12)
        texts = torch.zeros(1, 32, dtype=torch.long)
        texts[0, :8] = torch.tensor([49406, 320, 2533, 530, 518, 4919, 12, 49407])
    else:
        vision = dict(input_resolution=8, patch_size=4, width=24, layers=2, heads=2, output_dim=10, num_frames=3)
        text = dict(embed_dim=10, context_length=7, vocab_size=40, transformer_width=24, transformer_heads=2, transformer_layers=2)
        texts = torch.tensor([[38, 7, 3, 21, 39, 0, 0], [38, 7, 3, 21, 5, 6, 39]])
    network = ViCLIP(vision, text).eval()
    randomise(network)
    frames = torch.randn(vision["num_frames"], 3, vision["input_resolution"], vision["input_resolution"])
    out = exporting.weights(network.state_dict())
    out |= {"input.video": frames, "input.texts": texts.float(), "text.feature": network.text_encoder(texts)}
    out |= {f"video.{name}": value for name, value in watch(network, frames).items()}
    if options.full:
        video = frames.transpose(0, 1)[None]
        exporting.print_time("video", lambda: network.vision_encoder(video), options.runs)
        exporting.print_time("text", lambda: network.text_encoder(texts), options.runs)
    else:
        out |= {f"single.{name}": value for name, value in watch(network, frames[:1]).items()}
    metadata = {"seed": str(SEED)} | exporting.versions("torch", "vbench")
    exporting.write(options.path, out, metadata)


if __name__ == "__main__":
    main()
