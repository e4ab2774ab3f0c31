"""Collect the OUTCOMES of one model on tasks: resumable per task, failed calls recorded with their error."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from slm_orchestration.artifacts import held
from slm_orchestration.models.model import BatchStreaming, CallError, Completion, Model
from slm_orchestration.outcomes import store
from slm_orchestration.outcomes.store import Answer, ConfigurationChanged, Journal, identity_differences, task_checksum
from slm_orchestration.tables import OUTCOMES, conform
from slm_orchestration.tasks.task import Task

Grade = Callable[[Task, str], float]
# A decoded token takes several times as long as a prompt token; both numbers are used only for the progress bar.
_PROMPT_TOKENS_PER_DECODED_TOKEN, _CHARACTERS_PER_TOKEN = 4, 4
# The first blocks are small, so that a run which is soon cut off leaves a sample, too.
_FIRST_BLOCK, _LARGEST_BLOCK = 250, 4000
# Tokens of a batch of tasks that failed together, where no budget is given.
_SMALL_BATCH = 8192


@dataclass(frozen=True)
class CollectionSettings:
    """`token_budget` is the most tokens of a batch (None: what the device has memory for).

    A failing call is made `attempts` times in all. No task is begun once `max_seconds` have passed.
    """

    token_budget: int | None
    attempts: int
    seed: int
    max_seconds: float | None = None


def collect(
    model: Model,
    tasks: Sequence[Task],
    folder: Path,
    *,
    grade: Grade | None,
    settings: CollectionSettings,
    other_suites: Sequence[Path] = (),
) -> int:
    """Answer the tasks that have no recorded answer, write the table, and return how many were answered.

    Tasks are answered in blocks (`stratified_blocks`), and the table is written after each: what is there when a run is
    cut off is a sample of all domains. A recorded answer is kept while what the model is shown of its task is
    unchanged. Answers of the same model in `other_suites`, folders of other suites, are reused. Without `grade`, new
    answers have no quality. Raises ConfigurationChanged, and changes nothing, if the answers in `folder` come from
    another model, prompt form or dtype, or belong to tasks that are not in `tasks`; ArtifactError if another process
    is collecting them.
    """
    busy = f"{folder}: another process is collecting the answers of {model.name}; wait until it has ended"
    with held(folder / f"{model.name}.lock", busy):
        return _collect(model, tasks, folder, grade=grade, settings=settings, other_suites=other_suites)


def _collect(
    model: Model,
    tasks: Sequence[Task],
    folder: Path,
    *,
    grade: Grade | None,
    settings: CollectionSettings,
    other_suites: Sequence[Path],
) -> int:
    identity, started = model.identity(), time.monotonic()
    journal = Journal(store.journal_path(folder, model.name), identity)
    checksums = {task.task_id: task_checksum(task) for task in tasks}
    store.settle(store.outcomes_path(folder, model.name))
    answers = _finished(folder, model.name, identity, checksums)
    grades = _recorded_grades(folder, model.name, answers)
    complete = len(answers) == len(tasks)
    for other in other_suites if not complete else ():
        answers = _reused(other, model.name, identity, checksums) | answers
    in_journal = journal.read()
    for answer in in_journal:
        if checksums.get(answer.task_id) == answer.checksum:
            answers[answer.task_id] = answer
            grades.pop(answer.task_id, None)  # it may be another answer than the one that was graded
    pending = [task for task in tasks if task.task_id not in answers]
    if complete and not journal.path.exists():
        if grade is not None and len(grades) < len(tasks):
            # Answers of another machine, perhaps: the table goes on saying where they come from.
            frame, metadata = store.read_recorded(folder, model.name)
            store.rewrite_outcomes(regrade(frame, metadata, tasks, grade=grade), folder, model.name)
        return 0
    if grade is not None:
        grades = {}  # a reference may have changed since an answer was graded, so that each is graded anew, once
    _refuse_to_drop(folder, model.name, {answer.task_id for answer in in_journal}, asked=checksums)
    ran = {**model.provenance(), **model.hardware(), "seed": settings.seed, "token_budget": settings.token_budget}
    kept = len(answers)
    with _progress(model.name, pending) as update:
        for block in stratified_blocks(pending, settings.seed) or [[]]:
            with closing(_block_answers(model, block, settings)) as arriving:
                for finished in arriving:
                    journal.append(answer for answer in finished if answer.completion is not None)
                    answers |= {answer.task_id: answer for answer in finished}
                    update(finished)
                    if settings.max_seconds is not None and time.monotonic() - started >= settings.max_seconds:
                        return len(answers) - kept
            frame = _graded_table(model.name, tasks, answers, grade, grades)
            metadata = store.table_metadata(identity, [checksums[task_id] for task_id in frame["task_id"]], ran)
            store.write_outcomes(frame, folder, model.name, metadata=metadata)
            journal.remove()
    return len(answers) - kept


def stratified_blocks(tasks: Sequence[Task], seed: int) -> list[list[Task]]:
    """Return the tasks in random blocks, each with the domains in the proportions of all; later blocks are larger."""
    domains = np.array([task.domain for task in tasks], dtype=str)
    order, place = np.random.default_rng(seed).permutation(len(tasks)), np.empty(len(tasks))
    for domain in np.unique(domains):
        members = order[domains[order] == domain]
        place[members] = (np.arange(len(members)) + 0.5) / len(members)
    order = order[np.argsort(place[order], kind="stable")]
    blocks, size = [], _FIRST_BLOCK
    while len(order):
        blocks.append([tasks[index] for index in sorted(order[:size])])
        order, size = order[size:], min(2 * size, _LARGEST_BLOCK)
    return blocks


def _graded_table(
    model: str, tasks: Sequence[Task], answers: Mapping[str, Answer], grade: Grade | None, grades: dict[str, float]
) -> pd.DataFrame:
    """Return OUTCOMES of the tasks that are answered, in their order; add to `grades` what is graded now."""
    found = [(task, answers[task.task_id]) for task in tasks if task.task_id in answers]
    for task, answer in tqdm(found, desc=f"grading {model}", disable=None, leave=False):
        if grade is not None and answer.completion is not None and task.task_id not in grades:
            grades[task.task_id] = grade(task, answer.completion.answer)
    rows = [outcome_row(task, model, answer, grades.get(task.task_id)) for task, answer in found]
    return pd.DataFrame(rows, columns=OUTCOMES.names)


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
        _regraded(by_id[row["task_id"]], row, mark, grade) if row["task_id"] in by_id else row for row, mark in rows
    ]
    return conform(pd.DataFrame(graded, columns=OUTCOMES.names), OUTCOMES)


def _regraded(task: Task, row: dict, mark: str, grade: Grade) -> dict[str, object]:
    answer = recorded_answer(row, mark)
    quality = None if answer.completion is None else grade(task, answer.completion.answer)
    return outcome_row(task, str(row["model"]), answer, quality)


def outcome_row(task: Task, model: str, answer: Answer, quality: float | None) -> dict[str, object]:
    """Return one row of OUTCOMES, not yet priced. An answer without a `quality` is not graded yet."""
    about = {name: getattr(task, name) for name in ("task_id", "domain", "dataset", "group", "split")}
    row = dict.fromkeys(OUTCOMES.names) | about | {"model": model, "repeat": 0, "error": answer.error}
    if (completion := answer.completion) is None:
        return row
    return row | {
        "answer": completion.answer,
        "quality": quality,
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


def _recorded_grades(folder: Path, model: str, kept: Mapping[str, Answer]) -> dict[str, float]:
    """Return the quality of those recorded answers that are kept, by task id."""
    if not kept:
        return {}
    frame, _ = store.read_recorded(folder, model)
    graded = frame[frame["task_id"].isin(kept.keys())].dropna(subset="quality")
    return dict(zip(graded["task_id"], graded["quality"], strict=True))


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
        row["task_id"]: recorded_answer(row, mark)
        for row, mark in marked
        if pd.isna(row["error"]) and checksums.get(row["task_id"]) == mark
    }


def recorded_answer(row: dict, mark: str) -> Answer:
    """Return the answer that a row of OUTCOMES holds; `mark` is the checksum of its task."""
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


@contextmanager
def _progress(model: str, pending: Sequence[Task]) -> Iterator[Callable[[list[Answer]], None]]:
    """Yield a function that moves a progress bar over `pending` on by the answers that it is given."""
    work, counts = {task.task_id: _estimated_tokens(task) for task in pending}, {"tasks": 0, "failed": 0}
    with tqdm(total=sum(work.values()), desc=model, unit="token", unit_scale=True, disable=None) as bar:

        def update(finished: list[Answer]) -> None:
            counts["tasks"] += len(finished)
            counts["failed"] += sum(answer.completion is None for answer in finished)
            bar.update(sum(work[answer.task_id] for answer in finished))
            bar.set_postfix(counts)

        yield update


def _estimated_tokens(task: Task) -> int:
    read = sum(len(message["content"]) for message in task.messages) // _CHARACTERS_PER_TOKEN
    return read + (0 if task.choices is not None else _PROMPT_TOKENS_PER_DECODED_TOKEN * (task.max_tokens - 1))


def _block_answers(model: Model, block: list[Task], settings: CollectionSettings) -> Generator[list[Answer]]:
    """Yield each task's answer once, streamed if the model can.

    Where a stream breaks, the tasks that it left are answered batch by batch; a task that failed is tried again alone.
    """
    left, alone = {task.task_id: task for task in block}, list[Task]()
    if isinstance(model, BatchStreaming) and block:
        try:
            for finished in model.stream(block, batch_tokens=settings.token_budget, seed=settings.seed):
                answered = [(block[index], one) for index, one in finished if isinstance(one, Completion)]
                alone += [block[index] for index, one in finished if not isinstance(one, Completion)]
                for index, _ in finished:
                    del left[block[index].task_id]
                yield [Answer(task.task_id, task_checksum(task), completion) for task, completion in answered]
        except CallError:
            pass  # the tasks that are left follow in batches, which are halved until the failing task is found
    rest = list(left.values())
    new_tokens = [1 if task.choices is not None else task.max_tokens for task in rest]
    lengths = model.prompt_lengths(rest) if rest else []
    for batch in plan_batches(lengths, new_tokens, settings.token_budget or _SMALL_BATCH):
        yield _answer_batch(model, [rest[index] for index in batch], settings)
    for task in alone:
        yield _answer_batch(model, [task], settings)


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
