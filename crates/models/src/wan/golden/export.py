"""Writes `transformer.safetensors` and `vae.safetensors`: what `wan` must compute, from diffusers' port of Wan 2.1.

Tiny networks of the released shape with random weights, in float32 on one thread; no bias, norm weight or modulation keeps
its initial value. Weights are written under the keys and in the layout of the original checkpoints.

    pip install torch==2.15.0 diffusers==0.42.1 safetensors==0.8.0 numpy==2.4.6
    python export.py

Keys: `weights.*` as in an original checkpoint, `given.*` inputs, `expected.*` activations and outputs with channels last.
"""

import json
import math
import platform
import re
from pathlib import Path

import diffusers
import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from diffusers.models.transformers.transformer_wan import WanRotaryPosEmbed
from safetensors.torch import save_file

torch.set_num_threads(1)
torch.set_grad_enabled(False)

SEED = 20_250_225
TRANSFORMER = {
    "channels_in": 5,
    "channels_out": 3,
    "width": 48,
    "mlp_width": 80,
    "heads": 3,
    "blocks": 2,
    "time_features": 128,
    "text_width": 20,
}
VAE = {"width": 3, "multipliers": [1, 2, 4, 4], "residual_blocks": 2, "latent_channels": 4}
GRID = (2, 4, 6)  # latent frames, height, width
TEXT_ROWS = [[7, 3], 9]  # real rows of each sample, all rows
# One a sample, and one a latent frame of which the first is clean.
TIMESTEPS = {"uniform": [[937.5], [62.0]], "per_frame": [[0.0, 750.0], [0.0, 999.0]]}
LATENTS = (4, 2, 3)  # latent frames, height, width
# Later chunks are like the last of these.
TRACED_CHUNKS = {"encoder": 2, "decoder": 3}
# Which grid of a model with heads as wide as the released ones.
ROPE_GRID, ROPE_HEAD = (2, 3, 4), 128


# Weights.


def draw(module, generator):
    """Norm weights around 1, biases and modulations around 0, all others at the deviation that keeps activations level."""
    for name, parameter in module.named_parameters():
        value = torch.randn(parameter.shape, generator=generator)
        if "norm" in name and name.endswith(("weight", "gamma")):
            value = 1 + 0.3 * value
        elif name.endswith("bias"):
            value = 0.2 * value
        elif name.endswith("scale_shift_table"):
            value = 0.5 * value
        else:
            value = value / math.sqrt(parameter[0].numel())
        parameter.copy_(value)


# diffusers' names → the original ones, the first that matches wins.
TRANSFORMER_NAMES = [
    (r"^condition_embedder\.(text|time)_embedder\.linear_1\.", r"\1_embedding.0."),
    (r"^condition_embedder\.(text|time)_embedder\.linear_2\.", r"\1_embedding.2."),
    (r"^condition_embedder\.time_proj\.", "time_projection.1."),
    (r"^(blocks\.\d+)\.scale_shift_table$", r"\1.modulation"),
    (r"^scale_shift_table$", "head.modulation"),
    (r"^proj_out\.", "head.head."),
    (r"\.attn1\.to_(out\.0|.)\.", lambda m: f".self_attn.{m[1][0]}."),
    (r"\.attn2\.to_(out\.0|.)\.", lambda m: f".cross_attn.{m[1][0]}."),
    (r"\.attn1\.", ".self_attn."),
    (r"\.attn2\.", ".cross_attn."),
    (r"\.norm2\.", ".norm3."),
    (r"\.ffn\.net\.0\.proj\.", ".ffn.0."),
    (r"\.ffn\.net\.2\.", ".ffn.2."),
    (r"^patch_embedding\.", "patch_embedding."),
]


def transformer_key(name):
    for pattern, replacement in TRANSFORMER_NAMES:
        renamed, count = re.subn(pattern, replacement, name)
        if count:
            return renamed
    raise KeyError(name)


