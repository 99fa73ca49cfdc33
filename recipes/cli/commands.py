"""`attention-zoo train`, `evaluate`, `predict`, `explain` and `export`."""

import dataclasses
import importlib.util
import itertools
import json
import os
import pathlib
import shlex
import sys

from attention_zoo.interpret.base import NoAttentionError
from attention_zoo.pretrained import find
from attention_zoo.recipes.core import config as _config
from attention_zoo.recipes.core import files as _files
from attention_zoo.recipes.core import recipe as _recipe
from attention_zoo.recipes.core.errors import UserError, unknown
from attention_zoo.recipes.distributed import launcher as _launch
from attention_zoo.recipes.distributed import processes as _processes
from attention_zoo.recipes.engine.execution import Options
from attention_zoo.recipes.tasks.images import files as _images
from attention_zoo.recipes.tasks.series import command as _forecasts

TRAINING_NEEDS = ("tensorflow_datasets", "sklearn", "matplotlib")
LINES_AT_ONCE = 64  # of stdin, to predict together


def train(args):
    """Trains a recipe and prints the folder it wrote."""
    recipe = _recipe.get_recipe(args.recipe)
    if args.config is not None:
        recipe = _config.read_config(recipe, args.config)
    recipe = recipe.with_settings(args.set)
    if args.epochs is not None:
        recipe = recipe.replace(epochs=args.epochs)
    if args.seed < 0 or args.seeds < 1:
        raise UserError(
            "--seed must not be negative and --seeds must be positive, received "
            f"{args.seed} and {args.seeds}"
        )
    out = args.out or ("build/smoke" if args.smoke else "saved_models")
    if args.smoke:
        refuse_smoke_over_real(pathlib.Path(out) / recipe.name)
    _launch.check_flags(args)
    for package in TRAINING_NEEDS:  # some are imported only at the end
        if importlib.util.find_spec(package) is None:
            raise ModuleNotFoundError(name=package)
    if args.launch is not None:
        return _launch.launch(args.words, args.launch)
    seeds = range(args.seed, args.seed + args.seeds)
    options = options_of(args)
    if options.on_jax and not options.publish:
        return _launch.train_on_jax(args, recipe, seeds, out, options)
    if options.publish:
        _processes.die_with_parent()
    need_tensorflow()
    from attention_zoo.recipes.engine import trainer as _run

    given = (args.data_dir, out, args.smoke, train_command(args), options)
    print(_run.train(recipe, seeds, *given))
    return 0


def options_of(args):
    """Returns the `Options` among the arguments of `train`."""
    names = [field.name for field in dataclasses.fields(Options)]
    values = {name: getattr(args, name) for name in names}
    return Options(**values | {"resume": args.resume or args.publish})


def need_tensorflow():
    """Raises `UserError` on another backend of Keras, which has no strings."""
    import keras

    backend = keras.config.backend()
    if backend != "tensorflow":
        raise UserError(
            f"this needs Keras on TensorFlow, and it runs on {backend}: set "
            "KERAS_BACKEND=tensorflow"
        )


def refuse_smoke_over_real(folder):
    """Raises `UserError` where a smoke run would replace a real trained model."""
    try:
        card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
        real = not card["smoke"]
    except FileNotFoundError:
        return
    except (OSError, ValueError, TypeError, KeyError):
        real = True
    if real:
        raise UserError(
            f"{folder} holds a trained model, which --smoke does not replace: give "
            "another --out"
        )


def train_command(args):
    """Returns the command for the card: what decides the result, and no paths."""
    words = ["attention-zoo", "train", args.recipe]
    for option in ("seed", "seeds", "epochs"):
        value = getattr(args, option)
        if value not in (None, {"seed": 0, "seeds": 1}.get(option)):
            words += [f"--{option}", str(value)]
    if args.config is not None:
        words += ["--config", relative(args.config)]
    for assignment in args.set:
        words += ["--set", assignment]
    for flag in ("deterministic", "mixed_precision", "smoke"):
        words += [f"--{flag.replace('_', '-')}"] * getattr(args, flag)
    if args.jit is not None:
        words.append("--jit" if args.jit else "--no-jit")
    if args.distribute:
        words += ["--distribute", args.distribute]
    if args.num_processes is not None:
        words += ["--launch", str(args.num_processes)]  # whichever way it was
    for folder in ("profile", "tensorboard"):
        if getattr(args, folder):
            words += [f"--{folder}", relative(getattr(args, folder))]
    return shlex.join(words)


