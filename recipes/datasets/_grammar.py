"""The grammar of `zoo_reviews`: generated film reviews with one verdict each.

A review holds neutral filler, opinions of other people, and one verdict. Only
the verdict decides the label:

    label = polarity(adjective) xor negated

The other opinions have random polarity and random negation, and use the same
words in the same constructions, so that counting words and pairs of words says
little: one has to find the verdict, then its adjective, then its negation.

Sentences are divided between the splits by a hash, so that no sentence of the
test split occurs in the training split. This is synthetic text: a score on it
says what a model can learn, not how it reads real reviews.
"""

import random
import zlib

POSITIVE = (
    "good", "great", "brilliant", "superb", "moving", "gripping", "charming",
    "delightful", "clever", "wonderful", "funny", "beautiful", "inspired", "touching",
    "excellent", "lovely", "thrilling", "splendid", "memorable", "enjoyable",
)  # fmt: skip
NEGATIVE = (
    "bad", "dull", "awful", "terrible", "boring", "clumsy", "tedious", "dreadful",
    "silly", "lifeless", "poor", "ugly", "stale", "annoying", "horrible", "shallow",
    "tiresome", "miserable", "forgettable", "painful",
)  # fmt: skip
NEGATORS = (
    "not", "never", "hardly", "scarcely", "anything but", "far from",
    "by no means", "in no way", "not at all", "nowhere near",
)  # fmt: skip
PLAIN = (
    "", "", "really", "truly", "quite", "simply", "rather",
    "by all means", "in every way", "more than",
)  # fmt: skip

VERDICT = (
    "all in all", "my verdict is that", "for me", "in my eyes",
    "having slept on it I say", "if you ask me", "my own feeling is that",
    "when the lights came up I knew", "I for one thought", "in my own book",
)  # fmt: skip
OTHERS = (
    "my brother swore", "the critics had told us", "the trailer promised that",
    "people on the bus were saying", "I had expected that",
    "the poster made out that", "my neighbour still insists",
    "a friend of mine thought", "I had been warned that",
    "the man beside me whispered that",
)  # fmt: skip
SUBJECTS = (
    "it", "this film", "the film", "the picture", "this one", "the whole thing",
    "the story", "this movie",
)  # fmt: skip
VERBS = ("is", "was", "seemed", "felt", "looked", "proved")

PAIRS = (
    "although {a}, {b}", "{a}, but {b}", "{a}, yet {b}",
    "while {a}, {b}", "even though {a}, {b}", "{a}, and {b}",
)  # fmt: skip

FILLER = (
    "we saw it on a {day} {time} in {town}",
    "it runs for {number} minutes and is set in {town}",
    "{name} plays a {job} who moves to {town}",
    "the hall was half empty on a {day} {time}",
    "{name} and {name2} wrote it together in {town}",
    "a {job} meets a {job2} on a {day} {time}",
    "the tickets cost {number} crowns in {town}",
    "{name} filmed it in {town} within {number} days",
)
SLOTS = {
    "day": (
        "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday",
    ),
    "time": (
        "morning", "afternoon", "evening", "night",
    ),
    "town": (
        "Lisbon", "Oslo", "Prague", "Turin", "Ghent", "Cork", "Malmo", "Graz",
        "Split", "Porto",
    ),
    "number": (
        "ninety", "eighty", "seventy", "sixty", "fifty", "forty", "thirty", "twenty",
    ),
    "name": (
        "Anna", "Boris", "Clara", "David", "Emil", "Frida", "Greta", "Hugo", "Irene",
        "Jonas",
    ),
    "name2": (
        "Karl", "Lena", "Moritz", "Nina", "Oskar", "Paula", "Quentin", "Rosa",
    ),
    "job": (
        "baker", "sailor", "teacher", "doctor", "clerk", "pilot", "painter", "tailor",
    ),
    "job2": (
        "nurse", "farmer", "lawyer", "dancer", "miner", "florist", "judge", "waiter",
    ),
}  # fmt: skip
NEGATED = 0.35  # share of negated opinions, the verdict among them
TEST_SHARE = 5  # one sentence in five belongs to the test split


