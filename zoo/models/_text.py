"""Text standardisation for word-level models, inside the saved model.

Strings exist in TensorFlow alone, so this file asks for it, and only when a text comes.
"""

import functools
import string
import unicodedata

import keras

APOSTROPHES = "´‘’‚‛ʹʻʼˈ′＇"
INVISIBLE = r"[\x{00AD}\x{200B}-\x{200F}\x{2060}\x{FE00}-\x{FE0F}\x{FEFF}]"
LIGATURES = {"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ß": "ss"}
NO_APOSTROPHE = "is|are|was|were|do|does|did|has|have|had|would|could|should"

# Pattern (RE2) -> what takes its place, in this order, on lower-case text.
RULES = (
    (r"`", "'"),
    (r"<[/!]?[a-z][^<>]*>", " "),  # markup: "movie.<br /><br />This"
    (r"&(?:#0?39|#x27|apos|[lr]squo);", "'"),
    (r"&(?:#?\w{2,6});", " "),
    (r"\b(?:can't|cannot|cant)\b", "can not"),
    (r"\bwon't\b", "will not"),
    (r"\bshan't\b", "shall not"),
    (r"\bain't\b", "is not"),
    (r"n't\b", " not"),
    (rf"\b({NO_APOSTROPHE})nt\b", r"\1 not"),
    (r"(^|\s)[:;=]-?[)\]]", " 🙂 "),
    (r"(^|\s)[:=]'?-?[(\[]", " 🙁 "),
    (r"(\d)\s*/\s*(\d)", r"\1⁄\2"),  # "8/10" is one word
    (r"!+", " ! "),
    (r"\?+", " ? "),
    (r"(\p{So}|\p{Han}|\p{Hiragana}|\p{Katakana})", r" \1 "),
    (r"[^\p{L}\p{M}\p{N}\p{So}⁄!?]+", " "),
    (r"⁄", "/"),
)


@keras.saving.register_keras_serializable("attention_zoo")
def standardize_text(text):
    """Returns texts as words with one space between them.

    Meant for `keras.layers.TextVectorization(standardize=standardize_text)`. It works
    inside the saved model, on TensorFlow's strings:

    1. Lower case; accents of Latin letters go, full-width and styled letters and
       digits become plain ones: `"Café"` is `"cafe"`.
    2. Markup and character references become spaces: `"bad.<br /><br />This"` is
       `"bad this"`.
    3. Negations are the word `not`, whichever apostrophe they have, or none:
       `"wasn't"`, `"wasn’t"` and `"wasnt"` are `"was not"`; `"can't"` is `"can not"`.
    4. Ratings stay whole: `"8 / 10"` is `"8/10"`.
    5. `!`, `?`, emoji and ideographs are words of their own; `":)"` is `"🙂"`.
    6. All other signs, such as quotes, dashes and apostrophes, become spaces.

    Args:
        text: String tensor of any shape, in UTF-8.

    Returns:
        String tensor of the same shape.

    Example:

    ```python
    words = keras.layers.TextVectorization(
        standardize=attention_zoo.standardize_text, vocabulary=["was", "not", "good"]
    )
    ids = words(["It wasn’t “good”."])
    assert np.array_equal(ids, [[1, 2, 3, 4]])
    ```
    """
    import tensorflow as tf

    shape = tf.shape(text)
    text = tf.strings.lower(tf.reshape(text, [-1]), encoding="utf-8")
    foreign = tf.where(~tf.strings.regex_full_match(text, r"[\x00-\x7F]*"))
    plain = _fold(tf.gather_nd(text, foreign))
    text = tf.tensor_scatter_nd_update(text, foreign, plain)
    for pattern, replacement in RULES:
        text = tf.strings.regex_replace(text, pattern, replacement)
    return tf.reshape(tf.strings.strip(text), shape)


def _fold(text):
    """Returns lower-case texts with plain apostrophes, Latin letters and digits."""
    import tensorflow as tf

    text = tf.strings.regex_replace(text, f"[{APOSTROPHES}]", "'")
    text = tf.strings.regex_replace(text, INVISIBLE, "")
    for sign, variants in _variants().items():
        text = tf.strings.regex_replace(text, f"[{variants}]", sign)
    for sign, letters in LIGATURES.items():
        text = tf.strings.regex_replace(text, sign, letters)
    return tf.strings.regex_replace(text, r"([a-z])[\x{0300}-\x{036F}]+", r"\1")


@functools.cache
def _variants():
    """Returns the accented, full-width and styled forms of each letter and digit."""
    plain = string.ascii_lowercase + string.digits + "!?"
    found: dict[str, str] = {}
    for code in range(0x80, 0x20000):
        parts = unicodedata.normalize("NFKD", chr(code)).lower()
        if parts and parts[0] in plain and all(map(unicodedata.combining, parts[1:])):
            found[parts[0]] = found.get(parts[0], "") + chr(code)
    return found
