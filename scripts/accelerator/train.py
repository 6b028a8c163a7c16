"""Trains `mini`'s denoiser, or its box adapter, on an accelerator with PyTorch: for cards that vidit's own kernels do not reach yet.

    pip install torch==2.11.0 numpy==2.4.6 safetensors==0.8.0
    vidit train CONFIG.toml --batches | python train.py CONFIG.toml --minutes 15 -o OUT.safetensors
    python train.py --check ../../crates/models/src/mini/golden/denoiser.safetensors  # and boxes.safetensors

vidit composes, encodes, captions and draws levels; here are the network, the gradients and the optimiser of `vidit train`, with the
same settings. The learning rate follows the clock and not the number of steps, since machines are rented by the minute. Products are
in bfloat16, weights in float32. `--check` holds the network to the golden that the Rust one is held to.
"""

import argparse
import json
import math
import queue
import struct
import sys
import threading
import time
import tomllib
from pathlib import Path

import torch
import torch.nn.functional as functional
from safetensors import safe_open
from safetensors.torch import load, load_file, save_file

EPSILON = 1e-6
ROPE_BASE = 100.0
TIME_FEATURES = 128
OBJECTS = 8
FREQUENCIES = 8
TOKEN_FEATURES = 13 * 2 * FREQUENCIES  # two boxes of four corners and a flag, and a colour


# Layers. `p` holds all parameters by key; weights are [inputs, outputs].


def linear(p, key, x):
    return functional.linear(x, p[key + ".weight"].t(), p[key + ".bias"])


# Small ops, each one pass over memory when fused; `--compile` fuses them. Results have the type of what products give and take.