def vae_key(name):
    name = re.sub(r"^quant_conv\.", "conv1.", name)
    name = re.sub(r"^post_quant_conv\.", "conv2.", name)
    name = name.replace(".conv_in.", ".conv1.")
    name = name.replace(".norm_out.", ".head.0.").replace(".conv_out.", ".head.2.")
    name = name.replace(".mid_block.resnets.0.", ".middle.0.").replace(".mid_block.resnets.1.", ".middle.2.")
    name = name.replace(".mid_block.attentions.0.", ".middle.1.").replace(".down_blocks.", ".downsamples.")
    name = re.sub(r"\.up_blocks\.(\d)\.resnets\.(\d)\.", lambda m: f".upsamples.{4 * int(m[1]) + int(m[2])}.", name)
    name = re.sub(r"\.up_blocks\.(\d)\.upsamplers\.0\.", lambda m: f".upsamples.{4 * int(m[1]) + 3}.", name)
    for ours, original in [("norm1", "0"), ("conv1", "2"), ("norm2", "3"), ("conv2", "6")]:
        name = re.sub(rf"(\.(middle|upsamples|downsamples)\.\d+)\.{ours}\.", rf"\1.residual.{original}.", name)
    return name.replace(".conv_shortcut.", ".shortcut.")


def weights_of(module, key):
    tensors = {f"weights.{key(name)}": value for name, value in module.state_dict().items()}
    assert len(tensors) == len(module.state_dict())
    return tensors


# Activations.


class Trace:
    """Outputs of submodules, by the name that the test gives them."""

    def __init__(self):
        self.outputs = {}

    def watch(self, module, name, view=lambda x: x):
        def hook(_, __, output):
            self.outputs.setdefault(name, []).append(view(output).clone())

        module.register_forward_hook(hook)

    def take(self):
        outputs, self.outputs = self.outputs, {}
        return outputs


def channels_last(x):
    return x.movedim(1, -1)


class Float64Features(torch.nn.Module):
    """The angles of timesteps as Wan's own code takes them. diffusers takes them in float32: up to 6e-5 away."""

    def __init__(self, width, port):
        super().__init__()
        self.half, self.port = width // 2, port

    def forward(self, timesteps):
        frequencies = 10_000 ** (-torch.arange(self.half, dtype=torch.float64) / self.half)
        angles = timesteps.double()[:, None] * frequencies
        features = torch.cat([angles.cos(), angles.sin()], -1).float()
        assert (features - self.port(timesteps)).abs().max() < 1e-4
        return features


def export_transformer():
    c = TRANSFORMER
    generator = torch.Generator().manual_seed(SEED)
    model = WanTransformer3DModel(
        num_attention_heads=c["heads"],
        attention_head_dim=c["width"] // c["heads"],
        in_channels=c["channels_in"],
        out_channels=c["channels_out"],
        text_dim=c["text_width"],
        freq_dim=c["time_features"],
        ffn_dim=c["mlp_width"],
        num_layers=c["blocks"],
    ).eval()
    draw(model, generator)
    embedder = model.condition_embedder
    embedder.timesteps_proj = Float64Features(c["time_features"], embedder.timesteps_proj)

    frames, height, width = GRID
    x = torch.randn(2, c["channels_in"], frames, height, width, generator=generator)
    rows, total = TEXT_ROWS
    text = torch.randn(2, total, c["text_width"], generator=generator)
    for sample, real in enumerate(rows):
        text[sample, real:] = 0

    trace = Trace()
    trace.watch(model.patch_embedding, "patch_embedding", lambda x: x.flatten(2).transpose(1, 2))
    trace.watch(embedder.timesteps_proj, "time_features")
    trace.watch(embedder.time_embedder, "time_embedding")
    trace.watch(embedder.time_proj, "time_projection")
    trace.watch(embedder.text_embedder, "text_embedding")
    for i, block in enumerate(model.blocks):
        trace.watch(block, f"blocks.{i}")
    trace.watch(model.proj_out, "head")

    tensors = weights_of(model, transformer_key)
    tensors |= {"given.x": channels_last(x), "given.text": text}
    cells = height // 2 * (width // 2)
    for case, timesteps in TIMESTEPS.items():
        timesteps = torch.tensor(timesteps)
        groups = timesteps.shape[1]
        given = timesteps[:, 0] if groups == 1 else timesteps.repeat_interleave(cells, 1)
        velocity = model(x, given, text).sample
        outputs = {name: value for name, [value] in trace.take().items()}
        if groups > 1:  # the port keeps one row a token, all alike within a frame
            features = outputs["time_features"]
            outputs["time_features"] = features.reshape(2, frames, cells, -1)[:, :, 0]
            for name in ("time_embedding", "time_projection"):
                outputs[name] = outputs[name].reshape(2, frames, cells, -1)[:, :, 0]
        outputs["velocity"] = channels_last(velocity)
        tensors[f"given.timesteps.{case}"] = timesteps
        tensors |= {f"expected.{case}.{name}": value for name, value in outputs.items()}

    rope = WanRotaryPosEmbed(ROPE_HEAD, (1, 2, 2), 1024)
    f, h, w = ROPE_GRID
    cos, sin = (part[0, :, 0] for part in rope(torch.zeros(1, 1, f, 2 * h, 2 * w)))
    tensors["expected.rope"] = torch.stack([cos[:, 0::2], sin[:, 1::2]], -1).flatten(1)
    write("transformer.safetensors", tensors, transformer=c)


