"""Writes `vae.safetensors`, `denoiser.safetensors` and `boxes.safetensors`: what `mini` must compute, from an independent implementation.

Written from the formulas of the papers in float64 on JAX: one sample at a time, so that no batching, padding or mask is
shared with the code under test, with JAX's own layer norm, softmax, convolution, activations and gradients. Weights are drawn
here, not by the code under test, and no bias or norm weight keeps its initial value.

    pip install jax==0.10.2 numpy==2.4.6 safetensors==0.8.0
    python export.py

Keys: `weights.*` as in a checkpoint, `given.*` inputs, `expected.*` activations and outputs, `gradient.*` of the loss
`mean((velocity * given.loss_weights)²)` by every parameter, for boxes of what they make of `x`. A last axis is channels everywhere.
"""

import json
import platform
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from safetensors.numpy import save_file

jax.config.update("jax_enable_x64", True)

SEED = 20_250_131
EPSILON = 1e-6
FOLD = 4
ROPE_BASE = 100.0
TIME_FEATURES = 128

VAE = {
    "latent_channels": 3,
    "fine_width": 4,
    "coarse_width": 6,
    "encoder_blocks": 1,
    "decoder_blocks": 2,
    "decoder_widths": [5, 7],
}
TEXT = {"tokens_max": 6, "layers": 1, "width": 16, "heads": 2}
TRANSFORMER = {"latent_channels": 3, "patch": 2, "width": 16, "blocks": 2, "heads": 2, "mlp_width": 20}
VOCABULARY_SIZE = 11
PROMPTS = [[0, 7, 3, 7, 10], [0], [0, 2, 9]]
# Clean frames beside noised ones. Exact in float32.
TIMESTEPS = [[0.0, 0.375, 1.0], [0.8125, 0.8125, 0.8125], [0.0, 0.0, 0.140625]]
GRID = (3, 4, 6)  # latent frames, height, width
CLIP = (9, 16, 24)  # pixel frames, height, width
BOXES = {"width": 16, "heads": 2, "hidden": 12, "blocks": [0]}
BOX_GRID = (2, 2, 3)  # latent frames, tokens along height and width
PHRASE_WIDTH = 10


# Drawing. Values are rounded to float32 first, so that both sides start from the same numbers.

random = np.random.default_rng(SEED)


def normal(*shape, deviation=1.0, mean=0.0):
    return (mean + deviation * random.standard_normal(shape)).astype(np.float32)


def draw_linear(inputs, outputs, gain=1.0):
    return {"weight": normal(inputs, outputs, deviation=gain / inputs**0.5), "bias": normal(outputs, deviation=0.2)}


def draw_norm(width):
    return {"weight": normal(width, deviation=0.3, mean=1.0)}


def draw_residual_block(width):
    return {
        "norm1": draw_norm(width),
        "conv1": draw_linear(2 * 3 * 3 * width, width, 1.4),
        "norm2": draw_norm(width),
        "conv2": draw_linear(3 * 3 * width, width),
    }


def draw_vae(config):
    fine, coarse, latent = config["fine_width"], config["coarse_width"], config["latent_channels"]
    blocks = lambda count, width: [draw_residual_block(width) for _ in range(count)]
    encoder = {
        "input": draw_linear(3 * FOLD**3, fine),
        "fine": blocks(config["encoder_blocks"], fine),
        "down": draw_linear(2 * 2 * fine, coarse),
        "coarse": blocks(config["encoder_blocks"], coarse),
        "norm": draw_norm(coarse),
        "output": draw_linear(coarse, 2 * latent),
    }
    # One channel of log-variances around each end of the clamp.
    encoder["output"]["bias"][latent] = 10.4
    encoder["output"]["bias"][latent + 1] = -20.3
    fine, coarse = config["decoder_widths"]
    decoder = {
        "input": draw_linear(latent, coarse),
        "coarse": blocks(config["decoder_blocks"], coarse),
        "up": draw_linear(coarse, 4 * fine),
        "fine": blocks(config["decoder_blocks"], fine),
        "norm": draw_norm(fine),
        "output": draw_linear(fine, 3 * FOLD**3),
    }
    return {"encoder": encoder, "decoder": decoder}


