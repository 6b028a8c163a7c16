"""Writes golden activations and captions of Tag2Text from vbench 0.1.5 (not a dependency of this repository).

Usage: python export.py [--full DIR]; needs torch, timm 1.0.12, scipy, transformers 4.33.2, fairscale, vbench and safetensors.
`--full` writes the published size with random weights, which is not kept in the repository, and prints PyTorch's times.
"""

import json
import pathlib
import sys
import tempfile

import numpy as np
import torch
from transformers import BertConfig, BertTokenizer, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput

from vbench.third_party.tag2Text import tag2text
from vbench.third_party.tag2Text.med import BertLMHeadModel, BertModel
from vbench.third_party.tag2Text.swin_transformer import SwinTransformer

sys.path.insert(0, str(pathlib.Path(__file__).parents[3] / "golden"))
import exporting  # noqa: E402

SEED = 23
PIECES = (
    "[PAD] [UNK] [CLS] [SEP] [MASK] a picture of the | dog cat ##s red blue car on street walk ##ing in park , . ' s "
    "man woman snow beach with and tree sky at night ##y sun ##light two"
).split()
TINY = {
    "side": 24, "window": 3, "embed": 4, "depths": [2, 2], "vision_heads": [1, 2], "seen": 8,
    "width": 24, "hidden": 40, "heads": 3, "tagging_heads": 2, "writers": 2, "readers": 3, "places": 48,
    "pieces": PIECES, "frames": 5, "deleted": [1, 8],
    "tags": ["dog", "two", "red car", "cats", "street", "man", "snowy beach", "park", "sunlight", "tree", "night sky",
             "zebra"],
}
FULL = {
    "side": 384, "window": 12, "embed": 128, "depths": [2, 2, 18, 2], "vision_heads": [4, 8, 16, 32], "seen": 1024,
    "width": 768, "hidden": 3072, "heads": 12, "tagging_heads": 4, "writers": 12, "readers": 12, "places": 512,
    "pieces": PIECES + [f"[unused{i}]" for i in range(30522 - len(PIECES))], "frames": 1,
    "deleted": tag2text.delete_tag_index, "tags": tag2text.tra_array.tolist(),
}
END = 4.3


class Sized(tag2text.Tag2Text_Caption):
    """The official captioner of given sizes: its constructor has widths of 768 and the published files built in."""

    def __init__(self, sizes):
        torch.nn.Module.__init__(self)
        self.visual_encoder = SwinTransformer(
            img_size=sizes["side"], patch_size=4, embed_dim=sizes["embed"], depths=sizes["depths"],
            num_heads=sizes["vision_heads"], window_size=sizes["window"],
        )
        self.tokenizer = tag2text.init_tokenizer()

        def config(layers, heads, outside):
            return BertConfig(
                vocab_size=len(self.tokenizer), hidden_size=sizes["width"], num_hidden_layers=layers,
                num_attention_heads=heads, intermediate_size=sizes["hidden"], max_position_embeddings=sizes["places"],
                layer_norm_eps=1e-12, hidden_act="gelu", encoder_width=outside, add_cross_attention=True, pad_token_id=0,
            )

        seen, tags = sizes["seen"], sizes["tags"]
        self.text_decoder = BertLMHeadModel(config=config(sizes["writers"], sizes["heads"], sizes["width"]))
        self.tag_encoder = BertModel(config=config(sizes["readers"], sizes["heads"], seen), add_pooling_layer=False)
        self.prompt = "a picture of "
        self.threshold = 0.7
        self.num_class = len(tags)
        self.vision_multi = BertModel(config=config(2, sizes["tagging_heads"], seen), add_pooling_layer=False)
        self.label_embed = torch.nn.Embedding(len(tags), sizes["width"])
        self.fc = tag2text.GroupWiseLinear(len(tags), sizes["width"], bias=True)
        self.del_selfattention()
        tag2text.tie_encoder_decoder_weights(self.tag_encoder, self.vision_multi, "", " ")
        self.tag_array = np.array(tags)


def draw(name, noise):
    if "word_embeddings" in name or "label_embed" in name or name == "fc.W":
        return 2 * noise / noise.shape[-1] ** 0.5
    if "position_embeddings" in name or "bias_table" in name or name == "fc.b":
        return noise
    return 1.5 * noise / noise[0].numel() ** 0.5


def even_out(model, frames, generator):
    """Biases under which no word is likelier than others whatever precedes, and captions end, some sooner than others."""
    texts = torch.randint(5, len(PIECES), (16 * len(frames), 20), generator=generator)
    states = []
    hook = model.tag_encoder.register_forward_hook(lambda *a: states.append(a[2].last_hidden_state[:1]))
    for frame in frames:
        model.generate(frame[None])
    hook.remove()
    outside = torch.cat(states).repeat(16, 1, 1)
    logits = model.text_decoder(texts, encoder_hidden_states=outside).logits
    bias = model.text_decoder.cls.predictions.bias
    bias -= logits.mean((0, 1))
    bias[:5] -= 4
    bias[-2:] -= 4
    bias[model.tokenizer.sep_token_id] += END


