"""Translation: sentences in, sentences out."""

from attention_zoo.generation.texts import is_translator
from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.tasks.base import Table, Task
from attention_zoo.recipes.tasks.lines import readable_arguments, warn_of_cut
from attention_zoo.recipes.tasks.translation import reader
from attention_zoo.recipes.tasks.translation.scores import group_names

NAMES = {"bleu": "BLEU", "chrf": "chrF", "exact_match": "exact match"}


class TranslationTask(Task):
    """Translations by a search, by the command `translate` and not by `predict`."""

    facts = {
        "languages": (str, str),
        "metric": str,
        "signatures": [str],
        "example": str,
    }
    table = "translations"
    models = ("rnn_translator", "transformer_translator")

    # === Own data ===

    def add_data_arguments(self, parser):
        reader.add_arguments(parser)

    def data_options(self, args):
        return reader.options(args)

    def read_own(self, request):
        return reader.read(request)

    def recipe_for(self, model, facts):
        return reader.recipe_for(model, facts)

    def adapted(self, recipe, facts):
        return reader.adapted(recipe, facts)

    # === Measures ===

    def measures(self, card):
        return ["bleu", "chrf"] if card["metric"] == "bleu" else [card["metric"]]

    def measure_name(self, key):
        known = next((k for k in NAMES if key == k or key.startswith(f"{k}_")), key)
        rest = key[len(known) + 1 :].replace("_", " ")
        return NAMES.get(known, known) + (f", {rest}" if rest else "")

    def digits(self, key, card):
        return 4 if key.startswith("exact_match") else 1

    # === Tables ===

    def table_of(self, card):
        columns = ("recipe", "data", "score", "test", "no attention")
        return Table((*columns, "nearest neighbour", "seeds", "parameters", "file"))

    def table_rows(self, card):
        keys, cells = self.measures(card), []
        for name in (None, "no_attention", "nearest_neighbour"):
            row = card if name is None else card["baselines"].get(name)
            cells.append(", ".join(self.figure(row, key, card) for key in keys if row))
        data = f"`{card['dataset']}`, {' to '.join(card['languages'])}"
        score = ", ".join(map(self.measure_name, keys))
        seeds = str(len(card["seeds"]))
        return [[self.link(card), data, score, *cells, seeds, *self.size(card)]]

    # === The model card ===

    def card_measures(self, card):
        """Returns the metrics of the card's first table."""
        apart = card["settings"].get("apart_split")
        return [*self.measures(card), *([f"{card['metric']}_{apart}"] if apart else [])]

    def lengths(self):
        """Returns the groups of lengths of the source: metric and title of each."""
        return {
            f"bleu_{name}": name.replace("_up", " on").replace("_", " to ")
            for name in group_names()
        }

    # === The command ===

    def read(self, entry, card, args, out=None):
        return readable_arguments(args.text)

    def predict(self, entry, card, args):
        raise UserError(
            f"{entry.name} is a translator: attention-zoo translate {entry.name}"
        )

    def input_of(self, card):
        return (None,), True

    def check_output(self, entry, card, model):
        if not is_translator(model):
            raise UserError(f"{entry.name} is no translator")

    def names(self, card):
        return None

    def tell(self, explanation, layer):
        for i, translation in enumerate(explanation.translations, 1):
            warn_of_cut(f"text {i}", translation)
        super().tell(explanation, layer)


TASK = TranslationTask()