def draw_attention(d):
    return {
        **{name: draw_linear(d, d) for name in ("query", "key", "value", "output")},
        "query_norm": draw_norm(d),
        "key_norm": draw_norm(d),
    }


def draw_text(config):
    d = config["width"]
    layer = lambda: {
        "norm1": draw_norm(d),
        **draw_attention(d),
        "norm2": draw_norm(d),
        "up": draw_linear(d, 4 * d),
        "down": draw_linear(4 * d, d),
    }
    return {
        "embedding": normal(VOCABULARY_SIZE, d),
        "position": normal(config["tokens_max"], d, deviation=0.5),
        "layers": [layer() for _ in range(config["layers"])],
        "norm": draw_norm(d),
    }


def draw_transformer(config):
    d, mlp = config["width"], config["mlp_width"]
    token = config["latent_channels"] * config["patch"] ** 2
    block = lambda: {
        "modulation": draw_linear(d, 6 * d),
        "self_attention": draw_attention(d),
        "cross_attention": {"norm": draw_norm(d), **draw_attention(d)},
        "up": draw_linear(d, mlp),
        "down": draw_linear(mlp, d),
    }
    return {
        "input": draw_linear(token, d),
        "time1": draw_linear(TIME_FEATURES, d),
        "time2": draw_linear(d, d),
        "pooled": draw_linear(d, d),
        "blocks": [block() for _ in range(config["blocks"])],
        "final_modulation": draw_linear(d, 2 * d),
        "output": draw_linear(d, token),
    }


# Layers.


def linear(p, x):
    return x @ p["weight"] + p["bias"]


def rms_norm(p, x):
    """Zhang & Sennrich 2019, eq. 4."""
    return x * lax.rsqrt(jnp.mean(jnp.square(x), -1, keepdims=True) + EPSILON) * p["weight"]


def gelu(x):
    """Hendrycks & Gimpel 2016, the tanh form."""
    return jax.nn.gelu(x, approximate=True)


def heads_of(x, heads):
    """`[L, D]` → `[L, N, Dh]`: heads side by side in the channels."""
    return jnp.stack(jnp.split(x, heads, -1), 1)


def attention(q, k, v):
    """Vaswani et al. 2017, eq. 1. `q [Lq, N, Dh]`, `k, v [Lk, N, Dh]` → `[Lq, D]`."""
    weights = jax.nn.softmax(jnp.einsum("qnd,knd->nqk", q, k) / q.shape[-1] ** 0.5, -1)
    out = jnp.einsum("nqk,knd->qnd", weights, v)
    return jnp.concatenate([out[:, n] for n in range(q.shape[1])], -1)


def per_head_norm(p, x, heads):
    """RMS norm of each head by itself, one weight a channel of all heads. `[L, D]` → `[L, N, Dh]`."""
    return rms_norm({"weight": heads_of(p["weight"][None], heads)}, heads_of(x, heads))


def conv3d(p, x, kernel, stride, padding):
    """`x [F, H, W, C]`, weights `[taps · C, O]` with taps in the order time, height, width."""
    weight = p["weight"].reshape(*kernel, x.shape[-1], -1)
    layout = ("NDHWC", "DHWIO", "NDHWC")
    return lax.conv_general_dilated(x[None], weight, stride, padding, dimension_numbers=layout)[0] + p["bias"]


# VAE, of one clip.


def residual_block(p, x):
    h = jax.nn.silu(rms_norm(p["norm1"], x))
    h = conv3d(p["conv1"], h, (2, 3, 3), (1, 1, 1), ((1, 0), (1, 1), (1, 1)))  # causal: zeros before the first frame
    h = jax.nn.silu(rms_norm(p["norm2"], h))
    return x + conv3d(p["conv2"], h, (1, 3, 3), (1, 1, 1), ((0, 0), (1, 1), (1, 1)))


