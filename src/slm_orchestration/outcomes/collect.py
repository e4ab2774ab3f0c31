"""Tasks × one model → OUTCOMES: resumable per task, and never averaging a failed call."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from slm_orchestration.models.model import CallError, Completion, Model, StreamingModel
from slm_orchestration.outcomes import store
from slm_orchestration.outcomes.store import Answer, ConfigurationChanged, Journal, checksum, differences
from slm_orchestration.tables import OUTCOMES, conform
from slm_orchestration.tasks.task import Task

Grade = Callable[[Task, str], float]
# A batched decoding step costs several times what a token of a prompt does; only the time left is estimated from it.
_STEP_IN_PROMPT_TOKENS = 4


@dataclass(frozen=True)
class Settings:
    """How tasks are answered: `token_budget` bounds a batch, a failed call is tried `attempts` times in all."""

    token_budget: int
    attempts: int
    seed: int


def collect(
    model: Model,
    tasks: Sequence[Task],
    folder: Path,
    *,
    grade: Grade,
    settings: Settings,
    others: Sequence[Path] = (),
) -> int:
    """Answer the tasks of which no answer is recorded yet, write the table, and return how many were answered.

    Answers of tasks that look to the model as they did are kept, and those of changed tasks are given again. What the
    same model answered in `others`, the folders of other suites, is taken over. Raises ConfigurationChanged if answers
    recorded in `folder` come from another model, prompt form or number type, or are of tasks that are not asked now;
    they stay as they are.
    """
    identity = model.identity()
    journal = Journal(store.journal_path(folder, model.name), identity)
    checksums = {task.task_id: checksum(task) for task in tasks}
    kept = _recorded(folder, model.name, identity, checksums)
    complete = len(kept) == len(tasks)
    for other in others if not complete else ():
        kept = _taken_over(other, model.name, identity, checksums) | kept
    journalled = journal.read()
    for answer in journalled:
        if checksums.get(answer.task_id) == answer.checksum:
            kept[answer.task_id] = answer
    pending = [task for task in tasks if task.task_id not in kept]
    if complete and not journal.path.exists():
        return 0
    _refuse_to_drop(folder, model.name, {answer.task_id for answer in journalled}, asked=checksums)
    failed = _answer_pending(model, pending, kept, journal, settings)
    answers = [kept.get(task.task_id) or failed[task.task_id] for task in tasks]
    graded = tqdm(zip(tasks, answers, strict=True), total=len(tasks), desc=f"grading {model.name}", disable=None)
    frame = pd.DataFrame([outcome(task, model.name, answer, grade) for task, answer in graded], columns=OUTCOMES.names)
    ran = {**model.provenance(), **model.hardware(), "seed": settings.seed, "token_budget": settings.token_budget}
    metadata = store.describe(identity, [checksums[task.task_id] for task in tasks], ran)
    store.write_outcomes(frame, folder, model.name, metadata=metadata)
    journal.remove()
    return len(pending)


def regrade(frame: pd.DataFrame, metadata: Mapping[str, str], tasks: Sequence[Task], *, grade: Grade) -> pd.DataFrame:
    """Return recorded OUTCOMES graded again by what the tasks say now, not priced; failed calls stay failed.

    Answers to other tasks keep their grade, and a task without an answer is passed over. Raises ConfigurationChanged if
    a task has changed since it was answered.
    """
    asked = {task.task_id: task for task in tasks}
    marked = list(zip(frame.to_dict("records"), store.recorded_checksums(metadata), strict=True))
    known = [(asked[row["task_id"]], mark) for row, mark in marked if row["task_id"] in asked]
    if changed := [task.task_id for task, mark in known if checksum(task) != mark]:
        model = frame["model"].iloc[0]
        raise ConfigurationChanged(
            f"{model} has answered another form of {len(changed)} tasks, first {changed[0]!r}; run experiments.collect"
        )
    graded = [
        outcome(asked[row["task_id"]], row["model"], _recorded_answer(row, mark), grade)
        if row["task_id"] in asked
        else row
        for row, mark in marked
    ]
    return conform(pd.DataFrame(graded, columns=OUTCOMES.names), OUTCOMES)


def outcome(task: Task, model: str, answer: Answer, grade: Grade) -> dict[str, object]:
    """Return one row of OUTCOMES, not yet priced."""
    about = {name: getattr(task, name) for name in ("task_id", "domain", "dataset", "group", "split")}
    row = dict.fromkeys(OUTCOMES.names) | about | {"model": model, "repeat": 0, "error": answer.error}
    if (completion := answer.completion) is None:
        return row
    return row | {
        "answer": completion.answer,
        "quality": grade(task, completion.answer),
        "signals": json.dumps(completion.signals),
        "prompt_tokens": completion.prompt_tokens,
        "completion_tokens": completion.completion_tokens,
        "finish_reason": completion.finish_reason,
    }


def _recorded(folder: Path, model: str, identity: dict[str, str], checksums: dict[str, str]) -> dict[str, Answer]:
    """Return the answers that a finished table holds and that still stand, by task id."""
    if not store.outcomes_path(folder, model).exists():
        return {}
    frame, metadata = store.recorded(folder, model)
    kept = _standing(frame, metadata, checksums)
    changed = differences(store.recorded_identity(metadata), identity)
    if len(kept) == len(checksums):
        # Nothing will be added, so it does not matter which number type this machine would compute in.
        changed = [difference for difference in changed if not difference.startswith("dtype ")]
    if changed:
        path = store.outcomes_path(folder, model)
        raise ConfigurationChanged(f"{path}: {'; '.join(changed)}; restore that, or collect into another folder")
    return kept


def _refuse_to_drop(folder: Path, model: str, journalled: set[str], *, asked: Mapping[str, str]) -> None:
    """Raise ConfigurationChanged if answers to tasks that are not asked now would go with the table they stand in."""
    path, answered = store.outcomes_path(folder, model), journalled
    if path.exists():
        frame, _ = store.recorded(folder, model)
        answered = answered | set(frame.loc[frame["error"].isna(), "task_id"])
    if lost := sorted(answered - asked.keys()):
        raise ConfigurationChanged(
            f"{path}: {len(lost)} answers are recorded to tasks that are not asked now, first {lost[0]!r}; "
            "prepare those tasks as well, or collect into another folder"
        )


def _taken_over(folder: Path, model: str, identity: dict[str, str], checksums: dict[str, str]) -> dict[str, Answer]:
    """Return what the very same model answered to the same tasks for another suite, by task id."""
    if not store.outcomes_path(folder, model).exists():
        return {}
    frame, metadata = store.recorded(folder, model)
    if differences(store.recorded_identity(metadata), identity):
        return {}
    return _standing(frame, metadata, checksums)


def _standing(frame: pd.DataFrame, metadata: Mapping[str, str], checksums: dict[str, str]) -> dict[str, Answer]:
    """Return the recorded answers to tasks that still look as they did, by task id."""
    marked = zip(frame.to_dict("records"), store.recorded_checksums(metadata), strict=True)
    return {
        row["task_id"]: _recorded_answer(row, mark)
        for row, mark in marked
        if pd.isna(row["error"]) and checksums.get(row["task_id"]) == mark
    }


def _recorded_answer(row: dict, mark: str) -> Answer:
    if pd.notna(row["error"]):
        return Answer(row["task_id"], mark, None, row["error"])
    completion = Completion(
        answer=row["answer"],
        prompt_tokens=int(row["prompt_tokens"]),
        completion_tokens=int(row["completion_tokens"]),
        latency_s=0.0,
        signals=json.loads(row["signals"]),
        finish_reason=row["finish_reason"],
    )
    return Answer(row["task_id"], mark, completion)


def _answer_pending(
    model: Model, pending: list[Task], kept: dict[str, Answer], journal: Journal, settings: Settings
) -> dict[str, Answer]:
    """Answer `pending` into `kept` and the journal, as answers come; return the failed ones by task id."""
    prompt_tokens = dict(zip([task.task_id for task in pending], model.prompt_lengths(pending), strict=True))
    work = {task.task_id: _work(task, prompt_tokens[task.task_id]) for task in pending}
    failed: dict[str, Answer] = {}
    with tqdm(total=sum(work.values()), desc=model.name, unit="token", unit_scale=True, disable=None) as bar:
        for answers in _given(model, pending, prompt_tokens, settings):
            journal.append(answer for answer in answers if answer.completion is not None)
            for answer in answers:
                (failed if answer.completion is None else kept)[answer.task_id] = answer
                bar.update(work[answer.task_id])
            bar.set_postfix(tasks=len(kept), failed=len(failed))
    return failed


def _work(task: Task, prompt_tokens: int) -> int:
    return prompt_tokens + (0 if task.choices is not None else _STEP_IN_PROMPT_TOKENS * (task.max_tokens - 1))


def _given(
    model: Model, pending: list[Task], prompt_tokens: dict[str, int], settings: Settings
) -> Iterator[list[Answer]]:
    """Yield each task's answer once: as the model streams them, or batch by batch; what failed is tried again."""
    left = {task.task_id: task for task in pending}
    if isinstance(model, StreamingModel):
        try:
            for finished in model.stream(pending, batch_tokens=settings.token_budget, seed=settings.seed):
                given = [(pending[place], one) for place, one in finished if isinstance(one, Completion)]
                for task, _ in given:
                    del left[task.task_id]
                yield [Answer(task.task_id, checksum(task), completion) for task, completion in given]
        except CallError:
            # What is left goes in batches, which are halved down to the task at fault.
            pass
    rest = list(left.values())
    new_tokens = [1 if task.choices is not None else task.max_tokens for task in rest]
    for batch in plan([prompt_tokens[task.task_id] for task in rest], new_tokens, settings.token_budget):
        yield _answers(model, [rest[place] for place in batch], settings)


