import keras
import numpy as np
import pytest
from support import formulas
from support.check_layer import BACKEND, Case, built_layer, shake, to_numpy

from attention_zoo import layers
from attention_zoo.layers import CBAM, GatedFusion, Parallel, Serial, record_attention


def part(weights, prefix):
    """Returns the weights of an inner layer by their names inside it."""
    return {
        k.removeprefix(f"{prefix}/"): w
        for k, w in weights.items()
        if k.startswith(f"{prefix}/")
    }


def attention(weights, query, value, masks):
    """Vaswani et al. 2017, equation 1."""
    batch, rows, length = query.shape[0], query.shape[1], value.shape[1]
    visible = formulas.visible(masks, batch, rows, length)
    scores = query @ np.swapaxes(value, 1, 2) / np.sqrt(query.shape[-1])
    return formulas.softmax(scores, visible) @ value


def self_attention(weights, x, masks):
    query, key, value = (
        x @ weights[f"{n}/kernel"] + weights[f"{n}/bias"]
        for n in ("query", "key", "value")
    )
    visible = formulas.visible(masks, *x.shape[:2], x.shape[1])
    scores = query @ np.swapaxes(key, 1, 2) / np.sqrt(query.shape[-1])
    return formulas.softmax(scores, visible) @ value


def pooling(weights, x, masks):
    """Yang et al. 2016, equations 5 to 7."""
    hidden = np.tanh(x @ weights["additive/key_kernel"] + weights["additive/bias"])
    a = formulas.softmax(hidden @ weights["additive/scale"], masks.get("mask"))
    return np.einsum("bt,btd->bd", a, x)


def hidden(x, masks, name="mask"):
    return np.where(masks[name][..., None], x, 0) if name in masks else x


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def of_query(masks):
    """Returns the query's mask as the one of a layer that sees the query alone."""
    return {"mask": masks["query_mask"]} if "query_mask" in masks else {}


def serial(weights, inputs, masks):
    query, value = inputs["query"], inputs["value"]
    x = attention({}, query, value, masks)
    x = self_attention(part(weights, "self_attention"), x, of_query(masks))
    return hidden(query, masks, "query_mask") + x


def serial_alone(weights, inputs, masks):
    x = self_attention(part(weights, "self_attention"), inputs["query"], masks)
    x = attention({}, x, x, masks)
    return self_attention(part(weights, "self_attention_1"), x, masks)


def serial_pooling(weights, inputs, masks):
    x = self_attention(part(weights, "self_attention"), inputs["query"], masks)
    return pooling(part(weights, "attention_pooling"), x, masks)


def branches(weights, inputs, masks):
    return [
        attention({}, inputs["query"], inputs["query"], masks),
        self_attention(part(weights, "self_attention"), inputs["query"], masks),
    ]


def merged(function):
    return lambda weights, inputs, masks: function(branches(weights, inputs, masks))


def fused(weights, outputs):
    """Arevalo et al. 2017, section 3.1, with a softmax for more than two inputs."""
    logits = np.concatenate(outputs, -1) @ weights["gate_kernel"] + weights["gate_bias"]
    output = np.zeros(outputs[0].shape)
    width = output.shape[-1]
    for c in range(width):
        a = formulas.softmax(logits[..., c::width])
        output[..., c] = sum(a[..., n] * y[..., c] for n, y in enumerate(outputs))
    return output


def parallel_gated(weights, inputs, masks):
    outputs = branches(weights, inputs, masks)
    return hidden(fused(weights, outputs) + inputs["query"], masks)


def parallel_pooling(weights, inputs, masks):
    names = ("attention_pooling", "attention_pooling_1")
    pooled = [pooling(part(weights, n), inputs["query"], masks) for n in names]
    return np.concatenate(pooled, axis=-1)


def gate(weights, *parts):
    both = np.concatenate(parts, axis=-1)
    return sigmoid(both @ weights["gate_kernel"] + weights["gate_bias"])


