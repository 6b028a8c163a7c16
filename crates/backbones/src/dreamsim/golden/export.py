"""The official DreamSim ensemble (PyPI `dreamsim`, github ssundaram21/dreamsim) for parity tests: its own loader, adapters by peft, over
files of the published layout with random weights. `export.py` writes the tiny golden beside itself; `export.py --full DIR` writes the
published size, and prints PyTorch's time. DINO's own code, which the loader fetches, is the one that DreamSim has a copy of."""

import functools
import json
import os
import pathlib
import sys
import tempfile

import torch

sys.path.insert(0, str(pathlib.Path(__file__).parents[3] / "golden"))
import exporting  # noqa: E402

import dreamsim.model as official  # noqa: E402
import peft  # noqa: E402
from dreamsim.feature_extraction import load_clip_as_dino, load_open_clip_as_dino  # noqa: E402
from dreamsim.feature_extraction.vision_transformer import DINOHead, VisionTransformer, vit_base  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

SEED = 29
PARTS = ["dino", "clip", "open_clip"]
FILES = ["checkpoints/dino_vitbase16_pretrain.pth", "clip_vitb16_pretrain.pth.tar", "open_clip_vitb16_pretrain.pth.tar"]
LORA = {"r": 16, "lora_alpha": 8, "lora_dropout": 0.3, "bias": "none", "target_modules": ["qkv"]}


def tiny(depth, width, heads, patch_size=4, **_):
    norm = functools.partial(torch.nn.LayerNorm, eps=1e-6)
    return VisionTransformer(
        img_size=[16], patch_size=patch_size, embed_dim=width, depth=depth, num_heads=heads, qkv_bias=True, norm_layer=norm
    )


def randomised(network):
    """Weights of a scale that keeps activations apart, and norms that are not the identity."""
    for name, weight in network.named_parameters():
        if "norm" in name or "pos_drop" in name:
            weight.normal_(1.0 if name.endswith("weight") else 0.0, 0.2)
        elif weight.ndim > 1 and "token" not in name and "pos" not in name:
            weight.normal_(0.0, weight[0].numel() ** -0.5)
        else:
            weight.normal_(0.0, 0.3)
    return network


def write_checkpoint(folder, dino, clip, output, lora):
    """Files as the published archive and torch.hub lay them; `dino` and `clip` make networks."""
    os.makedirs(os.path.join(folder, "checkpoints"), exist_ok=True)
    states = [randomised(dino()).state_dict()]
    for _ in range(2):
        network = clip()
        network.pos_drop = torch.nn.LayerNorm(network.embed_dim)
        state = randomised(network).state_dict()
        states.append(state | {"proj": torch.randn(network.embed_dim, output) * network.embed_dim**-0.5})
    for i, (file, state) in enumerate(zip(FILES, states)):
        torch.save(state if i == 0 else {"state_dict": state}, os.path.join(folder, file))
    # The head is loaded, and never computed.
    head = {f"module.head.{key}": value for key, value in DINOHead(768, 2048).state_dict().items()}
    head["module.head.last_layer.weight"] = torch.zeros(2048, 256)
    torch.save({"student": head}, os.path.join(folder, "dino_vitb16_pretrain.pth"))
    load = os.path.join(folder, "ensemble_lora")
    os.makedirs(load, exist_ok=True)
    with open(os.path.join(load, "adapter_config.json"), "w") as file:
        json.dump(lora, file)
    # What peft saves of an adapter that has learned something; training begins with `B` zero.
    network, _ = ensemble(folder, dino, clip, pretrained=False)
    for name, weight in network.named_parameters():
        if "lora_" in name:
            weight.normal_(0.0, 0.7 * weight.shape[1] ** -0.5)
    network.save_pretrained(load)


def ensemble(folder, dino, clip, pretrained=True):
    """The official loader, but for what it fetches."""

    def hub(repository, model):
        assert (repository, model) == ("facebookresearch/dino:main", "dino_vitb16")
        network = dino()
        network.load_state_dict(torch.load(os.path.join(folder, FILES[0])))
        return network

    torch.hub.load = hub
    load_clip_as_dino.vit_base = load_open_clip_as_dino.vit_base = lambda patch_size: clip()
    return official.dreamsim(pretrained=pretrained, device="cpu", cache_dir=folder)


def main():
    options = exporting.begin(__file__, SEED)
    if options.full:
        dino = clip = vit_base
        size, output, lora = (2, 3, 224, 224), 512, LORA
    else:
        # The official code takes the token of DINO's twelfth block.
        dino, clip = functools.partial(tiny, 12, 12, 2), functools.partial(tiny, 2, 18, 3)
        size, output, lora = (2, 3, 16, 16), 10, LORA | {"r": 3, "lora_alpha": 2}
        create = official.ViTExtractor.patch_vit_resolution
        official.ViTExtractor.patch_vit_resolution = staticmethod(lambda model, stride: create(model, 4))
    with tempfile.TemporaryDirectory() as folder:
        write_checkpoint(folder, dino, clip, output, lora)
        network, _ = ensemble(folder, dino, clip)
        out = {}
        for part, file in zip(PARTS, FILES):
            state = torch.load(os.path.join(folder, file))
            out |= exporting.weights(state.get("state_dict", state), f"weights.{part}.")
        out |= exporting.weights(load_file(os.path.join(folder, "ensemble_lora/adapter_model.safetensors")), "weights.adapter.")
        config = pathlib.Path(folder, "ensemble_lora/adapter_config.json").read_text()
    images = out["input.images"] = torch.rand(size)
    modules = {}
    for part, extractor in zip(PARTS, network.base_model.model.extractor_list):
        model, last = extractor.model, len(extractor.model.blocks) - 1
        modules[f"{part}.patches"] = model.patch_embed
        modules[f"{part}.embedded"] = model.pos_drop
        for i, block in enumerate(model.blocks):
            modules[f"{part}.block.{i}"] = (block, lambda x, one=i == last: x[:, :1] if one else x)
    with exporting.watched(modules) as seen:
        embedding = network.embed(images)
    # What is joined, before it is centred.
    inner = network.base_model.model
    inner.normalize_embeds = False
    widths = [seen["dino.patches"].shape[2], output, output]
    seen |= {f"{part}.feature": value for part, value in zip(PARTS, network.embed(images).split(widths, dim=1))}
    inner.normalize_embeds = True
    out |= seen | {"embedding": embedding}
    if options.full:
        exporting.print_time(f"{size}", lambda: network.embed(images), options.runs)
    metadata = {"seed": str(SEED), "adapter_config": config} | exporting.versions("torch", "dreamsim", "peft")
    exporting.write(options.path, out, metadata)


if __name__ == "__main__":
    main()
