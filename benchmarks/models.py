"""Whole models against the same architecture in plain PyTorch, on a CPU.

    python -m benchmarks models [--only NAME] [--rounds N] [--jit] [--smoke]

Outputs and losses are compared on inputs with padding where the model knows padding.
The inputs of the race have none: PyTorch takes its quickest recurrent layers. Training
is `train_on_batch` against zero_grad, forward, loss, backward, a fused step of Adam and
`loss.item()`; inference `predict_on_batch` against `eval` and `inference_mode`.
`gflops` are counted on the twin, a step of training as three forward passes.
"""

from benchmarks import _method, _model_pairs

ROUNDS, WARM_UP = 15, 3
CALMER = 3  # times as many rounds of inference
LEARNING_RATE, EPSILON = 1e-3, 1e-7


def training_step(kind, twin, inputs, targets):
    """Returns a function that takes a step of Adam with a twin."""
    import torch

    optimizer = torch.optim.Adam(
        twin.parameters(), lr=LEARNING_RATE, eps=EPSILON, fused=True
    )

    def step():
        twin.train()
        optimizer.zero_grad()
        loss = _model_pairs.torch_loss(kind, twin(*inputs), targets)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def race(name, options):
    """Returns the rows of one model, training and inference."""
    import keras
    import torch

    kind, batch, config = _model_pairs.settings(name, options.smoke)
    model, twin = _model_pairs.make_pair(name, config)
    model.compile(
        optimizer=keras.optimizers.Adam(LEARNING_RATE, epsilon=EPSILON),
        loss=_model_pairs.keras_loss(kind),
        jit_compile=True if options.jit else "auto",
    )
    sizes = kind, config, batch, options.smoke
    arrays, targets = _model_pairs.make_data(*sizes, padded=True)
    _model_pairs.check_equal(kind, model, twin, arrays, targets, model.predict_on_batch)

    arrays, targets = _model_pairs.make_data(*sizes)
    x, y = _model_pairs.to_keras(arrays), _model_pairs.to_keras([targets])
    inputs = _model_pairs.to_torch(kind, arrays)
    training = {
        "ours": lambda: model.train_on_batch(x, y),
        "other": training_step(kind, twin, inputs, torch.from_numpy(targets)),
    }
    rows = [compete(name, "training", training, twin, inputs, options)]

    if _model_pairs.ENTRIES[name].alone:
        arrays, inputs = ([part[:1] for part in parts] for parts in (arrays, inputs))
    few = _model_pairs.to_keras(arrays)
    inference = {
        "ours": lambda: model.predict_on_batch(few),
        "other": lambda: _model_pairs.predict(kind, twin.eval(), inputs),
    }
    return [*rows, compete(name, "inference", inference, twin, inputs, options)]


def compete(name, what, contestants, twin, inputs, options):
    """Times two contestants and returns their row."""
    from benchmarks import _torch_blocks

    times = {"training": (3, 1), "inference": (1, CALMER)}  # the forward pass; rounds
    passes, more = times[what]
    warm_up = 1 if options.smoke else WARM_UP
    seconds = _method.take_turns(contestants, more * options.rounds, warm_up)
    figures = _method.compare(seconds["ours"], seconds["other"])
    flops = passes * _torch_blocks.count_flops(twin, inputs)
    gflops = flops / figures["ours_ms"] / 1e6
    top = _method.roof(64, 2) if options.smoke else _method.roof()
    return {
        "model": name,
        "what": what,
        "batch": len(inputs[0]),
        "shape": "tiny" if options.smoke else _model_pairs.ENTRIES[name].shape,
        **figures,
        "parameters": _torch_blocks.count_parameters(twin),
        "gflops": _method.digits(gflops),
        "share_of_roof": _method.digits(gflops / top, 3),
    }


main = _method.Race(
    "models",
    __doc__,
    race,
    tuple(_model_pairs.ENTRIES),
    smoke=("attention_lstm",),
    title="Whole models against PyTorch, CPU",
    rounds=ROUNDS,
    flags={"jit": "ours compiled by XLA"},
    isolated=True,
)