def norm_heads(x, weight, heads: int):
    """One norm a head, one weight a channel of all heads. `[B, L, D]` → `[B, L, D]`."""
    normed = functional.rms_norm(x.unflatten(-1, (heads, -1)), (x.shape[-1] // heads,), eps=EPSILON)
    return (normed.flatten(-2) * weight).to(x.dtype)


def norm_heads_turn(x, weight, heads: int, cos, sin):
    """The same, then neighbouring channels turn as pairs by the angles of `cos, sin [L, Dh/2]`."""
    normed = functional.rms_norm(x.unflatten(-1, (heads, -1)), (x.shape[-1] // heads,), eps=EPSILON)
    a, b = (normed * weight.unflatten(-1, (heads, -1))).unflatten(-1, (-1, 2)).unbind(-1)  # [B, L, N, Dh/2]
    cos, sin = cos[:, None], sin[:, None]
    return torch.stack((a * cos - b * sin, a * sin + b * cos), -1).flatten(-3).to(x.dtype)


def layer_norm_modulate(x, shift, scale):
    """`x [B, L, D]`, `shift, scale [B, F, D]`, each for L/F tokens."""
    frames = shift.shape[1]
    normed = functional.layer_norm(x, x.shape[-1:], eps=EPSILON).unflatten(1, (frames, -1))
    return (normed * (1 + scale.unsqueeze(2)) + shift.unsqueeze(2)).flatten(1, 2).to(shift.dtype)


def gated_residual(x, y, gate):
    return x + (y.unflatten(1, (gate.shape[1], -1)) * gate.unsqueeze(2)).flatten(1, 2)


def fuse():
    for name in ("norm_heads", "norm_heads_turn", "layer_norm_modulate", "gated_residual"):
        globals()[name] = torch.compile(globals()[name], dynamic=True)


def rms_norm(p, key, x, heads=1):
    return norm_heads(x, p[key + ".weight"], heads)


def split_heads(x, heads):
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)  # [B, N, L, Dh]


def attention(p, key, x, context, heads, mask=None, rope=None, keys=None):
    """`mask [B, 1, 1, Lk]` is true for keys that are seen; `keys` stands for `context` where keys are not made of the values' input."""
    def normed(name, x):
        x, weight = linear(p, f"{key}.{name}", x), p[f"{key}.{name}_norm.weight"]
        return norm_heads(x, weight, heads) if rope is None else norm_heads_turn(x, weight, heads, *rope)

    q = split_heads(normed("query", x), heads)
    k = split_heads(normed("key", context if keys is None else keys), heads)
    v = split_heads(linear(p, f"{key}.value", context), heads)
    out = functional.scaled_dot_product_attention(q, k, v, mask)
    return linear(p, f"{key}.output", out.transpose(1, 2).flatten(-2))


# Text. Prompts are [B, S] with -1 behind their ends.


def encode_text(p, config, prompts):
    """→ token states `[B, S, D]`, their mean `[B, 1, D]`, and which count `[B, 1, 1, S]`."""
    said = prompts >= 0
    mask = said[:, None, None]
    x = functional.embedding(prompts.clamp(min=0), p["text.embedding"]) + p["text.position"][: prompts.shape[1]]
    heads = config["heads"]
    for i in range(config["layers"]):
        key = f"text.layers.{i}"
        h = rms_norm(p, f"{key}.norm1", x)
        x = x + attention(p, key, h, h, heads, mask)
        h = functional.gelu(linear(p, f"{key}.up", rms_norm(p, f"{key}.norm2", x)), approximate="tanh")
        x = x + linear(p, f"{key}.down", h)
    x = rms_norm(p, "text.norm", x)
    weights = said / said.sum(1, keepdim=True)
    return x, (x * weights[..., None]).sum(1, keepdim=True), mask


# Transformer.


def time_features(levels):
    half = TIME_FEATURES // 2
    frequencies = 1000 * torch.exp(-math.log(10_000) * torch.arange(half, device=levels.device) / half)
    angles = levels[..., None] * frequencies
    return torch.cat((angles.cos(), angles.sin()), -1)


def rope_angles(frames, height, width, head_dim, device):
    """A quarter of the pairs turn with time, the rest in equal parts with height and width. `[L, Dh/2]`."""
    pairs = head_dim // 2
    counts = [pairs // 4, (pairs - pairs // 4) // 2]
    counts.append(pairs - sum(counts))
    places = torch.meshgrid(*(torch.arange(n, device=device) for n in (frames, height, width)), indexing="ij")
    axes = [
        place.flatten()[:, None].float() * ROPE_BASE ** -(torch.arange(n, device=device) / n)
        for place, n in zip(places, counts)
    ]
    return torch.cat(axes, -1)


def block_forward(p, x, condition, text, mask, cos, sin, heads, boxes=None):
    """One block over its own parameters `p`."""
    shift1, scale1, gate1, shift2, scale2, gate2 = linear(p, "modulation", condition).chunk(6, -1)
    h = layer_norm_modulate(x, shift1, scale1)
    x = gated_residual(x, attention(p, "self_attention", h, h, heads, rope=(cos, sin)), gate1)
    if boxes is not None:
        x = steer(x, *boxes, heads)
    h = rms_norm(p, "cross_attention.norm", x)
    x = x + attention(p, "cross_attention", h, text, heads, mask)
    h = layer_norm_modulate(x, shift2, scale2)
    h = linear(p, "down", functional.gelu(linear(p, "up", h), approximate="tanh"))
    return gated_residual(x, h, gate2)


def steer(x, layer, tokens, places, heads):
    """A control layer: the tokens of each latent frame attend to one another and to its eight boxes, `tokens [B·F, 8, D]`."""
    frames = tokens.shape[0] // x.shape[0]
    seen = rms_norm(layer, "norm", x).unflatten(1, (frames, -1)).flatten(0, 1)  # [B·F, hw, D]
    placed = seen + linear(layer, "place", places)
    boxes = tokens.to(seen.dtype)
    values, keys = torch.cat((seen, boxes), 1), torch.cat((placed, boxes), 1)
    out = attention(layer, "", placed, values, heads, keys=keys)
    return x + out.view(x.shape)


def under(p, prefix):
    """The parameters below a key, by the rest of theirs."""
    return {key[len(prefix) :]: value for key, value in p.items() if key.startswith(prefix)}


class Network:
    """Sizes and parameters."""

    def __init__(self, config, p):
        self.text_config, self.config, self.p = config["text"], config["transformer"], p
        self.blocks = [under(p, f"transformer.blocks.{i}.") for i in range(self.config["blocks"])]

    def predict(self, x, levels, text, control=None):
        """`x [B, F, H, W, C]`, `levels [B, F]` → velocity as `x`."""
        p, c = self.p, self.config
        heads, patch = c["heads"], c["patch"]
        tokens, pooled, mask = text
        x = x.unflatten(3, (-1, patch)).unflatten(2, (-1, patch)).permute(0, 1, 2, 4, 3, 5, 6)  # [B, F, h, w, p, p, C]
        shape = x.shape
        grid = shape[1:4]
        x = linear(p, "transformer.input", x.flatten(4).flatten(1, 3))  # [B, L, D]
        time = functional.silu(linear(p, "transformer.time1", time_features(levels)))
        condition = linear(p, "transformer.time2", time) + linear(p, "transformer.pooled", pooled)
        condition = functional.silu(condition)
        angles = rope_angles(*grid, c["width"] // heads, x.device)
        cos, sin = angles.cos(), angles.sin()
        for i, block in enumerate(self.blocks):
            boxes = None if control is None else control(i, grid[1:])
            x = block_forward(block, x, condition, tokens, mask, cos, sin, heads, boxes)
        shift, scale = linear(p, "transformer.final_modulation", condition).chunk(2, -1)
        x = linear(p, "transformer.output", layer_norm_modulate(x, shift, scale))
        return x.view(shape).permute(0, 1, 2, 4, 3, 5, 6).flatten(4, 5).flatten(2, 3)

    def flow_loss(self, batch, control=None):
        """Rectified flow over what is not given."""
        clean, learned = batch["clean"].float(), batch["learned"]
        velocity = torch.randn_like(clean) - clean
        noised = clean + velocity * batch["levels"][..., None, None, None]
        text = encode_text(self.p, self.text_config, batch["prompts"].long())
        error = (self.predict(noised, batch["levels"], text, control).float() - velocity).square().mean((2, 3, 4))
        return (error * learned).sum() / learned.sum()


# Boxes.


def fourier(x):
    """`[..]` → `[.., 16]`: cosines, then sines, of frequencies from 1 up to 100^(7/8)."""
    angles = x[..., None] * 100 ** (torch.arange(FREQUENCIES, device=x.device) / FREQUENCIES)
    return torch.cat((angles.cos(), angles.sin()), -1)


def new_adapter(config, text_width, device):
    def draw(inputs, outputs, gain=1.0):
        weight = torch.randn(inputs, outputs, device=device) * gain / inputs**0.5
        return {"weight": weight, "bias": torch.zeros(outputs, device=device)}

    d, hidden = config["width"], config["hidden"]
    layers = {
        "hidden1": draw(TOKEN_FEATURES, hidden),
        "hidden2": draw(hidden, hidden),
        "hidden3": draw(hidden, hidden),
        "token": draw(hidden, d),
        "phrase": draw(text_width, d),
    }
    for i in range(len(config["blocks"])):
        layers |= {f"layers.{i}.{name}": draw(d, d) for name in ("query", "key", "value")}
        layers |= {f"layers.{i}.place": draw(4 * FREQUENCIES, d), f"layers.{i}.output": draw(d, d, 0.0)}
        norms = ("norm", "query_norm", "key_norm")
        layers |= {f"layers.{i}.{name}": {"weight": torch.ones(d, device=device)} for name in norms}
    flat = {f"{key}.{part}": value for key, layer in layers.items() for part, value in layer.items()}
    return flat | {"null": torch.randn(d, device=device)}


def new_blocks(p, count):
    """Blocks of the sizes of the first one, that change nothing yet."""
    blocks = {}
    for key, value in under(p, "transformer.blocks.0.").items():
        if key.startswith(("modulation", "cross_attention.output")):
            fresh = lambda: torch.zeros_like(value)
        elif value.ndim == 2:
            fresh = lambda: torch.randn_like(value) / value.shape[0] ** 0.5
        else:
            fresh = lambda: torch.ones_like(value) if "norm" in key else torch.zeros_like(value)
        blocks |= {f"transformer.blocks.{i}.{key}": fresh() for i in range(count)}
    return blocks


class Adapter:
    def __init__(self, config, p):
        self.config, self.p = config, p
        # The attention of a layer has no name of its own.
        self.layers = [
            {("" if key.startswith(("norm", "place")) else ".") + key: value for key, value in layer.items()}
            for layer in (under(p, f"layers.{i}.") for i in range(len(config["blocks"])))
        ]

    def tokens(self, features, present, phrases):
        """`features [B, F, 8, 208]`, `present [B, F, 8, 1]`, `phrases [B, 1, 8, Dtext]` → `[B·F, 8, D]`."""
        p, x = self.p, features
        for name in ("hidden1", "hidden2", "hidden3"):
            x = functional.silu(linear(p, name, x))
        x = (linear(p, "token", x) + linear(p, "phrase", phrases)) * present + p["null"] * (1 - present)
        return x.flatten(0, 1)

    def of_block(self, i, grid, tokens):
        """What [`steer`] needs in block `i`, if that has a control layer."""
        if i not in self.config["blocks"]:
            return None
        ys, xs = ((torch.arange(n, device=tokens.device) + 0.5) / n for n in grid)
        y, x = torch.meshgrid(ys, xs, indexing="ij")
        places = torch.cat((fourier(x.flatten()), fourier(y.flatten())), -1)[None]
        return self.layers[self.config["blocks"].index(i)], tokens, places.to(self.p["null"].dtype)

    def control(self, network, batch):
        """What [`Network.predict`] asks each block for."""
        phrases = batch["phrases"].long().flatten(0, 1)  # [B·8, S]
        said = phrases[:, :1] >= 0
        with torch.no_grad():
            # What says nothing is read as one token, and then forgotten.
            nothing = torch.full_like(phrases, -1)
            nothing[:, 0] = 0
            read = torch.where(said, phrases, nothing)
            _, pooled, _ = encode_text(network.p, network.text_config, read)
            pooled = pooled.view(-1, 1, OBJECTS, pooled.shape[-1]) * said.view(-1, 1, OBJECTS, 1)
        tokens = self.tokens(batch["features"], batch["present"], pooled)
        return lambda i, grid: self.of_block(i, grid, tokens)


# Optimiser.


class Optimizer:
    """Muon for matrices inside of blocks, AdamW for all else, the global norm clipped, and a moving average."""

    MOMENTUM = 0.95

    def __init__(self, p, config):
        self.p, self.config, self.steps = p, config, 0
        inner = lambda key, value: value.ndim == 2 and any(part.isdigit() for part in key.split("."))
        muon = config.get("rule") == "muon"
        self.matrices, rest = {}, []
        for key, value in p.items():
            if muon and inner(key, value):
                self.matrices.setdefault(tuple(value.shape), []).append(value)
            else:
                rest.append(value)
        self.momentum = {
            shape: torch.zeros(len(group), *shape, device=group[0].device) for shape, group in self.matrices.items()
        }
        decay = config["weight_decay"]
        groups = [
            {"params": [v for v in rest if v.ndim > 1], "weight_decay": decay},
            {"params": [v for v in rest if v.ndim <= 1], "weight_decay": 0.0},
        ]
        betas = (config["beta1"], config["beta2"])
        self.adamw = torch.optim.AdamW(groups, betas=betas, eps=1e-8, fused=rest[0].is_cuda)
        self.averages = [value.detach().clone() for value in p.values()]

    def rate(self, progress):
        c = self.config
        if self.steps < c["warmup"]:
            return c["learning_rate"] * (self.steps + 1) / c["warmup"]
        share = {"constant": 1.0, "linear": 1 - progress, "cosine": 0.5 + 0.5 * math.cos(math.pi * progress)}[c["decay"]]
        return c["learning_rate"] * (c["final_fraction"] + (1 - c["final_fraction"]) * share)

    @torch.no_grad()
    def step(self, progress):
        """→ the gradient's norm before clipping."""
        c, rate = self.config, self.rate(progress)
        gradients = [value.grad for value in self.p.values()]
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
        torch._foreach_mul_(gradients, (c["clip_norm"] / norm).clamp(max=1.0))
        for shape, group in self.matrices.items():
            gradient, momentum = torch.stack([value.grad for value in group]), self.momentum[shape]
            momentum.lerp_(gradient, 1 - self.MOMENTUM)
            update = orthogonalised(gradient.lerp(momentum, self.MOMENTUM))
            torch._foreach_mul_(group, 1 - rate * c["weight_decay"])
            torch._foreach_add_(group, list(update.unbind()), alpha=-rate * 0.2 * max(shape) ** 0.5)
        for group in self.adamw.param_groups:
            group["lr"] = rate
        self.adamw.step()
        torch._foreach_lerp_(self.averages, list(self.p.values()), 1 - min(c["ema"], (1 + self.steps) / (10 + self.steps)))
        self.steps += 1
        return norm


def orthogonalised(x):
    """Five Newton–Schulz steps (Jordan et al. 2024) on matrices `[n, r, c]`."""
    tall = x.shape[1] > x.shape[2]
    x = x.transpose(1, 2) if tall else x
    x = x / (torch.linalg.matrix_norm(x, keepdim=True) + 1e-7)
    for _ in range(5):
        gram = x @ x.transpose(1, 2)
        x = 3.4445 * x + (-4.775 * gram + 2.0315 * gram @ gram) @ x
    return x.transpose(1, 2) if tall else x


# Batches.


def read_batches(stream, device, tokens_max, ahead=6):
    """Batches with their kinds, read beside the learning; the end is None."""
    found = queue.Queue(ahead)

    def padded(tokens, length):
        return functional.pad(tokens, (0, length - tokens.shape[-1]), value=-1.0)

    def read():
        while header := stream.read(8):
            (length,) = struct.unpack("<Q", header)
            data = stream.read(length)
            if len(data) < length:
                break
            # `load` gives tensors in any order. Few different shapes in one order: each becomes a recorded graph.
            batch = dict(sorted(load(data).items()))
            batch["prompts"] = padded(batch["prompts"], tokens_max)
            if "phrases" in batch:
                batch["phrases"] = padded(batch["phrases"], -(-batch["phrases"].shape[-1] // 16) * 16)
            given = bool((batch["learned"] == 0).any())
            kind = "image" if batch["clean"].shape[1] == 1 else "animation" if given else "video"
            if device.type == "cuda":
                batch = {key: value.pin_memory() for key, value in batch.items()}
            found.put((kind, batch))
        found.put((None, None))

    threading.Thread(target=read, daemon=True).start()
    return found


# Steps.


class Learner:
    """Loss and gradients of a batch. On CUDA each shape of batches is recorded once and replayed: thousands of small kernels cost more
    to launch than to run."""

    def __init__(self, network, adapter, learned, device):
        self.network, self.adapter, self.device = network, adapter, device
        for value in learned.values():
            value.requires_grad_()
            value.grad = torch.zeros_like(value)
        self.gradients = [value.grad for value in learned.values()]
        self.recorded, self.pool = {}, None

    def compute(self, batch):
        torch._foreach_zero_(self.gradients)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            control = None if self.adapter is None else self.adapter.control(self.network, batch)
            loss = self.network.flow_loss(batch, control)
        loss.backward()
        return loss.detach()

    def loss(self, batch):
        """Leaves the gradients where the parameters keep them."""
        if self.device.type != "cuda":
            return self.compute(batch)
        key = tuple(tuple(value.shape) for value in batch.values())
        if key not in self.recorded:
            given = {name: value.to(self.device) for name, value in batch.items()}
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                self.compute(given)
            torch.cuda.current_stream().wait_stream(side)
            graph = torch.cuda.CUDAGraph()
            # The reader pins memory meanwhile, which a stricter mode would take for a part of the recording.
            with torch.cuda.graph(graph, pool=self.pool, capture_error_mode="thread_local"):
                loss = self.compute(given)
            self.pool = self.pool or graph.pool()
            self.recorded[key] = graph, given, loss
        graph, given, loss = self.recorded[key]
        for name, value in given.items():
            value.copy_(batch[name], non_blocking=True)
        graph.replay()
        return loss.clone()


# Runs.


def metadata_of(path):
    with safe_open(path, "pt") as file:
        return file.metadata() or {}


def train(arguments):
    config = tomllib.loads(Path(arguments.config).read_text())
    task, kind = config["task"], config["kind"]
    device = torch.device(arguments.device)
    torch.manual_seed(config["run"]["seed"])
    torch.backends.cuda.matmul.allow_tf32 = True
    base_path = arguments.base or task["base" if kind == "boxes" else "init_from"]
    base = {key: value.float().to(device) for key, value in load_file(base_path).items()}
    denoiser = {key: value for key, value in base.items() if not key.startswith(("vae.", "latent_"))}
    about_base = metadata_of(base_path)
    sizes = json.loads(about_base["denoiser"])
    network = Network(sizes, denoiser)
    adapter = None
    if kind == "boxes":
        transformer, own = sizes["transformer"], config["model"].get("blocks")
        shape = {
            "width": transformer["width"],
            "heads": transformer["heads"],
            "hidden": config["model"]["hidden"],
            "blocks": list(range(0, own or transformer["blocks"], config["model"]["every"])),
        }
        fresh = new_adapter(shape, sizes["text"]["width"], device)
        stage = arguments.init and {key: value.float().to(device) for key, value in load_file(arguments.init).items()}
        learned = stage or fresh
        if own:
            # A transformer that comes with the adapter: an earlier stage's, else the base's, else what changes nothing yet.
            shape["transformer"] = transformer | {"blocks": own}
            brought = {key: value.clone() for key, value in denoiser.items() if key.startswith("transformer.")}
            learned = fresh | new_blocks(denoiser, own) | brought | (stage or {})
            tuned = {key: value for key, value in learned.items() if key.startswith("transformer.")}
            network = Network(sizes | {"transformer": shape["transformer"]}, denoiser | tuned)
        adapter = Adapter(shape, learned)
    else:
        kept = "text." if task.get("keep_text") else ()
        learned = {key: value for key, value in denoiser.items() if not key.startswith(kept)}
    if arguments.compile:
        fuse()
    learner = Learner(network, adapter, learned, device)
    optimizer = Optimizer(learned, config["optimizer"])

    def write():
        averages = dict(zip(learned, optimizer.averages))
        half = lambda tensors: {key: value.half().cpu().contiguous() for key, value in tensors.items()}
        if kind == "boxes":
            tensors, metadata = half(averages), {"boxes": json.dumps(shape)}
        else:
            tensors, metadata = half(base | averages), about_base | {"step": str(optimizer.steps)}
        aside = Path(f"{arguments.output}.incomplete")
        save_file(tensors, aside, metadata)
        aside.rename(arguments.output)

    batches = read_batches(sys.stdin.buffer, device, sizes["text"]["tokens_max"])
    kind_of, batch = batches.get()
    started = shown = kept = time.time()
    seconds = 60 * arguments.minutes
    kinds, waited, counted = {}, 0.0, 0
    while batch is not None and time.time() - started < seconds:
        loss = learner.loss(batch)
        norm = optimizer.step((time.time() - started) / seconds)
        kinds.setdefault(kind_of, []).append(loss)
        counted += 1
        before = time.time()
        kind_of, batch = batches.get()
        waited += time.time() - before
        if time.time() - shown > arguments.log_seconds:
            means = {name: float(torch.stack(losses).mean()) for name, losses in kinds.items()}
            if not all(map(math.isfinite, means.values())):
                sys.exit(f"step {optimizer.steps}: the loss is no number any more: {means}")
            now = time.time()
            line = {
                "step": optimizer.steps,
                "minutes": round((now - started) / 60, 2),
                "rate": optimizer.rate((now - started) / seconds),
                "gradient_norm": float(norm),
                "step_secs": (now - shown) / counted,
                "waited_share": waited / (now - shown),
                **{f"loss_{name}": round(value, 5) for name, value in means.items()},
            }
            print(json.dumps(line), file=sys.stderr, flush=True)
            kinds, waited, counted, shown = {}, 0.0, 0, now
            if now - kept > 60 * arguments.keep_minutes:
                write()
                kept = now
    write()
    print(f"{arguments.output}\n  {optimizer.steps} steps")


def check(path):
    """Largest relative deviations from a golden, `denoiser.safetensors` or `boxes.safetensors`, the worst gradient's included."""
    golden = {key: value.double() for key, value in load_file(path).items()}
    metadata = {key: json.loads(value) for key, value in metadata_of(path).items()}
    p = {key: value.requires_grad_() for key, value in under(golden, "weights.").items()}
    given = under(golden, "given.")
    if "boxes" in metadata:
        boxes, colours = given["boxes"], given["colours"][:, None].expand(-1, given["boxes"].shape[1], -1, -1)
        features = fourier(torch.cat((boxes, colours), -1)).flatten(-2)
        adapter = Adapter(metadata["boxes"], p)
        tokens = adapter.tokens(features, given["present"][..., None], given["phrases"][:, None])
        of_block = adapter.of_block(0, metadata["grid"][1:], tokens)
        outputs = {"tokens": tokens, "steered": steer(given["x"], *of_block, metadata["boxes"]["heads"])}
        output = outputs["steered"]
    else:
        prompts = metadata["prompts"]
        longest = max(map(len, prompts))
        prompts = torch.tensor([prompt + [-1] * (longest - len(prompt)) for prompt in prompts])
        network = Network(metadata["denoiser"], p)
        text = encode_text(p, metadata["denoiser"]["text"], prompts)
        output = network.predict(given["x"], given["timesteps"], text)
        outputs = {"velocity": output}
    loss = (output * given["loss_weights"]).square().mean()
    loss.backward()
    outputs["loss"] = loss.view(1)
    apart = lambda found, expected: ((found - expected.view(found.shape)).abs().max() / expected.abs().max()).item()
    found = {name: apart(value.detach(), golden[f"expected.{name}"]) for name, value in outputs.items()}
    found |= {f"gradient.{key}": apart(value.grad, golden[f"gradient.{key}"]) for key, value in p.items()}
    worst = max(found, key=found.get)
    print(json.dumps({name: found[name] for name in [*outputs, worst]}))
    if not found[worst] < 1e-4:
        sys.exit(f"`{worst}` is not the golden's")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("config", nargs="?", help="the file that `vidit train CONFIG --batches` reads")
    parser.add_argument("--base", help="whole model to begin from, or that boxes are learned for; default: the configuration's")
    parser.add_argument("--init", help="adapter to begin from")
    parser.add_argument("-o", "--output", default="model.safetensors")
    parser.add_argument("--minutes", type=float, default=10.0, help="when to stop; the learning rate falls until then")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--compile", action="store_true", help="fuse a block's small ops with torch.compile")
    parser.add_argument("--log-seconds", type=float, default=20.0)
    parser.add_argument("--keep-minutes", type=float, default=3.0, help="time between two writes of what is learned so far")
    parser.add_argument("--check", metavar="GOLDEN", help="compare the network with a golden, and stop")
    arguments = parser.parse_args()
    if arguments.check:
        check(arguments.check)
    else:
        train(arguments)
