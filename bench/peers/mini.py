"""`mini`'s denoiser, written as one would in PyTorch, and one training step of it."""

import torch
import torch.nn.functional as functional
from torch import nn

WIDTH, HEADS, BLOCKS, HIDDEN, CHANNELS, PATCH, VOCABULARY, PROMPT = 192, 3, 8, 768, 12, 2, 1500, 12
HEAD = WIDTH // HEADS


def turn(x, cos, sin):
    a, b = x.unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack((a * cos - b * sin, a * sin + b * cos), -1).flatten(-2)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.query, self.key, self.value, self.output = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.query_norm, self.key_norm = nn.RMSNorm(HEAD, 1e-6), nn.RMSNorm(HEAD, 1e-6)

    def forward(self, x, context, rope=None):
        heads = lambda y: y.unflatten(-1, (HEADS, HEAD)).transpose(1, 2)
        q, k, v = heads(self.query(x)), heads(self.key(context)), heads(self.value(context))
        q, k = self.query_norm(q), self.key_norm(k)
        if rope is not None:
            q, k = turn(q, *rope), turn(k, *rope)
        return self.output(functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(-2))


class FeedForward(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(WIDTH, HIDDEN), nn.GELU("tanh"), nn.Linear(HIDDEN, WIDTH))


class TextLayer(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.attention, self.norm2, self.feed_forward = (
            nn.RMSNorm(WIDTH, 1e-6),
            Attention(),
            nn.RMSNorm(WIDTH, 1e-6),
            FeedForward(),
        )

    def forward(self, x):
        h = self.norm1(x)
        x = x + self.attention(h, h)
        return x + self.feed_forward(self.norm2(x))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.modulation = nn.Linear(WIDTH, 6 * WIDTH)
        self.norm = nn.LayerNorm(WIDTH, 1e-6, elementwise_affine=False)
        self.self_attention, self.cross_attention = Attention(), Attention()
        self.cross_norm, self.feed_forward = nn.RMSNorm(WIDTH, 1e-6), FeedForward()

    def forward(self, x, condition, text, rope, frames):
        part = [m.unsqueeze(2) for m in self.modulation(condition).chunk(6, -1)]  # [B, F, 1, D]
        by_frame = lambda y: y.unflatten(1, (frames, -1))
        modulated = lambda y, shift, scale: (by_frame(self.norm(y)) * (1 + scale) + shift).flatten(1, 2)
        gated = lambda y, gate: (by_frame(y) * gate).flatten(1, 2)
        h = modulated(x, part[0], part[1])
        x = x + gated(self.self_attention(h, h, rope), part[2])
        x = x + self.cross_attention(self.cross_norm(x), text)
        return x + gated(self.feed_forward(modulated(x, part[3], part[4])), part[5])


class Mini(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.position = nn.Embedding(VOCABULARY, WIDTH), nn.Parameter(torch.zeros(64, WIDTH))
        self.text, self.text_norm = nn.ModuleList(TextLayer() for _ in range(2)), nn.RMSNorm(WIDTH, 1e-6)
        self.input = nn.Linear(CHANNELS * PATCH**2, WIDTH)
        self.time = nn.Sequential(nn.Linear(128, WIDTH), nn.SiLU(), nn.Linear(WIDTH, WIDTH))
        self.pooled = nn.Linear(WIDTH, WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(BLOCKS))
        self.final_modulation = nn.Linear(WIDTH, 2 * WIDTH)
        self.norm = nn.LayerNorm(WIDTH, 1e-6, elementwise_affine=False)
        self.output = nn.Linear(WIDTH, CHANNELS * PATCH**2)

    def forward(self, x, sigma, prompts, rope):
        frames = x.shape[1]
        text = self.embedding(prompts) + self.position[: prompts.shape[1]]
        for layer in self.text:
            text = layer(text)
        text = self.text_norm(text)
        x = x.unflatten(2, (-1, PATCH)).unflatten(4, (-1, PATCH)).permute(0, 1, 2, 4, 3, 5, 6)  # [B, F, h, w, p, p, C]
        shape = x.shape
        x = self.input(x.flatten(4).flatten(1, 3))  # [B, L, D]
        frequencies = 1000 * torch.exp(-torch.arange(64) / 64 * 9.2103404)
        angles = sigma[:, None, None] * frequencies
        time = self.time(torch.cat((angles.cos(), angles.sin()), -1))  # [B, 1, D]
        condition = functional.silu(time + self.pooled(text.mean(1, keepdim=True))).expand(-1, frames, -1)
        for block in self.blocks:
            x = block(x, condition, text, rope, frames)
        shift, scale = (m.unsqueeze(2) for m in self.final_modulation(condition).chunk(2, -1))
        x = self.output((self.norm(x).unflatten(1, (frames, -1)) * (1 + scale) + shift).flatten(1, 2))
        return x.view(shape).permute(0, 1, 2, 4, 3, 5, 6).flatten(4, 5).flatten(2, 3)


def training_step(batch, frames, height, width, dtype):
    """One AdamW step with clipping and a moving average: f32 weights, and autocast where `dtype` is bf16."""
    latent = ((frames - 1) // 4 + 1, height // 8, width // 8)
    model = Mini()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4, (0.9, 0.98), weight_decay=0.01, fused=True)
    average = [p.detach().clone() for p in model.parameters()]
    clean, noise = torch.randn(batch, *latent, CHANNELS), torch.randn(batch, *latent, CHANNELS)
    sigma, prompts = torch.rand(batch), torch.randint(VOCABULARY, (batch, PROMPT))
    angles = torch.randn(latent[0] * latent[1] * latent[2] // PATCH**2, HEAD // 2)
    rope = (angles.cos(), angles.sin())

    def step():
        with torch.enable_grad():
            level = sigma.view(-1, 1, 1, 1, 1)
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
                predicted = model((1 - level) * clean + level * noise, sigma, prompts, rope)
            loss = (predicted.float() - (noise - clean)).square().mean()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
        with torch.no_grad():
            torch._foreach_lerp_(average, list(model.parameters()), 1e-3)

    return step
