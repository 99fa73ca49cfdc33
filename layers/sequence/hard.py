"""Hard attention: each query looks at one position, and how that is trained."""

import keras
from keras import ops

from attention_zoo.layers.core.entmax import LOWEST
from attention_zoo.layers.core.normalizers import GumbelSoftmax, hardmax, masked_softmax
from attention_zoo.layers.core.parts import serialize_part
from attention_zoo.layers.core.query_value import QueryValueAttention
from attention_zoo.layers.core.recording import record
from attention_zoo.layers.core.validation import (
    check_arguments,
    check_choice,
    check_number,
    check_rate,
)
from attention_zoo.layers.sequence.scored import ScoredParts

ESTIMATORS = ("straight_through", "gumbel", "reinforce")


def draw_position(scores, mask=None, seed=None):
    """Returns one-hot samples of `softmax(scores)` over the visible positions.

    The largest of scores plus Gumbel noise is such a sample. A row with nothing to see
    gives zeros; no gradient flows.

    Args:
        scores: Tensor `(..., Tv)`.
        mask: Boolean tensor that broadcasts to `scores`, or None.
        seed: Python integer or `keras.random.SeedGenerator`.
    """
    uniform = keras.random.uniform(
        ops.shape(scores), minval=1e-7, dtype=scores.dtype, seed=seed
    )
    return ops.stop_gradient(hardmax(scores - ops.log(-ops.log(uniform)), mask))


def log_probability(scores, chosen, mask=None):
    """Returns the log-probability of the `chosen` positions, and the row's entropy.

    Args:
        scores: Tensor `(..., Tv)`.
        chosen: One-hot tensor of the same shape; zeros where nothing was chosen.
        mask: Boolean tensor that broadcasts to `scores`, or None.

    Returns:
        `log softmax(scores)` at the chosen position and `-sum p log p`, each `(...)`;
        0 where nothing is visible.
    """
    probabilities = masked_softmax(scores, mask)
    hidden = scores if mask is None else ops.where(mask, scores, LOWEST)
    logs = ops.log_softmax(hidden, axis=-1)
    if mask is not None:
        logs = ops.where(mask, logs, 0.0)
    log_probs = ops.sum(ops.where(chosen > 0.5, logs, 0.0), axis=-1)
    return log_probs, -ops.sum(probabilities * logs, axis=-1)


