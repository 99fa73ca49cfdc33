"""Text classification: strings in, probabilities of classes out."""

import numpy as np

from attention_zoo.generation.texts import is_translator
from attention_zoo.interpret.calls import class_probabilities
from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.tasks.classification import ClassificationTask
from attention_zoo.recipes.tasks.lines import readable_arguments
from attention_zoo.recipes.tasks.text import predictions, reader


class TextTask(ClassificationTask):
    """Classes of texts, a line in and a line out."""

    facts = {"classes": [str], "multi_label": bool}
    models = ("attention_lstm",)

    def add_data_arguments(self, parser):
        reader.add_arguments(parser)

    def data_options(self, args):
        return reader.options(args)

    def read_own(self, request):
        return reader.read(request)

    def recipe_for(self, model, facts):
        return reader.recipe_for(model, facts)

    def outputs_of(self, model, card, records):
        from attention_zoo.recipes.tasks.batches import predictor

        texts = [records.example(i)["text"] for i in range(len(records.parts))]
        return class_probabilities(predictor(model)(texts))

    def adapted(self, recipe, facts):
        return reader.adapted(recipe)

    def read(self, entry, card, args, out=None):
        return readable_arguments(args.text)

    def input_of(self, card):
        return (None,), True

    def check_output(self, entry, card, model):
        if is_translator(model):
            raise UserError(
                f"{entry.name} is a translator: attention-zoo translate {entry.name}"
            )
        super().check_output(entry, card, model)

    def predict(self, entry, card, args):
        if args.column is not None or args.output is not None:
            return predictions.of_table(self, entry, card, args)
        predictions.refuse_files(entry, args.text)
        return predictions.of_lines(self, entry, card, args.text)

    def tell(self, explanation, layer):
        """Prints texts with shaded words, or the heaviest words where colours fail."""
        from rich.console import Console
        from rich.text import Text

        console = Console(highlight=False)
        if console.color_system is None:
            print(explanation.to_text(layer))
            return
        for i, weights in enumerate(explanation.scores_of(layer)):
            shades = weights / max(np.abs(weights).max(initial=0), 1e-12)
            line = Text()
            for t, shade in enumerate(shades[: len(explanation.tokens[i])]):
                word = "".join(
                    c if c.isprintable() else "?" for c in explanation.word(i, t)
                )
                size = abs(shade)
                green, blue = round(255 - 115 * size), round(255 - 200 * size)
                towards, against = f"255,{green},{blue}", f"{blue},{green},255"
                ground = towards if shade > 0 else against
                style = f"black on rgb({ground})" if size > 0.02 else ""
                line.append(word, style)
                line.append(" ")
            console.print(Text(explanation.verdict(i), "bold"), line, sep="\n")


TASK = TextTask()
