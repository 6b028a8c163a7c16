"""openai-clip's towers and tokenizer, for parity tests. `export.py` writes the tiny golden, the cut-down vocabulary and its tokens
beside itself; `export.py --full DIR` writes ViT-B/32 and ViT-L/14 with random weights, and prints PyTorch's times."""

import gzip
import json
import pathlib
import sys
from importlib.metadata import version

import torch
from clip import simple_tokenizer
from clip.model import CLIP, VisionTransformer

sys.path.insert(0, str(pathlib.Path(__file__).parents[3] / "golden"))
import exporting  # noqa: E402

SEED = 11
HERE = pathlib.Path(__file__).parent

TEXTS = [
    "a person swimming in ocean",
    "A person is riding or walking with horse",
    "in super slow motion, a beach in spring with waves",
    "by Hokusai, in the style of Ukiyo",
    "an 8 mm film, 1970s grain",
    # English endings, digits, punctuation.
    "It's a dog's life; they're here, we've won, I'm off, he'll go, she'd stay, don't",
    "IT'S A DOG'S LIFE, THEY'RE",
    "rock'n'roll 'til '99",
    "'S 'T 'RE 'VE 'M 'LL 'D 'X",
    "don''t a'''s 'ss",
    "3.14159, 2,000 and 50% of $7 (x^2)",
    "snow-covered mountains -- an aerial shot...",
    "C++/C#: a_b\\c",
    "wow!!! really?! #hashtag @someone",
    "supercalifragilisticexpialidocious",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "zxqj qzjx",
    # White space.
    "",
    " \n ",
    "two  spaces\tand\ta tab \n and a line",
    "   trimmed   ",
    "\u00a0\u2003wide\u3000spaces\u2009",
    "line\r\nline\rline\u2028line\u2029line\u0085line\u000bline\u000cline",
    # Other scripts.
    "caf\u00e9 cr\u00e8me br\u00fbl\u00e9e",
    "cafe\u0301 de\u0301compose\u0301",
    "na\u00efve \u00c5ngstr\u00f6m \u212b",
    "\u4e00\u53ea\u732b\u5728\u8dd1",
    "\u041c\u043e\u0441\u043a\u0432\u0430 \u0437\u0438\u043c\u043e\u0439",
    "\u03a3\u03af\u03c3\u03c5\u03c6\u03bf\u03c2 \u039f\u0394\u039f\u03a3",
    "\u0e41\u0e21\u0e27\u0e19\u0e2d\u0e19",
    "\u0928\u092e\u0938\u094d\u0924\u0947",
    "\u0627\u0644\u0642\u0637\u0629",
    "\uace0\uc591\uc774 \u1100\u1161",
    "\U0001f600\U0001f680 rocket \u2764\ufe0f",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 family",
    "\u2160 \u2167 \u24d0 \u00bd \u00b2 \u0664\u0662",
    "\u017fong \u2018\u017f \u0130stanbul \u212aelvin STRA\u00dfE \u1e9e",
    "a\u0345b .\u0345. \u0345",
    # What ftfy changes.
    "\u201ccurly\u201d \u2018quotes\u2019 and dogs\u2019",
    "em\u2014dash en\u2013dash\u2026 \u2022 bullet",
    "\ufb01sh and \ufb02ower, o\ufb03ce",
    "\uff26\uff35\uff2c\uff2c width \uff76\uff80\uff76\uff85 \uff76\uff9e \uffe1 \uff07s",
    "\u0132sselmeer \u01c4 \ufb05",
    "bell\u0007 and \u001b[31mred\u001b[0m text \u001b[1;2",
    "\ufeffmark \u200bzero width",
    "soft\u00adhyphen",
    "\x80\x85\x99 windows",
    # HTML.
    "rock &amp; roll",
    "&lt;b&gt;bold&lt;/b&gt;",
    "<b>rock &amp; roll</b>",
    "&amp;amp;amp;amp;amp; five times",
    "< &amp;amp;amp;amp;amp; five times",
    "&quot;quoted&quot; &#39;n&#x27; &#8220;more&#8221;",
    "&eacute;t&eacute; &NTILDE; &SZLIG; &nTILDE; &copy 2020 &nbsp;|",
    "&notit; &ampere this&that &unknown; &#; &#xZZ; & alone &",
    "&#0; &#128; &#1114112; &#55296; &#x1F600; &#11; &#12ab; &#99999999999; &#65534; &#38;lt;",
    "AT&T R&D x&lty",
    "&euro;5 &hellip; &mdash;",
    "several\nlines <b> &amp; more\nand &lt; more",
    "first &lt; line\nand <i> &amp;amp;amp; next\nand &amp;amp;amp; next",
    # Marks.
    "<|startoftext|> a <|endoftext|>",
    "x<|endoftext|>",
    "<|ENDOFTEXT|> of it",
    "!<|endoftext|>!",
    "<| startoftext |>",
    "<|\u017ftartoftext|>",
    # Too long for ViCLIP, then for both.
    "one two three four five six seven eight nine ten " * 4,
    "word " * 30,
    "word " * 31,
    "word " * 75,
    "word " * 76,
]