@keras.saving.register_keras_serializable("attention_zoo")
class HardAttention(ScoredParts, QueryValueAttention):
    """Attention that looks at one position: weights are one-hot, the output is a value.

    1. Scores `s(q_i, k_j)`, shape `(B, Tq, Tv)`.
    2. One position for each query. At inference that of the largest score; in training
       what `estimator` says.
    3. Output: the value at that position, shape `(B, Tq, Dv)`.

    The choice has no gradient, and the estimators replace it:

    - `"straight_through"`: the largest score, with the gradient of softmax. Biased.
    - `"gumbel"`: a sample of softmax, with the gradient of the relaxed sample
      `softmax((s + Gumbel noise) / temperature)`. Biased, and less noisy.
    - `"reinforce"`: a sample of softmax, with no gradient at all through the weights.
      The score learns from a reward, through `ReinforceLoss` further down the model,
      which needs the log-probability that `return_log_probs=True` returns. Unbiased,
      and noisy. This is Xu et al.'s; their averaging trick, a soft context in half of
      the steps, is left out.

    At inference all three choose the same, and a gradient, if one is asked for, is that
    of `"straight_through"`.

    Args:
        score: String or `Score` layer. `"dot"`, `"scaled_dot"`, `"cosine"`,
            `"general"`, `"concat"`, `"additive"` or `"location"`.
            Defaults to `"additive"`.
        estimator: String. `"straight_through"`, `"gumbel"` or `"reinforce"`. Defaults
            to `"straight_through"`.
        temperature: Positive number, with `"gumbel"` only. Defaults to `1.0`.
        entropy_weight: Number of at least 0, with `"reinforce"` only: this times the
            mean entropy of the rows is taken off the loss in training, against
            settling too early. Defaults to `0.0`.
        units: Integer. Width of the hidden layer of the scores `"concat"` and
            `"additive"`. Defaults to `None`: as wide as the key.
        window: Integer or pair of integers `(left, right)`. Query `i` sees keys
            `i - left` to `i + right`. Defaults to `None`: all keys.
        seed: Integer. Seed of the samples in training. Defaults to `None`.
        **kwargs: Keyword arguments of `keras.layers.Layer`, such as `name` and `dtype`,
            and of Keras's dense layers, such as `kernel_regularizer`.

    Call arguments:
        query: Tensor of shape `(B, Tq, Dq)`.
        value: Tensor of shape `(B, Tv, Dv)`.
        key: Tensor of shape `(B, Tv, Dk)`. Defaults to `value`.
        query_mask: Boolean tensor of shape `(B, Tq)`; Keras fills it in.
        value_mask: Boolean tensor of shape `(B, Tv)`; Keras fills it in.
        key_mask: Boolean tensor of shape `(B, Tv)`; Keras fills it in.
        attention_mask: Boolean tensor of shape `(B, Tq, Tv)`.
        return_attention_scores: Boolean. Whether the weights are returned too.
        return_log_probs: Boolean. Whether the log-probabilities of the chosen
            positions are returned too, with `"reinforce"` only.
        training: Boolean. Whether positions are sampled.
        use_causal_mask: Boolean. Whether query `i` sees keys up to `i` only.

    Returns:
        Output of shape `(B, Tq, Dv)`; with `return_attention_scores=True` also the
        weights `(B, Tq, Tv)`; with `return_log_probs=True` also, and last, the
        log-probabilities `(B, Tq)`, 0 for a query with nothing to see.

    Raises:
        ValueError: If an argument is invalid, or if shapes or masks are incompatible.

    Example:

    ```python
    query, value = np.ones((2, 3, 5), "float32"), np.ones((2, 7, 5), "float32")
    layer = layers.HardAttention(estimator="gumbel", seed=1)
    output, weights = layer(query, value, return_attention_scores=True)
    assert output.shape == (2, 3, 5)
    np.testing.assert_allclose(np.max(weights, axis=-1), 1)
    ```

    References:
        - Xu et al. 2015, https://arxiv.org/abs/1502.03044
        - Bengio et al. 2013, https://arxiv.org/abs/1308.3432
        - Jang et al. 2016, https://arxiv.org/abs/1611.01144
    """

    def __init__(
        self,
        score="additive",
        estimator="straight_through",
        temperature=1.0,
        entropy_weight=0.0,
        units=None,
        window=None,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        owner = type(self).__name__
        check_choice(owner, ESTIMATORS, estimator=estimator)
        check_number(owner, above=0, temperature=temperature)
        check_number(owner, minimum=0, entropy_weight=entropy_weight)
        if entropy_weight and estimator != "reinforce":
            raise ValueError(
                f"`{owner}` takes `entropy_weight` with estimator 'reinforce' only. "
                f"Received: estimator={estimator!r}, entropy_weight={entropy_weight}"
            )
        normalizer = "hardmax"
        if estimator == "gumbel":
            normalizer = GumbelSoftmax(
                temperature, hard=True, seed=seed, dtype=self.dtype_policy
            )
        self._set_parts(score, normalizer, units, window=window, seed=seed)
        self.estimator = estimator
        self.temperature = temperature
        self.entropy_weight = entropy_weight
        if estimator == "reinforce":
            self.seed_generator = keras.random.SeedGenerator(seed)

    def _choose(self, query, key, mask, training):
        """Returns one-hot weights, their log-probabilities and the entropies."""
        scores = ops.cast(self._score(query, key), "float32")
        visible = mask.rows(ops.shape(query)[1], ops.shape(key)[1])
        if training:
            weights = draw_position(scores, visible, self.seed_generator)
        else:
            weights = hardmax(scores, visible)
        return weights, *log_probability(scores, weights, visible)

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
        return_log_probs=False,
        training=None,
        use_causal_mask=False,
    ):
        self._check_log_probs(return_log_probs)
        masks = (query_mask, value_mask, key_mask, attention_mask)
        if self.estimator != "reinforce":
            options = (return_attention_scores, training, use_causal_mask)
            return super().call(query, value, key, *masks, *options)
        query, value, key, mask = self._apply_masks(
            query, value, key, *masks, use_causal_mask
        )
        weights, log_probs, entropy = self._choose(query, key, mask, training)
        if training and self.entropy_weight:
            self.add_loss(-self.entropy_weight * ops.mean(entropy))
        weights = ops.cast(weights, value.dtype)
        record(self, weights)
        outputs = [ops.matmul(weights, value)]
        if return_attention_scores:
            outputs.append(weights)
        if return_log_probs:
            outputs.append(log_probs)
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def _check_log_probs(self, return_log_probs):
        if return_log_probs and self.estimator != "reinforce":
            raise ValueError(
                f"`{type(self).__name__}` has log-probabilities with estimator "
                "'reinforce' only. Received: return_log_probs=True, "
                f"estimator={self.estimator!r}"
            )

    def compute_output_spec(
        self, query, value, *args, return_log_probs=False, **kwargs
    ):
        self._check_log_probs(return_log_probs)
        outputs = super().compute_output_spec(query, value, *args, **kwargs)
        if not return_log_probs:
            return outputs
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        return *outputs, keras.KerasTensor(query.shape[:2], dtype="float32")

    def get_config(self):
        config = {
            "score": serialize_part(self.score),
            "estimator": self.estimator,
            "temperature": self.temperature,
            "entropy_weight": self.entropy_weight,
            "units": self.units,
            "window": self.window,
            "seed": self.seed,
        }
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable("attention_zoo")
class ReinforceLoss(keras.layers.Layer):
    """Lets choices learn from a reward: adds `-(r - b) log p` to the loss of a model.

    In training, adds the batch mean of `-(r - b) sum_t log p_t`, whose gradient is an
    unbiased estimate of that of the expected reward with its sign turned. The baseline
    b, the weight `baseline` of shape `()`, is the moving average of earlier rewards,
    `b <- m b + (1 - m) r`: it takes out noise and no expectation. No gradient flows
    into the reward. The layer returns its first input as it is, so that it lies on the
    way to an output of the model:

    ```python
    query, values = keras.Input((1, 5)), keras.Input((None, 8))
    label = keras.Input((), dtype="int32")
    attention = HardAttention(estimator="reinforce", entropy_weight=0.01)
    context, log_probs = attention(query, values, return_log_probs=True)
    head = keras.layers.Dense(3, activation="softmax")
    probabilities = head(keras.layers.Flatten()(context))
    right = keras.ops.take_along_axis(probabilities, label[:, None], axis=-1)
    reward = keras.ops.log(right[:, 0] + 1e-7)
    outputs = ReinforceLoss()(probabilities, log_probs, reward)
    trained = keras.Model([query, values, label], outputs)
    trained.compile("adam", "sparse_categorical_crossentropy")
    used = keras.Model([query, values], probabilities)
    ```

    `trained.fit([query, values, label], label)` trains both models; `used.predict`
    needs no label.

    Args:
        momentum: Number in `[0, 1)`, m above. Defaults to `0.9`.
        weight: Factor of the added loss. Defaults to `1.0`.

    Call arguments:
        inputs: Any tensor; it is returned.
        log_probs: Tensor of shape `(B, Tq)`, from `HardAttention`.
        reward: Tensor of shape `(B,)`, or `(B, Tq)` for a reward of each choice.
        training: Boolean.

    Returns:
        `inputs`.

    References:
        - Williams 1992, https://doi.org/10.1007/BF00992696
        - Xu et al. 2015, https://arxiv.org/abs/1502.03044
    """

    def __init__(self, momentum=0.9, weight=1.0, **kwargs):
        check_arguments(type(self), kwargs)
        super().__init__(**kwargs)
        check_rate("ReinforceLoss", momentum=momentum)
        check_number("ReinforceLoss", minimum=0, weight=weight)
        self.momentum = momentum
        self.weight = weight
        self.supports_masking = True

    def build(self, inputs_shape, log_probs_shape, reward_shape):
        log_probs_shape, reward_shape = tuple(log_probs_shape), tuple(reward_shape)
        if len(log_probs_shape) != 2 or len(reward_shape) not in (1, 2):
            raise ValueError(
                "`ReinforceLoss` expects `log_probs` (B, Tq) and a `reward` (B,) or "
                f"(B, Tq). Received: log_probs.shape={log_probs_shape}, "
                f"reward.shape={reward_shape}"
            )
        self.baseline = self.add_weight(
            name="baseline",
            shape=(),
            initializer="zeros",
            dtype="float32",
            trainable=False,
            autocast=False,
            aggregation="mean",
        )
        self.built = True

    def call(self, inputs, log_probs, reward, training=None):
        if training:
            reward = ops.stop_gradient(ops.cast(reward, "float32"))
            log_probs = ops.cast(log_probs, "float32")
            advantage = reward - ops.convert_to_tensor(self.baseline)
            if len(reward.shape) == 1:
                advantage = ops.expand_dims(advantage, -1)
            gain = ops.mean(ops.sum(advantage * log_probs, axis=-1))
            self.add_loss(-self.weight * gain)
            self.baseline.assign(
                self.momentum * self.baseline + (1 - self.momentum) * ops.mean(reward)
            )
        return inputs

    def compute_mask(self, inputs, previous_mask=None):
        if isinstance(previous_mask, (list, tuple)):
            return previous_mask[0]
        return previous_mask

    def compute_output_shape(self, inputs_shape, log_probs_shape, reward_shape):
        return inputs_shape

    def get_config(self):
        config = {"momentum": self.momentum, "weight": self.weight}
        return {**super().get_config(), **config}
