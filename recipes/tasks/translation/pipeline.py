"""Translation: raw sentences to subwords and back, around one translator."""

import collections
import functools

import keras
import numpy as np
import tensorflow as tf

from attention_zoo import SubwordDetokenizer, SubwordTokenizer, Translator
from attention_zoo.generation import tokenizers as subwords
from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.datasets import loading as _data
from attention_zoo.recipes.tasks import pipeline
from attention_zoo.recipes.tasks.batches import by_length, pad, predictor
from attention_zoo.recipes.tasks.shared import dataset_of
from attention_zoo.recipes.tasks.translation import baselines
from attention_zoo.recipes.tasks.translation import scores as _scores
from attention_zoo.recipes.tasks.translation.losses import (
    TokenAccuracy,
    TokenCrossEntropy,
)

METRICS = ("bleu", "exact_match")
SMOKE_SIZES = {"train": 96, "validation": 32, "test": 32}
Pairs = collections.namedtuple("Pairs", "source target")


class Pipeline(pipeline.Pipeline):
    """Pairs of sentences of one TFDS dataset, in the form that training needs.

    One vocabulary of subwords for both languages is made of the training split. Ids are
    computed once and kept. Pairs of like length share a batch.

    The recipe's `pipeline` dict holds `source` and `target`, names of the dataset's
    features; `vocabulary_size`, or 0 for one of single characters; `max_length`,
    subwords of a sentence, its end included; `beam_size` of the published model;
    `metric`, `"bleu"` or `"exact_match"`; and `apart_split`, if there is one, the name
    of a split that is reported apart.

    Args:
        recipe: The `Recipe`.
        data_dir: TFDS data directory, or None for TFDS's own choice.
        smoke: Whether to take a handful of generated dates instead of the data.
    """

    COMPARES_METHODS = False  # translators have attention alone

    def __init__(self, recipe, data_dir=None, smoke=False):
        super().__init__(recipe, data_dir, smoke)
        _check_options(**self.options)
        self.languages = [self.options["source"], self.options["target"]]
        self.metric = self.options["metric"]
        self.signatures = _scores.signatures() if self.metric == "bleu" else []
        if smoke:
            self.dataset = "zoo_dates/smoke"
            self.splits = _data.OnDemand(_generated_split)
        else:
            self._builder = _data.tfds_builder(recipe.dataset, data_dir)
            self.dataset = self._builder.info.full_name
            self.source = _data.source_of(self._builder)
            missing = [
                x for x in self.languages if x not in self._builder.info.features
            ]
            if missing:
                raise UserError(
                    f"dataset '{recipe.dataset}' has no feature '{missing[0]}': it has "
                    f"{', '.join(self._builder.info.features)}"
                )
            self.splits = _data.OnDemand(self._prepared_split)
        self._ids = _data.OnDemand(self._tokenize)

    # === Data ===

    def _prepared_split(self, name):
        """Reads a split of the TFDS dataset."""
        part = getattr(self.recipe, f"{name}_split", name)
        columns = _data.read_split(self._builder, part)
        return Pairs(*(columns[language] for language in self.languages))

    @functools.cached_property
    def vocabulary(self):
        """The list of subwords, made of the training split by `tokenizers`."""
        from tokenizers import Tokenizer, models, pre_tokenizers, trainers

        size = self.options["vocabulary_size"]
        trainer = trainers.WordPieceTrainer(
            vocab_size=size - len(subwords.SPECIALS) if size else 0,
            continuing_subword_prefix="",
            show_progress=False,
        )
        tokenizer = Tokenizer(models.WordPiece(continuing_subword_prefix=""))
        tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        tokenizer.train_from_iterator(self._split_sentences(), trainer)
        places = tokenizer.get_vocab()
        return sorted(places, key=lambda piece: places[piece])

    def _split_sentences(self):
        """Yields the training sentences, split into words by spaces."""
        for sentences in self.splits["train"]:
            for start in range(0, len(sentences), 4096):
                part = tf.constant(sentences[start : start + 4096])
                words = subwords.split_words(part)
                joined = tf.strings.reduce_join(words, axis=-1, separator=" ")
                yield from (row.decode() for row in joined.numpy())

    @functools.cached_property
    def tokenizer(self):
        """The layer from raw sentences to ids, the end's included."""
        most = self.options["max_length"]
        return SubwordTokenizer(self.vocabulary, most, end=True, name="tokenizer")

    def _tokenize(self, name):
        """Returns the ids of a split, for each side a list of arrays."""
        return Pairs(*map(self._rows, self.splits[name]))

    @functools.cached_property
    def _compute_ids(self):
        """The tokenizer in a graph of TensorFlow, on whatever backend Keras runs."""
        signature = [tf.TensorSpec((None,), "string")]
        return tf.function(self.tokenizer.call, input_signature=signature)

    def _rows(self, sentences):
        rows = []
        for start in range(0, len(sentences), 1024):
            part = tf.constant(sentences[start : start + 1024])
            ids = self._compute_ids(part).numpy()
            rows += [row[: np.count_nonzero(row)] for row in ids]
        return rows

    def raw(self, split):
        return self.splits[split]

    def examples(self, count):
        """Returns raw test sentences for a picture, of middling length."""
        sources, targets = self.raw("test")
        lengths = np.array([len(row) for row in self._ids["test"].source])
        near = np.argsort(np.abs(lengths - np.median(lengths)), kind="stable")[:count]
        return [sources[i].decode() for i in near], [targets[i] for i in near]

    @property
    def example(self):
        """A raw test sentence of middling length for the card, unless private."""
        if not self.recipe.show_examples:
            return "..."
        return self.examples(1)[0][0]

    # === Training ===

    def model_config(self):
        size = self.tokenizer.vocabulary_size
        return {"source_vocabulary_size": size, "target_vocabulary_size": size}

    def batches(self, split, seed=None, first_pass=0):
        """Returns `((source, target so far), target)` batches of ids `(B, T)`.

        In training lengths are jittered and batches are shuffled anew in every pass.
        """
        sources, targets = self._ids[split]
        lengths = [max(map(len, pair)) for pair in zip(sources, targets, strict=True)]
        size = self.recipe.batch_size

        def one_pass(rng):
            for rows in by_length(lengths, size, rng, jitter=1):
                target = pad([targets[i] for i in rows], 4)
                start = np.full((len(rows), 1), subwords.START_ID, "int32")
                so_far = np.concatenate([start, target[:, :-1]], axis=1)
                so_far[so_far == subwords.END_ID] = 0
                yield (pad([sources[i] for i in rows], 4), so_far), target

        ids = tf.TensorSpec((None, None), "int32")
        steps = -(-len(sources) // size)
        return dataset_of(one_pass, ((ids, ids), ids), steps, seed, first_pass)

    def loss(self):
        """Returns the loss for logits; padding counts nothing."""
        return TokenCrossEntropy(self.recipe.label_smoothing)

    def metrics(self):
        return [TokenAccuracy(name="accuracy")]

    def score(self, logs):
        return (logs["val_accuracy"], -logs["val_loss"])

    # === The model that people load ===

    def servable(self, core):
        """Returns the model from raw sentences `(B,)` to translations `(B,)`."""
        text = keras.Input((), dtype="string", name="text")
        ids, words = self.tokenizer(text, return_words=True)
        tokens, _, alignment = self._translator(core)(ids)
        translation = SubwordDetokenizer(self.vocabulary, name="detokenizer")(
            tokens[:, 0], alignment[:, 0], words
        )
        return keras.Model(text, translation, name=self.recipe.name)

    def _translator(self, core):
        search = {"name": "beam", "beam_size": self.options["beam_size"]}
        return Translator(core, search, self.options["max_length"], name="translator")

    def translate(self, model, sentences, batch_size=128):
        """Returns the translations of raw sentences, in their order.

        Args:
            model: A core model, or one that takes raw sentences.
            sentences: List of bytes.
            batch_size: Number of sentences of like length that are computed together.
        """
        if model.inputs[0].dtype != "string":
            model = self.servable(model)
        outputs = predictor(model, batch_size)(sentences)
        return [output.decode() for output in outputs]

    def evaluate(self, model, split, sample=None):
        scores = self._scores(split, lambda texts: self.translate(model, texts), sample)
        apart = self.options.get("apart_split")
        if split != "test" or not apart or not hasattr(self, "_builder"):
            return scores
        again = self._scores(apart, lambda texts: self.translate(model, texts), sample)
        return scores | {f"{self.metric}_{apart}": again[self.metric]}

    def _scores(self, split, translate, sample=None):
        """Returns the scores of a function from raw sentences to translations."""
        sources, targets = self.raw(split)
        picked = np.linspace(0, len(sources) - 1, sample or len(sources)).astype(int)
        sources = [sources[i] for i in picked]
        references = [targets[i].decode() for i in picked]
        score = _scores.bleu if self.metric == "bleu" else _scores.exact_match
        return score(translate(sources), references, sources)

    def baselines(self):

        def memory():
            translate = baselines.memory(*self.raw("train"))
            return self._scores("test", translate)

        def copy():
            return self._scores("test", lambda texts: [t.decode() for t in texts])

        return {"nearest_neighbour": memory, "copy": copy}

    def draw(self, folder, runs, twins):
        """Draws BLEU by the source's length, of the model and of its twin."""
        if self.metric == "bleu":
            _scores.plot_bleu_by_length(folder / "lengths.png", runs, twins)


# === Checks and the smoke dates ===


def _check_options(
    source, target, vocabulary_size, max_length, beam_size, metric, apart_split=None
):
    """Raises `UserError` for values outside their range."""
    if source == target:
        raise UserError(f"source and target must be different, received '{source}'")
    if vocabulary_size and vocabulary_size < 100:
        raise UserError(
            "vocabulary_size must be at least 100, or 0 for single characters, "
            f"received {vocabulary_size}"
        )
    for name, value in {"max_length": max_length, "beam_size": beam_size}.items():
        if value < 1:
            raise UserError(f"{name} must be positive, received {value}")
    if metric not in METRICS:
        raise UserError(f"metric must be one of {METRICS}, received '{metric}'")


def _generated_split(name):
    """Returns a handful of generated dates, for a smoke run."""
    from attention_zoo.recipes.datasets import zoo_dates

    rows = list(zoo_dates.generate(name, SMOKE_SIZES))
    return Pairs(*([row[key].encode() for row in rows] for key in ("text", "iso")))
