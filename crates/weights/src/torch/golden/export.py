"""Writes small checkpoints in every form that torch has had, and `expected.safetensors` with what they hold.

    python export.py
"""

import os
from collections import OrderedDict
from importlib.metadata import version
from pathlib import Path

import torch
from safetensors.torch import save_file

HERE = Path(__file__).parent
torch.manual_seed(7)
expected = {}


def keep(file, tensors):
    for key, value in tensors.items():
        expected[f"{file}:{key}"] = value.detach().clone().contiguous()


def save(file, found, tensors, **options):
    torch.save(found, HERE / file, **options)
    keep(file, tensors)


plain = OrderedDict(
    [
        ("conv.weight", torch.randn(2, 3, 1, 2)),
        ("norm.running_mean", torch.randn(3)),
        ("scalar", torch.tensor(2.5)),
        ("empty", torch.zeros(0, 4)),
    ]
)
plain._metadata = {"": {"version": 1}}
with_counter = OrderedDict(plain, **{"norm.num_batches_tracked": torch.tensor(7)})
save("plain.pth", with_counter, plain)
save("legacy.pth", with_counter, plain, _use_new_zipfile_serialization=False)

inner = {"a": torch.randn(4), "b": {"c": torch.nn.Parameter(torch.randn(2, 2))}, "list": [torch.ones(1), torch.zeros(2)]}
flat = {"a": inner["a"], "b.c": inner["b"]["c"], "list.0": inner["list"][0], "list.1": inner["list"][1]}
extra = {"epoch": 3, "lr": 1e-4, "name": "x", "best": None, "done": True, "size": torch.Size([1, 2]), "big": 1 << 70}
save("nested.pth", {"optimizer": {"m": torch.randn(9)}, **extra, "state_dict": inner}, flat)
save("model.pth", {"model": plain, "optimizer": {}}, plain)

whole = torch.randn(6, 4)
views = {
    "transposed": whole.t(),
    "rows": whole[2:4],
    "columns": whole[:, 1:3],
    "steps": whole[::2, ::3],
    "whole": whole,
    "expanded": torch.randn(3, 1).expand(3, 5),
}
save("strided.pth", views, views)
save("strided_legacy.pth", views, views, _use_new_zipfile_serialization=False)

types = {
    "half": torch.randn(5).half(),
    "bfloat": torch.randn(5).bfloat16(),
    "double": torch.randn(5).double(),
    "mask": torch.full((2, 2), float("-inf")).triu(1),
}
integers = {"int": torch.arange(3, dtype=torch.int32), "byte": torch.ones(2, dtype=torch.uint8), "flag": torch.ones(1).bool()}
floats = {"half": types["half"], "bfloat": types["bfloat"].float(), "double": types["double"].float()}
save("types.pth", {**types, **integers}, floats)


class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.proj = torch.nn.Linear(3, 2).half()
        self.register_buffer("resolution", torch.tensor(224))

    def forward(self, x):
        return self.proj(x)


class Tower(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = torch.nn.Sequential(Block(), Block())
        self.scale = torch.nn.Parameter(torch.tensor(4.6))
        self.sizes = [1, 2]

    def forward(self, x):
        return self.blocks(x) * self.scale


tower = Tower()
torch.jit.script(tower).save(str(HERE / "script.pt"))
keep("script.pt", {k: v for k, v in tower.state_dict().items() if v.is_floating_point()})


class Evil:
    def __reduce__(self):
        return os.system, ("touch /tmp/never",)


torch.save({"a": torch.ones(1), "b": Evil()}, HERE / "evil.pth")
torch.save({"a": torch.ones(1), "b": Evil()}, HERE / "evil_legacy.pth", _use_new_zipfile_serialization=False)

metadata = {"torch": version("torch"), "seed": "7"}
save_file(expected, HERE / "expected.safetensors", metadata)
