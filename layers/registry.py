"""Attention layers by name: what a model or a recipe takes as its `attention`.

`attention_zoo.layers` fills the registry with its public classes. A class says by its
attribute `family` that it is made by name; the name is its own in snake case.
"""

import fnmatch
import re

import keras

from attention_zoo.layers.core.validation import missing_arguments, suggest

# A family says how a layer is called. B batch, T time, D width.
FAMILIES = {
    "sequence": "layer(query, value): (B, Tq, Dq), (B, Tv, Dv) -> (B, Tq, Dv)",
    "self": "layer(inputs): (B, T, D) -> (B, T, D)",
    "linear": "as sequence, at a cost linear in time",
    "pooling": "layer(inputs): (B, T, D) -> (B, D)",
    "series": "layer(inputs): (B, T, D) -> (B, T, D), for time series; but "
    "temporal_pattern_attention -> (B, D), and two_stage_attention (B, V, S, D) -> "
    "(B, V, S, D), V variates of S segments",
    "hierarchical": "layer(inputs): (B, S, T, D) -> (B, D)",
    "channel": "layer(inputs): (B, H, W, C) -> (B, H, W, C)",
    "spatial": "layer(inputs): (B, H, W, C) -> (B, H, W, C)",
    "hybrid": "layer(inputs): (B, H, W, C) -> (B, H, W, C)",
    "branch": "layer(inputs): (B, H, W, C) -> (B, H, W, C)",
    "temporal": "layer(inputs): (B, T, H, W, C) -> (B, T, H, W, C)",
    "matching": "layer(query, value): as sequence, but what comes out differs: "
    "pointer_attention -> (B, Tq, Tv), co_attention -> (B, Tq, 4 Dq)",
    "graph": "layer(inputs, edges): (N, D), (E, 2) -> (N, K), or adjacency=(N, N)",
    "set": "layer(inputs): (B, N, D) -> (B, N, D), or (B, S, Ds) of S latents or slots",
    "features": "field_attention(inputs): (B, F, D) -> (B, F, K), F fields of a table; "
    "target_attention(query, value): (B, D), (B, T, D) -> (B, D)",
    "composite": "as the layers inside, which are its required argument: "
    "layer(inputs), or layer(query, value) where one of them takes a value",
}

# Values for arguments that a class requires and a caller by name may leave out.
DEFAULTS = {
    "bahdanau_attention": {"units": 64},
    "coverage_attention": {"units": 64},
    "delta_attention": {"num_heads": 4, "key_dim": 16},
    "dense_synthesizer": {"max_length": 512},
    "gated_delta_attention": {"num_heads": 4, "key_dim": 16},
    "gated_linear_attention": {"num_heads": 4, "key_dim": 16},
    "graph_attention": {"units": 16},
    "graph_attention_v2": {"units": 16},
    "induced_set_attention_block": {"num_heads": 4},
    "linformer_attention": {"max_length": 512},
    "location_aware_attention": {"units": 64},
    "multi_head_attention": {"num_heads": 4, "key_dim": 16},
    "multi_head_attention_pooling": {"num_heads": 4, "key_dim": 16},
    "random_synthesizer": {"max_length": 512},
    "retention": {"num_heads": 4, "key_dim": 16},
    "set_attention_block": {"num_heads": 4},
    "state_space_dual": {"num_heads": 4, "key_dim": 16},
    "temporal_pattern_attention": {"window": 64},
}

# Other names of attentions: earlier ones, which stay valid, and the short ones that
# papers, timm and their code use.
ALIASES = {
    "gated": "gated_fusion",
    "gated_attention": "gated_attention_pooling",
    "a2": "double_attention",
    "abmil": "gated_attention_pooling",
    "autoformer": "auto_correlation",
    "bahdanau": "bahdanau_attention",
    "ca": "coordinate_attention",
    "ccnet": "criss_cross",
    "coordatt": "coordinate_attention",
    "crossformer": "two_stage_attention",
    "danet": "dual_attention",
    "diff": "differential_attention",
    "ea": "external_attention",
    "eca": "efficient_channel_attention",
    "ema": "efficient_multi_scale_attention",
    "favor": "performer_attention",
    "fca": "frequency_channel_attention",
    "fedformer": "fourier_block",
    "gc": "global_context",
    "ge": "gather_excite",
    "gqa": "multi_head_attention",
    "han": "hierarchical_attention",
    "informer": "prob_sparse_attention",
    "linformer": "linformer_attention",
    "lka": "large_kernel_attention",
    "luong": "luong_attention",
    "mha": "multi_head_attention",
    "mqa": "multi_head_attention",
    "nat": "neighborhood_attention",
    "nl": "non_local",
    "nystrom": "nystrom_attention",
    "pa": "pixel_attention",
    "performer": "performer_attention",
    "psa": "parallel_polarized_attention",
    "scse": "concurrent_squeeze_excite",
    "se": "squeeze_excite",
    "sk": "selective_kernel",
    "splat": "split_attention",
    "srm": "style_recalibration",
    "swin": "window_attention",
    "tpa": "temporal_pattern_attention",
}

# Arguments that a short name stands for.
ALIAS_CONFIG = {"gqa": {"num_kv_heads": 2}, "mqa": {"num_kv_heads": 1}}

CLASSES: dict[str, type[keras.layers.Layer]] = {}


