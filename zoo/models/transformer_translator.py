"""The transformer as a translator: encoder, decoder, and cached steps."""

import keras
from keras import ops

from attention_zoo import layers
from attention_zoo.models._translation import (
    TranslationModel,
    check_arguments,
    make_embeddings,
)


def transformer_translator(
    source_vocabulary_size,
    target_vocabulary_size,
    width=256,
    num_layers=3,
    num_heads=4,
    intermediate_dim=1024,
    share_embeddings=False,
    dropout=0.1,
    name="transformer_translator",
):
    """Builds the transformer of encoder and decoder.

    1. Embed: word vectors times `sqrt(width)`, `(B, S, width)` and `(B, T, width)`.
       Positions are rotary, in the queries and keys of each self-attention, so that no
       length is the longest.
    2. Encode: `num_layers` blocks of self-attention and a feed-forward layer,
       normalized first, and a last normalization.
    3. Decode: `num_layers` blocks of causal self-attention, attention to the encoder
       and a feed-forward layer, and a last normalization.
    4. Logits: the products with the target's word vectors, `(B, T, V)`.

    where `B` is the batch size, `S` and `T` the lengths of source and target and `V`
    the target's vocabulary size. The result has `encode` and `step` too, for the
    searches of `attention_zoo.generation.search`: keys and values of the steps before
    are kept.
    The alignment of a step is the mean over the heads of the last block but one, which
    Garg et al. found to align best.

    Args:
        source_vocabulary_size: Integer, the number of source ids, 0 included, which is
            padding.
        target_vocabulary_size: Integer, the same of the target.
        width: Integer, width of the model. Defaults to `256`.
        num_layers: Integer, blocks of the encoder and of the decoder. Defaults to `3`.
        num_heads: Integer; an even number times it is `width`. Defaults to `4`.
        intermediate_dim: Integer, width inside the feed-forward layers. Defaults to
            `1024`.
        share_embeddings: Boolean. Whether source and target share one table of word
            vectors, for a vocabulary of both languages. Defaults to `False`.
        dropout: Float in [0, 1). Dropout rate at word vectors, attention weights and
            after each sublayer. Defaults to `0.1`.
        name: String, the name of the model. Defaults to `"transformer_translator"`.

    Returns:
        An uncompiled functional `keras.Model` from int32 ids `(B, S)` of the source and
        `(B, T)` of the target, shifted by one, to logits `(B, T, V)` in float32.

    Raises:
        ValueError: If an argument is invalid.

    Example:

    ```python
    model = attention_zoo.create(
        "transformer_translator",
        source_vocabulary_size=11,
        target_vocabulary_size=13,
        num_layers=1,
    )
    source = np.array([[4, 5, 3, 0]])  # 0 is padding
    target = np.array([[2, 7, 9]])  # shifted by one: it begins with the start token
    assert model([source, target]).shape == (1, 3, 13)
    ```

    References:
        - [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762)
        - [Xiong et al., 2020](https://arxiv.org/abs/2002.04745): normalized first
        - [Su et al., 2021](https://arxiv.org/abs/2104.09864): rotary positions
        - [Garg et al., 2019](https://arxiv.org/abs/1909.02074): which block aligns
    """
    check_arguments(
        "transformer_translator",
        source_vocabulary_size,
        target_vocabulary_size,
        share_embeddings,
        width=width,
        num_layers=num_layers,
        num_heads=num_heads,
        intermediate_dim=intermediate_dim,
        dropout=dropout,
    )
    if width % (2 * num_heads):
        raise ValueError(
            "`transformer_translator` expects a `width` that is an even number times "
            f"`num_heads`. Received: width={width}, num_heads={num_heads}"
        )
    config = {
        "source_vocabulary_size": source_vocabulary_size,
        "target_vocabulary_size": target_vocabulary_size,
        "width": width,
        "num_layers": num_layers,
        "num_heads": num_heads,
        "intermediate_dim": intermediate_dim,
        "share_embeddings": share_embeddings,
        "dropout": dropout,
    }
    return TransformerTranslator(config, name=name)


