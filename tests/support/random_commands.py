"""Random command lines: what each command takes, in random order and number.

Nothing here names a place outside the working directory, and none trains.
"""

from hypothesis import strategies as st

from attention_zoo.recipes.cli.main import COMMANDS, make_parser
from attention_zoo.recipes.core.recipe import list_recipes

ENTRIES = ("texts", "images", "series", "translator", "changed", "damaged", "other")
FILES = (
    "series.csv", "texts.csv", "rows.jsonl", "config.json", "lines.txt", "x.png",
    "y.jpg", "arrays.npz", "rows.parquet", "folder", "link.csv", "absent.csv", "photos",
)  # fmt: skip
RECIPES = tuple(list_recipes())
MODELS = ("attention_lstm", "cbam_resnet", "attention_forecaster", "rnn_translator")
LAYERS = ("cbam", "CBAM", "multi_head_attention", "bahdanau_attention", "attention")
COLUMNS = ("text", "label", "date", "co2", "OT", "none", "", "x", "split", "date,co2")
ODD = ("", "-", ".", "*", "[", "nothing", "-1", "x=1", "units=x", "=", "--", "%s", "{}")
NUMBERS = st.sampled_from(("0", "1", "2", "3", "-1", "x", "1e9", "1.5", "", "99999999"))
OUTPUTS = (
    "out.png", "out.csv", "out.tsv", "out.jsonl", "out", "out.html", "absent/out.png",
    "folder", "folder/out.png", "x.png", "series.csv", "saved_models/texts", "out.PNG",
    "saved_models/new", ".", "", "saved_models", "link.csv", "absent/out.csv",
    "/dev/null", "folder/", "lines.txt/out.png", "texts.csv", "out.html/",
    "a" * 300 + ".png",
)  # fmt: skip
SETTINGS = (
    "units=3", "units=x", "units=", "=3", "dataset=texts.csv", "dataset=mine", "ema=2",
    "epochs=0", "epochs=1e400", "batch_size=-1", "learning_rate=nan", "dropout=2",
    "attention=cbam", "attention=nothing", "attention=None", "quantiles=3", "x=1",
    "lookback=0", "horizons=x", "horizons=1,2", "max_length=0", "test_split=nothing",
)  # fmt: skip
TEXTS = (
    "a good film", "", " ", "5 May 2020", "31 February 2021", "zzyzx", "你好", "\udcff",
    "not", "a\nb", "\x1b[31m", "\u200b", "good " * 300, "--", "-x", "’",
)  # fmt: skip
VALUES = {
    "out": OUTPUTS, "output": OUTPUTS, "html": OUTPUTS, "data": FILES, "test": FILES,
    "validation": FILES, "config": FILES, "text": COLUMNS, "label": COLUMNS,
    "target": COLUMNS, "split": COLUMNS, "time": COLUMNS, "id": COLUMNS,
    "set": SETTINGS, "from": (*ENTRIES, *OUTPUTS, "https://localhost:9/x"),
    "data-dir": ("folder", "absent"), "source": COLUMNS, "image": COLUMNS,
    "delimiter": (",", ";", "", "\t", "ab", "\n", '"', "\0", "é", " ", "\udcff"),
    "encoding": ("utf-8", "latin-1", "utf-16", "x", "", "rot13", "idna", "hex", "utf-7",
                 "punycode", "unicode_escape", "undefined", "mbcs", "\udcff"),
    "time-zone": ("Europe/Berlin", "UTC", "Nowhere/X", "", "/etc/passwd", "..",
                  "+02:00", "Europe", "utc", "\udcff", "a" * 300),
    "time-format": ("%Y-%m-%d", "%d.%m.%Y", "%", "%Q", "", "%H", "x", "\udcff", "%z",
                    "%Y-%m-%d %H:%M:%S", "%s", "%U", "%j", "%Y-%m-%d %H:%M:%S%Y"),
    "method": ("auto", "attention", "rollout", "flow", "gradient", "occlusion", "x",
               "grad_cam", "value_norm", "gradient_x_input", "attention_x_gradient",
               "integrated_gradients", ""),
    "layer": ("attention", "cbam", "", "x", "embedding"),
    "engine": ("optuna", "keras-tuner", "x"), "tuner": ("random", "bayesian", "x"),
    "class-weight": ("balanced", "x"), "distribute": ("mirrored", "data_parallel", "x"),
    "name": ("new", "texts", ".", "a/b", "x.keras", "", "é", "-n", "a" * 300),
    "label-separator": (";", "", ",", "ab"), "coordinator": ("x", "localhost:1", ""),
    "worker": ("w", "", "a/b"), "profile": OUTPUTS, "tensorboard": OUTPUTS,
}  # fmt: skip
FIRST = {  # what stands first, by command
    "predict": ENTRIES, "explain": ENTRIES, "evaluate": ENTRIES, "export": ENTRIES,
    "push": ENTRIES, "translate": ("translator", "translator", *ENTRIES),
    "download": ENTRIES, "train": (*RECIPES, *MODELS), "tune": (*RECIPES, *MODELS),
    "show": (*ENTRIES, *RECIPES, *MODELS, *LAYERS), "list": (*ENTRIES, *LAYERS, "*"),
}  # fmt: skip
REST = {
    "predict": (*FILES, *TEXTS), "explain": (*FILES, *TEXTS), "translate": TEXTS,
    "push": OUTPUTS, "download": ENTRIES,
}  # fmt: skip
GOOD = ("a good film", "5 May 2020", "a dog, a cat!", "zzyzx", "你好", "x \x1b[31m\n’")
FIT = {  # what an entry can read
    "texts": GOOD, "images": ("x.png", "y.jpg"), "series": ("series.csv",),
    "translator": GOOD, "changed": ("x.png", "series.csv", "a good film"),
}  # fmt: skip
SWITCHES = {
    "--all", "--layers", "--smoke", "--resume", "--force", "--deterministic",
    "--mixed-precision", "--jit", "--no-jit", "--write", "--methods", "--resize",
    "--invert", "--interpolate", "--sort", "--pad", "--show-examples", "--train-best",
}  # fmt: skip
OPTIONS = {
    name: tuple(o for o in parser.options if o != "-h")
    for name, parser in make_parser()[1].items()
}
# How own data are read, of all kinds.
READING = (
    "--text", "--label", "--label-separator", "--encoding", "--delimiter", "--split",
    "--time", "--id", "--time-zone", "--time-format", "--target", "--interpolate",
    "--sort", "--lookback", "--horizon", "--image-size", "--pad", "--source",
)  # fmt: skip


