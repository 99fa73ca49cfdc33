"""What the translators share: a functional model that can also go step by step."""

import keras
from keras import ops

from attention_zoo.layers.core.validation import check_positive_integer, check_rate


class TranslationModel(keras.Model):
    """A functional model for training, and its steps for a search.

    The functional model goes from source ids `(B, S)` and target ids `(B, T)`, shifted
    by one, to logits `(B, T, V)`; id 0 is padding. For a search (see
    `attention_zoo.generation.search`) with the same weights, `encode` gives the states
    before the first step and the memory, and `step` makes one step.

    A subclass has the arguments of its builder as the dict `config`, makes the graph of
    them in `_connect`, and finds its layers by their names.

    Args:
        config: Dict of the builder's arguments.
        dtype: Dtype policy of all layers. Defaults to `None`: Keras's own.
    """

    def __init__(self, config, dtype=None, **kwargs):
        policy = dtype or keras.config.dtype_policy()
        if isinstance(policy, dict):
            policy = keras.saving.deserialize_keras_object(policy)
        source = keras.Input((None,), dtype="int32", name="source")
        target = keras.Input((None,), dtype="int32", name="target")
        logits = self._connect(source, target, dtype=policy, **config)
        super().__init__(inputs=[source, target], outputs=logits, **kwargs)
        self.config = dict(config)
        self._policy = policy

    @staticmethod
    def _connect(source, target, dtype, **config):
        """Makes the layers and returns the logits `(B, T, V)`."""
        raise NotImplementedError

    def encode(self, source, max_length=None):
        """Reads the source.

        Args:
            source: int32 tensor `(B, S)`.
            max_length: Integer, the most steps that will be made.

        Returns:
            The states before the first step and the memory, nests of tensors, batch
            first.
        """
        raise NotImplementedError

    def step(self, tokens, states, memory):
        """Makes one step.

        Args:
            tokens: int32 tensor `(B,)`, the last tokens.
            states: What `encode` or the last step returned.
            memory: What `encode` returned.

        Returns:
            Log-probabilities `(B, V)` in float32, the new states, and the alignment
            `(B, S)`.
        """
        raise NotImplementedError

    def _embedding(self, side):
        """Returns the embedding of `"source"` or `"target"`."""
        shared = self.config["share_embeddings"]
        return self.get_layer("embedding" if shared else f"{side}_embedding")

    def _embed(self, side, tokens):
        """Returns the word vectors of ids, without the mask that Keras attaches."""
        embedding = self._embedding(side)
        vectors = ops.take(embedding.embeddings, tokens, axis=0)
        return ops.cast(vectors, embedding.compute_dtype)

    def _log_probabilities(self, x):
        """Returns those of the next token, `(B, V)`, of what the decoder gives."""
        logits = self._embedding("target")(x, reverse=True)
        return ops.log_softmax(ops.cast(logits, "float32"), axis=-1)

    def get_config(self):
        return {
            "config": self.config,
            "dtype": keras.saving.serialize_keras_object(self._policy),
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return cls(**config)


def check_arguments(
    owner, source_vocabulary_size, target_vocabulary_size, share_embeddings, **rest
):
    """Raises `ValueError` for arguments out of their range.

    Args:
        owner: Name of the model, for the message.
        source_vocabulary_size, target_vocabulary_size, share_embeddings: Those of the
            builders.
        **rest: `dropout`, and positive integers.
    """
    check_rate(owner, dropout=rest.pop("dropout"))
    check_positive_integer(
        owner,
        source_vocabulary_size=source_vocabulary_size,
        target_vocabulary_size=target_vocabulary_size,
        **rest,
    )
    if share_embeddings and source_vocabulary_size != target_vocabulary_size:
        raise ValueError(
            f"`{owner}` with `share_embeddings` expects one vocabulary for both sides. "
            f"Received: source_vocabulary_size={source_vocabulary_size}, "
            f"target_vocabulary_size={target_vocabulary_size}"
        )


def make_embeddings(source_size, target_size, width, share, dtype, scale=False):
    """Returns the embedding layers of both sides, which may be one.

    Rows of the target's are the weights of the logits as well.

    Args:
        source_size, target_size: Integers, the sizes of the vocabularies.
        width: Integer, width of the vectors.
        share: Whether both sides have one.
        dtype: Dtype policy.
        scale: Whether vectors will be multiplied by the square root of their width.
    """
    deviation = width**-0.5 if scale else 0.05

    def embedding(size, name):
        return keras.layers.ReversibleEmbedding(
            size,
            width,
            mask_zero=True,
            reverse_dtype="float32",
            embeddings_initializer=keras.initializers.RandomNormal(stddev=deviation),
            name=name,
            dtype=dtype,
        )

    if share:
        both = embedding(source_size, "embedding")
        return both, both
    source = keras.layers.Embedding(
        source_size,
        width,
        mask_zero=True,
        embeddings_initializer=keras.initializers.RandomNormal(stddev=deviation),
        name="source_embedding",
        dtype=dtype,
    )
    return source, embedding(target_size, "target_embedding")