def gated(weights, inputs, masks):
    """Huang et al. 2019, equations 2 and 4, without I."""
    x = inputs["query"]
    y = self_attention(part(weights, "self_attention"), x, masks)
    return gate(weights, x, y) * y


def gated_residual(weights, inputs, masks):
    """Srivastava et al. 2015, equation 3."""
    x, value = inputs["query"], inputs["value"]
    y = attention({}, x, value, masks)
    g = gate(weights, hidden(x, masks, "query_mask"), y)
    return hidden(g * y + (1 - g) * x, masks, "query_mask")


def gated_pooling(weights, inputs, masks):
    y = pooling(part(weights, "attention_pooling"), inputs["query"], masks)
    return gate(weights, y) * y


def nested(weights, inputs, masks):
    x, within = inputs["query"], part(weights, "parallel")
    row = part(within, "serial")
    first = self_attention(part(row, "self_attention"), x, masks)
    first = attention({}, first, first, masks)
    second = self_attention(part(within, "self_attention"), x, masks)
    y = fused(within, [first, second])
    g = gate(weights, hidden(x, masks), y)
    return hidden(x + g * (y - x), masks)


SELF = {"name": "self_attention", "key_dim": 3}
NESTED = {
    "layer": {
        "name": "parallel",
        "layers": [{"name": "serial", "layers": [SELF, "attention"]}, SELF],
        "merge": "gated",
    },
    "residual": True,
}
ONE = {"inputs": {"query": (2, 7, 5)}, "masks": ("mask",)}
TWO = {
    "inputs": {"query": (2, 7, 5), "value": (2, 3, 5)},
    "masks": ("query_mask", "value_mask"),
}
MAPS = {"inputs": {"query": (2, 5, 7, 3)}, "dynamic": (1, 2)}
CHANNELS = {"name": "channel_attention", "ratio": 2}
SPATIAL = {"name": "spatial_attention", "kernel_size": 3}
FIRST = {"data_format": "channels_first"}
FRAMES = {"name": "temporal_attention", "num_heads": 1}


def case(name, cls, formula=None, config=None, like=ONE, **more):
    return Case(name, cls, config=config, formula=formula, **{**like, **more})


CASES = [
    case(
        "serial", Serial, serial, {"layers": ["attention", SELF], "residual": True}, TWO
    ),
    case("serial_alone", Serial, serial_alone, {"layers": [SELF, "attention", SELF]}),
    case(
        "serial_pooling",
        Serial,
        serial_pooling,
        {"layers": [SELF, "attention_pooling"]},
    ),
    case("serial_maps", Serial, None, {"layers": [CHANNELS, SPATIAL]}, MAPS),
    case(
        "serial_video_channels_first",
        Serial,
        None,
        {"layers": [{**FRAMES, **FIRST}] * 2, "residual": True},
        inputs={"query": (2, 3, 5, 7, 2)},
        masks=(),
        dynamic=(2, 3),
    ),
    case(
        "parallel_gated",
        Parallel,
        parallel_gated,
        {"layers": ["attention", SELF], "merge": "gated", "residual": True},
    ),
    *(
        case(
            f"parallel_{merge}",
            Parallel,
            merged(function),
            {"layers": ["attention", SELF], "merge": merge},
        )
        for merge, function in {
            "sum": sum,
            "mean": lambda outputs: np.mean(outputs, axis=0),
            "max": lambda outputs: np.max(outputs, axis=0),
            "concat": lambda outputs: np.concatenate(outputs, axis=-1),
        }.items()
    ),
    case(
        "parallel_pooling",
        Parallel,
        parallel_pooling,
        {"layers": ["attention_pooling"] * 2, "merge": "concat"},
    ),
    case(
        "parallel_maps_channels_first",
        Parallel,
        None,
        {"layers": [{**CHANNELS, **FIRST}, {**SPATIAL, **FIRST}], "merge": "gated"},
        MAPS,
        inputs={"query": (2, 3, 5, 7)},
        dynamic=(2, 3),
    ),
    case("gated_nested", GatedFusion, nested, NESTED),
    case("gated", GatedFusion, gated, {"layer": SELF}),
    case(
        "gated_residual",
        GatedFusion,
        gated_residual,
        {"layer": "attention", "residual": True},
        TWO,
    ),
    case("gated_pooling", GatedFusion, gated_pooling, {"layer": "attention_pooling"}),
    case("gated_maps", GatedFusion, None, {"layer": CHANNELS, "residual": True}, MAPS),
]
BY_NAME = {case.name: case for case in CASES}


