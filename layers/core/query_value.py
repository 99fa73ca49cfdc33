"""The base of the attentions that a query and a value are given to."""

import keras
from keras import ops

from attention_zoo.layers.core.attention_layer import AttentionLayer
from attention_zoo.layers.core.inputs import cast_integers
from attention_zoo.layers.core.masks import (
    AttentionMask,
    padding_mask,
    zero_padding,
)
from attention_zoo.layers.core.recording import record, recording
from attention_zoo.layers.core.validation import check_attention_shapes, check_mask


class QueryValueAttention(AttentionLayer):
    """Base of the attentions `layer(query, value)`, without constructor arguments.

    `layer([query, value])` and `layer([query, value, key])`, the form of
    `keras.layers.Attention`, work as well, there with the argument `mask`, a list of
    the query's mask and the value's.

    A subclass overrides `_attend`, which computes the output and the weights;
    `compute_output_shape` where the output is not as wide as the value; and
    `compute_scores_shape` where the weights are not `(B, Tq, Tv)`. It sets `_window`
    where it has a window, and `num_heads` where its weights are `(B, H, Tq, Tv)`.
    A name that `call_options` lacks is refused.

    Call arguments:
        query: Tensor of shape `(B, Tq, Dq)`.
        value: Tensor of shape `(B, Tv, Dv)`.
        key: Tensor of shape `(B, Tv, Dk)`. Defaults to `value`.
        query_mask: Boolean tensor of shape `(B, Tq)`; Keras fills it in.
        value_mask: Boolean tensor of shape `(B, Tv)`; Keras fills it in.
        key_mask: Boolean tensor of shape `(B, Tv)`; Keras fills it in.
        attention_mask: Boolean tensor of shape `(B, Tq, Tv)`, or `(B, H, Tq, Tv)` for
            a layer with heads.
        return_attention_scores: Boolean. Whether the weights are returned too.
        training: Boolean. Whether dropout and noise are applied.
        use_causal_mask: Boolean. Whether query `i` sees keys up to `i` only.
    """

    family: str | None = "sequence"
    weights_are: str | None = "positions"
    call_inputs: tuple[str, ...] = ("query", "value", "key")
    call_masks: tuple[str, ...] = ("query_mask", "value_mask", "key_mask")
    call_options: tuple[str, ...] = (
        "attention_mask",
        "use_causal_mask",
        "return_attention_scores",
    )
    needs_value = True
    num_heads: int | None = None
    _window: tuple[int, int] | None = None

    def __call__(self, *args, **kwargs):
        if args and isinstance(args[0], (list, tuple)):
            args, kwargs = self._unpack_list(args, kwargs)
        value = args[1] if len(args) > 1 else kwargs.get("value")
        if value is None and self.needs_value:
            self._raise_structure(args, kwargs)
        return super().__call__(*args, **kwargs)

    def _unpack_list(self, args, kwargs):
        """Returns the arguments of `layer([query, value])` as those of a plain call."""
        tensors = all(hasattr(x, "shape") for x in args[0])
        named = set(kwargs) & set(self.call_inputs)
        if len(args) > 1 or named or not tensors or len(args[0]) not in (2, 3):
            self._raise_structure(args, kwargs)
        masks = kwargs.pop("mask", None)
        if masks is not None:
            if not isinstance(masks, (list, tuple)) or len(masks) not in (2, 3):
                raise ValueError(
                    f"`{type(self).__name__}` expects `mask` as a list "
                    f"[query_mask, value_mask]. Received: mask={masks!r}"
                )
            kwargs.update(zip(self.call_masks, masks, strict=False))
        return tuple(args[0]), kwargs

    def _raise_structure(self, args, kwargs):
        """Raises `ValueError` for inputs of another structure."""
        given = [*args, *(kwargs[n] for n in self.call_inputs if n in kwargs)]
        shapes = keras.tree.map_structure(
            lambda x: tuple(x.shape) if hasattr(x, "shape") else type(x).__name__, given
        )
        raise ValueError(
            f"`{type(self).__name__}` is called on tensors as `layer(query, value)` or "
            "`layer(query, value, key)`, or on a list of the same: "
            "`layer([query, value])`. Received inputs of the shapes or types "
            f"{shapes}"
        )

    def call(
        self,
        query,
        value,
        key=None,
        query_mask=None,
        value_mask=None,
        key_mask=None,
        attention_mask=None,
        return_attention_scores=False,
        training=None,
        use_causal_mask=False,
    ):
        query, value, key, mask = self._apply_masks(
            query,
            value,
            key,
            query_mask,
            value_mask,
            key_mask,
            attention_mask,
            use_causal_mask,
        )
        output, weights = self._attend(
            query,
            value,
            key,
            mask,
            bool(training),
            return_attention_scores or recording(),
        )
        if weights is not None:
            record(self, weights)
        return (output, weights) if return_attention_scores else output

    def _attend(self, query, value, key, mask, training, need_weights):
        """Returns the output, and the weights or None where they are not needed.

        Args:
            query: Tensor `(B, Tq, Dq)`, with zeros at padding.
            value: Tensor `(B, Tv, Dv)`, with zeros at padding.
            key: Tensor `(B, Tv, Dk)`, with zeros at padding.
            mask: An `AttentionMask`.
            training: Boolean.
            need_weights: Boolean.
        """
        raise NotImplementedError(f"`{type(self).__name__}` must override `_attend`.")

    def _apply_masks(
        self,
        query,
        value,
        key,
        query_mask,
        value_mask,
        key_mask,
        attention_mask=None,
        use_causal_mask=False,
    ):
        """Checks shapes and masks, and zeroes padded positions.

        Returns:
            `query`, `value`, `key` with zeros at masked positions, so that not even a
            NaN in padding reaches an output or a gradient, and the `AttentionMask`.
        """
        owner = type(self).__name__
        if attention_mask is not None and "attention_mask" not in self.call_options:
            raise ValueError(
                f"`{owner}` takes no `attention_mask`, whose Tq x Tv entries it is "
                "there to avoid. Expected padding masks only. Received: "
                f"attention_mask.shape={tuple(attention_mask.shape)}"
            )
        if use_causal_mask and "use_causal_mask" not in self.call_options:
            raise ValueError(
                f"`{owner}` mixes all positions before it weighs them and has no "
                "causal form. Expected use_causal_mask=False. Received: "
                "use_causal_mask=True"
            )
        query, value, key, query_mask, key_mask = mask_inputs(
            owner,
            query,
            value,
            key,
            query_mask,
            value_mask,
            key_mask,
            self.compute_dtype,
        )
        heads = self.num_heads is not None
        if attention_mask is not None:
            attention_mask = ops.convert_to_tensor(attention_mask)
            shape = (query.shape[0], query.shape[1], value.shape[1])
            if heads and len(attention_mask.shape) == 4:
                shape = (shape[0], self.num_heads, *shape[1:])
            attention_mask = check_mask(owner, "attention_mask", attention_mask, shape)
        mask = AttentionMask(
            query_mask,
            key_mask,
            attention_mask,
            use_causal_mask,
            self._window,
            heads,
        )
        return query, value, key, mask

    @property
    def moving_window(self):
        """The window around a query's own position, `(left, right)`, or None."""
        return self._window

    def prepare(self, key):
        """Returns what `attend_prepared` needs of the keys `(B, Tv, Dk)`."""
        return key

    def attend_prepared(self, query, keys, value, key_mask=None, training=None):
        """Attends to keys that are prepared once for many queries, as decoders do.

        Args:
            query: Tensor `(B, Tq, Dq)`.
            keys: What `prepare` returned.
            value: Tensor `(B, Tv, Dv)`, with zeros at padding.
            key_mask: Boolean tensor `(B, Tv)`. Defaults to `None`.
            training: Boolean. Defaults to `None`.

        Returns:
            The output and the weights.
        """
        return self(
            query,
            value,
            None if keys is value else keys,
            value_mask=key_mask,
            return_attention_scores=True,
            training=training,
        )

    def _check_shapes(self, query_shape, value_shape, key_shape):
        """Raises `ValueError` unless the shapes of the inputs fit the layer."""
        check_attention_shapes(type(self).__name__, query_shape, value_shape, key_shape)

    def compute_output_shape(self, query_shape, value_shape, key_shape=None):
        return (*query_shape[:-1], value_shape[-1])

    def compute_scores_shape(self, query_shape, value_shape):
        """Returns the shape of the attention weights."""
        heads = () if self.num_heads is None else (self.num_heads,)
        return (query_shape[0], *heads, query_shape[1], value_shape[1])

    def compute_output_spec(
        self, query, value, key=None, *args, return_attention_scores=False, **kwargs
    ):
        key = value if key is None else key
        self._check_shapes(query.shape, value.shape, key.shape)
        shape = self.compute_output_shape(query.shape, value.shape, key.shape)
        output = keras.KerasTensor(shape, dtype=self.compute_dtype)
        if not return_attention_scores:
            return output
        shape = self.compute_scores_shape(query.shape, value.shape)
        return output, keras.KerasTensor(shape, dtype=self.compute_dtype)


