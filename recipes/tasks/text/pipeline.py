"""Text classification: raw strings to token ids, and back into one model."""

import functools

import keras
import numpy as np
import tensorflow as tf

import attention_zoo
from attention_zoo.recipes.datasets import loading as _data
from attention_zoo.recipes.tasks import many_labels
from attention_zoo.recipes.tasks.batches import by_length, pad, predictor
from attention_zoo.recipes.tasks.classification import (
    Classification,
    in_turn,
)
from attention_zoo.recipes.tasks.shared import dataset_of, mean_correlation
from attention_zoo.recipes.tasks.text import baselines as _baselines
from attention_zoo.recipes.tasks.text import behaviour as _behaviour
from attention_zoo.recipes.tasks.text import out_of_scope as _out_of_scope
from attention_zoo.recipes.tasks.text import self_training as _self_training
from attention_zoo.recipes.tasks.text import spans as _spans
from attention_zoo.recipes.tasks.text import word_vectors as _word_vectors
from attention_zoo.recipes.tasks.text.marks import marked_mass
from attention_zoo.recipes.tasks.text.nb_svm import NaiveBayesLinear
from attention_zoo.recipes.tasks.text.options import check_options
from attention_zoo.recipes.tasks.text.smoke import Split, generate

OUT_OF_VOCABULARY = 1
VECTOR_SCALE = 0.3  # standard deviation of the word vectors that training starts from