def cut_vocabulary(texts):
    """The merges that the texts need, in their order, so that few lines give words of several letters."""
    whole = simple_tokenizer.SimpleTokenizer()
    used, ranks = set(), whole.bpe_ranks

    class Watch(dict):
        def get(self, key, default=None):
            if key in ranks:
                used.add(key)
            return ranks.get(key, default)

        def __contains__(self, key):
            return key in ranks

    whole.bpe_ranks = Watch()
    for text in texts:
        whole.encode(text)
    lines = ["#version: some of CLIP's merges"] + [" ".join(pair) for pair in sorted(used, key=ranks.get)]
    # No line end at the end: openai-clip would count an empty merge.
    (HERE / "merges.txt").write_text("\n".join(lines), encoding="utf-8")
    packed = HERE / "merges.txt.gz"
    packed.write_bytes(gzip.compress("\n".join(lines).encode()))
    small = simple_tokenizer.SimpleTokenizer(str(packed))
    packed.unlink()
    return small


def export_tokens():
    small = cut_vocabulary(TEXTS)
    start, end = small.encoder["<|startoftext|>"], small.encoder["<|endoftext|>"]
    cases = []
    for text in TEXTS:
        ids = [start, *small.encode(text), end]
        cut = ids if len(ids) <= 32 else [*ids[:31], end]
        cases.append({"text": text, "clip": ids if len(ids) <= 77 else None, "viclip": cut})
    versions = {name: version(name) for name in ("openai-clip", "ftfy", "regex")}
    lines = ",\n".join(json.dumps(case) for case in cases)
    (HERE / "tokens.json").write_text(f'{{"versions": {json.dumps(versions)},\n"cases": [\n{lines}\n]}}\n')
    print(len(cases), "texts,", len(small.bpe_ranks), "merges")


def tiny():
    clip = CLIP(10, 12, 1, 64, 4, context_length=9, vocab_size=50, transformer_width=24, transformer_heads=2, transformer_layers=2)
    # Its constructor knows heads of 64 alone.
    clip.visual = VisionTransformer(12, 4, 24, 2, 2, 10)
    return clip


def randomise(network):
    """Weights of a scale that keeps activations apart, and norms that are not the identity."""
    for name, weight in network.named_parameters():
        if "ln_" in name:
            weight.normal_(1.0 if name.endswith("weight") else 0.0, 0.2)
        elif name.endswith(("embedding", "embedding.weight", "bias")):
            weight.normal_(0.0, 0.3)
        elif name == "logit_scale":
            weight.fill_(4.6052)
        elif name.endswith("proj") or name.endswith("projection"):
            weight.normal_(0.0, weight.shape[0] ** -0.5)
        else:
            weight.normal_(0.0, weight[0].numel() ** -0.5)


def watch(clip, images, texts):
    """Activations by name; the last block's and what follows at the token that is read alone."""
    ends = texts.argmax(dim=-1)
    length, rows = int(ends.max()) + 1, torch.arange(len(texts))
    visual, modules = clip.visual, {}
    modules["image.patches"] = (visual.conv1, lambda x: x.flatten(2).transpose(1, 2))
    modules["image.embedded"] = visual.ln_pre
    blocks = visual.transformer.resblocks
    for i, block in enumerate(blocks):
        last = i + 1 == len(blocks)
        modules[f"image.block.{i}"] = (block, lambda x, last=last: x.transpose(0, 1)[:, : 1 if last else None])
    blocks = clip.transformer.resblocks
    for i, block in enumerate(blocks):
        places = (rows, ends) if i + 1 == len(blocks) else (slice(None), slice(length))
        modules[f"text.block.{i}"] = (block, lambda x, places=places: x.transpose(0, 1)[places])
    before = {}
    handle = clip.transformer.register_forward_pre_hook(lambda _, given: before.update(x=given[0]))
    with exporting.watched(modules) as seen:
        seen["image.feature"] = clip.encode_image(images)
        seen["text.feature"] = clip.encode_text(texts)
    handle.remove()
    seen["text.embedded"] = before["x"].transpose(0, 1)[:, :length]
    seen["logit_scale"] = clip.logit_scale.exp().reshape(1)
    return seen


def export(clip, images, texts, path):
    clip.eval()
    randomise(clip)
    out = exporting.weights(clip.state_dict())
    out |= {"input.images": images, "input.texts": texts.float()} | watch(clip, images, texts)
    exporting.write(path, out, {"seed": str(SEED)} | exporting.versions("torch", "openai-clip"))


def main():
    options = exporting.begin(__file__, SEED)
    if not options.full:
        export_tokens()
        texts = torch.tensor([[48, 7, 3, 21, 49, 0, 0, 0, 0], [48, 30, 49, 49, 0, 0, 0, 0, 0], [48, 1, 2, 3, 4, 5, 49, 0, 0]])
        return export(tiny(), torch.randn(2, 3, 12, 12), texts, options.path)
    texts = torch.zeros(2, 77, dtype=torch.long)
    texts[0, :9] = torch.tensor([49406, 320, 2533, 530, 518, 4919, 12, 7, 49407])
    texts[1, :5] = torch.tensor([49406, 40000, 1, 2, 49407])
    for name, sizes in {
        "b32": (512, 224, 12, 768, 32, 77, 49408, 512, 8, 12),
        "l14": (768, 224, 24, 1024, 14, 77, 49408, 768, 12, 12),
    }.items():
        clip, images = CLIP(*sizes), torch.randn(1, 3, 224, 224)
        export(clip, images, texts, options.folder / f"clip-{name}.safetensors")
        exporting.print_time(f"{name}, image", lambda: clip.encode_image(images), options.runs)
        exporting.print_time(f"{name}, 2 texts", lambda: clip.encode_text(texts), options.runs)


if __name__ == "__main__":
    main()