def mask_inputs(owner, query, value, key, query_mask, value_mask, key_mask, dtype):
    """Checks the inputs of an attention, and zeroes padded positions.

    Args:
        owner: Name of the layer, for messages.
        query: Tensor `(B, Tq, Dq)`.
        value: Tensor `(B, Tv, Dv)`.
        key: Tensor `(B, Tv, Dk)`, or None for `value`.
        query_mask: Boolean tensor `(B, Tq)` or None.
        value_mask: Boolean tensor `(B, Tv)` or None.
        key_mask: Boolean tensor `(B, Tv)` or None.
        dtype: Dtype that integer inputs are cast to.

    Returns:
        `query`, `value` and `key` with zeros at padding, the boolean `query_mask`, and
        the mask of the keys out of both of theirs; masks or None.
    """
    same = key is None or key is value
    key = value if key is None else key
    check_attention_shapes(owner, query.shape, value.shape, key.shape)
    query, value = cast_integers(query, dtype), cast_integers(value, dtype)
    key = value if same else cast_integers(key, dtype)
    query_mask = padding_mask(owner, "query_mask", query_mask, query)
    value_mask = padding_mask(owner, "value_mask", value_mask, value)
    key_mask = padding_mask(owner, "key_mask", key_mask, value)
    if key_mask is None:
        key_mask = value_mask
    elif value_mask is not None:
        key_mask = ops.logical_and(key_mask, value_mask)
    query = zero_padding(query, query_mask)
    value = zero_padding(value, key_mask)
    key = value if same else zero_padding(key, key_mask)
    return query, value, key, query_mask, key_mask
