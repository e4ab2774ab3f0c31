"""One spelling for texts that mean the same."""

from __future__ import annotations

import re
import unicodedata

_ENDS = " \t\r\n.,;:!?*`\"'“”‘’"
_ARTICLE = re.compile(r"^(?:a|an|the)\s+(?=\S)")


def normalised(text: str) -> str:
    """Return `text` in lower case, NFKC and single spaces, without leading article, quotes and final stop."""
    folded = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    return _ARTICLE.sub("", folded.strip(_ENDS)).strip(_ENDS)