def export_vae():
    c = VAE
    generator = torch.Generator().manual_seed(SEED + 1)
    vae = AutoencoderKLWan(
        base_dim=c["width"],
        z_dim=c["latent_channels"],
        dim_mult=c["multipliers"],
        num_res_blocks=c["residual_blocks"],
        temperal_downsample=[False, True, True],
    ).eval()
    draw(vae, generator)

    trace = Trace()
    encoder, decoder = vae.encoder, vae.decoder
    trace.watch(encoder.conv_in, "encoder.conv1", channels_last)
    for i, layer in enumerate(encoder.down_blocks):
        trace.watch(layer, f"encoder.downsamples.{i}", channels_last)
    trace.watch(decoder.conv_in, "decoder.conv1", channels_last)
    for level, block in enumerate(decoder.up_blocks):
        for i, layer in enumerate([*block.resnets, *(block.upsamplers or [])]):
            trace.watch(layer, f"decoder.upsamples.{4 * level + i}", channels_last)
    for part, module in [("encoder", encoder), ("decoder", decoder)]:
        middle = module.mid_block
        for i, layer in enumerate([middle.resnets[0], middle.attentions[0], middle.resnets[1]]):
            trace.watch(layer, f"{part}.middle.{i}", channels_last)
        trace.watch(module.conv_out, f"{part}.head", channels_last)

    frames, height, width = LATENTS
    latents = torch.randn(1, c["latent_channels"], frames, height, width, generator=generator)
    pixels = torch.rand(1, 3, 4 * (frames - 1) + 1, 8 * height, 8 * width, generator=generator) * 2 - 1
    tensors = weights_of(vae, vae_key) | {"given.latents": channels_last(latents), "given.pixels": channels_last(pixels)}

    decoded = vae.decode(latents).sample
    traced = trace.take()
    tensors["expected.decoded"] = channels_last(decoded)
    tensors["expected.mean"] = channels_last(vae.encode(pixels).latent_dist.mean)
    traced |= trace.take()
    for name, chunks in traced.items():
        assert len(chunks) == frames
        for i, chunk in enumerate(chunks[: TRACED_CHUNKS[name.split(".")[0]]]):
            tensors[f"expected.{i}.{name}"] = chunk
    # A shorter clip is the beginning of a longer one: the file need not hold it twice.
    for short in (1, 2):
        difference = vae.decode(latents[:, :, :short]).sample - decoded[:, :, : 4 * (short - 1) + 1]
        assert difference.abs().max() < 1e-5, difference.abs().max()
    clamped = (decoded.abs() == 1).float().mean()
    print(f"{clamped:.1%} of pixel values are clamped")
    write("vae.safetensors", tensors, vae=c)


def write(name, tensors, **metadata):
    versions = {"python": platform.python_version(), "torch": torch.__version__, "diffusers": diffusers.__version__}
    metadata = {key: json.dumps(value) for key, value in {**metadata, "seed": SEED, "versions": versions}.items()}
    tensors = {key: value.float().contiguous() for key, value in tensors.items()}
    assert all(value.isfinite().all() for value in tensors.values())
    path = Path(__file__).with_name(name)
    save_file(tensors, path, metadata)
    path.chmod(0o644)
    largest = max(float(value.abs().max()) for key, value in tensors.items() if key.startswith("expected"))
    print(f"{name}: {len(tensors)} tensors, {path.stat().st_size} bytes, activations up to {largest:.1f}")


if __name__ == "__main__":
    export_transformer()
    export_vae()
