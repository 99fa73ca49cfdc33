"""Text classification: raw strings to token ids, and back into one model."""

import collections
import functools

import keras
import numpy as np
import tensorflow as tf

import attention_zoo
from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.datasets import loading as _data
from attention_zoo.recipes.tasks.batches import by_length, pad, predictor
from attention_zoo.recipes.tasks.classification import (
    Classification,
    in_turn,
    scores_of,
)
from attention_zoo.recipes.tasks.shared import dataset_of, mean_correlation
from attention_zoo.recipes.tasks.text import baselines as _baselines
from attention_zoo.recipes.tasks.text import word_vectors as _word_vectors

OUT_OF_VOCABULARY = 1
VECTOR_SCALE = 0.3  # standard deviation of the word vectors that training starts from
SMOKE_SIZES = {"train": 192, "validation": 64, "test": 64}
Split = collections.namedtuple("Split", "texts labels marks", defaults=(None,))


class Pipeline(Classification):
    """Text of one TFDS dataset, in the form that training and export need.

    A split is read when it is first asked for. The vocabulary is adapted on the
    training split alone. Token ids are computed once and kept. Texts of like length
    share a batch, so that little is padding.

    The recipe's `pipeline` dict holds `max_length` (words that are read),
    `vocabulary_size` and `word_dropout` (share of the words that training replaces
    by the unknown word, in every epoch anew). With `word_vectors`, the name of a split
    whose labels are not looked at, the embedding starts from vectors that are counted
    on that split and the training texts.

    Args:
        recipe: The `Recipe`.
        data_dir: TFDS data directory, or None for TFDS's own choice.
        smoke: Whether to take a handful of generated reviews instead of the data.
    """

    def __init__(self, recipe, data_dir=None, smoke=False):
        super().__init__(recipe, data_dir, smoke)
        _check_options(**self.options)
        if smoke:
            self.dataset = "zoo_reviews/smoke"
            self.classes = ["negative", "positive"]
            self.splits = _data.OnDemand(_generated_split)
        else:
            self._builder = _data.tfds_builder(recipe.dataset, data_dir)
            self.dataset = self._builder.info.full_name
            self.source = _data.source_of(self._builder)
            self.classes = _data.class_names(self._builder, "text", "label")
            self.splits = _data.OnDemand(self._prepared_split)
        self._ids = _data.OnDemand(self._tokenize)

    # === Data ===

    def _prepared_split(self, name):
        """Reads a split of the TFDS dataset."""
        part = getattr(self.recipe, f"{name}_split")
        columns = _data.read_split(self._builder, part)
        return Split(columns["text"], np.array(columns["label"]), columns.get("marks"))

    @functools.cached_property
    def vectorizer(self):
        """The layer from raw strings to token ids, adapted on the training split."""
        layer = keras.layers.TextVectorization(
            max_tokens=self.options["vocabulary_size"],
            standardize=attention_zoo.standardize_text,
            name="words",
        )
        texts = self.splits["train"].texts
        layer.adapt(tf.data.Dataset.from_tensor_slices(texts).batch(512))
        return layer

    def _tokenize(self, name):
        """Returns the token ids of a split, a list of arrays without padding."""
        return self._rows(self.splits[name].texts)

    def _rows(self, texts):
        """Returns the token ids of texts, a list of arrays without padding."""
        rows = []
        # By tf.data, which has strings on every backend of Keras.
        texts = tf.data.Dataset.from_tensor_slices(texts).batch(512)
        for ids in texts.map(self.vectorizer):
            ids = ids.numpy()[:, : self.options["max_length"]].astype("int32")
            rows += [row[: np.count_nonzero(row)] for row in ids]
        return rows

    def raw(self, split):
        return self.splits[split].texts, self.splits[split].labels

    def examples(self, count):
        """Returns raw test texts for a picture: of middling length, classes in turn."""
        texts, labels = self.raw("test")
        lengths = np.array([len(text.split()) for text in texts])
        near = np.argsort(np.abs(lengths - 50), kind="stable")
        picked = in_turn(labels, near, count)
        return [texts[i].decode() for i in picked], labels[picked]

    # === Training ===

    def model_config(self):
        return {
            "vocabulary_size": len(self.vectorizer.get_vocabulary()),
            "num_classes": len(self.classes),
        }

    def initialise(self, model):
        """Gives a fresh model the word vectors, where the recipe wants them."""
        if self.options.get("word_vectors"):
            model.get_layer("embedding").set_weights([self._vectors])

    @functools.cached_property
    def _vectors(self):
        """Word vectors from the training texts and those of an unlabelled split."""
        rows = list(self._ids["train"])
        if hasattr(self, "_builder"):
            texts = _data.read_split(self._builder, self.options["word_vectors"])
            rows += self._rows(texts["text"])
        print(f"word vectors from {len(rows):,} texts ...", flush=True)
        vectors = _word_vectors.word_vectors(
            rows,
            self.model_config()["vocabulary_size"],
            self.recipe.config["embedding_dim"],
        )
        return VECTOR_SCALE * vectors

    def batches(self, split, seed=None, first_pass=0):
        """Returns `(ids, one-hot labels)` batches, `(B, T)` and `(B, num_classes)`.

        In training lengths are jittered, batches are shuffled and words are dropped
        anew in every pass.
        """
        ids = self._ids[split]
        labels = np.eye(len(self.classes), dtype="float32")[self.splits[split].labels]
        size = self.recipe.batch_size if seed is not None else 256

        def one_pass(rng):
            for rows in by_length([len(row) for row in ids], size, rng):
                batch = pad([ids[i] for i in rows])
                if rng is not None:
                    batch = self._drop_words(batch, rng)
                yield batch, labels[rows]

        shapes = (
            tf.TensorSpec((None, None), "int32"),
            tf.TensorSpec((None, len(self.classes)), "float32"),
        )
        return dataset_of(one_pass, shapes, -(-len(ids) // size), seed, first_pass)

    def _drop_words(self, batch, rng):
        dropped = rng.random(batch.shape) < self.options["word_dropout"]
        return np.where(dropped & (batch != 0), OUT_OF_VOCABULARY, batch).astype(
            "int32"
        )

    # === The model that people load ===

    def servable(self, core):
        """Returns the model from raw strings `(B,)` to `(B, num_classes)`.

        Texts are cut to `max_length` words. A step of padding follows the longest, so
        that a batch of empty texts has a length too.
        """
        words = keras.layers.TextVectorization(
            vocabulary=self.vectorizer.get_vocabulary(),
            standardize=attention_zoo.standardize_text,
            name="words",
        )
        text = keras.Input((), dtype="string", name="text")
        ids = keras.ops.cast(words(text), "int32")[:, : self.options["max_length"]]
        ids = keras.ops.pad(ids, ((0, 0), (0, 1)))
        return keras.Model(text, core(ids), name=self.recipe.name)

    def evaluate(self, model, split, sample=None):
        """Returns accuracy and macro F1 of a model on a split.

        Args:
            model: A core model of token ids, or one that takes raw strings.
            split: `"validation"` or `"test"`.
            sample: Number of texts, spread evenly over the split. Defaults to all.
        """
        texts, labels = self.raw(split)
        picked = np.linspace(0, len(texts) - 1, sample or len(texts)).astype(int)
        if model.inputs[0].dtype == "string":
            outputs = predict(model, [texts[i] for i in picked])
        else:
            outputs = predict(model, [self._ids[split][i] for i in picked])
        return scores_of(outputs.argmax(-1), labels[picked])

    def baselines(self):
        parts = [self.raw(name) for name in ("train", "validation", "test")]
        return {
            "majority_class": lambda: _baselines.majority_class(*parts),
            "bag_of_words": lambda: _baselines.bag_of_words(*parts),
            "tfidf_logistic_regression": lambda: _baselines.tfidf(*parts),
        }

    def attention_report(self, servable, count=500, hidden=20):
        """Returns what is known about the attention on test texts.

        Args:
            servable: The model from raw strings.
            count: Number of texts for the marked words.
            hidden: Number of texts in which each word is hidden in turn.

        Returns:
            Dict of `rank_correlation`, the mean over `rank_correlation_texts` texts of
            Spearman's correlation between a word's weight and the change of the
            prediction without the word. Where the data mark the words that decide,
            also `marked_mass`, the mean share of the weights on them over
            `marked_texts` texts, and `uniform_mass`, their share of all words.
        """
        inputs, _ = self.examples(hidden)
        occlusion = attention_zoo.explain(servable, inputs).occlusion()
        return {
            **mean_correlation(occlusion, "texts"),
            **self._marked_mass(servable, count),
        }

    def _marked_mass(self, servable, count):
        """Returns the part of `attention_report` that needs marks; else nothing."""
        texts, _, marks = self.splits["test"]
        if marks is None:
            return {}
        model_mass, uniform_mass = [], []
        for start in range(0, min(count, len(texts)), 64):
            part = slice(start, min(start + 64, count))
            weights = attention_zoo.explain(servable, texts[part]).weights_of()
            for row, mark in zip(weights, marks[part], strict=True):
                mark = np.asarray(mark)[: self.options["max_length"]]
                model_mass.append(float(row[: len(mark)] @ mark))
                uniform_mass.append(float(mark.mean()))
        return {
            "marked_mass": float(np.mean(model_mass)),
            "uniform_mass": float(np.mean(uniform_mass)),
            "marked_texts": len(model_mass),
        }


def predict(model, inputs):
    """Returns the outputs for many inputs, in their order: see `predictor`."""
    return predictor(model)(inputs)


def _check_options(max_length, vocabulary_size, word_dropout, word_vectors=None):
    """Raises `UserError` for values outside their range."""
    if max_length < 1:
        raise UserError(f"max_length must be positive, received {max_length}")
    if vocabulary_size < 3:
        raise UserError(
            "vocabulary_size must be at least 3, padding and the unknown word "
            f"included, received {vocabulary_size}"
        )
    if not 0 <= word_dropout < 1:
        raise UserError(
            f"word_dropout must be at least 0 and below 1, received {word_dropout}"
        )


def _generated_split(name):
    """Returns a handful of generated reviews, for a smoke run."""
    from attention_zoo.recipes.datasets import _grammar

    part, seed = "test" if name == "test" else "train", list(SMOKE_SIZES).index(name)
    reviews = list(_grammar.generate(part, SMOKE_SIZES[name], seed=seed))
    return Split(
        [review["text"].encode() for review in reviews],
        np.array([review["label"] for review in reviews]),
        [np.array(review["marks"]) for review in reviews],
    )