def words(noise):
    """A strategy of single words; `noise` is one of random texts."""
    known = (*ENTRIES, *FILES, *ODD, *RECIPES, *MODELS, *TEXTS, "saved_models/texts")
    return st.sampled_from(known) | noise | NUMBERS


def option(names, noise):
    """A strategy of lists of words: one of some options, with a value if any."""

    def with_value(name):
        if name in SWITCHES:
            return st.just([name])
        if name == "--image-size":
            return st.tuples(st.just(name), NUMBERS, NUMBERS).map(list)
        key = name.removeprefix("--")
        usual = st.sampled_from(VALUES[key]) if key in VALUES else NUMBERS
        value = usual | words(noise) if key not in VALUES else usual | usual | noise
        pair = st.tuples(st.just(name), value).map(list)
        return st.one_of(pair, pair, pair, value.map(lambda v: [f"{name}={v}"]),
                         st.just([name]))  # fmt: skip

    return st.sampled_from(names).flatmap(with_value)


@st.composite
def command_lines(draw, noise):
    """Draws a command line: one that could be meant, or one of random words."""
    if draw(st.integers(0, 9)) == 0:
        name = st.sampled_from([*COMMANDS, "", "trian", "--version", "-h", "--x"])
        some = st.sampled_from(sorted({o for names in OPTIONS.values() for o in names}))
        return [draw(name), *draw(st.lists(some | words(noise), max_size=6))]
    name = draw(st.sampled_from([*COMMANDS, "predict", "predict", "explain"]))
    first = draw(st.sampled_from(FIRST[name]))
    line = [first]
    if name in REST:
        fits = first in FIT and draw(st.integers(0, 3))
        usual = FIT[first] if fits else REST[name]
        line += draw(st.lists(st.sampled_from(usual), min_size=1, max_size=2))
        if name == "explain":
            line += ["--out", draw(st.sampled_from(("out.png",) * 50 + OUTPUTS))]
    for _ in range(draw(st.sampled_from((0, 0, 0, 1, 1, 2, 3)))):
        at = draw(st.integers(0, len(line)))
        line[at:at] = draw(option(OPTIONS[name], noise))
    if name in ("train", "tune", "evaluate") and draw(st.booleans()):
        line += ["--data", draw(st.sampled_from(FILES))]
        if first in ("attention_lstm", "texts", "attention_lstm_reviews"):
            line += ["--text", "text", "--label", "label"]
            line[2:3] = [draw(st.sampled_from(("texts.csv", "rows.jsonl", line[2])))]
        for _ in range(draw(st.sampled_from((0, 1, 1, 2)))):
            line += draw(option(READING, noise))
    if draw(st.integers(0, 5)) == 0:
        line.insert(draw(st.integers(0, len(line))), draw(words(noise)))
    return [name, *line]
