"""What follows a training, step by step: one that fails loses nothing else."""

from attention_zoo.recipes.cards import plots
from attention_zoo.recipes.cards.explanations import method_of
from attention_zoo.recipes.core.errors import one_line
from attention_zoo.recipes.engine import publishing
from attention_zoo.recipes.engine.checkpoints import warn


class Steps:
    """Measures and draws what is known of a trained model.

    Results are kept with the checkpoints: `--resume` repeats what failed.

    Args:
        kept: The `Checkpoints` of the training.

    Attributes:
        failed: Dict from the names of the steps that failed to their errors.
    """

    def __init__(self, kept):
        self.kept, self.failed = kept, {}
        found = kept.load("steps")
        self.results = found[0] if found else {}

    def run(self, name, work, default=None, keep=False):
        """Returns what a step gives, or the default where it fails.

        Args:
            name: Name of the step, for the card.
            work: Function without arguments.
            default: What stands for the result of a step that fails.
            keep: Whether the result, which JSON can hold, is kept.
        """
        if name in self.results:
            return self.results[name]
        try:
            result = work()
            if keep:
                self.keep(name, result)
        except Exception as error:  # whatever it is, the training is worth more
            # An OSError's text has a path of this machine.
            told = getattr(error, "strerror", None) or one_line(error, 200)
            self.failed[name] = f"{type(error).__name__}: {told}"
            warn(f"{name} failed, and the training goes on: {self.failed[name]}")
            return default
        return result

    def keep(self, name, result):
        """Keeps a result, if there are checkpoints to keep it with."""
        self.results[name] = result
        if self.kept.written:
            self.kept.save("steps", self.results)

    def tell(self, folder):
        """Says at the end which steps failed."""
        if self.failed:
            warn(
                f"{folder} is published without {', '.join(self.failed)}: the same "
                "command with --resume repeats that alone"
            )


def write_files(folder, pipeline, servable, runs, twins, steps, record):
    """Writes both saved forms of the model, history and pictures.

    Without the file of the model nothing is published; all else may fail.

    Args:
        folder: The folder to write into.
        pipeline: The pipeline with the data.
        servable: The model that is published.
        runs: List of `Run`s of the model.
        twins: List of `Run`s of the twin without attention.
        steps: The `Steps`.
        record: The card so far, which names the method of explanation.
    """
    publishing.write_model(servable, folder / publishing.MODEL)
    batch = pipeline.raw("test")[0][:64]

    def draw_attention():
        inputs, _ = pipeline.examples(6)
        names, method = pipeline.output_names, method_of(record)
        plots.attention(folder / "attention.png", servable, inputs, names, method)

    run, history = steps.run, folder / "history.csv"
    run("model_file", lambda: publishing.check_model(servable, folder, batch))
    run("saved_model", lambda: publishing.write_served(servable, folder, batch))
    run("history", lambda: publishing.write_history(history, runs, twins))
    run("curves", lambda: plots.curves(folder / "curves.png", runs, twins))
    if pipeline.shows_attention and pipeline.recipe.show_examples:
        run("attention_picture", draw_attention)
    run("pictures", lambda: pipeline.draw(folder, runs, twins))
