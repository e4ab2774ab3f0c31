"""Collect the OUTCOMES of one model on tasks: resumable per task, failed calls recorded with their error."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from slm_orchestration.models.model import BatchStreaming, CallError, Completion, Model
from slm_orchestration.outcomes import store
from slm_orchestration.outcomes.store import Answer, ConfigurationChanged, Journal, identity_differences, task_checksum
from slm_orchestration.tables import OUTCOMES, conform
from slm_orchestration.tasks.task import Task

Grade = Callable[[Task, str], float]
# A decoded token takes several times as long as a prompt token; used only for the progress bar.
_PROMPT_TOKENS_PER_DECODED_TOKEN = 4


@dataclass(frozen=True)
class CollectionSettings:
    """`token_budget` is the most tokens of a batch; a failing call is made `attempts` times in all."""

    token_budget: int
    attempts: int
    seed: int


def collect(
    model: Model,
    tasks: Sequence[Task],
    folder: Path,
    *,
    grade: Grade,
    settings: CollectionSettings,
    other_suites: Sequence[Path] = (),
) -> int:
    """Answer the tasks that have no recorded answer, write the table, and return how many were answered.

    A recorded answer is kept while what the model is shown of its task is unchanged. Answers of the same model in
    `other_suites`, folders of other suites, are reused. Raises ConfigurationChanged, and changes nothing, if the
    answers in `folder` come from another model, prompt form or dtype, or belong to tasks that are not in `tasks`.
    """
    identity = model.identity()
    journal = Journal(store.journal_path(folder, model.name), identity)
    checksums = {task.task_id: task_checksum(task) for task in tasks}
    store.settle(store.outcomes_path(folder, model.name))
    kept = _finished(folder, model.name, identity, checksums)
    complete = len(kept) == len(tasks)
    for other in other_suites if not complete else ():
        kept = _reused(other, model.name, identity, checksums) | kept
    in_journal = journal.read()
    for answer in in_journal:
        if checksums.get(answer.task_id) == answer.checksum:
            kept[answer.task_id] = answer
    pending = [task for task in tasks if task.task_id not in kept]
    if complete and not journal.path.exists():
        return 0
    _refuse_to_drop(folder, model.name, {answer.task_id for answer in in_journal}, asked=checksums)
    failed = _answer_pending(model, pending, kept, journal, settings)
    answers = [kept.get(task.task_id) or failed[task.task_id] for task in tasks]
    graded = tqdm(zip(tasks, answers, strict=True), total=len(tasks), desc=f"grading {model.name}", disable=None)
    frame = pd.DataFrame(
        [outcome_row(task, model.name, answer, grade) for task, answer in graded], columns=OUTCOMES.names
    )
    ran = {**model.provenance(), **model.hardware(), "seed": settings.seed, "token_budget": settings.token_budget}
    metadata = store.table_metadata(identity, [checksums[task.task_id] for task in tasks], ran)
    store.write_outcomes(frame, folder, model.name, metadata=metadata)
    journal.remove()
    return len(pending)


def regrade(frame: pd.DataFrame, metadata: Mapping[str, str], tasks: Sequence[Task], *, grade: Grade) -> pd.DataFrame:
    """Return recorded OUTCOMES graded again with the present references, not priced; failed calls stay failed.

    Answers to tasks that are not in `tasks` keep their quality. Raises ConfigurationChanged if what the model is shown
    of a task has changed since it was answered.
    """
    by_id = {task.task_id: task for task in tasks}
    rows = list(zip(frame.to_dict("records"), store.recorded_checksums(metadata), strict=True))
    known = [(by_id[row["task_id"]], mark) for row, mark in rows if row["task_id"] in by_id]
    if changed := [task.task_id for task, mark in known if task_checksum(task) != mark]:
        model = frame["model"].iloc[0]
        raise ConfigurationChanged(
            f"{len(changed)} tasks changed since {model} answered them, first {changed[0]!r}; run experiments.collect"
        )
    graded = [
        outcome_row(by_id[row["task_id"]], row["model"], _recorded_answer(row, mark), grade)
        if row["task_id"] in by_id
        else row
        for row, mark in rows
    ]
    return conform(pd.DataFrame(graded, columns=OUTCOMES.names), OUTCOMES)


def outcome_row(task: Task, model: str, answer: Answer, grade: Grade) -> dict[str, object]:
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


def plan_batches(prompt_tokens: Sequence[int], new_tokens: Sequence[int], token_budget: int) -> list[list[int]]:
    """Return batches of indices; each index is in exactly one batch.

    A batch holds at most `token_budget` tokens, padding and room for the answers included, unless one task alone needs
    more. Tasks of similar answer and prompt length share a batch, so that there is little padding.
    """
    if token_budget < 1:
        raise ValueError(f"token_budget is {token_budget}; it must be at least 1")
    lengths = list(zip(prompt_tokens, new_tokens, strict=True))
    order = sorted(range(len(lengths)), key=lambda index: (lengths[index][1].bit_length(), lengths[index][0], index))
    batches: list[list[int]] = []
    widest = 0
    for index in order:
        widest_with = max(widest, sum(lengths[index]))
        same_answer_length = batches and lengths[index][1].bit_length() == lengths[batches[-1][0]][1].bit_length()
        if same_answer_length and widest_with * (len(batches[-1]) + 1) <= token_budget:
            batches[-1].append(index)
            widest = widest_with
        else:
            batches.append([index])
            widest = sum(lengths[index])
    return batches


def _finished(folder: Path, model: str, identity: dict[str, str], checksums: dict[str, str]) -> dict[str, Answer]:
    """Return the valid answers of the finished table, by task id."""
    if not store.outcomes_path(folder, model).exists():
        return {}
    frame, metadata = store.read_recorded(folder, model)
    kept = _still_valid(frame, metadata, checksums)
    changed = identity_differences(store.recorded_identity(metadata), identity)
    if len(kept) == len(checksums):
        # No answer will be added, so the dtype that this machine would compute in does not matter.
        changed = [difference for difference in changed if not difference.startswith("dtype ")]
    if changed:
        path = store.outcomes_path(folder, model)
        raise ConfigurationChanged(f"{path}: {'; '.join(changed)}; restore that, or collect into another folder")
    return kept


def _refuse_to_drop(folder: Path, model: str, in_journal: set[str], *, asked: Mapping[str, str]) -> None:
    """Raise ConfigurationChanged if replacing the table would delete answers to tasks that are not asked now."""
    path, answered = store.outcomes_path(folder, model), in_journal
    if path.exists():
        frame, _ = store.read_recorded(folder, model)
        answered = answered | set(frame.loc[frame["error"].isna(), "task_id"])
    if lost := sorted(answered - asked.keys()):
        raise ConfigurationChanged(
            f"{path}: {len(lost)} answers are recorded to tasks that are not asked now, first {lost[0]!r}; "
            "prepare those tasks as well, or collect into another folder"
        )


def _reused(folder: Path, model: str, identity: dict[str, str], checksums: dict[str, str]) -> dict[str, Answer]:
    """Return the valid answers of the same model in the folder of another suite, by task id."""
    if not store.outcomes_path(folder, model).exists():
        return {}
    frame, metadata = store.read_recorded(folder, model)
    if identity_differences(store.recorded_identity(metadata), identity):
        return {}
    return _still_valid(frame, metadata, checksums)


def _still_valid(frame: pd.DataFrame, metadata: Mapping[str, str], checksums: dict[str, str]) -> dict[str, Answer]:
    """Return the recorded answers whose task is still shown to the model unchanged, by task id."""
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
    model: Model, pending: list[Task], kept: dict[str, Answer], journal: Journal, settings: CollectionSettings
) -> dict[str, Answer]:
    """Answer `pending`; add answers to `kept` and the journal as they arrive, and return the failed ones by task id."""
    prompt_tokens = dict(zip([task.task_id for task in pending], model.prompt_lengths(pending), strict=True))
    work = {task.task_id: _estimated_tokens(task, prompt_tokens[task.task_id]) for task in pending}
    failed: dict[str, Answer] = {}
    with tqdm(total=sum(work.values()), desc=model.name, unit="token", unit_scale=True, disable=None) as bar:
        for answers in _all_answers(model, pending, prompt_tokens, settings):
            journal.append(answer for answer in answers if answer.completion is not None)
            for answer in answers:
                (failed if answer.completion is None else kept)[answer.task_id] = answer
                bar.update(work[answer.task_id])
            bar.set_postfix(tasks=len(kept), failed=len(failed))
    return failed


def _estimated_tokens(task: Task, prompt_tokens: int) -> int:
    return prompt_tokens + (0 if task.choices is not None else _PROMPT_TOKENS_PER_DECODED_TOKEN * (task.max_tokens - 1))


def _all_answers(
    model: Model, pending: list[Task], prompt_tokens: dict[str, int], settings: CollectionSettings
) -> Iterator[list[Answer]]:
    """Yield each task's answer once, streamed if the model can; the tasks that failed are answered batch by batch."""
    left = {task.task_id: task for task in pending}
    if isinstance(model, BatchStreaming):
        try:
            for finished in model.stream(pending, batch_tokens=settings.token_budget, seed=settings.seed):
                answered = [(pending[index], one) for index, one in finished if isinstance(one, Completion)]
                for task, _ in answered:
                    del left[task.task_id]
                yield [Answer(task.task_id, task_checksum(task), completion) for task, completion in answered]
        except CallError:
            pass  # the tasks that are left follow in batches, which are halved until the failing task is found
    rest = list(left.values())
    new_tokens = [1 if task.choices is not None else task.max_tokens for task in rest]
    for batch in plan_batches([prompt_tokens[task.task_id] for task in rest], new_tokens, settings.token_budget):
        yield _answer_batch(model, [rest[index] for index in batch], settings)


def _answer_batch(model: Model, batch: list[Task], settings: CollectionSettings) -> list[Answer]:
    """Return one answer per task; a failing batch is halved until the failing task is alone."""
    for attempt in range(1, (settings.attempts if len(batch) == 1 else 1) + 1):
        try:
            completions = model.complete(batch, seed=settings.seed)
            answered = zip(batch, completions, strict=True)
            return [Answer(task.task_id, task_checksum(task), completion) for task, completion in answered]
        except CallError as error:
            if len(batch) == 1 and attempt == settings.attempts:
                return [Answer(batch[0].task_id, task_checksum(batch[0]), None, str(error))]
    half = len(batch) // 2
    return _answer_batch(model, batch[:half], settings) + _answer_batch(model, batch[half:], settings)
