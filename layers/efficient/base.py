"""The base of the attentions of linear cost."""

from attention_zoo.layers.core.query_value import QueryValueAttention
from attention_zoo.layers.core.validation import check_attention_shapes


class LinearCostAttention(QueryValueAttention):
    """Base of the attentions whose time and memory grow as `Tq + Tv`.

    A subclass overrides `_attend`, which never builds a `Tq x Tv` array unless the
    weights are needed; so none takes an `attention_mask`.
    """

    family = "linear"
    call_options: tuple[str, ...] = ("return_attention_scores",)

    def build(self, query_shape, value_shape, key_shape=None):
        key_shape = value_shape if key_shape is None else key_shape
        owner = type(self).__name__
        shapes = [tuple(s) for s in (query_shape, value_shape, key_shape)]
        check_attention_shapes(owner, *shapes)
        if shapes[0][-1] != shapes[2][-1]:
            raise ValueError(
                f"`{owner}` expects `query` and `key` of one width. Received: "
                f"query.shape={shapes[0]}, key.shape={shapes[2]}"
            )
        self.built = True