def generate(split, count, seed=0):
    """Yields `count` reviews of a split, always the same ones.

    Args:
        split: `"train"` or `"test"`.
        count: Number of reviews.
        seed: Integer that picks another series of reviews.

    Yields:
        Dict of `text`, `label` (1 is positive) and `marks`: one 0 or 1 for each
        word of `text.split()`, 1 where the word belongs to the negator or the
        adjective of the verdict.
    """
    rng = random.Random(f"{split}-{seed}")
    for _ in range(count):
        yield _review(rng, split)


def _review(rng, split):
    positive, negated = rng.random() < 0.5, rng.random() < NEGATED
    sentences = [_until(rng, split, _filler) for _ in range(rng.randint(2, 3))]
    if rng.random() < 0.8:  # opinions of others in a sentence of their own
        sentences.append(_until(rng, split, _others))
    sentences.append(_until(rng, split, lambda rng: _verdict(rng, positive, negated)))
    rng.shuffle(sentences)
    words, marks = [], []
    for sentence in sentences:
        words += [word for word, _ in sentence]
        marks += [mark for _, mark in sentence]
    label = int(positive != negated)
    return {"text": " ".join(words), "label": label, "marks": marks}


def _until(rng, split, draw):
    """Draws sentences until one belongs to the split."""
    while True:
        sentence = draw(rng)
        text = " ".join(word for word, _ in sentence)
        held_out = zlib.crc32(text.encode()) % TEST_SHARE == 0
        if held_out == (split == "test"):
            return sentence


def _filler(rng):
    slots = {name: rng.choice(words) for name, words in SLOTS.items()}
    return _sentence([(rng.choice(FILLER).format(**slots), 0)])


def _others(rng):
    first, second = _opinion(rng, OTHERS), _opinion(rng, OTHERS)
    return _sentence(_join(rng.choice(PAIRS), first, second))


def _verdict(rng, positive, negated):
    """One sentence: the verdict, mostly beside an opinion of someone else."""
    verdict = _opinion(rng, VERDICT, positive, negated, mark=1)
    if rng.random() < 0.2:
        return _sentence(verdict)
    pair = [_opinion(rng, OTHERS), verdict]
    rng.shuffle(pair)
    return _sentence(_join(rng.choice(PAIRS), *pair))


def _opinion(rng, openings, positive=None, negated=None, mark=0):
    """Parts `[(words, mark), ...]` of "my brother swore it was not good"."""
    positive = rng.random() < 0.5 if positive is None else positive
    negated = rng.random() < NEGATED if negated is None else negated
    opening = rng.choice(openings)
    subject, verb = rng.choice(SUBJECTS), rng.choice(VERBS)
    adverb = rng.choice(NEGATORS if negated else PLAIN)
    adjective = rng.choice(POSITIVE if positive else NEGATIVE)
    return [
        (f"{opening} {subject} {verb}", 0),
        (adverb, mark if negated else 0),
        (adjective, mark),
    ]


def _join(pattern, first, second):
    """Fills the parts of two opinions into "although {a}, {b}"."""
    before, rest = pattern.split("{a}")
    between, _ = rest.split("{b}")
    comma, conjunction = between[:1], between[1:].strip()
    *head, (last, mark) = first
    return [(before, 0), *head, (last + comma, mark), (conjunction, 0), *second]


def _sentence(parts):
    """List of `(word, mark)`, with a capital in front and a full stop."""
    words = [(word, mark) for text, mark in parts for word in text.split()]
    first, last = words[0], words[-1]
    words[0] = (first[0][0].upper() + first[0][1:], first[1])
    words[-1] = (words[-1][0] + ".", last[1])
    return words
