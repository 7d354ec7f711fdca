"""ROUGE-L with the numbers of the PyPI package `rouge` 1.0.1, with which LLaVA-Interleave-Bench is scored."""

from __future__ import annotations

from collections.abc import Sequence

# From the package: keeps the F-measure from dividing by zero.
_EPSILON = 1e-8


def rouge_l(prediction: str, gold: str) -> float:
    """Summary-level F-measure of longest common subsequences.

    As in the package, a text is cut into sentences at every period, a word counts once however often it occurs, and
    case and punctuation count. This function differs in two cases in which the package raises: a text without any
    sentence (empty, or only periods) scores 0, and long texts do not exceed the recursion limit.

    Args:
        prediction: The model's answer.
        gold: The right answer.

    Returns:
        0 to 1.
    """
    predicted, wanted = _sentences(prediction), _sentences(gold)
    if not predicted or not wanted:
        return 0.0
    common: set[str] = set()
    for right in wanted:
        for said in predicted:
            common |= set(common_subsequence(right, said))
    recall = len(common) / len(set().union(*wanted))
    precision = len(common) / len(set().union(*predicted))
    return 2.0 * ((precision * recall) / (precision + recall + _EPSILON))


def _sentences(text: str) -> list[list[str]]:
    # The package takes a sentence of blanks for one empty word.
    return [" ".join(sentence.split()).split(" ") for sentence in text.split(".") if sentence]


def common_subsequence(gold: Sequence[str], said: Sequence[str]) -> list[str]:
    """The words of a longest common subsequence, last word first; of several, the one that the package finds."""
    lengths = [[0] * (len(said) + 1)]
    for word in gold:
        above, row = lengths[-1], [0]
        for column, other in enumerate(said):
            row.append(above[column] + 1 if word == other else max(above[column + 1], row[column]))
        lengths.append(row)
    words: list[str] = []
    i, j = len(gold), len(said)
    while i and j:
        if gold[i - 1] == said[j - 1]:
            words.append(gold[i - 1])
            i, j = i - 1, j - 1
        elif lengths[i - 1][j] > lengths[i][j - 1]:
            i -= 1
        else:
            j -= 1
    return words