def draw(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


SEQUENCES = ("self", "pooling", "series", "set", "features")


def inputs_of(name):
    """Returns inputs for an attention layer by its family; sequences come twice."""
    family = layers.get_family(name)
    if family in ("sequence", "linear", "matching"):
        return draw(2, 3, 8), draw(2, 5, 8)
    if family in ("hierarchical", "temporal"):
        return (draw(2, 3, 5, 8) if family == "hierarchical" else draw(2, 3, 4, 4, 16),)
    if name == "target_attention":
        return draw(2, 8), draw(2, 5, 8)
    if name == "two_stage_attention":
        return (draw(2, 3, 5, 8),)
    return (draw(2, 5, 8) if family in SEQUENCES else draw(2, 4, 4, 16),)


WITHOUT_SCORES = {"fourier_block"}
OTHER_INPUTS = ("composite", "graph")  # what a composite hands on is no graph
ALL = [n for n in layers.list_attentions() if layers.get_family(n) not in OTHER_INPUTS]


@pytest.mark.skipif(BACKEND == "jax", reason="compiles each of them")
@pytest.mark.parametrize("name", ALL)
def test_any_attention_goes_inside(name):
    inputs = inputs_of(name)
    layer = GatedFusion({"name": "serial", "layers": [name]})
    output, scores = layer(*inputs, return_attention_scores=True)
    inner = layer.layer.layers[0]
    expected = inner(*inputs)
    assert output.shape == expected.shape
    if name not in WITHOUT_SCORES:
        expected, weights = inner(*inputs, return_attention_scores=True)
        keras.tree.assert_same_structure(scores[0][0], weights)
    np.testing.assert_allclose(
        to_numpy(output), to_numpy(scores[1] * expected), atol=1e-5
    )
    spec = layer.compute_output_spec(
        *(keras.KerasTensor(x.shape) for x in inputs), return_attention_scores=True
    )
    shapes = keras.tree.map_structure(lambda x: tuple(x.shape), (output, scores))
    assert keras.tree.map_structure(lambda x: tuple(x.shape), spec) == shapes
    if len(inputs) == 2 and name != "target_attention":  # alone, it attends to itself
        alone = inner(inputs[1], inputs[1])
        got = layer.layer(inputs[1])
        np.testing.assert_allclose(to_numpy(got), to_numpy(alone), atol=1e-5)


def test_serial_of_its_parts_is_cbam():
    x = draw(2, 5, 7, 3)
    reference = CBAM(2, 3)
    expected = reference(x)
    layer = Serial([CHANNELS, SPATIAL])
    layer(x)
    layer.set_weights(reference.get_weights())
    np.testing.assert_allclose(to_numpy(layer(x)), to_numpy(expected), atol=1e-6)


@pytest.mark.parametrize("merge", ["sum", "concat", "gated"])
def test_both_data_formats_agree(merge):
    x = draw(2, 5, 7, 3)
    last = GatedFusion(Parallel([CHANNELS, SPATIAL], merge))
    expected = to_numpy(last(x))
    parts = [{**CHANNELS, **FIRST}, {**SPATIAL, **FIRST}]
    first = GatedFusion(Parallel(parts, merge))
    first(np.moveaxis(x, -1, 1))
    first.set_weights(last.get_weights())
    got = to_numpy(first(np.moveaxis(x, -1, 1)))
    np.testing.assert_allclose(np.moveaxis(got, 1, -1), expected, atol=1e-5)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_masks_of_frames(data_format):
    x, mask = draw(2, 3, 4, 5, 2), np.array([[True, True, False], [False] * 3])
    frames = {**FRAMES, "data_format": data_format}
    layer = GatedFusion(
        Parallel([Serial([frames, frames]), frames], "gated"), residual=True
    )

    def run(x):
        if data_format == "channels_last":
            return to_numpy(layer(x, mask=mask))
        return np.moveaxis(to_numpy(layer(np.moveaxis(x, -1, 1), mask=mask)), 1, -1)

    expected = run(x)
    np.testing.assert_array_equal(expected[~mask], 0)
    assert np.abs(expected[mask]).min() > 0
    dirty = np.where(mask[..., None, None, None], x, np.nan)
    np.testing.assert_allclose(run(dirty), expected, atol=1e-6)


@pytest.mark.parametrize("name", ["serial_alone", "serial_pooling", "gated_nested"])
def test_the_length_of_padding_changes_nothing(name):
    layer, x = built_layer(BY_NAME[name]), draw(2, 7, 5)
    padded = np.concatenate([x, np.full((2, 4, 5), np.nan, "float32")], axis=1)
    mask = np.arange(11) < np.full((2, 1), 7)
    got, expected = to_numpy(layer(padded, mask=mask)), to_numpy(layer(x))
    got = got[:, :7] if got.ndim == 3 else got
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_masks_come_from_keras_and_are_handed_on():
    ids = np.array([[1, 2, 3, 0], [4, 0, 0, 0]])
    embedded = keras.layers.Embedding(5, 5, mask_zero=True)(ids)
    layer = Serial([Parallel(["attention", SELF], "gated"), keras.layers.Dense(3)])
    expected = to_numpy(layer(keras.ops.convert_to_tensor(embedded), mask=ids > 0))
    output = layer(embedded)
    np.testing.assert_allclose(to_numpy(output), expected, atol=1e-6)
    np.testing.assert_array_equal(to_numpy(output)[ids == 0], 0)
    np.testing.assert_array_equal(to_numpy(output._keras_mask), ids > 0)
    pooled = Parallel(["attention_pooling", "gated_attention_pooling"])(embedded)
    assert getattr(pooled, "_keras_mask", None) is None


def test_a_layer_without_masks_sees_zeros_and_keras_warns():
    x, mask = draw(2, 7, 5), np.arange(7) < np.array([[7], [4]])
    layer = Serial([{"name": "squeeze_excite", "ratio": 2}, "attention_pooling"])
    with pytest.warns(UserWarning, match="does not support masking"):
        got = to_numpy(layer(np.where(mask[..., None], x, np.nan), mask=mask))
    excited = layer.layers[0](np.where(mask[..., None], x, 0))
    np.testing.assert_allclose(
        got, to_numpy(layer.layers[1](excited, mask=mask)), atol=1e-6
    )


def test_causal_and_attention_masks_reach_every_attention():
    x, mask = draw(2, 7, 5), np.tri(7, dtype=bool)[None].repeat(2, axis=0)
    layer = built_layer(BY_NAME["gated_nested"])
    expected = to_numpy(layer(x, use_causal_mask=True))
    np.testing.assert_allclose(
        to_numpy(layer(x, attention_mask=mask)), expected, atol=1e-6
    )
    later = np.concatenate([x[:, :4], draw(2, 3, 5) + 9], axis=1)
    np.testing.assert_allclose(
        to_numpy(layer(later, use_causal_mask=True))[:, :4], expected[:, :4], atol=1e-5
    )


def test_the_value_is_the_same_for_every_layer_that_takes_one():
    query, value, key = draw(2, 7, 5), draw(2, 3, 5) + 1, draw(2, 3, 5)
    layer = Serial(
        ["attention", GatedFusion("attention"), keras.layers.LayerNormalization()]
    )
    attend, gated, norm = layer.layers
    got = layer(query, value, key)
    expected = norm(gated(attend(query, value, key), value, key))
    np.testing.assert_allclose(to_numpy(got), to_numpy(expected), atol=1e-6)


def test_records_are_those_of_the_inner_layers_each_once():
    layer, x = built_layer(BY_NAME["gated_nested"]), draw(2, 7, 5)
    row, alone = layer.layer.layers
    with record_attention() as records:
        output, scores = layer(x, return_attention_scores=True)
    assert [r.layer for r in records] == [*row.layers, alone, layer.layer, layer]
    shapes = [(2, 7, 7)] * 3 + [(2, 7, 2, 5), (2, 7, 5)]
    assert [r.weights.shape for r in records] == shapes
    ((first, second), third, fourth), fifth = scores
    returned = (first, second, third, fourth, fifth)
    for record, own in zip(records, returned, strict=True):
        np.testing.assert_array_equal(record.weights, to_numpy(own))
    np.testing.assert_allclose(to_numpy(fourth).sum(axis=2), 1, atol=1e-6)
    np.testing.assert_allclose(to_numpy(layer(x)), to_numpy(output), atol=1e-6)


def test_names_and_policies_of_layers_made_by_name():
    given = keras.layers.LayerNormalization(name="cbam", dtype="float32")
    layer = Serial(
        ["cbam", given, "cbam", {"name": "serial", "layers": ["bam"]}, "cbam"],
        dtype="mixed_float16",
    )
    names = [x.name for x in layer.layers]
    assert names == ["cbam_1", "cbam", "cbam_2", "serial", "cbam_3"]
    policies = [x.dtype_policy.name for x in (*layer.layers, layer.layers[3].layers[0])]
    assert policies == ["mixed_float16", "float32", *["mixed_float16"] * 4]
    x = draw(2, 4, 4, 16)
    assert keras.backend.standardize_dtype(layer(x).dtype) == "float16"


def test_layers_given_as_objects_are_saved(tmp_path):
    inputs, value = keras.Input((None, 5)), keras.Input((None, 3))
    inner = layers.MultiHeadAttention(2, 3, name="heads")
    layer = GatedFusion(Parallel([Serial([inner]), layers.SelfAttention()], "max"))
    model = keras.Model([inputs, value], layer(inputs, value))
    shake(model)
    fed = [draw(2, 7, 5), draw(2, 3, 3)]
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(to_numpy(again(fed)), to_numpy(model(fed)), atol=1e-6)
    restored = again.get_layer(layer.name)
    assert [x.name for x in restored.layer.layers] == [
        x.name for x in layer.layer.layers
    ]


def test_losses_and_training_of_inner_layers_pass_through():
    x = draw(2, 7, 5)
    layer = Serial([GatedFusion({"name": "coverage_attention", "units": 3})])
    layer(x)
    assert len(layer.losses) == 1
    drops = Serial([{**SELF, "dropout": 0.5, "seed": 1}])
    plain = to_numpy(drops(x))
    np.testing.assert_array_equal(to_numpy(drops(x, training=False)), plain)
    assert np.abs(to_numpy(drops(x, training=True)) - plain).max() > 0


BAD_LAYERS = [
    ([], "at least one layer. Received: layers=\\[\\]"),
    ("cbam", "Expected a list .* Received: layers='cbam'"),
    ([3], "Expected a layer, a name .* Received: 3"),
    ([keras.layers.Dense], "Expected a layer, a name .* Received: <class"),
    ([{"key_dim": 3}], "Expected a layer, a name .* Received: {'key_dim': 3}"),
    (["cbm"], "Unknown attention.* \\(did you mean 'cbam'"),
    ([{"name": "cbam", "ration": 8}], "ration=8 \\(did you mean 'ratio'"),
    (
        [layers.CBAM(data_format=f) for f in ("channels_last", "channels_first")],
        "cannot mix data formats.* Received: {'",
    ),
]


@pytest.mark.parametrize("cls", [Serial, Parallel])
@pytest.mark.parametrize(("bad", "message"), BAD_LAYERS)
def test_bad_layers(cls, bad, message):
    with pytest.raises(ValueError, match=message):
        cls(bad)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: GatedFusion(3),
            "`GatedFusion` is made of attention layers.* Received: 3",
        ),
        (
            lambda: GatedFusion(["cbam"]),
            "Expected a layer, a name .* Received: \\['cbam'\\]",
        ),
        (lambda: GatedFusion("cbam", residual="no"), "Received: residual='no'"),
        (lambda: Serial(["cbam"], residual=None), "Received: residual=None"),
        (lambda: Parallel(["cbam"], "summ"), "merge='summ' \\(did you mean 'sum'"),
        (
            lambda: Parallel([twice := layers.Attention(), twice]),
            "cannot hold one layer twice",
        ),
        (
            lambda: GatedFusion(layers.AttentionCell(keras.layers.LSTMCell(3))),
            "a `AttentionCell`, which needs its states",
        ),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


