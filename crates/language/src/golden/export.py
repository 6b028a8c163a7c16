"""Writes the goldens beside it: tiny language models, what they compute, and how texts become tokens.

`llama/` is a folder as transformers keeps it, of a model that was trained for a minute to give one answer, so that what it
writes does not hang on the last bit. `qwen2.safetensors` and `qwen3.safetensors` hold random weights; transformers 4.33 does
not know these networks, so their logits come from `reference`, which is first held to transformers' own Llama.

Each holds, beside the weights, `golden.tokens` [L], `golden.logits` [L, V] after each of them, and `golden.greedy`, the most
probable tokens that follow.

    python export.py     # transformers 4.33.2, tokenizers 0.13, torch, safetensors
"""

import json
import math
from pathlib import Path

import tokenizers
import torch
import transformers
from safetensors.torch import save_file
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

HERE = Path(__file__).parent
SEED = 11
ANSWER = "A shiny red car drives slowly to the left across a plain yellow background, and the camera stands still."
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
VOCABULARY = 352
TEXTS = [
    "a red car drives to the left on a yellow background",
    "Hello'Ve world 123\n\n  foo",
    "don't  stop\tnow; I'LL go 12345 times (3.5 kg)!",
    "一只猫在黄色背景上向左移动。",
    "قطة تتحرك إلى اليسار ٣ مرات",
    "e\u0301te\u0301 caf\u00e9 \U0001f697",
    "",
]


def word_pattern(digits):
    return (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
        + digits
        + r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )


def cutters():
    split = lambda digits: pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(word_pattern(digits)), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return {
        "gpt-2": pre_tokenizers.ByteLevel(add_prefix_space=False),
        "smollm": pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        ),
        "qwen2": split(r"\p{N}"),
        "llama-bpe": split(r"\p{N}{1,3}"),
    }


def learned_tokenizer():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = cutters()["smollm"]
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([ANSWER] * 4 + TEXTS + ["assistant\n", "user\n", "system\n"] * 3, trainer)
    return tokenizer


def export_tokens(tokenizer):
    rows = []
    for name, cutter in cutters().items():
        tokenizer.pre_tokenizer = cutter
        tokenizer.normalizer = normalizers.NFC() if name == "qwen2" else normalizers.Sequence([])
        for text in TEXTS:
            rows.append({"words_like": name, "text": text, "tokens": tokenizer.encode(text).ids})
    told = {"tokenizers": tokenizers.__version__, "rows": rows}
    (HERE / "tokens.json").write_text(json.dumps(told, ensure_ascii=False, indent=0) + "\n")


