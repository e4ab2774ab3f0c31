"""Sets of the packages that were read and left out, and why; the figures were computed from the files."""

from __future__ import annotations

REJECTED = {
    "event_categories": "852 of 879 rows have the same answer",
    "logical_counting": "999 rows of one template with another number; the answer is always twice the number plus one",
    "bitwise": "recomputed: 164 of 338 references are wrong",
    "count_intersections_polynomial": "recomputed: 301 of 500 references are wrong",
    "infiniteloop-match": "references contradict the code (a loop without end is said to stop)",
    "spanish-lexicon, brazilian-lexicon, french-lexicon": "every answer is Y",
    "irish-lexicon": "51,927 of 52,031 answers are Y",
    "next-val-series": "nothing decides how most of the series go on",
    "diabetes": "84.6 % of the answers are the same, and the survey answers given do not decide the label",
    "logic-statements": "every answer is NO",
    "soc_codes": "asks for one title of a list that is not given",
    "emotional-intelligence": "53 of 100 rows accept several options, in an order of merit that is not asked for",
    "GPT-model-text-detection": "which model wrote a text cannot be told from the text",
    "benjaminmoore_to_hex, pantone_to_hex, ral_to_hex": "a color chart to be known by heart",
    "tokyo-station-number, japanese_city_name_pronunciation": "a register to be known by heart",
    "syllables_long_words": "references are 5 or 6 for words with other counts",
    "product-matching rules and fewshot": "the pairs of product-matching zeroshot with another prompt",
    "schelling_point, make_me_say, bugged_tools, already_said_that, text_compression": "no single answer to grade",
    "raven-matrices, mazes, chess, osm_mapping": "prompts far beyond the length that small models read",
    "reasoning-gym zebra_puzzles": "its solver needs a C compiler, and a puzzle takes a tenth of a second to make",
    "abstract2title, consensus_summary": "free text that no scorer here grades fairly",
    "positive-binary-operations, formal_logic, sarcasm": "used in part (`limit`), so that no template fills its domain",
}