def relative(file):
    """Returns a file as it was given, or its name where that tells of the machine."""
    path = pathlib.Path(file)
    return path.name if path.is_absolute() or ".." in path.parts else str(path)


def evaluate(args):
    """Prints the test metrics of a trained model beside those of its card."""
    entry = find(args.name)
    recipe, card = recipe_of(entry), entry.card
    need_tensorflow()
    model = entry.load()
    smoke = card.get("smoke", False)
    pipeline = _recipe.load_pipeline(recipe, args.data_dir, smoke)
    if card.get("dataset") != pipeline.dataset:
        print(f"the card is about {card.get('dataset')}", file=sys.stderr)
    print(f"{entry.name} on {pipeline.dataset}, {recipe.test_split}", flush=True)
    for name, value in pipeline.evaluate(model, "test").items():
        claim = card.get("metrics", {}).get(name)
        beside = "not in the card" if claim is None else f"card {claim:.4f}"
        print(f"{name}  measured {value:.4f}  {beside}")


def recipe_of(entry):
    """Returns the recipe of an entry, with the data that its card names."""
    if "recipe" not in entry.card:
        raise UserError(f"the card in {entry.folder} does not name its recipe")
    recipe = _recipe.get_recipe(entry.card["recipe"])
    settings = entry.card.get("settings", {})
    named = {"dataset", "test_split", "lookback", "horizons", "quantiles"}
    keys = named & settings.keys() & recipe.settings().keys()
    return recipe.replace(**{key: settings[key] for key in keys})


def predict(args):
    """Prints class and probability of each text or image, or a forecast.

    Returns 2 where a text or an image had none.
    """
    entry = find(args.name)
    if _forecasts.is_forecaster(entry):
        read = _forecasts.read_window(entry, args.text, args.interpolate)
        need_tensorflow()
        return _forecasts.print_forecast(entry, entry.load(), *read)
    if _images.takes_images(entry):
        need_tensorflow()
        return _images.print_classes(entry, args.text, args.resize)
    compute = text_predictor(entry)
    code = 0
    for chunk in text_chunks(args.text):
        texts = []
        for place, raw in chunk:
            try:
                texts.append(readable(place, raw))
            except UserError as error:
                print(f"attention-zoo: error: {error}", file=sys.stderr)
                code = 2
        for name, probability in compute(texts) if texts else ():
            print(f"{name}\t{probability:.4f}")
        sys.stdout.flush()
    return code


def text_chunks(texts):
    """Yields lists of texts with their places, to be computed together.

    Args:
        texts: List of strings of the command line; if empty, lines of stdin are read.

    Yields:
        List of pairs, e.g. `("line 3", b"a film\\n")`.
    """
    if texts:
        given = ((f"text {i}", text) for i, text in enumerate(texts, 1))
    else:
        given = ((f"line {i}", line) for i, line in enumerate(sys.stdin.buffer, 1))
    at_once = 1 if not texts and sys.stdin.isatty() else LINES_AT_ONCE
    while chunk := list(itertools.islice(given, at_once)):
        yield chunk


def readable(place, raw):
    """Returns a text as a string, or raises `UserError` that names its place.

    Args:
        place: String, e.g. `"line 3"`.
        raw: Bytes of stdin, or a string of the command line.
    """
    try:
        text = raw.decode() if isinstance(raw, bytes) else raw
        text.encode()  # bytes that are no UTF-8 come as surrogates in an argument
    except UnicodeError:
        raise UserError(f"{place} is not valid UTF-8") from None
    if not any(c.isprintable() and c != " " for c in text):
        raise UserError(f"{place} is empty")
    return text


def warn_of_cut(place, translation):
    """Says on stderr that a `Translation` is of a text longer than the model reads."""
    if translation.length > translation.read:
        print(
            f"{place} has {translation.length} subwords and is cut after "
            f"{translation.read}",
            file=sys.stderr,
        )