POOL = {"name": "attention_pooling"}
WIDE = {**SELF, "value_dim": 3}


@pytest.mark.parametrize(
    ("make", "inputs", "message"),
    [
        *(
            (
                lambda merge=merge, other=other: Parallel([SELF, other], merge),
                1,
                f"cannot merge its branches by merge='{merge}'. Expected outputs of "
                f"one shape.* Received: {{'self_attention': \\(2, 7, 5\\), '{name}': ",
            )
            for merge, other, name in [
                ("sum", POOL, "attention_pooling"),
                ("mean", WIDE, "self_attention_1"),
                ("max", WIDE, "self_attention_1"),
                ("gated", WIDE, "self_attention_1"),
                ("concat", POOL, "attention_pooling"),
            ]
        ),
        (
            lambda: Serial([SELF, POOL], residual=True),
            1,
            "`Serial` with `residual=True` expects .* an output of shape \\(2, 5\\)",
        ),
        (lambda: Parallel([WIDE], residual=True), 1, "`Parallel` with `residual=True`"),
        (
            lambda: GatedFusion(WIDE, residual=True),
            1,
            "`GatedFusion` with `residual=True` expects",
        ),
        (
            lambda: Serial([SELF, POOL]),
            2,
            "None of the layers of `Serial` takes a `value`.* value.shape=",
        ),
    ],
)
def test_shapes_that_do_not_fit(make, inputs, message):
    x = [draw(2, 7, 5)] * inputs
    with pytest.raises(ValueError, match=message):
        make()(*x)
    with pytest.raises(ValueError, match=message):
        make()(*(keras.KerasTensor(t.shape) for t in x))