class Pipeline(Classification):
    """Text of one TFDS dataset, in the form that training and export need.

    A split is read when it is first asked for. The vocabulary is adapted on the
    texts that are trained on. Token ids are computed once and kept. Texts of like
    length share a batch, so that little is padding.

    The recipe's `pipeline` dict holds the arguments of `options.check_options`.

    Args:
        recipe: The `Recipe`.
        data_dir: TFDS data directory, or None for TFDS's own choice.
        smoke: Whether to take a handful of generated reviews instead of the data.
    """

    def __init__(self, recipe, data_dir=None, smoke=False):
        super().__init__(recipe, data_dir, smoke)
        check_options(**self.options)
        self._builder = None
        if smoke:
            self.dataset = "zoo_reviews/smoke"
            self.classes = ["negative", "positive"]
            self.splits = _data.OnDemand(generate)
        else:
            self._builder = _data.tfds_builder(recipe.dataset, data_dir)
            self.dataset = self._builder.info.full_name
            self.source = _data.source_of(self._builder)
            self.columns = self.options.get("columns", ("text", "label"))
            self.classes, self.multi_label = _data.label_names(
                self._builder, self.columns[0], self.columns[1], recipe.train_split
            )
            self.splits = _data.OnDemand(self._prepared_split)
        self._ids = _data.OnDemand(self._tokenize)
        self._sentences = _data.OnDemand(self._read_sentences)

    # === Data ===

    def _prepared_split(self, name):
        """Reads a split of the TFDS dataset."""
        if name == "unlabelled":
            part = self.options["unlabelled"]
        else:
            part = getattr(self.recipe, f"{name}_split")
        columns = _data.read_split(self._builder, part)
        if self.multi_label:
            labels = many_labels.hot(columns["labels"], len(self.classes))
        else:
            labels = _data.class_numbers(columns[self.columns[1]], self.classes)
        return Split(columns[self.columns[0]], labels, columns.get("marks"))

    def texts_of(self, split):
        """Returns the raw texts of any split of the data set."""
        return _data.read_split(self._builder, split)[self.columns[0]]

    @functools.cached_property
    def vectorizer(self):
        """The layer from standardised texts to ids, adapted on the training texts."""
        if self.start is not None:
            words = self.start.get_layer("words").get_vocabulary()
            return keras.layers.TextVectorization(
                vocabulary=words, standardize=None, name="words"
            )
        layer = keras.layers.TextVectorization(
            max_tokens=self.options["vocabulary_size"], standardize=None, name="words"
        )
        names = self._trained_on if self.options.get("self_training") else ("train",)
        texts = [text for name in names for text in self.splits[name].texts]
        layer.adapt(_standardized(texts))
        return layer

    @property
    def _trained_on(self):
        """Names of the splits whose texts the model may learn from."""
        return ("train", "unlabelled") if self.options.get("unlabelled") else ("train",)

    def words(self, split):
        """Returns the standardised texts of a split and its labels."""
        texts = _standardized(self.splits[split].texts).unbatch()
        texts = [text.decode() for text in texts.as_numpy_iterator()]
        return texts, self.splits[split].labels

    def _tokenize(self, name):
        """Returns the token ids of a split, a list of arrays without padding."""
        if name in self._trained_on:
            return self._sentences[name][0]
        return self._rows(self.splits[name].texts, self.vectorizer)

    def _read_sentences(self, name):
        """Returns the token ids of a split, and where the sentences start."""
        words = [*self.vectorizer.get_vocabulary()[2:], _spans.MARK]
        vectorizer = keras.layers.TextVectorization(standardize=None, vocabulary=words)
        texts = [_spans.mark_sentences(text) for text in self.splits[name].texts]
        mark = len(words) + 1
        found = [_spans.split_marks(r, mark) for r in self._rows(texts, vectorizer)]
        rows, starts = zip(*found, strict=True)
        return list(rows), list(starts)

    def _rows(self, texts, vectorizer):
        """Returns the token ids of texts, a list of arrays without padding."""
        rows = []
        for ids in _standardized(texts).map(vectorizer):
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
        first = labels.argmax(-1) if self.multi_label else labels
        picked = in_turn(first, near, count)
        return [texts[i].decode() for i in picked], labels[picked]

    # === Training ===

    def prepare(self, kept):
        """Counts the word vectors and asks the teachers, once for all runs."""
        found = kept.load("prepared")
        arrays = found[1] if found else {}
        for option, name in (("word_vectors", "_vectors"),
                             ("self_training", "_soft_labels")):  # fmt: skip
            if self.options.get(option) and name in arrays:
                vars(self)[name] = arrays[name]  # where `cached_property` looks
            elif self.options.get(option):
                arrays[name] = getattr(self, name)
                kept.save("prepared", {}, arrays)

    def model_config(self):
        several = {"activation": "sigmoid"} if self.multi_label else {}
        return {
            "vocabulary_size": len(self.vectorizer.get_vocabulary()),
            "num_classes": len(self.classes),
            **several,
        }

    def initialise(self, model):
        """Gives a fresh model the word vectors, where the recipe wants them."""
        super().initialise(model)
        if self.options.get("word_vectors"):
            model.get_layer("embedding").set_weights([self._vectors])

    @functools.cached_property
    def _vectors(self):
        """Word vectors from the training texts and the unlabelled ones."""
        rows = [row for name in self._trained_on for row in self._ids[name]]
        print(f"word vectors from {len(rows):,} texts ...", flush=True)
        vectors = _word_vectors.word_vectors(
            rows,
            self.model_config()["vocabulary_size"],
            self.recipe.config["embedding_dim"],
        )
        return VECTOR_SCALE * vectors

    def batches(self, split, seed=None, first_pass=0):
        """Returns `(ids, one-hot labels)` batches, `(B, T)` and `(B, num_classes)`.

        In training, texts are cut and sentences are drawn, lengths are jittered,
        batches are shuffled and words are dropped anew in every pass.
        """
        if seed is None:
            return self._batches(self._ids[split], None, self._hot_labels(split))
        rows, starts = self._sentences["train"]
        labels = self._hot_labels("train")
        if self.options.get("self_training"):
            more = self._sentences["unlabelled"]
            rows, starts = rows + more[0], starts + more[1]
            labels = np.concatenate([labels, self._soft_labels])
        return self._batches(rows, starts, labels, seed, first_pass)

    def labelled_batches(self, seed):
        """Returns the batches of a training on the labelled texts alone."""
        rows, starts = self._sentences["train"]
        return self._batches(rows, starts, self._hot_labels("train"), seed)

    def _hot_labels(self, split):
        """Returns the labels of a split as 0 and 1, `(N, num_classes)`."""
        labels = self.splits[split].labels
        if self.multi_label:
            return labels.astype("float32")
        return np.eye(len(self.classes), dtype="float32")[labels]

    @functools.cached_property
    def linear_model(self):
        """The linear model of n-grams: a teacher, and a baseline."""
        return NaiveBayesLinear().fit(*self.words("train"))

    @functools.cached_property
    def _soft_labels(self):
        """The labels that teachers give to the unlabelled texts."""
        return _self_training.label(self, self._ids)

    def _batches(self, ids, starts, labels, seed=None, first_pass=0):
        """Returns batches of texts, `(ids, labels)`: see `batches`."""
        size = self.recipe.batch_size if seed is not None else 256
        share = self.options.get("spans", 0.0) if seed is not None else 0.0
        crop = self.options.get("crop") or self.options["max_length"]

        def one_pass(rng):
            parts, owners = ids, np.arange(len(ids))
            if rng is not None:
                parts, owners = _spans.draw(ids, starts, crop, share, rng)
            for rows in by_length([len(part) for part in parts], size, rng):
                batch = pad([parts[i] for i in rows])
                if rng is not None:
                    batch = self._drop_words(batch, rng)
                yield batch, labels[owners[rows]]

        shapes = (
            tf.TensorSpec((None, None), "int32"),
            tf.TensorSpec((None, len(self.classes)), "float32"),
        )
        steps = -(-(len(ids) + round(share * len(ids))) // size)
        return dataset_of(one_pass, shapes, steps, seed, first_pass)

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
        """Returns the scores of a model on a split.

        Those are accuracy and macro F1, or with several labels to a text macro F1,
        micro F1 and subset accuracy.

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
        return self.scores(outputs, labels[picked])

    def baselines(self):
        parts = [self.raw(name) for name in ("train", "validation", "test")]
        if self.multi_label:
            return {
                "most_frequent_labels": lambda: many_labels.most_frequent(*parts),
                "tfidf_logistic_regression": lambda: _baselines.tfidf(*parts),
            }
        return {
            "majority_class": lambda: _baselines.majority_class(*parts),
            "bag_of_words": lambda: _baselines.bag_of_words(*parts),
            "tfidf_logistic_regression": lambda: _baselines.tfidf(*parts),
            "nb_svm": lambda: _baselines.nb_svm(self.linear_model, self.words),
        }

    def report(self, servable):
        """Returns what the recipe asks for beside the scores, a dict for the card."""
        compute, found = predictor(servable), {}
        if self.options.get("behaviour"):
            found["behaviour"] = _behaviour.pass_rates(compute)
        if self.options.get("out_of_scope") and self._builder:
            found["out_of_scope"] = _out_of_scope.report(self, compute)
        return found

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
            **marked_mass(
                servable, self.splits["test"], self.options["max_length"], count
            ),
        }


def predict(model, inputs):
    """Returns the outputs for many inputs, in their order: see `predictor`."""
    return predictor(model)(inputs)


def _standardized(texts):
    """Returns batches of standardised texts: tf.data has strings on every backend."""
    texts = tf.data.Dataset.from_tensor_slices(texts).batch(512)
    return texts.map(attention_zoo.standardize_text)
