"""What the peers run for each of our cases, by the case's name. Operands are random normal, as ours."""

import copy
import re
import statistics
import time
from importlib.metadata import version

import mini
import torch
import torch.nn.functional as functional

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}


def prepare(threads):
    torch.set_num_threads(threads)
    torch.manual_seed(0)


def versions():
    return {name: version(name) for name in ("torch", "diffusers", "openvino")}


def median_of(work, runs, warm_ups):
    """Median seconds of `runs` runs after some to warm up, without gradients unless the work asks for them."""
    with torch.no_grad():
        for _ in range(warm_ups):
            work()
        seconds = []
        for _ in range(runs):
            start = time.perf_counter()
            work()
            seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def of(name, dtype):
    """The peers of one case: pairs of a name and a function that runs once."""
    for pattern, build in CASES:
        match = re.fullmatch(pattern, name)
        if match:
            numbers = [int(group) for group in match.groups() if group is not None]
            return build(*numbers, DTYPES[dtype])
    return []


def gemm(m, n, k, dtype):
    x, layer = torch.randn(m, k, dtype=dtype), torch.nn.Linear(k, n, dtype=dtype)
    return [("PyTorch", lambda: layer(x))]


def mlp(rows, width, hidden, dtype):
    x, residual, gate = (torch.randn(*shape, dtype=dtype) for shape in ((rows, width), (rows, width), (width,)))
    up, down = torch.nn.Linear(width, hidden, dtype=dtype), torch.nn.Linear(hidden, width, dtype=dtype)
    return [("PyTorch", lambda: residual + gate * down(functional.gelu(up(x), approximate="tanh")))]


def attention(heads, queries, head_dim, *rest):
    keys, dtype = (rest if len(rest) == 2 else (queries, rest[0]))
    q = torch.randn(1, heads, queries, head_dim, dtype=dtype)
    k, v = (torch.randn(1, heads, keys, head_dim, dtype=dtype) for _ in range(2))
    return [("PyTorch", lambda: functional.scaled_dot_product_attention(q, k, v))]


def conv3d(channels, frames, height, width, dtype):
    x = torch.randn(1, channels, frames, height, width, dtype=dtype)
    layer = torch.nn.Conv3d(channels, channels, 3, padding=(0, 1, 1), dtype=dtype)
    return [("PyTorch", lambda: layer(functional.pad(x, (0, 0, 0, 0, 2, 0))))]


def layer_norm_modulate(rows, width, dtype):
    x, shift, scale = torch.randn(rows, width), torch.randn(width), torch.randn(width)
    return [("PyTorch", lambda: functional.layer_norm(x, (width,), eps=1e-6) * (1 + scale) + shift)]


def rms_norm_rope(rows, width, dtype):
    x, weight = torch.randn(rows, width), torch.randn(width)
    cos, sin = torch.randn(rows, 1, 64), torch.randn(rows, 1, 64)

    def work():
        y = functional.rms_norm(x, (width,), weight, 1e-6).view(rows, -1, 64, 2)
        a, b = y[..., 0], y[..., 1]
        return torch.stack((a * cos - b * sin, a * sin + b * cos), -1).view(rows, width)

    return [("PyTorch", work)]


def gated_residual(rows, width, dtype):
    x, y, gate = torch.randn(rows, width), torch.randn(rows, width), torch.randn(width)
    return [("PyTorch", lambda: x + gate * y)]


def gelu(rows, width, dtype):
    x = torch.randn(rows, width)
    return [("PyTorch", lambda: functional.gelu(x, approximate="tanh"))]


def softmax(rows, width, dtype):
    x = torch.randn(rows, width)
    return [("PyTorch", lambda: functional.softmax(x, -1))]


def cast_to_bf16(rows, width, dtype):
    x, halves = torch.randn(rows, width), torch.empty(rows, width, dtype=torch.bfloat16)
    return [("PyTorch", lambda: halves.copy_(x))]


def cast_from_f16(rows, width, dtype):
    halves, x = torch.randn(rows, width).half(), torch.empty(rows, width)
    return [("PyTorch", lambda: x.copy_(halves))]


