"""The argument `attention` of the models that take any attention of some families."""

from attention_zoo import layers


def make_attention(owner, attention, families, name="attention"):
    """Returns the family of an attention and a new layer of it.

    Args:
        owner: Name of the model, for the message.
        attention: A name out of `attention_zoo.layers.list_attentions()`, a dict
            `{"name": ..., **config}`, or None.
        families: The families that the model knows how to call.
        name: Name of the layer: its weights have the same path whatever the kind.

    Returns:
        A pair of a string out of `families` and a layer, or `(None, None)` for None.

    Raises:
        ValueError: If the attention is unknown or of another family.
    """
    if attention is None:
        return None, None
    config = {"name": attention} if isinstance(attention, str) else attention
    if not isinstance(config, dict) or not isinstance(config.get("name"), str):
        raise ValueError(
            f"Invalid value for argument `attention` of `{owner}`. Expected a "
            "name out of `attention_zoo.layers.list_attentions()`, a dict "
            f'`{{"name": ..., **config}}`, or None. Received: attention={attention!r}'
        )
    kind = config["name"]
    family = layers.get_family(kind)
    if family not in families:
        raise ValueError(
            f"`{owner}` takes an attention of one of the families {families}. "
            f"Received: attention={attention!r}, of the family {family!r}"
        )
    arguments = {k: v for k, v in config.items() if k != "name"}
    layer = layers.create_attention(kind, **arguments)
    layer.name = name
    return family, layer