class Table(PreTrainedModel):
    """A language of tables: what follows depends on the last token and on the place, for each sample in its own way."""

    config_class = BertConfig

    def __init__(self, after, at, beams):
        super().__init__(BertConfig(vocab_size=after.shape[-1], pad_token_id=0))
        self.after, self.at, self.beams = after, at, beams
        self.unused = torch.nn.Parameter(torch.zeros(1))

    def can_generate(self):
        return True

    def prepare_inputs_for_generation(self, input_ids, **_):
        return {"input_ids": input_ids}

    def forward(self, input_ids, **_):
        samples = torch.arange(input_ids.shape[0]) // self.beams
        place = input_ids.shape[1] - 1
        logits = self.after[samples, input_ids[:, -1]] + self.at[samples, place]
        return CausalLMOutput(logits=logits[:, None].expand(-1, place + 1, -1))


def beam_searches(generator):
    samples, vocabulary, end, shortest, longest, beams = 32, 10, 3, 6, 15, 3
    after = 2 * torch.randn(samples, vocabulary, vocabulary, generator=generator)
    at = torch.randn(samples, longest, vocabulary, generator=generator)
    # From texts that hardly end to texts that end at once.
    at[:, :, end] += torch.linspace(-4, 6, samples)[:, None]
    model = Table(after, at, beams)
    prompt = torch.full((samples, 2), 5)
    prompt[:, 1] = torch.arange(samples) % vocabulary
    found = model.generate(
        input_ids=prompt, max_length=longest, min_length=shortest, num_beams=beams, eos_token_id=end, pad_token_id=0,
        repetition_penalty=1.0,
    )
    texts = torch.full((samples, longest), -1)
    for text, row in zip(texts, found.tolist()):
        row = row[:row.index(end, 2)] if end in row[2:] else row
        text[:len(row)] = torch.tensor(row)
    return {"beam.after": after, "beam.at": at, "beam.prompt": prompt, "beam.texts": texts}


def main():
    options = exporting.begin(__file__, SEED)
    sizes = FULL if options.full else TINY
    generator = torch.Generator().manual_seed(SEED)
    folder = tempfile.TemporaryDirectory()
    vocabulary = pathlib.Path(folder.name) / "vocab.txt"
    vocabulary.write_text("\n".join(sizes["pieces"]) + "\n")
    tag2text.BertTokenizer = type(
        "Local", (), {"from_pretrained": staticmethod(lambda _: BertTokenizer(str(vocabulary), do_lower_case=True))},
    )
    tag2text.delete_tag_index = sizes["deleted"]
    model = Sized(sizes)
    exporting.randomise(model, generator, draw)
    model.eval()
    # Each of another colour, so that captions differ.
    count, side = sizes["frames"], sizes["side"]
    frames = torch.randn(count, 3, side, side, generator=generator) + 2 * torch.randn(count, 3, 1, 1, generator=generator)
    if not options.full:
        even_out(model, frames, generator)
    tensors = {"input.frames": frames.permute(0, 2, 3, 1)}
    official, outputs = model.text_decoder.generate, []
    model.text_decoder.generate = lambda **arguments: outputs.append(official(**arguments)) or outputs[-1]
    captions, tags = [], []
    modules = {"features": model.visual_encoder, "tag_logits": model.fc}
    modules["states"] = (model.tag_encoder, lambda output: output.last_hidden_state[:1])
    with exporting.watched(modules, each=True) as seen:
        for frame in frames:
            caption, tag = model.generate(frame[None], return_tag_predict=True)
            captions += caption
            tags += tag
    model.text_decoder.generate = official
    tensors |= {name: torch.cat(values) for name, values in seen.items()}
    prompt, end = model.tokenizer(model.prompt).input_ids[:-1], model.tokenizer.sep_token_id
    for i, output in enumerate(outputs):
        text = output[0].tolist()
        text = text[:text.index(end)] if end in text else text
        tensors[f"text.{i}"] = torch.tensor(text).float()
        logits = model.text_decoder(torch.tensor([text]), encoder_hidden_states=tensors["states"][i:i + 1]).logits
        # What follows the prompt, and each token after it.
        tensors[f"logits.{i}"] = logits[0, len(prompt) - 1:]
    if not options.full:
        # All frames at once: caption i is that of frame i // 3, as transformers repeats states that were repeated before.
        together, _ = model.generate(frames, return_tag_predict=True)
        assert together == [captions[i // 3] for i in range(len(frames))], (together, captions)
        searches = beam_searches(generator)
        tensors |= {name: value.float() for name, value in searches.items()}
    tensors |= exporting.weights(model.state_dict())
    metadata = {"seed": str(SEED)} | exporting.versions("torch", "transformers", "vbench") | {
        "vocabulary": "\n".join(sizes["pieces"]),
        "tag_list": "\n".join(sizes["tags"]),
        "captions": "\n".join(captions),
        "tags": "\n".join(tags),
    }
    exporting.write(options.path, tensors, metadata)
    print(json.dumps({"captions": captions, "tags": tags, "lengths": [len(o[0]) for o in outputs]}, indent=1))
    if options.full:
        exporting.print_time("features", lambda: model.visual_encoder(frames), options.runs)
        exporting.print_time("the whole", lambda: model.generate(frames[:1], return_tag_predict=True), options.runs)
    else:
        print((searches["beam.texts"] >= 0).sum(1).tolist())


main()
