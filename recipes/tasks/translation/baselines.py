"""The plain baseline of translators: what the most similar sentence was given."""


def memory(sources, targets):
    """Returns a function that translates by the nearest training sentence.

    Sentences are compared by the cosine of TF-IDF vectors of two to four characters, by
    scikit-learn.

    Args:
        sources: List of bytes, the training sentences.
        targets: List of bytes, their translations.

    Returns:
        Function from a list of bytes to a list of strings.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.neighbors import NearestNeighbors

    vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), min_df=2)
    nearest = NearestNeighbors(n_neighbors=1, metric="cosine")
    nearest.fit(vectorizer.fit_transform(sources))

    def translate(texts):
        found = nearest.kneighbors(vectorizer.transform(texts), return_distance=False)
        return [targets[i].decode() for i in found[:, 0]]

    return translate
