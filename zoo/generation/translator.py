"""A layer that holds a translator and a search: from ids to ids in one graph."""

import inspect

import keras
from keras import ops

from attention_zoo.generation.beam_search import beam_search, check_beam_search
from attention_zoo.generation.search import check_sample, greedy, sample
from attention_zoo.layers.core.recording import pause_recording, record
from attention_zoo.layers.core.validation import (
    check_choice,
    check_positive_integer,
    suggest,
)
from attention_zoo.models._translation import TranslationModel

SEARCHES = {"beam": beam_search, "greedy": greedy, "sample": sample}


@keras.saving.register_keras_serializable("attention_zoo")
class Translator(keras.layers.Layer):
    """Translates source ids by a search with a translator's steps.

    A model saves the search with it, as `.keras` and as a SavedModel. A source of
    padding alone is translated like an empty sentence.

    Args:
        core: `keras.Model` that `rnn_translator` or `transformer_translator` built.
        search: String or dict. `"beam"`, `"greedy"` or `"sample"`; or a dict `{"name":
            ..., **config}` with the arguments of `beam_search` or `sample`, such as
            `{"name": "beam", "beam_size": 10, "num_best": 3}`. Defaults to `"beam"`.
        max_length: Integer, the maximum number of tokens of a result, including the end
            token. Defaults to `64`.
        start_id: Integer, the token before the first one. Defaults to `2`.
        end_id: Integer, the token that ends a result. Defaults to `3`.
        **kwargs: Other arguments of `keras.layers.Layer`, such as `name`.

    Call arguments:
        source: int32 tensor of shape `(B, S)`, 0 as padding.

    Returns:
        Tokens `(B, R, T)` in int32, 0 after the end; scores `(B, R)`; alignment
        `(B, R, T, S)`, with `T = max_length` and `R` results for each source.

    Raises:
        ValueError: If an argument is invalid.

    Example:

    ```python
    core = attention_zoo.create(
        "rnn_translator", source_vocabulary_size=11, target_vocabulary_size=13, units=8
    )  # and train it
    source = keras.Input((None,), dtype="int32")
    outputs = attention_zoo.Translator(core, max_length=5)(source)
    model = keras.Model(source, outputs)
    tokens, scores, alignment = model(np.array([[4, 5, 6], [7, 8, 0]]))
    assert tokens.shape == (2, 1, 5)
    assert alignment.shape == (2, 1, 5, 3)
    ```
    """

    def __init__(
        self, core, search="beam", max_length=64, start_id=2, end_id=3, **kwargs
    ):
        super().__init__(**kwargs)
        if isinstance(core, dict):
            core = keras.saving.deserialize_keras_object(core)
        if not isinstance(core, TranslationModel):
            raise ValueError(
                "`Translator` expects a translator of the zoo as `core`. "
                f"Received: core={core!r}"
            )
        check_positive_integer("Translator", max_length=max_length)
        size = core.config["target_vocabulary_size"]
        for name, token in {"start_id": start_id, "end_id": end_id}.items():
            check_positive_integer("Translator", **{name: token})
            if token >= size:
                raise ValueError(
                    f"`Translator` expects `{name}` below the vocabulary's size, "
                    f"{size}. Received: {name}={token}"
                )
        self.core = core
        self.search = dict(search) if isinstance(search, dict) else search
        self.max_length = max_length
        self.start_id = start_id
        self.end_id = end_id
        self._search, self._options = _read_search(search, size)
        if self._search is sample:
            seed = self._options.pop("seed", None)
            self.seed_generator = keras.random.SeedGenerator(seed)

    @property
    def num_results(self):
        """R, how many results there are for each source."""
        count = "num_samples" if self._search is sample else "num_best"
        return self._options.get(count, 1)

    def build(self, source_shape):
        self.built = True

    def call(self, source):
        source = ops.cast(source, "int32")
        options = dict(self._options)
        if self._search is sample:
            options["seed"] = self.seed_generator
        with pause_recording():
            states, memory = self.core.encode(source, self.max_length)
            decoded = self._search(
                self.core.step,
                states,
                ops.shape(source),
                self.max_length,
                self.start_id,
                self.end_id,
                memory,
                **options,
            )
        record(self, decoded.alignment)
        return decoded.tokens, decoded.scores, decoded.alignment

    def compute_output_spec(self, source):
        batch, width = source.shape
        results = (batch, self.num_results)
        return (
            keras.KerasTensor((*results, self.max_length), dtype="int32"),
            keras.KerasTensor(results, dtype="float32"),
            keras.KerasTensor((*results, self.max_length, width), dtype="float32"),
        )

    def get_config(self):
        config = {
            "core": keras.saving.serialize_keras_object(self.core),
            "search": self.search,
            "max_length": self.max_length,
            "start_id": self.start_id,
            "end_id": self.end_id,
        }
        return {**super().get_config(), **config}


def _read_search(search, size):
    """Returns the function of `search` and the dict of its options, checked.

    Args:
        search: The argument of `Translator`.
        size: Integer, the size of the vocabulary.
    """
    config = {"name": search} if isinstance(search, str) else search
    if not isinstance(config, dict):
        raise ValueError(
            "Invalid value for argument `search` of `Translator`. Expected one of "
            f"{list(SEARCHES)}, or a dict of such a `name` and its arguments. "
            f"Received: search={search!r}"
        )
    options = dict(config)
    name = options.pop("name", None)
    check_choice("Translator", tuple(SEARCHES), search=name)
    common = inspect.signature(greedy).parameters
    own = [n for n in inspect.signature(SEARCHES[name]).parameters if n not in common]
    for key in options:
        if key not in own:
            raise ValueError(
                f"Unknown argument for the search '{name}'. Expected some of {own}. "
                f"Received: {key}={options[key]!r}{suggest(key, own)}"
            )
    if name == "beam":
        check_beam_search(**options, size=size)
    elif name == "sample":
        check_sample(**options)
    return SEARCHES[name], options
