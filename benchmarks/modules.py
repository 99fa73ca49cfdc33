"""Attention over maps against plain PyTorch and against timm's modules.

    python -m benchmarks modules [--smoke] [--rounds N] [--only MODULE]

Forward, and training: forward and backward with the gradients of maps and weights;
float32, batch 64. Maps are channels last in both: PyTorch's are in its `channels_last`
memory format. Ours run against the same module in plain PyTorch, with the same weights
and outputs, which is checked first; and against timm's where `timm.layers` can be
imported, with the arguments that bring it nearest. `note` says where timm's has other
parameters; where it has the same, its outputs are checked too. Writes
`benchmarks/results/modules.csv`, `.json` and `.png`.
"""

from benchmarks import _method, _steps

BATCH, SHAPES = 64, [(28, 28, 32), (14, 14, 64)]
ROUNDS, SECONDS = 30, 2.0
# Arguments of ours that differ from the defaults.
ARGUMENTS = {"GatherExcite": {"extent": 2, "use_kernel": False}}
MODULES = (
    "SqueezeExcite",
    "EfficientChannelAttention",
    "CBAM",
    "BAM",
    "GlobalContext",
    "NonLocal",
    "CoordinateAttention",
    "TripletAttention",
    "SimAM",
    "GatherExcite",
    "SelectiveKernel",
    "SplitAttention",
)
# Timm's module, a function of `timm.layers` and the channels, and what it has besides.
TIMM = {
    "SqueezeExcite": (
        lambda timm, c: timm.SEModule(c, rd_channels=-(-c // 16), bias=False),
        "",
    ),
    "EfficientChannelAttention": (lambda timm, c: timm.EcaModule(c), ""),
    "CBAM": (
        lambda timm, c: timm.cbam.CbamModule(c),
        "batch normalisation behind its spatial convolution",
    ),
    "GlobalContext": (
        lambda timm, c: timm.GlobalContext(
            c, fuse_add=True, fuse_scale=False, rd_ratio=1 / 16
        ),
        "a bias of the logits",
    ),
    "NonLocal": (
        lambda timm, c: timm.non_local_attn.NonLocalAttn(
            c, use_scale=False, rd_channels=c // 2
        ),
        "a bias of the keys and batch normalisation at the end",
    ),
    "CoordinateAttention": (
        lambda timm, c: timm.coord_attn.CoordAttn(c, rd_channels=8),
        "no biases of the gates",
    ),
    "GatherExcite": (
        lambda timm, c: timm.GatherExcite(c, extent=2, use_mlp=False),
        "",
    ),
    "SelectiveKernel": (
        lambda timm, c: timm.SelectiveKernel(c, split_input=False, rd_channels=32),
        "",
    ),
    "SplitAttention": (
        lambda timm, c: timm.SplitAttn(c, norm_layer=_batch_norm()),
        "a bias in the bottleneck",
    ),
}


def extend(parser):
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="at most")
    parser.add_argument("--only", choices=MODULES, help="one module, writes nothing")


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
    layer = getattr(layers, name)(
        **ARGUMENTS.get(name, {}), data_format="channels_last"
    )
    model = keras.Model(inputs, layer(inputs))
    weights = model.trainable_variables
    for weight, array in zip(
        weights, _steps.draw(*(w.shape for w in weights), seed=1), strict=True
    ):
        weight.assign(0.2 * array)
    return model


def make_torch(module, weights):
    """Returns a module with Keras's normalisation, and our weights where they fit.

    Args:
        module: `torch.nn.Module`.
        weights: List of arrays, ours, in the order of its parameters; None leaves the
            module's own.
    """
    import torch

    for part in module.modules():
        if isinstance(part, torch.nn.modules.batchnorm._BatchNorm):
            part.eps, part.momentum = 1e-3, 0.01
        if isinstance(part, torch.nn.LayerNorm):
            part.eps = 1e-3
    if weights is not None:
        with torch.no_grad():
            for weight, parameter in zip(weights, module.parameters(), strict=True):
                array = to_torch(weight, tuple(parameter.shape))
                parameter.copy_(torch.from_numpy(array.copy()))
    return module.to(memory_format=torch.channels_last)


def to_torch(array, shape):
    """Returns a weight of Keras as PyTorch has it, in `shape`."""
    turns = {1: [(0,)], 2: [(1, 0)], 3: [(2, 1, 0)], 4: [(3, 2, 0, 1), (2, 3, 0, 1)]}
    for turn in turns[array.ndim]:  # the last one is that of depthwise kernels
        turned = array.transpose(turn)
        same = tuple(n for n in turned.shape if n > 1) == tuple(
            n for n in shape if n > 1
        )
        if same:
            return turned.reshape(shape)
    raise AssertionError(f"a weight of shape {array.shape} does not fit {shape}")


def count(module):
    """Returns the number of parameters of a PyTorch module."""
    return sum(parameter.numel() for parameter in module.parameters())


def make_others(name, channels, weights, timm, why):
    """Returns the PyTorch contestants and the notes of their rows, two dicts."""
    from benchmarks import _torch_vision

    plain = getattr(_torch_vision, name)(channels)
    modules, notes = {"torch": make_torch(plain, weights)}, {"torch": ""}
    if name not in TIMM:
        return modules, notes
    notes["timm"] = why
    if timm:
        create, more = TIMM[name]
        try:
            module = create(timm, channels)
        except AttributeError:
            notes["timm"] = "this version of timm has none"
            return modules, notes
        ours, theirs = sum(w.size for w in weights), count(module)
        if ours != theirs:
            notes["timm"] = f"{theirs} parameters against ours of {ours}: {more}"
            weights = None
        modules["timm"] = make_torch(module, weights)
    return modules, notes


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


def race_module(name, shape, batch, rounds, timm, why):
    """Returns the rows of one module at one shape."""
    import torch

    model = make_ours(name, shape, batch)
    weights = [variable.numpy() for variable in model.trainable_variables]
    modules, notes = make_others(name, shape[-1], weights, timm, why)
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
            row["parameters"] = sum(weight.size for weight in weights)
            rows.append(row | {"note": note})
    return rows


def main(arguments):
    summary = "Attention over maps against plain PyTorch and timm."
    options = _method.parse("modules", arguments, summary, extend)
    import torch

    torch.set_num_threads(options.threads)
    timm, why = find_timm()
    if why:
        print(why)
    shapes, batch, rounds = SHAPES, BATCH, options.rounds
    if options.smoke:
        shapes, batch, rounds = [(6, 4, 16)], 2, 3
    rows = []
    for name in [options.only] if options.only else MODULES:
        for shape in shapes:
            own = race_module(name, shape, batch, rounds, timm, why)
            _method.report(own)
            rows += own
    if not options.only:
        title = "Attention over maps, batch 64, float32, channels last"
        more = {"roof_gflops": round(_method.roof(), 1)} if not options.smoke else {}
        _method.write("modules", rows, options, title, **more)
    return 0