OFFSETS = [(t, y, x) for t in range(FOLD) for y in range(FOLD) for x in range(FOLD)]


def fold(clip):
    """`[Fp, Hp, Wp, 3]` → `[F, Hp/4, Wp/4, 192]`, channels in the order time, height, width, colour."""
    clip = jnp.concatenate([clip[:1]] * (FOLD - 1) + [clip])
    return jnp.concatenate([clip[t::FOLD, y::FOLD, x::FOLD] for t, y, x in OFFSETS], -1)


def unfold(blocks):
    f, h, w, _ = blocks.shape
    clip = jnp.zeros((FOLD * f, FOLD * h, FOLD * w, 3))
    for i, (t, y, x) in enumerate(OFFSETS):
        clip = clip.at[t::FOLD, y::FOLD, x::FOLD].set(blocks[..., 3 * i : 3 * i + 3])
    return clip[FOLD - 1 :]


def encode(p, clip):
    x = linear(p["input"], fold(clip))
    for block in p["fine"]:
        x = residual_block(block, x)
    x = conv3d(p["down"], x, (1, 2, 2), (1, 2, 2), "VALID")
    for block in p["coarse"]:
        x = residual_block(block, x)
    mean, log_variance = jnp.split(linear(p["output"], jax.nn.silu(rms_norm(p["norm"], x))), 2, -1)
    return mean, jnp.clip(log_variance, -20, 10)