@pytest.mark.parametrize(
    ("parts", "call", "message"),
    [
        ([SELF], {"key": draw(2, 7, 5)}, "expects a `key` beside a `value` only"),
        (
            [SELF],
            {"mask": np.ones((2, 6), bool)},
            "`mask` of shape \\(2, 7\\).*\\(2, 6\\)",
        ),
        ([SELF], {"mask": np.ones((2, 7), "float32")}, "mask.dtype=float32"),
        ([SELF], {"query_mask": np.ones(2, bool)}, "`query_mask` of shape \\(2, 7\\)"),
        (
            [SELF, "external_attention"],
            {"use_causal_mask": True},
            "was called with `use_causal_mask`, .* Received: external_attention, a",
        ),
        (
            [Serial(["external_attention"])],
            {"attention_mask": np.ones((2, 7, 7), bool)},
            "was called with `attention_mask`, .* Received: external_attention, a",
        ),
        (
            ["linear_attention"],
            {"attention_mask": np.ones((2, 7, 7), bool)},
            "takes no",
        ),
    ],
)
def test_call_arguments_that_do_not_fit(parts, call, message):
    with pytest.raises(ValueError, match=message):
        Serial(parts)(draw(2, 7, 5), **call)


def test_a_gate_needs_a_known_width():
    with pytest.raises(ValueError, match="known number of channels. Received: .*None"):
        GatedFusion("attention")(keras.KerasTensor((2, 7, None)))