@keras.saving.register_keras_serializable("attention_zoo")
class TransformerTranslator(TranslationModel):
    """The model that `transformer_translator` builds, whole or step by step.

    Users build it with `transformer_translator`, whose arguments are its `config`.

    Args:
        config: Dict of the arguments of `transformer_translator`.
        dtype: String or dtype policy of all layers. Defaults to `None`, Keras's own
            policy.
        **kwargs: Other arguments of `keras.Model`, such as `name`.

    Example:

    ```python
    model = attention_zoo.create(
        "transformer_translator",
        source_vocabulary_size=11,
        target_vocabulary_size=13,
        num_layers=1,
    )
    assert isinstance(model, attention_zoo.TransformerTranslator)
    states, memory = model.encode(np.array([[4, 5, 3]]), max_length=7)
    log_probabilities, states, alignment = model.step(np.array([2]), states, memory)
    assert log_probabilities.shape == (1, 13)
    assert alignment.shape == (1, 3)
    ```
    """

    @staticmethod
    def _connect(
        source,
        target,
        dtype,
        source_vocabulary_size,
        target_vocabulary_size,
        width,
        num_layers,
        num_heads,
        intermediate_dim,
        share_embeddings,
        dropout,
    ):
        def block(cls, name):
            return cls(
                intermediate_dim,
                num_heads,
                dropout=dropout,
                normalize_first=True,
                attention={"position": "rotary"},
                name=name,
                dtype=dtype,
            )

        def prepare(x, name):
            x = keras.layers.Rescaling(width**0.5, name=f"{name}_scale", dtype=dtype)(x)
            return keras.layers.Dropout(dropout, name=f"{name}_dropout", dtype=dtype)(x)

        def normalize(x, name):
            return keras.layers.LayerNormalization(
                epsilon=1e-6, name=f"{name}_norm", dtype=dtype
            )(x)

        source_embedding, target_embedding = make_embeddings(
            source_vocabulary_size,
            target_vocabulary_size,
            width,
            share_embeddings,
            dtype,
            scale=True,
        )
        x = prepare(source_embedding(source), "source")  # (B, S, width)
        for n in range(num_layers):
            x = block(layers.TransformerEncoderBlock, f"encoder_{n}")(x)
        x = normalize(x, "encoder")
        y = prepare(target_embedding(target), "target")  # (B, T, width)
        for n in range(num_layers):
            y = block(layers.TransformerDecoderBlock, f"decoder_{n}")(y, x)
        return target_embedding(normalize(y, "decoder"), reverse=True)  # (B, T, V)

    @property
    def _decoder_blocks(self):
        return [
            self.get_layer(f"decoder_{n}") for n in range(self.config["num_layers"])
        ]

    def encode(self, source, max_length):
        mask = ops.not_equal(source, 0)
        x = self.get_layer("source_scale")(self._embed("source", source))
        for n in range(self.config["num_layers"]):
            x = self.get_layer(f"encoder_{n}")(x, mask=mask)
        x = self.get_layer("encoder_norm")(x)
        batch = ops.shape(source)[0]
        caches = [
            block.initial_cache(batch, max_length, x, mask)
            for block in self._decoder_blocks
        ]
        states = {
            "index": ops.zeros((batch,), dtype="int32"),
            "queries": [cache["query"] for cache in caches],
        }
        return states, {"values": [cache["value"] for cache in caches], "mask": mask}

    def step(self, tokens, states, memory):
        index = states["index"][0]  # all rows are at the same step
        x = self._embed("target", ops.expand_dims(tokens, -1))
        x = self.get_layer("target_scale")(x)  # (B, 1, width)
        queries, alignments = [], []
        for block, query, value in zip(
            self._decoder_blocks, states["queries"], memory["values"], strict=True
        ):
            cache = {"query": query, "value": value, "value_mask": memory["mask"]}
            x, cache, weights = block.step(
                x, cache, index, return_attention_scores=True
            )
            queries.append(cache["query"])
            alignments.append(weights)  # (B, H, 1, S)
        x = self.get_layer("decoder_norm")(x)
        alignment = ops.mean(alignments[-2:][0], axis=1)[:, 0]
        states = {"index": states["index"] + 1, "queries": queries}
        return self._log_probabilities(x[:, 0]), states, alignment
