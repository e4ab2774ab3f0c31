"""What a strategy reads, and whether recorded outcomes have it."""

from __future__ import annotations

from slm_orchestration.routing.outcome_matrix import OutcomeMatrix
from slm_orchestration.routing.references import Guess

# What an answer must come with for a router that does not say which of it it uses.
_OF_ANSWERS = frozenset({"answer", "confidence", "completion_tokens"})


def lacking(strategy: object, outcomes: OutcomeMatrix) -> str | None:
    """Return in words what `strategy` reads and `outcomes` lack, or None if they have it all.

    A router may name in `uses` the columns of answers that it looks at.
    """
    if isinstance(strategy, Guess):
        unknown = outcomes.tasks["guess_quality"].isna().any()
        return "no answer without a model is known (column guess_quality)" if unknown else None
    router = getattr(strategy, "router", None)
    kinds = {read.partition(":")[0] for read in getattr(router, "reads", ())}
    if "prompt" in kinds and (missing := int(outcomes.tasks["question"].isna().sum())):
        return f"it reads prompts, and {missing} of {len(outcomes)} tasks have none"
    if strange := sorted(kinds - {"prompt", "answer"}):
        return f"it reads {strange[0].removesuffix('s')}s of models, which were not recorded"
    if "answer" in kinds:
        for column in sorted(getattr(router, "uses", _OF_ANSWERS)):
            if missing := int(outcomes.answers[column].isna().sum()):
                return f"it reads each answer's {column}, and {missing} of {len(outcomes.answers)} answers have none"
    return None
