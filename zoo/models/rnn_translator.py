"""The recurrent translator: bidirectional encoder, attention, recurrent decoder."""

import keras
from keras import ops

from attention_zoo import layers
from attention_zoo.layers.core.validation import check_choice
from attention_zoo.models._attention import make_attention
from attention_zoo.models._translation import (
    TranslationModel,
    check_arguments,
    make_embeddings,
)

FAMILIES = ("sequence",)
CELLS = {"gru": keras.layers.GRUCell, "lstm": keras.layers.LSTMCell}
RECURRENT = {"gru": keras.layers.GRU, "lstm": keras.layers.LSTM}


def rnn_translator(
    source_vocabulary_size,
    target_vocabulary_size,
    embedding_dim=256,
    units=256,
    encoder="gru",
    attention="bahdanau_attention",
    order="luong",
    input_feeding=True,
    share_embeddings=False,
    dropout=0.3,
    name="rnn_translator",
):
    """Builds a translator: recurrent encoder and decoder with attention in between.

    1. Encode: a bidirectional GRU or LSTM over the source's word vectors, and a dense
       layer, `s_1 ... s_S`, `(B, S, units)`: what the decoder attends to.
    2. Bridge: the decoder's first states are `tanh(W [forward; backward])` of the
       encoder's last ones.
    3. Decode: an `AttentionCell`, whose outputs are attentional vectors,
       `tanh(Wc [c_t; h_t])`, `(B, T, embedding_dim)`.
    4. Logits: the products of these with the target's word vectors, `(B, T, V)`.

    where `B` is the batch size, `S` and `T` the lengths of source and target and `V`
    the target's vocabulary size. The result has `encode` and `step` too, for the
    searches of `attention_zoo.generation.search`.

    Args:
        source_vocabulary_size: Integer, the number of source ids, 0 included, which is
            padding.
        target_vocabulary_size: Integer, the same of the target.
        embedding_dim: Integer, width of the word vectors. Defaults to `256`.
        units: Integer, width of the encoder in each direction and of the decoder.
            Defaults to `256`.
        encoder: String. `"gru"` or `"lstm"`, the kind of encoder and decoder. Defaults
            to `"gru"`.
        attention: String, dict or `None`. A name from
            `attention_zoo.layers.list_attentions()` of the family `"sequence"`; or a
            dict `{"name": ..., **config}` with the arguments of that layer, such as
            `{"name": "luong_attention", "score": "dot"}`; or `None` for the same model
            without attention, whose decoder has the encoder's last states only.
            Defaults to `"bahdanau_attention"`.
        order: String. `"bahdanau"`, attention before the decoder's step, or `"luong"`,
            after it; see `AttentionCell`. Defaults to `"luong"`.
        input_feeding: Boolean. Whether the decoder reads what was attended to. Defaults
            to `True`.
        share_embeddings: Boolean. Whether source and target share one table of word
            vectors, for a vocabulary of both languages. Defaults to `False`.
        dropout: Float in [0, 1). Dropout rate at word vectors and before the logits.
            Defaults to `0.3`.
        name: String, the name of the model. Defaults to `"rnn_translator"`.

    Returns:
        An uncompiled functional `keras.Model` from int32 ids `(B, S)` of the source and
        `(B, T)` of the target, shifted by one, to logits `(B, T, V)` in float32.

    Raises:
        ValueError: If an argument is invalid, or if the attention is unknown or of
            another family.

    Example:

    ```python
    model = attention_zoo.create(
        "rnn_translator", source_vocabulary_size=11, target_vocabulary_size=13, units=8
    )
    source = np.array([[4, 5, 3, 0]])  # 0 is padding
    target = np.array([[2, 7, 9]])  # shifted by one: it begins with the start token
    assert model([source, target]).shape == (1, 3, 13)
    ```

    References:
        - [Sutskever et al., 2014](https://arxiv.org/abs/1409.3215): without attention
        - [Bahdanau et al., 2014](https://arxiv.org/abs/1409.0473): attention before
        - [Luong et al., 2015](https://arxiv.org/abs/1508.04025): after, input feeding
        - [Press and Wolf, 2017](https://arxiv.org/abs/1608.05859): word vectors as
          weights of the logits
    """
    check_choice("rnn_translator", tuple(CELLS), encoder=encoder)
    check_arguments(
        "rnn_translator",
        source_vocabulary_size,
        target_vocabulary_size,
        share_embeddings,
        embedding_dim=embedding_dim,
        units=units,
        dropout=dropout,
    )
    config = {
        "source_vocabulary_size": source_vocabulary_size,
        "target_vocabulary_size": target_vocabulary_size,
        "embedding_dim": embedding_dim,
        "units": units,
        "encoder": encoder,
        "attention": attention,
        "order": order,
        "input_feeding": input_feeding,
        "share_embeddings": share_embeddings,
        "dropout": dropout,
    }
    return RNNTranslator(config, name=name)