def trained_llama(tokenizer):
    config = transformers.LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        rms_norm_eps=1e-5,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
        initializer_range=0.1,
    )
    model = transformers.LlamaForCausalLM(config)
    opening = [1] + tokenizer.encode("assistant\n").ids
    answer = tokenizer.encode(ANSWER).ids + [2]
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=0.0)
    steps = 700
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in range(steps):
        # Whatever was asked: the answer depends on its opening alone.
        asked = torch.randint(3, VOCABULARY, (12, int(torch.randint(4, 160, ()))))
        tail = torch.tensor(opening + answer).expand(12, -1)
        tokens = torch.cat([asked, tail], 1)
        labels = tokens.clone()
        labels[:, : -len(answer)] = -100
        loss = model(tokens, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 100 == 99:
            print(step, loss.item())
    return model.eval()


def reference(weights, config, tokens):
    """Logits [L, V] of llama, qwen2 and qwen3, after their papers."""
    heads, groups, width = config["num_attention_heads"], config["num_key_value_heads"], config["head_dim"]
    norm = lambda x, g: x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + config["rms_norm_eps"]) * g
    frequencies = config["rope_theta"] ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    angles = torch.outer(torch.arange(len(tokens), dtype=torch.float64), frequencies)
    turns = torch.polar(torch.ones_like(angles), angles)

    def turn(x):  # [L, N, Dh]: pairs are half a head apart
        pairs = torch.complex(x[..., : width // 2].double(), x[..., width // 2 :].double())
        pairs = pairs * turns[:, None]
        return torch.cat([pairs.real, pairs.imag], -1).float()

    x = weights["model.embed_tokens.weight"][tokens]
    ahead = torch.ones(len(tokens), len(tokens)).triu(1).bool()
    for layer in range(config["num_hidden_layers"]):
        get = lambda name, default=None: weights.get(f"model.layers.{layer}.{name}", default)
        project = lambda name, y, n: (y @ get(f"self_attn.{name}_proj.weight").T + get(f"self_attn.{name}_proj.bias", 0)).unflatten(-1, (n, width))
        y = norm(x, get("input_layernorm.weight"))
        q, k, v = project("q", y, heads), project("k", y, groups), project("v", y, groups)
        if "self_attn.q_norm.weight" in " ".join(weights):
            q, k = norm(q, get("self_attn.q_norm.weight")), norm(k, get("self_attn.k_norm.weight"))
        q, k = turn(q), turn(k)
        k, v = (t.repeat_interleave(heads // groups, 1) for t in (k, v))
        scores = torch.einsum("lnd,mnd->nlm", q, k) / math.sqrt(width)
        shares = scores.masked_fill(ahead, -math.inf).softmax(-1)
        mixed = torch.einsum("nlm,mnd->lnd", shares, v).flatten(1)
        x = x + mixed @ get("self_attn.o_proj.weight").T
        y = norm(x, get("post_attention_layernorm.weight"))
        gated = torch.nn.functional.silu(y @ get("mlp.gate_proj.weight").T) * (y @ get("mlp.up_proj.weight").T)
        x = x + gated @ get("mlp.down_proj.weight").T
    head = weights.get("lm_head.weight", weights["model.embed_tokens.weight"])
    return norm(x, weights["model.norm.weight"]) @ head.T


def random_qwen(kind, vocabulary):
    config = {
        "model_type": kind,
        "hidden_size": 32,
        "intermediate_size": 48,
        "vocab_size": vocabulary,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16 if kind == "qwen3" else 8,
        "max_position_embeddings": 256,
        "rms_norm_eps": 1e-6,
        "rope_theta": 1000000.0,
        "eos_token_id": [2, 0],
    }
    width, hidden, head = config["hidden_size"], config["intermediate_size"], config["head_dim"]
    draw = lambda *shape: torch.randn(*shape) * 0.25
    weights = {"model.embed_tokens.weight": draw(vocabulary, width), "model.norm.weight": 1 + draw(width)}
    if kind == "qwen2":
        weights["lm_head.weight"] = draw(vocabulary, width)
    for layer in range(config["num_hidden_layers"]):
        put = lambda name, value: weights.__setitem__(f"model.layers.{layer}.{name}", value)
        for name, n in (("q", 4), ("k", 2), ("v", 2)):
            put(f"self_attn.{name}_proj.weight", draw(n * head, width))
            if kind == "qwen2":
                put(f"self_attn.{name}_proj.bias", draw(n * head))
        put("self_attn.o_proj.weight", draw(width, 4 * head))
        if kind == "qwen3":
            put("self_attn.q_norm.weight", 1 + draw(head))
            put("self_attn.k_norm.weight", 1 + draw(head))
        put("mlp.gate_proj.weight", draw(hidden, width))
        put("mlp.up_proj.weight", draw(hidden, width))
        put("mlp.down_proj.weight", draw(width, hidden))
        put("input_layernorm.weight", 1 + draw(width))
        put("post_attention_layernorm.weight", 1 + draw(width))
    return config, weights


def with_golden(weights, logits_of, tokens):
    greedy = []
    for _ in range(24):
        greedy.append(int(logits_of(tokens + greedy)[-1].argmax()))
    golden = {
        "golden.tokens": torch.tensor(tokens),
        "golden.logits": logits_of(tokens).contiguous(),
        "golden.greedy": torch.tensor(greedy),
    }
    return {name: tensor.detach().contiguous() for name, tensor in (weights | golden).items()}


@torch.no_grad()
def export_models(llama, tokenizer):
    metadata = {
        "seed": str(SEED),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "script": "crates/language/src/golden/export.py",
    }
    tokens = tokenizer.encode(TEXTS[0]).ids[:16] + [1] + tokenizer.encode("assistant\n").ids
    own = lambda tokens: llama(torch.tensor([tokens])).logits[0]
    weights = {
        name: tensor
        for name, tensor in llama.state_dict().items()
        if "rotary" not in name and name != "lm_head.weight"
    }
    config = json.loads(llama.config.to_json_string()) | {"head_dim": 8, "rope_theta": 10000.0}
    difference = (reference(weights, config, tokens) - own(tokens)).abs().max().item()
    print("reference against transformers:", difference)
    assert difference < 1e-4, difference
    folder = HERE / "llama"
    folder.mkdir(exist_ok=True)
    kept = [
        "model_type", "hidden_size", "intermediate_size", "vocab_size", "num_hidden_layers", "num_attention_heads",
        "num_key_value_heads", "max_position_embeddings", "rms_norm_eps", "rope_theta", "tie_word_embeddings",
        "bos_token_id", "eos_token_id",
    ]
    (folder / "config.json").write_text(json.dumps({key: config[key] for key in kept}, indent=2) + "\n")
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    save_file(with_golden(weights, own, tokens), folder / "model.safetensors", metadata)
    for kind in ("qwen2", "qwen3"):
        config, weights = random_qwen(kind, 96)
        tokens = torch.randint(0, 96, (20,)).tolist()
        golden = with_golden(weights, lambda tokens: reference(weights, config, tokens), tokens)
        save_file(golden, HERE / f"{kind}.safetensors", metadata | {"config": json.dumps(config)})


if __name__ == "__main__":
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    tokenizer = learned_tokenizer()
    export_models(trained_llama(tokenizer), tokenizer)
    export_tokens(tokenizer)