def _answers(model: Model, batch: list[Task], settings: Settings) -> list[Answer]:
    """Return one answer per task; a batch that fails is halved until the task at fault stands alone."""
    for attempt in range(1, (settings.attempts if len(batch) == 1 else 1) + 1):
        try:
            completions = model.complete(batch, seed=settings.seed)
            return [Answer(task.task_id, checksum(task), given) for task, given in zip(batch, completions, strict=True)]
        except CallError as error:
            if len(batch) == 1 and attempt == settings.attempts:
                return [Answer(batch[0].task_id, checksum(batch[0]), None, str(error))]
    half = len(batch) // 2
    return _answers(model, batch[:half], settings) + _answers(model, batch[half:], settings)


# ========== Which tasks are answered together: a pure function of their lengths.
def plan(prompt_tokens: Sequence[int], new_tokens: Sequence[int], token_budget: int) -> list[list[int]]:
    """Return batches of positions; each position is in exactly one.

    A batch holds at most `token_budget` tokens, padding and room for the answers included, unless one task alone needs
    more. Tasks of like answer length and like prompt length share a batch, so that little is padded.
    """
    if token_budget < 1:
        raise ValueError(f"token_budget is {token_budget}; it must be at least 1")
    lengths = list(zip(prompt_tokens, new_tokens, strict=True))
    order = sorted(range(len(lengths)), key=lambda place: (lengths[place][1].bit_length(), lengths[place][0], place))
    batches: list[list[int]] = []
    widest = 0
    for place in order:
        widest_with = max(widest, sum(lengths[place]))
        same_kind = batches and lengths[place][1].bit_length() == lengths[batches[-1][0]][1].bit_length()
        if same_kind and widest_with * (len(batches[-1]) + 1) <= token_budget:
            batches[-1].append(place)
            widest = widest_with
        else:
            batches.append([place])
            widest = sum(lengths[place])
    return batches
