"""Attention whose weights depend on those of earlier queries, one query at a time."""

import keras
from keras import ops

from attention_zoo.layers.core.loops import StepLoop
from attention_zoo.layers.core.query_value import QueryValueAttention
from attention_zoo.layers.core.recording import record
from attention_zoo.layers.sequence.scored import ScoredParts


def scan_steps(step, rows, state):
    """Runs `weights, state = step(row, state)` over the rows, in order.

    Args:
        step: Function of `(B, F)` and `(B, S)` to `(B, S)` and `(B, S)`.
        rows: Tensor `(B, Tq, F)`.
        state: Tensor `(B, S)`.

    Returns:
        The weights of all steps, `(B, Tq, S)`.
    """

    def cell(row, states):
        weights, state = step(row, states[0])
        return weights, [state]

    return StepLoop(cell).inner_loop(rows, [state], None)[1]


def check_not_random(owner, normalizer):
    """Raises `ValueError` for a normalizer that samples: random ops are not
    supported inside the loop."""
    if normalizer.random:
        raise ValueError(
            f"`{owner}` takes a `normalizer` that is not random. "
            f"Received: normalizer={normalizer.name!r}"
        )


class StepwiseAttention(ScoredParts, QueryValueAttention):
    """Base of the attentions whose weights depend on those of earlier queries.

    Called on a sequence of queries, it goes through them in order. What is carried from
    one to the next is the state, a float tensor `(B, Tv)`. A query that sees nothing
    leaves the state as it is. A decoder that makes its queries as it goes calls the
    steps itself, with the same result:

    ```python
    keys = layer.prepare(key)                       # once
    state = layer.initial_state(batch, length)      # (B, Tv)
    weights, state = layer.step(query, keys, state, mask)   # (B, Tv), at each step
    context = keras.ops.einsum("bt,btd->bd", weights, value)
    ```

    A subclass overrides `initial_state`, `_prepare_queries`, which is what can be
    computed for all queries at once, and `_advance`, which is one step.

    Call arguments:
        query: Tensor of shape `(B, Tq, Dq)`.
        value: Tensor of shape `(B, Tv, Dv)`.
        key: Tensor of shape `(B, Tv, Dk)`. Defaults to `value`.
        query_mask: Boolean tensor of shape `(B, Tq)`; Keras fills it in.
        value_mask: Boolean tensor of shape `(B, Tv)`; Keras fills it in.
        key_mask: Boolean tensor of shape `(B, Tv)`; Keras fills it in.
        attention_mask: Boolean tensor of shape `(B, Tq, Tv)`.
        return_attention_scores: Boolean. Whether the weights are returned too.
        training: Boolean. Whether dropout is applied.
        use_causal_mask: Boolean. Whether query `i` sees keys up to `i` only.
        state: Tensor of shape `(B, Tv)`, to go on from where earlier queries ended.
            Defaults to `initial_state`.
    """

    def initial_state(self, batch, length, mask=None):
        """Returns the state before the first query, `(B, Tv)` in float32.

        Args:
            batch: B.
            length: Tv.
            mask: Boolean tensor `(B, Tv)`, False where the keys are padding.
        """
        raise NotImplementedError(
            f"`{type(self).__name__}` must override `initial_state`."
        )

    def prepare(self, key):
        """Returns what `step` needs of the keys `(B, Tv, Dk)`."""
        return self._score.project_key(key)

    def step(self, query, keys, state, mask=None, training=None):
        """Makes one step.

        Args:
            query: Tensor `(B, Dq)`.
            keys: What `prepare` returned.
            state: Tensor `(B, Tv)`, from `initial_state` or the step before.
            mask: Boolean tensor `(B, Tv)`, True where this query may see. The content
                of hidden keys must be finite.
            training: Boolean.

        Returns:
            Weights `(B, Tv)` and the new state `(B, Tv)`.
        """
        row = self._prepare_queries(ops.expand_dims(query, 1), keys, training)[:, 0]
        if mask is None:
            mask = ops.ones_like(state, dtype="bool")
        return self._masked_step(row, ops.cast(mask, "bool"), keys, state)

    def _prepare_queries(self, query, keys, training):
        """Returns what `_advance` needs of queries: `(B, Tq, Dq)` to `(B, Tq, F)`."""
        return self._score.project_query(query)

    def _advance(self, row, keys, state, mask):
        """Returns the weights `(B, Tv)` of a query, and the new state `(B, Tv)`.

        Args:
            row: Tensor `(B, F)`, of `_prepare_queries`.
            keys: What `prepare` returned.
            state: Tensor `(B, Tv)` in float32.
            mask: Boolean tensor `(B, Tv)`.
        """
        raise NotImplementedError(f"`{type(self).__name__}` must override `_advance`.")

    def _weigh(self, row, keys, mask):
        """Returns the normalized additive scores `(B, Tv)` of one query.

        Args:
            row: Tensor `(B, F)`, a projected query.
            keys: Tensor `(B, Tv, F)`, projected keys, with what the state adds.
            mask: Boolean tensor `(B, Tv)`.
        """
        hidden = ops.tanh(ops.expand_dims(row, 1) + keys)
        # No `matmul`, whose gradient on TensorFlow does not compile with XLA in a loop
        # over batches of unknown size.
        (scale,) = self._score.compare_weights()
        scores = ops.einsum("btf,f->bt", hidden, ops.cast(scale, hidden.dtype))
        return self._normalizer(scores, mask=mask, training=False)

    def _masked_step(self, row, mask, keys, state):
        dtype = state.dtype
        state = ops.cast(state, "float32")
        weights, new_state = self._advance(row, keys, state, mask)
        seen = ops.any(mask, axis=-1, keepdims=True)
        new_state = ops.where(seen, ops.cast(new_state, "float32"), state)
        return ops.cast(weights, self.compute_dtype), ops.cast(new_state, dtype)

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
        state=None,
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
        batch, length = ops.shape(key)[:2]
        if state is None:
            state = self.initial_state(batch, length, mask.key_mask)
        else:
            self._check_state(state, value)
        weights = self._run(query, self.prepare(key), mask, state, bool(training))
        self.add_losses(weights, state, mask)
        if training and self.dropout:
            weights = keras.random.dropout(
                weights, self.dropout, seed=self.seed_generator
            )
        record(self, weights)
        output = ops.matmul(weights, value)
        return (output, weights) if return_attention_scores else output

    def _run(self, query, keys, mask, state, training):
        """Returns the weights `(B, Tq, Tv)` of all queries."""
        rows = self._prepare_queries(query, keys, training)
        batch, count, width = ops.shape(rows)
        length = ops.shape(keys)[1]
        visible = mask.rows(count, length)
        if visible is None:
            visible = ops.ones((1, 1, length), dtype="bool")
        visible = ops.broadcast_to(visible, (batch, count, length))

        def step(row, state):
            return self._masked_step(row[:, :width], row[:, width:] > 0, keys, state)

        # The loop takes one tensor: the mask travels beside the queries.
        both = ops.concatenate([rows, ops.cast(visible, rows.dtype)], axis=-1)
        return scan_steps(step, both, ops.cast(state, "float32"))

    def add_losses(self, weights, state, mask):
        """Adds what the layer adds to a model's loss: nothing, here.

        Args:
            weights: Tensor `(B, Tq, Tv)`, of all queries.
            state: Tensor `(B, Tv)`, the state before the first query.
            mask: An `AttentionMask`.
        """

    def _check_state(self, state, value):
        expected, received = tuple(value.shape[:2]), tuple(state.shape)
        pairs = zip(received, expected, strict=False)
        if len(received) != 2 or any(None not in p and p[0] != p[1] for p in pairs):
            raise ValueError(
                f"`{type(self).__name__}` expects `state` of shape {expected}. "
                f"Received: state.shape={received}"
            )

    def compute_output_spec(self, query, value, *args, state=None, **kwargs):
        if state is not None:
            self._check_state(state, value)
        return super().compute_output_spec(query, value, *args, **kwargs)
