"""Short sentences that say by capability what a classifier of sentiment has learnt.

After CheckList (Ribeiro et al. 2020, https://aclanthology.org/2020.acl-main.442): a few
hundred sentences from templates, in groups of one capability each. None is trained on.
"""

import itertools

import numpy as np

SUBJECTS = ("The film", "This movie", "The story", "The acting", "The script")
GOOD = ("good", "great", "funny", "wonderful", "moving", "brilliant", "excellent")
BAD = ("bad", "boring", "awful", "dull", "terrible", "stupid", "horrible")
NEVER = ("boring", "dull", "predictable", "stupid", "disappointing")  # "never ..."
NAMES = ("Anna Keller", "John Wu", "Priya Nair", "Tomás Silva", "Fatima Haddad")
PLACES = ("Paris", "Lagos", "Ohio", "Kyoto", "Lima")

# Group -> (templates of negative texts, templates of positive texts).
# {s} is a subject, {g}, {b} and {n} are adjectives, {who} and {where} are names.
TEMPLATES = {
    "plain": (
        (
            "{s} is {b}.", "{s} was {b}.", "What a {b} film.", "I found it {b}.",
            "I hated this film.", "I regret that I watched it.",
        ),
        (
            "{s} is {g}.", "{s} was {g}.", "What a {g} film.", "I found it {g}.",
            "I loved this film.", "I enjoyed every minute of it.",
        ),
    ),
    "negation": (
        (
            "{s} is not {g} at all.", "{s} is not {g}.", "{s} isn't {g}.",
            "{s} was never {g}.", "It is not a {g} film.", "I did not like it.",
            "There is nothing {g} about it.", "I wouldn't recommend it to anyone.",
        ),
        (
            "{s} is never {n}.", "{s} was never {n}.", "It is anything but {n}.",
            "{s} is not bad at all.", "It isn't {n} for a second.",
            "You will not regret watching it.", "I was not disappointed.",
            "I could not stop laughing, it never gets {n}.",
        ),
    ),
    "distance": (
        (
            "I do not think that this film is {g}.",
            "Nobody in my family found this movie {g}.",
            "I can't say that anything in the story was {g}.",
            "Not one of the many scenes in it is {g}.",
            "It failed to be {g} in any way.",
            "I wanted to like it, but I did not find it {g}.",
        ),
        (
            "I do not think that this film is {n}, I loved it.",
            "Nobody in my family found this movie {n}, we all loved it.",
            "There was not a single moment in the whole film that was {n}.",
            "At no point in two hours did it become {n}.",
            "I never had the feeling that it was {n}.",
            "I was afraid that it would be {n}, but it was not.",
        ),
    ),
    "comparison": (
        (
            "It is much worse than the first part.", "The book is so much better.",
            "I have seen better films on a student's phone.",
            "It is the worst film of the year.", "One of the most {b} films ever made.",
            "It is less {g} than I had hoped.", "Even the trailer is better than this.",
        ),
        (
            "It is much better than the first part.", "It is better than the book.",
            "I have rarely seen a better film.",
            "It is the best film of the year.", "One of the most {g} films ever made.",
            "It is even more {g} than I had hoped.", "Far better than I expected.",
        ),
    ),
    "intensity": (
        (
            "{s} is extremely {b}.", "{s} is really, really {b}.", "It is utterly {b}.",
            "{s} is a bit {b}.", "It is so {b} that I left.", "Just plain {b}.",
        ),
        (
            "{s} is extremely {g}.", "{s} is really, really {g}.", "It is truly {g}.",
            "{s} is quite {g}.", "It is so {g} that I cried.", "Simply {g}.",
        ),
    ),
    "short": (
        (
            "{b}", "{b}!", "Very {b}.", "Waste of time.", "Avoid.", "Do not bother.",
            "Don't watch it.", "2/10", "Not for me.", "Skip it.", "Utter rubbish.",
            "Complete garbage.",
        ),
        (
            "{g}", "{g}!", "Very {g}.", "Well worth seeing.", "Masterpiece.",
            "Highly recommended.", "Don't miss it.", "9/10", "Loved it.", "A must see.",
            "A true classic.", "Pure joy.",
        ),
    ),
    "names": (
        (
            "{who} is {b} in this film.", "{who} directed this {b} movie in {where}.",
            "The scenes in {where} with {who} are {b}.",
        ),
        (
            "{who} is {g} in this film.", "{who} directed this {g} movie in {where}.",
            "The scenes in {where} with {who} are {g}.",
        ),
    ),
    "typography": (
        (
            "THE FILM IS {B}!!!", "“{b}” — that’s the word for it.",
            "It wasn’t {g}, I couldn’t finish it.", "the movie wasnt {g}",
            "A {b} film.<br /><br />Really {b}.", "the acting is {b} 👎",
            "so…{b}…", "i dont like this moive, it is {b}", "Simply_{b}_", "‘{b}’",
        ),
        (
            "THE FILM IS {G}!!!", "“{g}” — that’s the word for it.",
            "It wasn’t {n}, I couldn’t look away.", "the movie wasnt {n}, loved it",
            "A {g} film.<br /><br />Really {g}.", "the acting is {g} 👍",
            "so…{g}…", "i realy like this moive, it is {g}", "Simply_{g}_", "‘{g}’",
        ),
    ),
    "contrast": (
        (
            "The actors are {g}, but the film is {b}.",
            "It starts well, but then it becomes {b}.",
            "It looks {g}, yet it is a {b} film.",
            "Despite its {g} cast, the movie is {b}.",
            "I expected a {g} film and got a {b} one.",
            "Some say it is {g}. I say it is {b}.",
        ),
        (
            "The beginning is {b}, but the film is {g}.",
            "It starts slowly, but then it becomes {g}.",
            "It looks cheap, yet it is a {g} film.",
            "Despite its {b} title, the movie is {g}.",
            "I expected a {b} film and got a {g} one.",
            "Some say it is {b}. I say it is {g}.",
        ),
    ),
    "idiom": (
        (
            "Two hours of my life that I will never get back.",
            "I fell asleep halfway.",
            "I want my money back.", "I kept looking at my watch.",
            "It goes nowhere.", "The plot has more holes than a sieve.",
            "It left me cold.", "We walked out after half an hour.",
            "Watching paint dry is more fun.", "Save your money.",
            "It is a mess from start to finish.", "So much for a good story.",
            "The jokes fall flat.", "It could have been good.",
            "Who thought that this was a good idea?", "It insults your intelligence.",
        ),
        (
            "I was on the edge of my seat.", "It kept me glued to the screen.",
            "I could watch it again and again.",
            "It will stay with me for a long time.",
            "It took my breath away.", "Two hours flew by.",
            "It deserves every award it got.", "Hats off to the whole crew.",
            "I laughed until I cried.", "It left me speechless.",
            "A gem that too few people know.", "Bring tissues.",
            "They do not make films like this any more.",
            "It hits all the right notes.",
            "It is a feast for the eyes.", "I can't wait to see it again.",
        ),
    ),
}  # fmt: skip
PER_TEMPLATE = 4  # sentences of a template that has places to fill


