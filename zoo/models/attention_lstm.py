"""The attention-LSTM: a bidirectional LSTM whose states are summarised by attention."""

import keras

from attention_zoo import layers
from attention_zoo.kernels.lstm import BidirectionalLSTM
from attention_zoo.models._attention import make_attention

FAMILIES = ("sequence", "pooling", "self")


def attention_lstm(
    vocabulary_size,
    num_classes=2,
    embedding_dim=64,
    units=64,
    attention="attention_pooling",
    embedding_dropout=0.0,
    dropout=0.5,
    activation="softmax",
    name="attention_lstm",
):
    """Builds a text classifier: embedding, bidirectional LSTM, attention, head.

    With one token id per word, `x_1 ... x_T`:

    1. Embed: `e_t = E[x_t]`, shape `(B, T, embedding_dim)`.
    2. Read in both directions: `h_t = [forward_t; backward_t]`, `(B, T, 2 * units)`.
    3. Attend: `s = sum_t a_t h_t` with weights `a` over the words, `(B, 2 * units)`.
    4. Classify: `softmax(W s + b)`, `(B, num_classes)`, or `sigmoid` where a text may
       have several labels.

    where `B` is the batch size and `T` the number of tokens, which may vary from
    batch to batch. How the weights come about depends on the family of the attention:

    - pooling: the layer itself turns `(B, T, 2 * units)` into `(B, 2 * units)`.
    - sequence: the query is the final state of both directions, the values are `h`.
    - self: the layer rewrites every `h_t`, and their plain mean over the words is `s`.

    Token id 0 is padding and changes nothing, wherever it follows the words; id 1
    stands for words outside the vocabulary. A row of padding alone gives the
    probabilities of an empty text.

    Args:
        vocabulary_size: Integer, the number of token ids, 0 and 1 included.
        num_classes: Integer, at least 2. Defaults to `2`.
        embedding_dim: Integer, width of the word vectors. Defaults to `64`.
        units: Integer, width of the LSTM in each direction. Defaults to `64`.
        attention: String, dict or `None`. A name from
            `attention_zoo.layers.list_attentions()` of the family `"pooling"`,
            `"sequence"` or `"self"`; or a dict `{"name": ..., **config}` with the
            arguments of that layer; or `None` for the same model without attention, the
            plain mean over the words. Defaults to `"attention_pooling"`.
        embedding_dropout: Float in [0, 1). Dropout rate at which whole channels of the
            word vectors are dropped. Defaults to `0.0`.
        dropout: Float in [0, 1). Dropout rate before the head. Defaults to `0.5`.
        activation: String, `"softmax"` for one class per text or `"sigmoid"` for any
            number of labels per text. Defaults to `"softmax"`.
        name: String, the name of the model. Defaults to `"attention_lstm"`.

    Returns:
        An uncompiled functional `keras.Model` from int32 token ids `(B, T)` to class
        probabilities `(B, num_classes)` in float32.

    Raises:
        ValueError: If an argument is invalid, or if the attention is unknown or of
            another family.

    Example:

    ```python
    model = attention_zoo.create("attention_lstm", vocabulary_size=11, units=4)
    token_ids = np.array([[2, 3, 5, 7], [10, 1, 0, 0]])  # 0 is padding
    assert model(token_ids).shape == (2, 2)
    ```

    References:
        - [Bahdanau et al., 2014](https://arxiv.org/abs/1409.0473): additive scores
        - [Yang et al., 2016](https://aclanthology.org/N16-1174): attention as pooling
        - [Zhou et al., 2016](https://aclanthology.org/P16-2034): over an LSTM
    """
    if not isinstance(num_classes, int) or num_classes < 2:
        raise ValueError(
            "Invalid value for argument `num_classes` of `attention_lstm`. Expected an "
            f"integer of at least 2. Received: num_classes={num_classes!r}"
        )
    if activation not in ("softmax", "sigmoid"):
        raise ValueError(
            "Invalid value for argument `activation` of `attention_lstm`. Expected "
            f"'softmax' or 'sigmoid'. Received: activation={activation!r}"
        )
    family, attention_layer = make_attention("attention_lstm", attention, FAMILIES)

    # === Layers ===
    embedding_layer = keras.layers.Embedding(
        vocabulary_size, embedding_dim, mask_zero=True, name="embedding"
    )
    embedding_dropout_layer = keras.layers.SpatialDropout1D(
        embedding_dropout, name="embedding_dropout"
    )
    lstm_layer = BidirectionalLSTM(
        keras.layers.LSTM(
            units,
            return_sequences=True,
            return_state=family == "sequence",
            name="lstm_direction",
        ),
        name="lstm",
    )
    mean_layer = layers.AttentionPooling(score=None, name="mean")
    dropout_layer = keras.layers.Dropout(dropout, name="dropout")
    head_layer = keras.layers.Dense(
        num_classes, activation=activation, dtype="float32", name="head"
    )

    # === Functional model ===
    token_ids = keras.Input((None,), dtype="int32", name="token_ids")
    x = embedding_layer(token_ids)  # (B, T, embedding_dim)
    x = embedding_dropout_layer(x)
    if family == "sequence":
        x, forward, _, backward, _ = lstm_layer(x)
        final_state = keras.layers.Concatenate(name="final_state")([forward, backward])
        query = keras.layers.Reshape((1, 2 * units), name="query")(final_state)
        x = attention_layer(query, x)  # (B, 1, 2 * units)
        x = keras.layers.Flatten(name="summary")(x)
    elif family == "pooling":
        x = attention_layer(lstm_layer(x))  # (B, 2 * units)
    elif family == "self":
        x = mean_layer(attention_layer(lstm_layer(x)))
    else:
        x = mean_layer(lstm_layer(x))
    x = dropout_layer(x)
    probabilities = head_layer(x)  # (B, num_classes)
    return keras.Model(token_ids, probabilities, name=name)