def upsample(channels, frames, height, width, dtype):
    x = torch.randn(frames, channels, height, width)
    layer = torch.nn.Upsample(scale_factor=(2.0, 2.0), mode="nearest-exact")
    return [("PyTorch", lambda: layer(x))]


def unpatchify(frames, height, width, dtype):
    tokens = torch.randn(1, frames, height // 2, width // 2, 2, 2, 16)
    order = (0, 6, 1, 2, 4, 3, 5)  # channels first, as diffusers keeps them
    return [("PyTorch", lambda: tokens.permute(order).reshape(1, 16, frames, height, width))]


def train_step_mini(batch, frames, height, width, dtype):
    return [("PyTorch", mini.training_step(batch, frames, height, width, dtype))]


def wan_block(tokens, dtype):
    from diffusers.models.transformers.transformer_wan import WanTransformerBlock

    width = 1536
    block = WanTransformerBlock(width, 8960, 12, cross_attn_norm=True).to(dtype).eval()
    x, context = torch.randn(1, tokens, width, dtype=dtype), torch.randn(1, 512, width, dtype=dtype)
    time = torch.randn(1, 6, width, dtype=dtype)
    # Cosines and sines of 64 angles a token, each twice, as diffusers keeps them.
    angles = torch.rand(1, tokens, 1, 64).repeat_interleave(2, -1)
    rope = (angles.cos(), angles.sin())
    peers = [("diffusers", lambda: block(x, context, time, rope))]
    compiled = openvino_block(block, (x, context, time, rope), dtype)
    return peers + [("OpenVINO", compiled)]


def openvino_block(block, inputs, dtype):
    """The same block converted by OpenVINO; it chooses bf16 where the processor multiplies it and `dtype` asks for it."""
    import openvino

    class Flat(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.block = copy.deepcopy(block).float().requires_grad_(False)

        def forward(self, x, context, time, cos, sin):
            return self.block(x, context, time, (cos, sin))

    x, context, time, (cos, sin) = inputs
    example = tuple(tensor.float() for tensor in (x, context, time, cos, sin))
    with torch.no_grad():
        model = openvino.convert_model(Flat().eval(), example_input=example)
    hint = "bf16" if dtype == torch.bfloat16 else "f32"
    settings = {"INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()
    arrays = [tensor.numpy() for tensor in example]
    return lambda: request.infer(arrays)


def vae_decode(frames, height, width, dtype):
    from diffusers import AutoencoderKLWan

    vae = AutoencoderKLWan().to(dtype).eval()
    latents = torch.randn(1, 16, frames // 4 + 1, height // 8, width // 8, dtype=dtype)
    return [("diffusers", lambda: vae.decode(latents))]


CASES = [
    (r"wan_block_(\d+)", wan_block),
    (r"vae_decode_(\d+)x(\d+)x(\d+)", vae_decode),
    (r"gemm_(\d+)x(\d+)x(\d+)", gemm),
    (r"mlp_(\d+)x(\d+)x(\d+)", mlp),
    (r"attention_(\d+)x(\d+)x(\d+)(?:_keys(\d+))?", attention),
    (r"conv3d_(\d+)_(\d+)x(\d+)x(\d+)", conv3d),
    (r"layer_norm_modulate_(\d+)x(\d+)", layer_norm_modulate),
    (r"rms_norm_rope_(\d+)x(\d+)", rms_norm_rope),
    (r"gated_residual_(\d+)x(\d+)", gated_residual),
    (r"train_step_mini_(\d+)x(\d+)x(\d+)x(\d+)", train_step_mini),
    (r"gelu_(\d+)x(\d+)", gelu),
    (r"softmax_(\d+)x(\d+)", softmax),
    (r"cast_to_bf16_(\d+)x(\d+)", cast_to_bf16),
    (r"cast_from_f16_(\d+)x(\d+)", cast_from_f16),
    (r"upsample_(\d+)_(\d+)x(\d+)x(\d+)", upsample),
    (r"unpatchify_(\d+)x(\d+)x(\d+)", unpatchify),
]
