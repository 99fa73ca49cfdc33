"""A conditional random field: tags of a sequence that depend on their neighbours."""

import keras
from keras import ops

from attention_zoo.layers.core.attention_layer import AttentionLayer
from attention_zoo.layers.core.indices import check_integers
from attention_zoo.layers.core.inputs import cast_integers
from attention_zoo.layers.core.masks import padding_mask, zero_padding
from attention_zoo.layers.core.normalizers import widen
from attention_zoo.layers.core.validation import check_rank
from attention_zoo.layers.sequence._chain import (
    LOWEST,
    backward_scores,
    best_path,
    chain_inputs,
    forward_scores,
    log_partition,
)


@keras.saving.register_keras_serializable("attention_zoo")
class ConditionalRandomField(AttentionLayer):
    """Tags of a sequence that depend on each other: a linear-chain CRF.

    1. A path `y` has the score `start[y_1] + end[y_T]`, plus `x_t[y_t]` at each
       position, plus `transitions[y_{t-1}, y_t]` between them.
    2. Its probability is the exponential of its score over the sum of those of all
       paths, which the forward recursion gives.
    3. Output: the probability of each tag at each position, by the forward and the
       backward recursion, shape `(B, T, N)`.
    4. Loss, where `tags` are given: the mean over the rows of minus the log of the
       probability of their path.

    The inputs are scores of the tags, from a `keras.layers.Dense(N)`. Weights:
    `transitions` `(N, N)`, from a row to a column, `start` and `end` `(N,)`. Padding is
    skipped, wherever it stands. It is no attention, and stands here since taggers end
    in it. For training and for use make two models of the same layers, with one
    `return_tags` (Keras expects as many outputs of each call), or call `log_likelihood`
    in a loop of your own.

    Args:
        **kwargs: Keyword arguments of `keras.layers.Layer`, such as `name` and `dtype`,
            and of Keras's dense layers, such as `kernel_regularizer`.

    Call arguments:
        inputs: Tensor of shape `(B, T, N)`, scores of `N` tags.
        tags: Integer tensor of shape `(B, T)`, the true tags, which add the loss; -1
            where a tag is not known. Defaults to `None`: no loss.
        mask: Boolean tensor of shape `(B, T)`; Keras fills it in.
        inputs_mask: The same under the name by which Keras fills it in beside `tags`.
        return_tags: Boolean. Whether the tags of the most probable path are returned
            too, by Viterbi's algorithm. Defaults to `False`.

    Returns:
        Probabilities of shape `(B, T, N)`, zeros at padding, and with
        `return_tags=True` the tags of shape `(B, T)`, int32, 0 at padding.

    Raises:
        ValueError: If an argument is invalid, or if shapes or masks are incompatible.

    Example:

    ```python
    scores, tags = keras.Input((None, 3)), keras.Input((None,), dtype="int32")
    layer = layers.ConditionalRandomField()
    train = keras.Model([scores, tags], layer(scores, tags, return_tags=True))
    train.compile("adam")  # the layer brings its loss; then train.fit([x, y])
    tagger = keras.Model(scores, layer(scores, return_tags=True))
    probabilities, path = tagger(np.random.rand(2, 7, 3))
    assert probabilities.shape == (2, 7, 3) and path.shape == (2, 7)
    ```

    References:
        - Lafferty et al. 2001, https://repository.upenn.edu/cis_papers/159/
        - Lample et al. 2016, https://arxiv.org/abs/1603.01360
    """

    call_inputs = ("inputs", "tags")

    def build(self, inputs_shape, tags_shape=None):
        check_rank(type(self).__name__, 3, inputs=tuple(inputs_shape))
        tags = inputs_shape[-1]
        self.transitions = self.add_weight(name="transitions", shape=(tags, tags))
        self.start = self.add_weight(name="start", shape=(tags,))
        self.end = self.add_weight(name="end", shape=(tags,))
        self.built = True

    def call(self, inputs, tags=None, mask=None, inputs_mask=None, return_tags=False):
        mask = inputs_mask if mask is None else mask
        if tags is not None:
            self.add_loss(-ops.mean(self.log_likelihood(inputs, tags, mask)))
        xs, mask = self._prepare(inputs, mask)
        transitions, start, end = self._scores(xs.dtype)
        alpha = forward_scores(xs, transitions, start)
        beta = backward_scores(xs, transitions, end)
        shares = ops.swapaxes(ops.softmax(alpha + beta, axis=-1), 0, 1)
        shares = zero_padding(ops.cast(shares, self.compute_dtype), mask)
        if not return_tags:
            return shares
        return shares, zero_padding(best_path(xs, transitions, start, end), mask)

    def log_likelihood(self, inputs, tags, mask=None):
        """Returns the log of the probability of given tags.

        Args:
            inputs: Tensor `(B, T, N)`. Scores of the tags.
            tags: Integer tensor `(B, T)`. The true tags; -1 where one is not known:
                paths of any tag there are summed.
            mask: Boolean tensor `(B, T)`. Defaults to `None`.

        Returns:
            Tensor `(B,)`, 0 for a row of padding.

        Raises:
            ValueError: If `tags` are no integers or of another shape.
        """
        owner = type(self).__name__
        tags = ops.convert_to_tensor(tags)
        check_integers(owner, tags=tags)
        check_rank(owner, 2, tags=tags.shape)
        xs, mask = self._prepare(inputs, mask)
        width = xs.shape[-1] - 2
        tags = ops.expand_dims(ops.swapaxes(tags, 0, 1), -1)
        allowed = tags == ops.arange(width, dtype=tags.dtype)
        allowed = ops.logical_or(allowed, tags < 0)  # (T, B, N)
        chosen = ops.where(allowed, xs[..., :width], LOWEST)
        chosen = ops.concatenate([chosen, xs[..., width:]], axis=-1)
        scores = self._scores(xs.dtype)
        return log_partition(chosen, mask, *scores) - log_partition(xs, mask, *scores)

    def decode(self, inputs, mask=None):
        """Returns the tags of the most probable path, by Viterbi's algorithm.

        Args:
            inputs: Tensor `(B, T, N)`. Scores of the tags.
            mask: Boolean tensor `(B, T)`. Defaults to `None`.

        Returns:
            Int32 tensor `(B, T)`, 0 at padding.
        """
        xs, mask = self._prepare(inputs, mask)
        return zero_padding(best_path(xs, *self._scores(xs.dtype)), mask)

    def _prepare(self, inputs, mask):
        owner = type(self).__name__
        inputs = ops.convert_to_tensor(inputs)
        check_rank(owner, 3, inputs=inputs.shape)
        if not self.built:
            self.build(inputs.shape)
        inputs = cast_integers(inputs, self.compute_dtype)
        mask = padding_mask(owner, "mask", mask, inputs)
        return chain_inputs(widen(zero_padding(inputs, mask)), mask)

    def _scores(self, dtype):
        weights = (self.transitions, self.start, self.end)
        return tuple(ops.cast(w, dtype) for w in weights)

    def compute_output_spec(
        self, inputs, tags=None, mask=None, inputs_mask=None, return_tags=False
    ):
        check_rank(type(self).__name__, 3, inputs=inputs.shape)
        shares = keras.KerasTensor(tuple(inputs.shape), dtype=self.compute_dtype)
        if not return_tags:
            return shares
        return shares, keras.KerasTensor(tuple(inputs.shape[:2]), dtype="int32")

    def compute_output_shape(self, inputs_shape, tags_shape=None):
        return tuple(inputs_shape)
