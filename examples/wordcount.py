"""Word counts of a text, with the numbers an editor asks for.

    faasctl run examples/wordcount.py --args @examples/data/harbour.json

Your own text, through stdin:

    python3 -c 'import json, sys; print(json.dumps([sys.stdin.read()]))' < README.md | faasctl run wordcount --args -
"""
import re
from collections import Counter
from typing import Any, Dict, List, Union

_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_SENTENCE_END = re.compile(r"[.!?]+(?=\s|$)")
_COMMON = frozenset(
    "a an and are as at be been but by for from had has have he her his i in is it its no not of on or out she so than "
    "that the their them then there they this to up was were what when which who will with would you".split()
)


def wordcount(text: Union[str, List[str]], top: int = 10, skip_common: bool = True) -> Dict[str, Any]:
    """Count the words of a text, given whole or as a list of lines.

    Returns the totals and the `top` most frequent words; words such as "the" are left out unless skip_common is false.
    """
    whole = text if isinstance(text, str) else "\n".join(text)
    words = [word.lower().replace("’", "'") for word in _WORD.findall(whole)]
    counts = Counter(words)
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    sentences = len(_SENTENCE_END.findall(whole)) or int(bool(words))
    return {
        "words": len(words),
        "distinct": len(counts),
        "sentences": sentences,
        "words_per_sentence": round(len(words) / sentences, 1) if sentences else 0,
        "longest": max(counts, key=lambda word: (len(word), word), default=""),
        "top": [[word, n] for word, n in ranked if not (skip_common and word in _COMMON)][:top],
    }
