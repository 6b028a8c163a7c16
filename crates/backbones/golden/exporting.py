"""How do the exporters of goldens begin, look inside a network, time it and write what they saw? Imported by `src/*/golden/export.py`."""

import argparse
import atexit
import contextlib
import resource
import statistics
import sys
import time
from importlib.metadata import version
from pathlib import Path

import torch
from safetensors.torch import save_file


def begin(exporter, seed):
    """Reads the command line, seeds PyTorch and sets its threads: one for the tiny golden, as some sums depend on how many there are,
    and two for the published size, as it is timed. Of `full`, `runs`, `folder` and `path`, the last two are where files go and the
    golden's own name there."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--full", type=Path, metavar="DIR", help="write the published size there, with random weights")
    parser.add_argument("--runs", type=int, default=3, help="how often PyTorch is timed with --full; 0: not at all")
    options = parser.parse_args()
    options.folder = options.full or Path(exporter).parent
    options.folder.mkdir(parents=True, exist_ok=True)
    network = Path(exporter).resolve().parents[1].name
    options.path = options.folder / f"{network if options.full else 'tiny'}.safetensors"
    if options.full:
        atexit.register(print_peak)
    torch.set_grad_enabled(False)
    torch.set_num_threads(2 if options.full else 1)
    torch.manual_seed(seed)
    return options


def randomise(model, generator, draw):
    """Weights under which activations neither vanish nor grow, and norms and biases are not the identity. `draw` makes those of more
    dimensions than one, of their name and of noise of their shape."""
    for name, value in model.named_parameters():
        noise = torch.randn(value.shape, generator=generator)
        if value.dim() > 1:
            value.copy_(draw(name, noise))
        elif "weight" in name:
            value.copy_(1 + 0.2 * noise)
        else:
            value.copy_(0.1 * noise)


@contextlib.contextmanager
def watched(modules, each=False):
    """Notes what modules give while it is open. `modules` are by the names of their activations: a module, or one and what is kept of
    its output. Of several calls the last counts, or with `each` all of them, in a list."""
    seen = {}

    def hook(name, keep):
        def note(_, __, output):
            if each:
                seen.setdefault(name, []).append(keep(output))
            else:
                seen[name] = keep(output)

        return note

    handles = []
    for name, module in modules.items():
        module, keep = module if isinstance(module, tuple) else (module, lambda output: output)
        handles.append(module.register_forward_hook(hook(name, keep)))
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def print_time(what, run, runs):
    """The median of some runs, and what all processors spent on each."""
    spent, used = [], time.process_time()
    for _ in range(runs):
        start = time.perf_counter()
        run()
        spent.append(time.perf_counter() - start)
    if spent:
        used = (time.process_time() - used) / runs
        median, threads = statistics.median(spent), torch.get_num_threads()
        print(f"PyTorch, {threads} threads, {what}: {median:.3f} s, the median of {runs}; processors {used:.3f} s each")


def print_peak():
    """The most memory this process has held."""
    print(f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


def versions(*packages):
    """By package. What one calls itself comes first: PyTorch names its build, too."""
    return {name: getattr(sys.modules.get(name), "__version__", None) or version(name) for name in packages}


def weights(state, prefix="weights."):
    """A checkpoint's tensors under the names they have in a golden; counters are left out."""
    return {f"{prefix}{name}": value for name, value in state.items() if value.is_floating_point()}


def write(path, tensors, metadata):
    """A file holds neither views nor one memory under two names: such tensors are copied, and no others."""
    whole, memories = {}, set()
    for name, value in tensors.items():
        memory = value.untyped_storage()
        alone = value.is_contiguous() and memory.nbytes() == value.nbytes and memory.data_ptr() not in memories
        memories.add(memory.data_ptr())
        whole[name] = value if alone else value.clone(memory_format=torch.contiguous_format)
    save_file(whole, path, metadata)
    print(path, path.stat().st_size)


def print_scales(tensors):
    """Tells at a glance whether activations vanish or grow."""
    for name, value in tensors.items():
        print(f"{name:32} {str(tuple(value.shape)):22} deviation {value.float().std():.3f}, largest {value.abs().max():.3f}")