def register_attentions(objects):
    """Enters those of the objects that are attention layers, under their names.

    An attention layer is a class that has a `family` and is registered with Keras;
    a base class is not.

    Args:
        objects: Iterable of classes and functions.

    Raises:
        ValueError: If a class has an unknown family.
    """
    for cls in objects:
        family = getattr(cls, "family", None)
        if family is None or ">" not in keras.saving.get_registered_name(cls):
            continue
        if family not in FAMILIES:
            raise ValueError(
                f"Unknown family of `{cls.__name__}`. Expected one of "
                f"{list(FAMILIES)}. Received: family={family!r}"
                f"{suggest(family, FAMILIES)}"
            )
        CLASSES[snake_case(cls.__name__)] = cls


def snake_case(name):
    """Returns `"linear_attention"` for `"LinearAttention"`, `"simam"` for `"SimAM"`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z][a-z0-9])", "_", name).lower()


def list_attentions(pattern="*", family=None, dims=None):
    """Returns the sorted names of the attention layers that `create_attention` makes.

    Args:
        pattern: String. Shell-style wildcard, such as `"*pool*"`. Defaults to `"*"`.
        family: String. One of the families of `get_family`. Defaults to `None`, which
            stands for all.
        dims: Integer. Number of axes between the batch and the features that a layer
            takes: 1 for sequences, 2 for images, 3 for volumes and videos. Defaults to
            `None`, which stands for any.

    Returns:
        List of strings.

    Raises:
        ValueError: If the family is unknown, or if `dims` is none of 1, 2 and 3.

    Example:

    ```python
    assert layers.list_attentions("bahd*") == ["bahdanau_attention"]
    assert "cbam" in layers.list_attentions(family="hybrid")
    assert "cbam" in layers.list_attentions(dims=3)
    assert "criss_cross" not in layers.list_attentions(dims=3)
    ```
    """
    if family is not None and family not in FAMILIES:
        raise ValueError(
            f"Unknown family of attentions. Expected one of {list(FAMILIES)}. "
            f"Received: family={family!r}{suggest(family, FAMILIES)}"
        )
    if dims is not None and dims not in (1, 2, 3):
        raise ValueError(
            "Invalid value for argument `dims` of `list_attentions`. Expected None, 1, "
            f"2 or 3. Received: dims={dims!r}"
        )
    names = [
        name
        for name, cls in CLASSES.items()
        if family in (None, cls.family)
        and (dims is None or dims in getattr(cls, "ranks", (1,)))
    ]
    return sorted(fnmatch.filter(names, pattern))


def get_family(name):
    """Returns the family of the attention called `name`, which says how to call it.

    `"sequence"` and `"linear"`: `layer(query, value)`; `"self"`: `layer(inputs)` of
    unchanged shape; `"series"`: the same for time series, with exceptions that the
    classes state; `"pooling"` and `"hierarchical"`: `layer(inputs)` to one vector a
    row; `"channel"`, `"spatial"`, `"hybrid"`, `"branch"`: `layer(inputs)` on a map, and
    `"temporal"` on a video, of unchanged shape; `"matching"`: `layer(query, value)`
    with an output that the classes state; `"features"`: on fields of a table, as the
    classes state; `"graph"`: `layer(inputs, edges)` on
    the nodes of a graph; `"set"`: `layer(inputs)` on members without order, of
    unchanged shape or to a fixed number of latents. `"composite"` is called as the
    layers that it is made of.

    Args:
        name: String. One of `list_attentions()`.

    Returns:
        String.

    Raises:
        ValueError: If the name is unknown; the message has the near ones.

    Example:

    ```python
    assert layers.get_family("attention_pooling") == "pooling"
    ```
    """
    return attention_class(name).family


def create_attention(name, /, **config):
    """Returns the attention layer called `name`.

    Args:
        name: String. One of `list_attentions()`, or a short name that papers and timm
            use, such as `"se"`, `"eca"`, `"gqa"` or `"nl"`.
        **config: Arguments of its class; `name=` is the name of the layer.

    Returns:
        A layer. An argument that the class requires and `config` lacks, such as
        `num_heads`, has a default here, except for composites.

    Raises:
        ValueError: If the name or an argument is unknown, with the near ones in the
            message, or if an argument is missing.

    Example:

    ```python
    layer = layers.create_attention("cbam", ratio=8, name="attention")
    assert layer.name == "attention"
    assert layer(np.ones((2, 4, 4, 16))).shape == (2, 4, 4, 16)
    assert layers.create_attention("mqa").num_kv_heads == 1
    ```
    """
    cls = attention_class(name)
    defaults = DEFAULTS.get(ALIASES.get(name, name), {})
    arguments = {**defaults, **ALIAS_CONFIG.get(name, {}), **config}
    missing = missing_arguments(cls, arguments)
    if missing:
        raise ValueError(
            f"The attention '{name}' lacks arguments. Expected {missing} as well. "
            f"Received: {arguments}"
        )
    return cls(**arguments)


def attention_class(name) -> type[keras.layers.Layer]:
    """Returns the class of the attention called `name`.

    Args:
        name: String. One of `list_attentions()`.

    Returns:
        A subclass of `keras.layers.Layer`.

    Raises:
        ValueError: If the name is unknown; the message has the near ones.
    """
    key = ALIASES.get(name, name)
    if key not in CLASSES:
        names = list_attentions()
        raise ValueError(
            f"Unknown attention. Expected one of {names}. "
            f"Received: name={name!r}{suggest(str(name).lower(), [*names, *ALIASES])}"
        )
    return CLASSES[key]
