from slm_orchestration.tasks.forms import Free
from slm_orchestration.tasks.scoring import score
from slm_orchestration.tasks.sources.reasoning_gym import ReasoningGym
from tests.tasks.by_hand import tasks_of
from tests.tasks.reference_answers import right_answer


def test_the_verifier_grades_the_entries_of_its_generator_at_each_difficulty():
    form = Free(scorer="verifier", instruction="", question="{question}", reference="{verifier}")
    for draft in tasks_of(ReasoningGym("basic_arithmetic", 3, 1, [{"max_digits": 1}, {}]), form):
        assert score(draft.task, right_answer(draft.task)) == 1
        assert score(draft.task, "Answer: no") == 0
        assert score(draft.task, "(" * 5_000) == 0