def sentences():
    """Returns `(group, text, label)` of every sentence; label 1 is positive."""
    found = []
    for group, sides in TEMPLATES.items():
        for label, templates in enumerate(sides):
            for number, template in enumerate(templates):
                count = PER_TEMPLATE if "{" in template else 1
                for i in range(count):
                    # Steps that differ, so that the fillings meet in many pairs.
                    text = _fill(template, number + 3 * i)
                    found.append((group, text[:1].upper() + text[1:], label))
    return found


def _fill(template, number):
    """Returns a template with its places filled, by a number."""
    words = {"s": SUBJECTS, "g": GOOD, "b": BAD, "n": NEVER, "who": NAMES}
    words |= {"where": PLACES, "G": tuple(w.upper() for w in GOOD)}
    words["B"] = tuple(w.upper() for w in BAD)
    return template.format(**{k: v[number % len(v)] for k, v in words.items()})


def pass_rates(predict):
    """Returns how many sentences a model gets right, by group and in all.

    Args:
        predict: Function from a list of texts to probabilities `(B, 2)`, of negative
            and positive.

    Returns:
        Dict from each group, and from `"all"`, to `{"passed": ..., "cases": ...}`.
    """
    groups, texts, labels = zip(*sentences(), strict=True)
    right = np.asarray(predict(list(texts))).argmax(axis=-1) == np.array(labels)
    rates = {"all": {"passed": int(right.sum()), "cases": len(texts)}}
    for group, of_group in itertools.groupby(zip(groups, right, strict=True), _first):
        values = [bool(value) for _, value in of_group]
        rates[group] = {"passed": sum(values), "cases": len(values)}
    return rates


def _first(pair):
    return pair[0]
