"""The contestants of the race of layers: ours, Keras's, PyTorch's, with one weights."""

from benchmarks import _steps

LAYERS = ("dot", "scaled_dot", "heads", "additive", "multi_head")
WIDTH, HEADS, KEY_DIM = 64, 4, 16


def others(layer):
    """Returns the names of those that ours runs against."""
    more = ("torch_sdpa",) if layer == "multi_head" else ()
    return ("keras", "torch", *more)


def shapes(layer, batch, length):
    """Returns the shapes of the inputs: query, key and value, or one of all three."""
    if layer == "heads":
        return [(batch * HEADS, length, KEY_DIM)] * 3
    return [(batch, length, WIDTH)] * (1 if layer == "multi_head" else 3)


def draw_weights(layer):
    """Returns arrays in the order of our layer's weights, a list."""
    matrix, vector = (WIDTH, WIDTH), (WIDTH,)
    sizes = {
        "additive": (vector, matrix, matrix, vector),
        "multi_head": (
            *((WIDTH, HEADS, KEY_DIM), (HEADS, KEY_DIM)) * 3,
            *((HEADS, KEY_DIM, WIDTH), vector),
        ),
    }
    drawn = _steps.draw(*sizes.get(layer, ()), seed=1)
    return [array / WIDTH**0.5 for array in drawn]


def step(layer, which, what, batch, length):
    """Returns a step, as in `_steps`, of the contestant `which`, with its weights."""
    inputs = _steps.draw(*shapes(layer, batch, length))
    if which.startswith("torch"):
        import torch

        module = torch_module(layer, which)
        return _steps.torch_step(module, [torch.from_numpy(x) for x in inputs], what)
    model = keras_model(layer, which, [x.shape for x in inputs])
    return _steps.keras_step(model, inputs, what)


def score_bytes(layer, which, what, batch, length):
    """Returns about how many bytes of scores `which` holds; 0 where it has blocks.

    What is not in blocks holds scores and weights, in training their gradients too.
    PyTorch's multi-head layer has blocks in training only.
    """
    sdpa = layer != "additive" and not (layer == "multi_head" and what == "forward")
    if which == "ours" or which == "torch_sdpa" or (which == "torch" and sdpa):
        return 0
    width = {"additive": WIDTH, "heads": HEADS, "multi_head": HEADS}.get(layer, 1)
    copies = 4 if what == "training" else 2
    return 4 * copies * width * batch * length**2


def flops(layer, what, batch, length):
    """Returns the arithmetic of a step, recomputation not counted."""
    pairs, positions = batch * length**2, batch * length
    work = 4 * WIDTH * pairs  # scores and weighted sums, whatever the heads
    if layer == "additive":
        work += 2 * WIDTH * pairs  # 4 operations a pair and unit in place of 2
        work += 4 * WIDTH**2 * positions
    if layer == "multi_head":
        work += 8 * WIDTH**2 * positions
    return (3 if what == "training" else 1) * work


def keras_model(layer, which, sizes):
    """Returns a functional model around our layer or around Keras's."""
    import keras

    inputs = [keras.Input(batch_shape=size) for size in sizes]
    query, key, value = inputs * 3 if len(inputs) == 1 else inputs
    build = _ours if which == "ours" else _keras
    output = build(layer, query, key, value)
    model = keras.Model(inputs if len(inputs) > 1 else inputs[0], output)
    weights = draw_weights(layer)
    if layer == "additive" and which == "keras":  # two dense layers come first
        scale, query_kernel, key_kernel, bias = weights
        weights = [query_kernel, bias, key_kernel, scale]
    model.set_weights(weights)
    return model


def _ours(layer, query, key, value):
    from attention_zoo import layers

    if layer == "multi_head":
        own = layers.MultiHeadAttention(HEADS, KEY_DIM, block_size="auto")
        return own(query, value)
    score = "scaled_dot" if layer == "heads" else layer
    return layers.Attention(score=score, block_size="auto")(query, value, key=key)


def _keras(layer, query, key, value):
    from keras import layers

    if layer == "multi_head":
        return layers.MultiHeadAttention(HEADS, KEY_DIM)(query, value)
    if layer == "additive":
        query = layers.Dense(WIDTH)(query)
        key = layers.Dense(WIDTH, use_bias=False)(key)
        return layers.AdditiveAttention()([query, value, key])
    if layer != "dot":
        query = query * query.shape[-1] ** -0.5
    return layers.Attention()([query, value, key])


def torch_module(layer, which):
    """Returns a function or module of PyTorch with the same weights."""
    from torch.nn import functional

    from benchmarks import _torch_blocks

    modules = {
        ("additive", "torch"): lambda: _torch_blocks.Additive(WIDTH, WIDTH, WIDTH),
        ("multi_head", "torch"): _torch_module,
        ("multi_head", "torch_sdpa"): lambda: _torch_blocks.Attention(WIDTH, HEADS),
    }
    if (layer, which) in modules:
        module = modules[layer, which]()
        _torch_blocks.copy_weights(draw_weights(layer), module)
        return module

    def attend(*inputs):
        # Sequences of one head, or, as ours has them, heads as sequences.
        heads = (-1, HEADS if layer == "heads" else 1)
        inputs = (x.unflatten(0, heads) for x in inputs)
        scale = 1.0 if layer == "dot" else None
        output = functional.scaled_dot_product_attention(*inputs, scale=scale)
        return output.flatten(0, 1)

    return attend


def _torch_module():
    """Returns `torch.nn.MultiheadAttention` of a sequence on itself, no weights."""
    import torch

    class Module(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.own = torch.nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)

        def forward(self, x):
            return self.own(x, x, x, need_weights=False)[0]

    return Module()
