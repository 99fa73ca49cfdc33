"""Files of random and of nearly right content, for random command lines.

Each function takes a `random.Random` and returns bytes. What is nearly right is a good
file with a few faults, so that it comes further than random bytes do.
"""

import io
import json
import string

import numpy as np
from PIL import Image

WORDS = ("a", "good", "film", "not", "was", "bad", "zzyzx", "Ärger", "你好", "n't", "!")
CELLS = (
    "NaN", "nan", "inf", "-inf", "1e30", "1e400", "-1e39", "", " ", '"', "None", "N/A",
    "x", "0", "-0", "1,5", "1_000", "٣", "0x10", "true", "2020-02-30", "9" * 400, "\0",
    "1e-320", "3 ", "'", "\ufeff", "\u2028", "=1+1", "--", "[1]", '{"a": 1}',
)  # fmt: skip
STAMPS = (
    "", "0", "2020", "2020-01", "2020-13-01", "01/02/2020", "1e9", "12:00", "x",
    "9999-12-31 23:59:59", "0001-01-01", "2020-01-01 00:00+02:00", "2020-01-01T00:00Z",
    "99999-01-01", "-1", "1577836800", "2020-06-31", "2020-01-01 24:00", "NaT",
)  # fmt: skip
MODES = (
    "1", "L", "P", "LA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "I", "F", "I;16",
    "PA", "La", "RGBa", "RGBX",
)  # fmt: skip
FORMS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "ICO", "TGA")
SIZES = (1, 7, 8, 8, 8, 8, 8, 8, 64)
VALUES = (
    None, True, False, "", "x", -1, 0, 1, 3, 2.5, 1e30, float("nan"), float("inf"),
    10**30, [], [1], ["x", 1], {}, {"x": 1}, "\ud800", "0.5", "a\nb", [[]], "auto",
)  # fmt: skip


