"""Attention over maps against plain PyTorch and against timm's modules.

    python -m benchmarks modules [--smoke] [--rounds N] [--only MODULE]

Maps are channels last in both. Timm's run where `timm.layers` can be imported, with the
arguments that bring them nearest. `note` says where timm's has other parameters; where
it has the same, its outputs are checked too.
"""

import math

from benchmarks import _method, _steps

BATCH, SHAPES, SECONDS = 64, [(28, 28, 32), (14, 14, 64)], 2.0
# Timm's module, from `timm.layers` and the channels, and what it has besides ours.
MODULES = {
    "SqueezeExcite": (
        lambda t, c: t.SEModule(c, rd_channels=-(-c // 16), bias=False),
        "",
    ),
    "EfficientChannelAttention": (lambda t, c: t.EcaModule(c), ""),
    "CBAM": (
        lambda t, c: t.cbam.CbamModule(c),
        "batch normalisation behind its spatial convolution",
    ),
    "BAM": None,
    "GlobalContext": (
        lambda t, c: t.GlobalContext(
            c, fuse_add=True, fuse_scale=False, rd_ratio=1 / 16
        ),
        "a bias of the logits",
    ),
    "NonLocal": (
        lambda t, c: t.non_local_attn.NonLocalAttn(
            c, use_scale=False, rd_channels=c // 2
        ),
        "a bias of the keys and batch normalisation at the end",
    ),
    "CoordinateAttention": (
        lambda t, c: t.coord_attn.CoordAttn(c, rd_channels=8),
        "no biases of the gates",
    ),
    "TripletAttention": None,
    "SimAM": None,
    "GatherExcite": (lambda t, c: t.GatherExcite(c, extent=2, use_mlp=False), ""),
    "SelectiveKernel": (
        lambda t, c: t.SelectiveKernel(c, split_input=False, rd_channels=32),
        "",
    ),
    "SplitAttention": (
        lambda t, c: t.SplitAttn(c, norm_layer=_batch_norm()),
        "a bias in the bottleneck",
    ),
}


def _batch_norm():
    from torch.nn import BatchNorm2d

    return BatchNorm2d


def find_timm():
    """Returns `timm.layers` or None, and why it is not there."""
    try:
        import timm.layers
    except ImportError as error:
        if error.name == "timm":
            return None, "timm is not installed"
        return None, f"timm.layers cannot be imported: {error}"
    return timm.layers, ""


def make_ours(name, shape, batch):
    """Returns a functional model around our layer, with weights drawn at random."""
    import keras

    from attention_zoo import layers

    inputs = keras.Input(batch_shape=(batch, *shape))
    options = {"extent": 2, "use_kernel": False} if name == "GatherExcite" else {}
    layer = getattr(layers, name)(**options, data_format="channels_last")
    model = keras.Model(inputs, layer(inputs))
    weights = model.trainable_variables
    drawn = _steps.draw(*(weight.shape for weight in weights), seed=1)
    for weight, array in zip(weights, drawn, strict=True):
        weight.assign(0.2 * array)
    return model


def make_torch(module, weights):
    """Returns a module with Keras's normalisation and our weights.

    Args:
        module: `torch.nn.Module`.
        weights: List of arrays, ours; `None` leaves the module's own.
    """
    import torch

    from benchmarks import _torch_blocks

    for part in module.modules():
        if hasattr(part, "running_mean"):
            part.momentum = 0.01
        if hasattr(part, "eps"):
            part.eps = 1e-3
    if weights is not None:
        _torch_blocks.copy_weights(weights, module)
    return module.to(memory_format=torch.channels_last)


def make_others(name, channels, model):
    """Returns the PyTorch contestants and the notes of their rows, two dicts."""
    from benchmarks import _torch_blocks, _torch_vision

    plain = getattr(_torch_vision, name)(channels)
    weights = model.get_weights()
    modules, notes = {"torch": make_torch(plain, weights)}, {"torch": ""}
    if MODULES[name] is None:
        return modules, notes
    timm, notes["timm"] = find_timm()
    create, more = MODULES[name]
    try:
        module = timm and create(timm, channels)
    except AttributeError:
        module, notes["timm"] = None, "this version of timm has none"
    if module:
        ours, theirs = count(model), _torch_blocks.count_parameters(module)
        if ours != theirs:
            notes["timm"] = f"{theirs} parameters against ours of {ours}: {more}"
        modules["timm"] = make_torch(module, None if notes["timm"] else weights)
    return modules, notes


def count(model):
    """Returns the number of trainable parameters of a Keras model."""
    return sum(math.prod(weight.shape) for weight in model.trainable_weights)


def check(name, what, ours, steps, notes):
    """Raises `AssertionError` where outputs or gradients of the maps differ."""
    import numpy as np

    kept = 2 if what == "training" else 1
    ours = [np.moveaxis(np.asarray(x), -1, 1) for x in ours[:kept]]
    for who, step in steps.items():
        found = step()[:kept]
        if notes[who]:  # it has other weights
            assert ours[0].shape == tuple(found[0].shape), (name, who)
        else:
            _steps.check_equal(ours, found, about=f"{name}, {what}, ours and {who}")


def race_module(name, shape, batch, rounds):
    """Returns the rows of one module at one shape."""
    import torch

    model = make_ours(name, shape, batch)
    modules, notes = make_others(name, shape[-1], model)
    arrays = _steps.draw((batch, *shape))
    maps = [torch.from_numpy(array).permute(0, 3, 1, 2) for array in arrays]
    rows = []
    for what in _steps.WHATS:
        ours = _steps.keras_step(model, arrays, what)
        steps = {w: _steps.torch_step(m, maps, what) for w, m in modules.items()}
        check(name, what, ours(), steps, notes)
        seconds = _method.race({"ours": ours, **steps}, rounds, SECONDS)
        sizes = dict(zip(("height", "width", "channels"), shape, strict=True))
        about = {"module": name, "what": what, "batch": batch, **sizes}
        for who, note in notes.items():
            figures = dict.fromkeys(_method.COMPARISON, "")
            if who in steps:
                figures = _method.compare(seconds["ours"], seconds[who])
            row = about | {"against": who} | figures
            rows.append(row | {"parameters": count(model), "note": note})
    return rows


def race(name, options):
    """Returns the rows of one module."""
    sizes = [((6, 4, 16), 2)] if options.smoke else [(s, BATCH) for s in SHAPES]
    parts = (race_module(name, *size, options.rounds) for size in sizes)
    return [row for rows in parts for row in rows]


main = _method.Race(
    "modules",
    __doc__,
    race,
    tuple(MODULES),
    title="Attention over maps, batch 64, float32, channels last",
    rounds=30,
    has_roof=True,
)