def text_predictor(entry):
    """Returns a function from texts to pairs of class name and probability."""
    model = load_text_model(entry)
    from attention_zoo.generation.texts import is_translator
    from attention_zoo.recipes.tasks.text import pipeline as text

    if is_translator(model):
        raise UserError(
            f"{entry.name} is a translator: attention-zoo translate {entry.name}"
        )
    compute, names = text.predictor(model), entry.card.get("classes")

    def predictions(texts):
        rows = compute(texts)
        best = rows.argmax(axis=-1)
        return [
            (names[i] if names else f"class {i}", row[i])
            for i, row in zip(best, rows, strict=True)
        ]

    return predictions


def load_text_model(entry):
    """Returns the model of an entry, after a check that it takes texts."""
    need_tensorflow()
    model = entry.load()
    if [tensor.dtype for tensor in model.inputs] != ["string"]:
        raise UserError(f"{entry.name} does not take texts")
    return model


def explain(args):
    """Tells of the attention in the terminal and writes the picture."""
    import attention_zoo

    entry = find(args.name)
    out = pathlib.Path(args.out)
    if out.suffix.lower() != ".png":
        raise UserError(f"--out takes a file that ends in .png, received '{out}'")
    if not out.parent.is_dir():
        raise UserError(f"there is no folder {out.parent} to write {out.name} into")
    if _forecasts.is_forecaster(entry):
        _, inputs = _forecasts.read_window(entry, args.text, args.interpolate)
        need_tensorflow()
        model, names = entry.load(), entry.card["variates"]
    elif _images.takes_images(entry):
        inputs = _images.read_images(entry, args.text, args.resize)
        _images.check_target(out, args.text)
        need_tensorflow()
        model, names = entry.load(), entry.card.get("classes")
    else:
        inputs = [readable(f"text {i}", text) for i, text in enumerate(args.text, 1)]
        model = load_text_model(entry)
        names = entry.card.get("classes")
    try:
        explanation = attention_zoo.explain(model, inputs, class_names=names)
    except NoAttentionError as error:
        raise UserError(f"{entry.name}: {error}") from None
    layer = args.layer or explanation.default_layer
    if layer not in explanation.weights:
        raise unknown("attention layer", layer, explanation.weights)
    if hasattr(explanation, "translations"):
        for i, translation in enumerate(explanation.translations, 1):
            warn_of_cut(f"text {i}", translation)
    if hasattr(explanation, "tokens"):
        print_shaded(explanation, layer)
    else:
        print(explanation.to_text(layer))
    write_picture(explanation.plot(layer), out)
    print(out)


def print_shaded(explanation, layer):
    """Prints texts with shaded words, or the heaviest words where colours fail."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    if console.color_system is None:
        print(explanation.to_text(layer))
        return
    for i, weights in enumerate(explanation.weights_of(layer)):
        shades = weights / max(weights.max(initial=0), 1e-12)
        line = Text()
        for t, shade in enumerate(shades[: len(explanation.tokens[i])]):
            word = "".join(
                c if c.isprintable() else "?" for c in explanation.word(i, t)
            )
            green, blue = round(255 - 115 * shade), round(255 - 200 * shade)
            style = f"black on rgb(255,{green},{blue})" if shade > 0.02 else ""
            line.append(word, style)
            line.append(" ")
        console.print(Text(explanation.verdict(i), "bold"), line, sep="\n")


def write_picture(figure, path):
    """Writes a figure to a PNG file, whole or not at all."""
    from attention_zoo.recipes.cards import plots as _plots

    with _files.replacing(path) as scratch:
        _plots.save(figure, scratch)


def export(args):
    """Writes the SavedModel of an entry and prints its folder."""
    entry = find(args.name)
    out = pathlib.Path(args.out or f"saved_models/{entry.name}/saved_model")
    home, name = os.path.split(os.path.abspath(out))
    if not name:
        raise UserError(f"{out} is not a folder to write a SavedModel into")
    need_tensorflow()
    from attention_zoo.recipes.engine import publishing as _export

    marks = ("saved_model.pb",)
    _export.check_target(home, name, marks)
    model = entry.load()
    with _export.publication(home, name, marks) as folder:
        _export.write_saved_model(model, folder, jit=args.jit)
    print(out)