def decode(p, latents):
    x = linear(p["input"], latents)
    for block in p["coarse"]:
        x = residual_block(block, x)
    parts = jnp.split(linear(p["up"], x), 4, -1)  # of each cell: upper left, upper right, lower left, lower right
    f, h, w, c = parts[0].shape
    x = jnp.zeros((f, 2 * h, 2 * w, c))
    for i, part in enumerate(parts):
        x = x.at[:, i // 2 :: 2, i % 2 :: 2].set(part)
    for block in p["fine"]:
        x = residual_block(block, x)
    return unfold(linear(p["output"], jax.nn.silu(rms_norm(p["norm"], x))))


# Text encoder, of one prompt.


def encode_text(p, tokens):
    x = p["embedding"][jnp.array(tokens)] + p["position"][: len(tokens)]
    heads = TEXT["heads"]
    for layer in p["layers"]:
        h = rms_norm(layer["norm1"], x)
        q, k = (per_head_norm(layer[f"{name}_norm"], linear(layer[name], h), heads) for name in ("query", "key"))
        x = x + linear(layer["output"], attention(q, k, heads_of(linear(layer["value"], h), heads)))
        x = x + linear(layer["down"], gelu(linear(layer["up"], rms_norm(layer["norm2"], x))))
    return rms_norm(p["norm"], x)


# Transformer, of one sample.


def time_features(t):
    """Vaswani et al. 2017, §3.5, of `1000 t`: cosines, then sines."""
    half = TIME_FEATURES // 2
    angles = 1000 * t[:, None] / 10_000 ** (jnp.arange(half) / half)
    return jnp.concatenate([jnp.cos(angles), jnp.sin(angles)], -1)


def rope_angles(frames, height, width, head_dim):
    """Su et al. 2021 in three axes: a quarter of the pairs for time, the rest in equal parts for height and width."""
    pairs = head_dim // 2
    counts = [pairs // 4, (pairs - pairs // 4) // 2]
    counts.append(pairs - sum(counts))
    grid = np.indices((frames, height, width)).reshape(3, -1)  # row-major over time, height, width
    return np.concatenate([np.outer(p, ROPE_BASE ** -(np.arange(n) / n)) for p, n in zip(grid, counts)], -1)  # [L, Dh/2]


def rotate(x, angles):
    """Su et al. 2021, eq. 13: neighbouring channels are the parts of a complex number. `x [L, N, Dh]`."""
    turned = lax.complex(x[..., 0::2], x[..., 1::2]) * jnp.exp(1j * angles[:, None])
    return jnp.stack([turned.real, turned.imag], -1).reshape(x.shape)


def modulate(x, shift, scale):
    """Layer norm without weights, then adaLN (Peebles & Xie 2023, §3.2)."""
    return jax.nn.standardize(x, -1, epsilon=EPSILON) * (1 + scale) + shift


def transformer_block(p, x, condition, text, angles, heads):
    tokens_a_frame = len(x) // len(condition)
    modulation = jnp.repeat(linear(p["modulation"], condition), tokens_a_frame, 0)
    shift1, scale1, gate1, shift2, scale2, gate2 = jnp.split(modulation, 6, -1)

    a = p["self_attention"]
    h = modulate(x, shift1, scale1)
    q = rotate(per_head_norm(a["query_norm"], linear(a["query"], h), heads), angles)
    k = rotate(per_head_norm(a["key_norm"], linear(a["key"], h), heads), angles)
    x = x + gate1 * linear(a["output"], attention(q, k, heads_of(linear(a["value"], h), heads)))

    a = p["cross_attention"]
    q = per_head_norm(a["query_norm"], linear(a["query"], rms_norm(a["norm"], x)), heads)
    k = per_head_norm(a["key_norm"], linear(a["key"], text), heads)
    x = x + linear(a["output"], attention(q, k, heads_of(linear(a["value"], text), heads)))

    return x + gate2 * linear(p["down"], gelu(linear(p["up"], modulate(x, shift2, scale2))))


def predict(p, x, timesteps, text):
    """Activations by name; the last is `velocity`, of the shape of `x [F, H, W, C]`."""
    patch, heads = TRANSFORMER["patch"], TRANSFORMER["heads"]
    frames, height, width, channels = x.shape
    h, w = height // patch, width // patch
    offsets = [(i, j) for i in range(patch) for j in range(patch)]
    tokens = jnp.concatenate([x[:, i::patch, j::patch] for i, j in offsets], -1).reshape(frames * h * w, -1)
    activations = {"input": linear(p["input"], tokens)}

    time = linear(p["time2"], jax.nn.silu(linear(p["time1"], time_features(timesteps))))
    condition = jax.nn.silu(time + linear(p["pooled"], text.mean(0)))
    activations["condition"] = condition

    angles = rope_angles(frames, h, w, TRANSFORMER["width"] // heads)
    hidden = activations["input"]
    for i, block in enumerate(p["blocks"]):
        hidden = transformer_block(block, hidden, condition, text, angles, heads)
        activations[f"blocks.{i}"] = hidden

    shift, scale = jnp.split(jnp.repeat(linear(p["final_modulation"], condition), h * w, 0), 2, -1)
    output = linear(p["output"], modulate(hidden, shift, scale))
    activations["output"] = output
    velocity = jnp.zeros_like(x)
    for n, (i, j) in enumerate(offsets):
        part = output[:, n * channels : (n + 1) * channels].reshape(frames, h, w, channels)
        velocity = velocity.at[:, i::patch, j::patch].set(part)
    return {**activations, "velocity": velocity}


# Boxes (Wang et al. 2024), of one sample.


def draw_adapter(config):
    d, hidden = config["width"], config["hidden"]
    layer = lambda: {"norm": draw_norm(d), "place": draw_linear(32, d), **draw_attention(d)}
    return {
        "hidden1": draw_linear(13 * 16, hidden),
        "hidden2": draw_linear(hidden, hidden),
        "hidden3": draw_linear(hidden, hidden),
        "token": draw_linear(hidden, d),
        "phrase": draw_linear(PHRASE_WIDTH, d),
        "null": normal(d),
        "layers": [layer() for _ in config["blocks"]],
    }


def fourier(x):
    """NeRF's embedding with base 100: eight cosines of a scalar, then eight sines. `[..]` → `[.., 16]`."""
    angles = x[..., None] * 100 ** (jnp.arange(8) / 8)
    return jnp.concatenate([jnp.cos(angles), jnp.sin(angles)], -1)


def box_tokens(p, boxes, colours, phrases):
    """`boxes [F, 8, 10]`: corners and flag when a latent frame begins, the same when it ends, NaN without; `colours [8, 3]`,
    `phrases [8, Dtext]` → `[F, 8, D]`."""
    frames = []
    for of_frame in boxes:
        tokens = []
        for scalars, colour, phrase in zip(of_frame, colours, phrases):
            if np.isnan(scalars[0]):
                tokens.append(p["null"])
                continue
            x = jnp.concatenate([fourier(scalar) for scalar in [*scalars, *colour]])
            for name in ("hidden1", "hidden2", "hidden3"):
                x = jax.nn.silu(linear(p[name], x))
            tokens.append(linear(p["token"], x) + linear(p["phrase"], phrase))
        frames.append(jnp.stack(tokens))
    return jnp.stack(frames)


def steer(p, x, tokens, heads):
    """`x [F·h·w, D]` → the same, each latent frame with its tokens by itself."""
    frames, h, w = BOX_GRID
    where = [(column, row) for row in (np.arange(h) + 0.5) / h for column in (np.arange(w) + 0.5) / w]
    places = jnp.stack([jnp.concatenate([fourier(jnp.array(a)) for a in place]) for place in where])
    steered = []
    for video, control in zip(jnp.split(x, frames), tokens):
        seen = rms_norm(p["norm"], video)
        placed = seen + linear(p["place"], places)
        q = per_head_norm(p["query_norm"], linear(p["query"], placed), heads)
        k = per_head_norm(p["key_norm"], linear(p["key"], jnp.concatenate([placed, control])), heads)
        v = heads_of(linear(p["value"], jnp.concatenate([seen, control])), heads)
        steered.append(video + linear(p["output"], attention(q, k, v)))
    return jnp.concatenate(steered)


# Files.


def flat(prefix, tree):
    """Nested dictionaries and lists → keys joined by dots."""
    if isinstance(tree, (dict, list)):
        items = tree.items() if isinstance(tree, dict) else enumerate(tree)
        return {key: value for name, part in items for key, value in flat(f"{prefix}.{name}", part).items()}
    return {prefix: tree}


def write(name, tensors, **metadata):
    versions = {"python": platform.python_version(), "jax": jax.__version__, "numpy": np.__version__}
    metadata = {key: json.dumps(value) for key, value in {**metadata, "seed": SEED, "versions": versions}.items()}
    tensors = {key: np.ascontiguousarray(value, np.float32) for key, value in tensors.items()}
    assert all(np.isfinite(value).all() for value in tensors.values())
    path = Path(__file__).with_name(name)
    save_file(tensors, path, metadata)
    print(f"{name}: {len(tensors)} tensors, {path.stat().st_size} bytes")


def in_f64(tree):
    return jax.tree.map(lambda value: jnp.asarray(value, jnp.float64), tree)


def write_vae():
    weights = draw_vae(VAE)
    pixels = random.uniform(-1, 1, (*CLIP, 3)).astype(np.float32)
    p = in_f64(weights)
    mean, log_variance = jax.jit(encode)(p["encoder"], in_f64(pixels))
    for edge in (-20, 10):
        assert (log_variance == edge).any() and (abs(log_variance - edge) < 0.3).any(where=log_variance != edge)
    latents = np.asarray(mean, np.float32)
    outputs = {"mean": mean, "log_variance": log_variance, "pixels": jax.jit(decode)(p["decoder"], in_f64(latents))}
    tensors = {"given.pixels": pixels[None], "given.latents": latents[None]}
    tensors |= {f"expected.{name}": value[None] for name, value in outputs.items()}
    write("vae.safetensors", flat("weights", weights) | tensors, vae=VAE)


def write_denoiser():
    weights = {"text": draw_text(TEXT), "transformer": draw_transformer(TRANSFORMER)}
    x = normal(len(PROMPTS), *GRID, TRANSFORMER["latent_channels"])
    loss_weights = normal(*x.shape)
    timesteps = np.array(TIMESTEPS, np.float32)
    given = in_f64({"x": x, "timesteps": timesteps, "loss_weights": loss_weights})

    def loss_and_outputs(p):
        texts = [encode_text(p["text"], prompt) for prompt in PROMPTS]
        samples = [predict(p["transformer"], *sample) for sample in zip(given["x"], given["timesteps"], texts)]
        outputs = {name: jnp.stack([sample[name] for sample in samples]) for name in samples[0]}
        loss = jnp.mean(jnp.square(outputs["velocity"] * given["loss_weights"]))
        return loss, (texts, outputs)

    compute = jax.value_and_grad(loss_and_outputs, has_aux=True)  # compiling it takes longer than running it once
    (loss, (texts, outputs)), gradients = compute(in_f64(weights))
    tensors = {f"given.{name}": value for name, value in given.items()} | {"expected.loss": loss.reshape(1)}
    tensors |= {f"expected.text.{i}": text for i, text in enumerate(texts)}
    tensors |= {"expected.pooled": jnp.stack([text.mean(0, keepdims=True) for text in texts])}
    tensors |= {f"expected.{name}": value for name, value in outputs.items()}
    # At the head width of the real model, which has more pairs an axis than the tiny one.
    angles = rope_angles(2, 2, 3, 64)
    tensors |= {"expected.rope": np.stack([np.cos(angles), np.sin(angles)], -1).reshape(len(angles), 64)}
    config = {"text": TEXT, "transformer": TRANSFORMER}
    tensors |= flat("weights", weights) | flat("gradient", gradients)
    write("denoiser.safetensors", tensors, denoiser=config, vocabulary_size=VOCABULARY_SIZE, prompts=PROMPTS)
    scales = {key: float(abs(value).max()) for key, value in flat("", gradients).items()}
    print(f"loss {float(loss):.4f}, largest gradients {min(scales.values()):.1e} to {max(scales.values()):.1e}")


def write_boxes():
    weights = draw_adapter(BOXES)
    samples, frames, tokens = 2, BOX_GRID[0], int(np.prod(BOX_GRID))
    x = normal(samples, tokens, BOXES["width"])
    loss_weights = normal(*x.shape)
    corners = random.uniform(0, 1, (samples, frames, 8, 2, 4)).astype(np.float32)
    flags = random.integers(0, 2, (samples, frames, 8, 2, 1)).astype(np.float32)
    boxes = np.concatenate([corners, flags], -1).reshape(samples, frames, 8, 10)
    present = random.integers(0, 2, (samples, frames, 8))
    colours = random.integers(0, 256, (samples, 8, 3))
    phrases = normal(samples, 8, PHRASE_WIDTH)
    asked = np.where(present[..., None] == 1, boxes, np.nan)
    given = in_f64({"x": x, "colours": colours / 255, "phrases": phrases})

    def loss_and_outputs(p):
        tokens = [box_tokens(p, *sample) for sample in zip(asked, given["colours"], given["phrases"])]
        steered = [steer(p["layers"][0], *sample, BOXES["heads"]) for sample in zip(given["x"], tokens)]
        loss = jnp.mean(jnp.square(jnp.stack(steered) * loss_weights))
        return loss, {"tokens": jnp.stack(tokens), "steered": jnp.stack(steered)}

    compute = jax.value_and_grad(loss_and_outputs, has_aux=True)
    (loss, outputs), gradients = compute(in_f64(weights))
    plain = {"loss_weights": loss_weights, "boxes": boxes, "present": present}
    tensors = {f"given.{name}": value for name, value in (given | plain).items()} | {"expected.loss": loss.reshape(1)}
    tensors |= {f"expected.{name}": value for name, value in outputs.items()}
    tensors |= flat("weights", weights) | flat("gradient", gradients)
    write("boxes.safetensors", tensors, boxes=BOXES, grid=BOX_GRID)


if __name__ == "__main__":
    write_vae()
    write_denoiser()
    random = np.random.default_rng(SEED + 1)  # the same whatever is written before
    write_boxes()