def damaged(rng, content):
    """Returns bytes with one fault."""
    content = bytearray(content)
    fault = rng.randrange(7)
    at = rng.randrange(len(content) + 1)
    if fault == 0:
        return rng.randbytes(rng.choice((0, 1, 7, 64, 999)))
    if fault == 1:
        return bytes(content[:at])
    if fault == 2:
        for _ in range(rng.randint(1, 4)):
            if content:
                content[rng.randrange(len(content))] = rng.randrange(256)
    elif fault == 3:
        content[at:at] = rng.randbytes(rng.randint(1, 9))
    elif fault == 4:
        del content[at : at + rng.randint(1, 30)]
    elif fault == 5:
        content[at:at] = content[at // 2 : at]
    else:
        content[at:at] = rng.choice((b"\0", b"\r", b'"', b"\xef\xbb\xbf", b"\xff\xfe"))
    return bytes(content)


def sometimes_damaged(rng, content, share=0.1):
    return damaged(rng, content) if rng.random() < share else content


def encoded(rng, text):
    """Returns a text in UTF-8, or now and then in another encoding."""
    names = ("utf-8",) * 19 + ("utf-8-sig", "utf-16", "latin-1", "cp1252", "shift-jis")
    return text.encode(rng.choice(names), "replace")


def table(rng, header, rows, values):
    """Returns the text of a table with a few faults.

    Args:
        rng: The generator.
        header: List of names.
        rows: List of lists of cells.
        values: Sequence of odd cells.
    """
    rows = [[*header], *([*row] for row in rows)]
    for _ in range(rng.choice((0, 0, 0, 0, 1, 1, 1, 2, 5))):
        fault, i = rng.randrange(10), rng.randrange(len(rows))
        row = rows[i]
        if fault < 4 and row:
            column = rng.randrange(len(row))
            cell = rng.choice((*values, *CELLS))
            if fault == 0:  # all of the column
                for other in rows[1:]:
                    other[column : column + 1] = [cell]
            else:
                row[column] = cell
        elif fault == 4:
            rows.insert(i, [*rows[rng.randrange(len(rows))]])
        elif fault == 5 and len(rows) > 1:
            del rows[i : i + rng.choice((1, 1, 9, 999))]
            rows = rows or [[]]
        elif fault == 6:
            rows[0][-1:] = rows[0][:1]  # a name twice
        elif fault == 7:
            row.append(rng.choice(CELLS))
        elif fault == 8:
            rng.shuffle(rows)
        else:
            del row[-1:]
    sign = rng.choice((",",) * 9 + (";", "\t", "|", " "))
    end = rng.choice(("\n",) * 9 + ("\r\n", "\r", "\n\n"))
    return end.join(sign.join(row) for row in rows) + end


def series(rng, variates, count, seconds):
    """Returns a CSV file with a regular series, or nearly so."""
    step = np.timedelta64(int(seconds), "s")
    start = np.datetime64("1950-01-01T00:00:00")
    count = rng.choice((count,) * 6 + (1, 2, count - 1, 3 * count))
    rows = [
        [str(start + i * step).replace("T", " "), *(str(i % 7 + 300) for _ in variates)]
        for i in range(count)
    ]
    text = table(rng, ["date", *variates], rows, STAMPS)
    return sometimes_damaged(rng, encoded(rng, text))


def sentence(rng):
    words = [rng.choice(WORDS) for _ in range(rng.choice((0, 1, 3, 9, 200)))]
    return rng.choice((" ", " ", "", "\u00a0")).join(words)


def labelled_texts(rng):
    """Returns a CSV file of texts with labels, or nearly so."""
    count = rng.choice((0, 1, 2, 9, 24))
    names = ("positive", "negative")
    rows = [[sentence(rng), names[i % 2]] for i in range(count)]
    text = table(rng, ["text", "label"], rows, ("positive", "0", "1", "a;b", "-1"))
    return sometimes_damaged(rng, encoded(rng, text))


def objects(rng):
    """Returns JSON lines with texts and labels, or nearly so."""
    lines = []
    for i in range(rng.choice((1, 2, 9, 24))):
        row = {"text": sentence(rng), "label": i % 2}
        if rng.random() < 0.1:
            row[rng.choice(("text", "label", "x", ""))] = rng.choice(VALUES)
        lines.append(json.dumps(row))
    return sometimes_damaged(rng, "\n".join(lines).encode())


def settings(rng):
    """Returns a JSON file of settings, or nearly so."""
    names = ("units", "dropout", "epochs", "batch_size", "attention", "dataset", "x")
    names += ("learning_rate", "max_length", "lookback", "horizons", "ema", "recipe")
    found: object = {name: rng.choice(VALUES) for name in rng.sample(names, 2)}
    if rng.random() < 0.2:
        found = rng.choice(VALUES)
    return sometimes_damaged(rng, json.dumps(found).encode())


def lines(rng):
    """Returns lines of texts, some of them of random bytes."""
    count = rng.choice((0, 1, 3, 70))
    rows = [sometimes_damaged(rng, sentence(rng).encode(), 0.1) for _ in range(count)]
    return rng.choice((b"\n", b"\n", b"\r\n")).join(rows)


def image(rng):
    """Returns an image file of any mode, form and size, or nearly one."""
    height, width = rng.choice(SIZES), rng.choice(SIZES)
    pixels = np.frombuffer(rng.randbytes(height * width), "uint8")
    picture = Image.fromarray(pixels.reshape(height, width))
    buffer = io.BytesIO()
    try:
        mode = rng.choice((*MODES, "L", "L", "L"))
        if mode in ("PA", "La", "RGBa"):
            picture = picture.convert("RGBA" if mode == "RGBa" else "LA")
        picture = picture.convert(mode)
        if mode == "F" and rng.random() < 0.3:
            odd = rng.choice((np.nan, np.inf, 1e30, -5.0, 0.5))
            picture = Image.fromarray(np.full((height, width), odd, "float32"))
        if mode == "I" and rng.random() < 0.3:
            odd = rng.choice((-(2**31), 2**31 - 1, 70000, 255))
            picture = Image.fromarray(np.full((height, width), odd, "int32"))
        picture.save(buffer, rng.choice((*FORMS, "PNG", "PNG")))
    except (OSError, ValueError, KeyError):  # not each form has each mode
        buffer = io.BytesIO()
        Image.new("L", (width, height), rng.randrange(256)).save(buffer, "PNG")
    return sometimes_damaged(rng, buffer.getvalue())


def arrays(rng):
    """Returns an archive of numpy arrays, or nearly one."""
    buffer = io.BytesIO()
    np.savez(buffer, x=np.zeros((rng.randint(0, 3), 8, 8)), y=np.arange(3))
    return sometimes_damaged(rng, buffer.getvalue(), 0.5)


def card(rng, cards):
    """Returns a card with up to two fields changed, as bytes.

    Args:
        rng: The generator.
        cards: List of dicts, the cards to choose from.
    """
    changed = dict(rng.choice(cards))
    others = [value for other in cards for value in other.values()]
    for _ in range(rng.choice((0, 1, 1, 2))):
        part = changed
        field = rng.choice([*part, "source", "failed_steps", "multi_label"])
        if isinstance(part.get(field), dict) and part[field] and rng.random() < 0.6:
            part[field] = part = dict(part[field])
            field = rng.choice([*part])
        if rng.random() < 0.2:
            part.pop(field, None)
        elif field != "sha256":
            part[field] = rng.choice((*VALUES, rng.choice(others)))
    return sometimes_damaged(rng, json.dumps(changed).encode(), 0.1)


def text(rng):
    """Returns a short random text without a path to elsewhere."""
    signs = string.printable + "äß你\udcff\u200b\u2028'’"
    found = "".join(rng.choice(signs) for _ in range(rng.randrange(9)))
    return found.replace("..", ".").replace("~", "-").lstrip("/")