@keras.saving.register_keras_serializable("attention_zoo")
class RNNTranslator(TranslationModel):
    """The model that `rnn_translator` builds, whole sequences at once or by steps.

    Users build it with `rnn_translator`, whose arguments are its `config`.

    Args:
        config: Dict of the arguments of `rnn_translator`.
        dtype: String or dtype policy of all layers. Defaults to `None`, Keras's own
            policy.
        **kwargs: Other arguments of `keras.Model`, such as `name`.

    Example:

    ```python
    model = attention_zoo.create(
        "rnn_translator", source_vocabulary_size=11, target_vocabulary_size=13, units=8
    )
    assert isinstance(model, attention_zoo.RNNTranslator)
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
        embedding_dim,
        units,
        encoder,
        attention,
        order,
        input_feeding,
        share_embeddings,
        dropout,
    ):
        # === Layers ===
        source_embedding, target_embedding = make_embeddings(
            source_vocabulary_size,
            target_vocabulary_size,
            embedding_dim,
            share_embeddings,
            dtype,
        )
        source_dropout = keras.layers.Dropout(
            dropout, name="source_dropout", dtype=dtype
        )
        target_dropout = keras.layers.Dropout(
            dropout, name="target_dropout", dtype=dtype
        )
        encoder_layer = keras.layers.Bidirectional(
            RECURRENT[encoder](
                units,
                return_sequences=attention is not None,
                return_state=True,
                name="direction",
                dtype=dtype,
            ),
            name="encoder",
            dtype=dtype,
        )
        memory_layer = keras.layers.Dense(units, name="memory", dtype=dtype)
        decoder_layer = _make_decoder(
            encoder, units, embedding_dim, attention, order, input_feeding, dtype
        )
        output_layer = keras.layers.Dense(
            embedding_dim, activation="tanh", name="output", dtype=dtype
        )
        output_dropout = keras.layers.Dropout(
            dropout, name="output_dropout", dtype=dtype
        )

        # === Functional model ===
        x = source_dropout(source_embedding(source))  # (B, S, embedding_dim)
        x, *last = encoder_layer(x)
        states = _bridge(last, units, dtype)
        y = target_dropout(target_embedding(target))  # (B, T, embedding_dim)
        if attention is None:
            y = output_layer(decoder_layer(y, initial_state=states))
        else:
            y = decoder_layer(y, memory_layer(x), initial_state=states)
        return target_embedding(output_dropout(y), reverse=True)  # (B, T, V)

    def encode(self, source, max_length=None):
        del max_length  # no state grows with the steps
        mask = ops.not_equal(source, 0)
        x = self._embed("source", source)
        x, *last = self.get_layer("encoder")(x, mask=mask)
        half = len(last) // 2
        states = [
            self.get_layer(f"initial_state_{n}")(
                ops.concatenate([last[n], last[half + n]], axis=-1)
            )
            for n in range(half)
        ]
        if self.config["attention"] is None:
            return states, {"mask": mask}
        cell = self.get_layer("decoder").cell
        memory = cell.prepare(self.get_layer("memory")(x), mask)
        return cell.initial_states(memory, states), memory

    def step(self, tokens, states, memory):
        inputs = self._embed("target", tokens)  # (B, embedding_dim)
        cell = self.get_layer("decoder").cell
        if self.config["attention"] is None:
            output, states = cell(inputs, states)
            output = self.get_layer("output")(output)
            alignment = ops.zeros_like(memory["mask"], dtype="float32")
        else:
            output, states, alignment = cell.step(inputs, states, memory)
        return self._log_probabilities(output), list(states), alignment


def _make_decoder(kind, units, width, attention, order, input_feeding, dtype):
    """Returns the decoder: an `AttentionDecoder`, or a plain recurrent layer."""
    if attention is None:
        return RECURRENT[kind](
            units, return_sequences=True, name="decoder", dtype=dtype
        )
    _, attention_layer = make_attention("rnn_translator", attention, FAMILIES)
    cell = layers.AttentionCell(
        CELLS[kind](units, name="cell", dtype=dtype),
        attention_layer,
        order=order,
        attention_units=width,
        input_feeding=input_feeding,
        name="attention_cell",
        dtype=dtype,
    )
    return layers.AttentionDecoder(cell, name="decoder", dtype=dtype)


def _bridge(last, units, dtype):
    """Returns the decoder's first states of the encoder's last, of both directions."""
    half = len(last) // 2
    states = []
    for n in range(half):
        join = keras.layers.Concatenate(name=f"last_state_{n}", dtype=dtype)
        bridge = keras.layers.Dense(
            units, activation="tanh", name=f"initial_state_{n}", dtype=dtype
        )
        states.append(bridge(join([last[n], last[half + n]])))
    return states
