"""Hierarchical attention: words to sentences, sentences to a document."""

import keras
from keras import ops

from attention_zoo.layers.core.recording import pause_recording, record
from attention_zoo.layers.core.validation import (
    check_positive_integer,
    check_rank,
)
from attention_zoo.layers.pooling.attention_pooling import AttentionPooling
from attention_zoo.layers.pooling.base import PoolingLayer


@keras.saving.register_keras_serializable("attention_zoo")
class HierarchicalAttention(PoolingLayer):
    """Attention pooling twice: over the words of each sentence, then the sentences.

    1. Word pooling: each sentence `(T, D)` to a vector, shape `(B, S, D)`.
    2. Sentence encoder, if one is given: `(B, S, D)` to `(B, S, E)`.
    3. Sentence pooling: shape `(B, E)`.

    Both poolings are additive `AttentionPooling`s, `word_pooling` and
    `sentence_pooling`. A sentence of nothing but padding does not count. The weight of
    a word is its weight in the sentence times the sentence's.

    Args:
        units: Integer. Hidden width of both poolings. Defaults to `None`, which stands
            for the width of their inputs.
        sentence_encoder: Layer between the poolings that takes a mask, e.g. the
            paper's `Bidirectional(GRU(..., return_sequences=True))`.
            Defaults to `None`.

    Call arguments:
        inputs: Tensor of shape `(B, S, T, D)`, `S` sentences of `T` words.
        mask: Boolean tensor of shape `(B, S, T)`; Keras fills it in.
        return_attention_scores: Boolean. Whether the weights are returned too.
        training: Boolean. Handed on to the sentence encoder.

    Returns:
        Output of shape `(B, E)`, and with `return_attention_scores=True` the weights of
        the words, shape `(B, S, T)`, which sum to 1 over a document.

    Raises:
        ValueError: If an argument is invalid, or if shapes or masks are incompatible.

    Example:

    ```python
    words = np.random.rand(2, 3, 5, 4)  # 2 documents, 3 sentences, 5 words
    layer = layers.HierarchicalAttention(units=8)
    output, weights = layer(words, return_attention_scores=True)
    assert output.shape == (2, 4)
    np.testing.assert_allclose(ops.sum(weights, axis=(1, 2)), [1, 1], atol=1e-5)
    ```

    References:
        - Yang et al. 2016, https://aclanthology.org/N16-1174
    """

    family = "hierarchical"
    ranks = (2,)  # sentences and words
    input_rank = 4

    def __init__(self, units=None, sentence_encoder=None, **kwargs):
        super().__init__(**kwargs)
        if units is not None:
            check_positive_integer(type(self).__name__, units=units)
        if isinstance(sentence_encoder, dict):
            sentence_encoder = keras.saving.deserialize_keras_object(sentence_encoder)
        self.units = units
        self.sentence_encoder = sentence_encoder
        policy = self.dtype_policy
        self.word_pooling = AttentionPooling(
            units=units, name="word_pooling", dtype=policy
        )
        self.sentence_pooling = AttentionPooling(
            units=units, name="sentence_pooling", dtype=policy
        )

    def build(self, input_shape):
        check_rank(type(self).__name__, 4, inputs=tuple(input_shape))
        batch, sentences, words, width = input_shape
        self.word_pooling.build((None, words, width))
        shape = (batch, sentences, width)
        if self.sentence_encoder is not None:
            self.sentence_encoder.build(shape)
            shape = self.sentence_encoder.compute_output_shape(shape)
        self.sentence_pooling.build(shape)
        self.built = True

    def call(self, inputs, mask=None, return_attention_scores=False, training=None):
        inputs, mask = self._mask_inputs(inputs, mask)
        with pause_recording():
            output, weights = self._pool(inputs, mask, training)
        record(self, weights)
        return (output, weights) if return_attention_scores else output

    def _pool(self, inputs, mask, training):
        """Returns the document vectors `(B, E)` and the words' weights `(B, S, T)`."""
        batch, sentences, words = ops.shape(inputs)[:3]
        rows = ops.reshape(inputs, (batch * sentences, words, inputs.shape[-1]))
        flat = None if mask is None else ops.reshape(mask, (batch * sentences, words))
        vectors, of_words = self.word_pooling(
            rows, mask=flat, return_attention_scores=True, training=training
        )
        vectors = ops.reshape(vectors, (batch, sentences, inputs.shape[-1]))
        seen = None if mask is None else ops.any(mask, axis=-1)
        if self.sentence_encoder is not None:
            vectors = self.sentence_encoder(vectors, mask=seen, training=training)
        output, of_sentences = self.sentence_pooling(
            vectors, mask=seen, return_attention_scores=True, training=training
        )
        of_words = ops.reshape(of_words, (batch, sentences, words))
        return output, of_words * ops.expand_dims(of_sentences, -1)

    def compute_output_shape(self, input_shape):
        shape = (input_shape[0], input_shape[1], input_shape[-1])
        if self.sentence_encoder is not None:
            shape = self.sentence_encoder.compute_output_shape(shape)
        return (shape[0], shape[-1])

    def get_config(self):
        encoder = self.sentence_encoder
        if encoder is not None:
            encoder = keras.saving.serialize_keras_object(encoder)
        return {
            **super().get_config(),
            "units": self.units,
            "sentence_encoder": encoder,
        }
