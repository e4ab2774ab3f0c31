"""The smallest packaged model, for real: its answers must not depend on how they are batched."""

from dataclasses import replace

import pytest
import torch
from hydra.utils import instantiate
from transformers import AutoModelForCausalLM

from experiments.setup.config import load_config
from slm_orchestration.models import weights
from slm_orchestration.models.local.model import LocalModel
from slm_orchestration.models.model import CallError
from slm_orchestration.tasks.task import Task


def make_task(number: int, text: str, choices: list[str] | None = None, max_tokens: int = 12) -> Task:
    messages = [{"role": "user", "content": text}]
    return Task(
        f"logic/made/{number}", "logic", "made", str(number), "fit", text, messages, choices, "A", "exact", max_tokens
    )


TASKS = [
    make_task(0, "Which is the capital of France?\nA. Berlin\nB. Paris\nC. Rome", ["A", "B", "C"]),
    make_task(1, "Say hello in French."),
    make_task(2, "What is 2 + 2? Answer with the number only.", max_tokens=24),
    make_task(3, "Is water wet?\nA. yes\nB. no", ["A", "B"]),
    make_task(4, "Count from one to ten, in words, and say of each whether you like it.", max_tokens=6),
]


@pytest.fixture(scope="module")
def smallest() -> LocalModel:
    cfg = load_config("pool=packaged")
    return instantiate(cfg.pool.models[0], device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def plain(smallest):
    """The same weights as transformers loads them."""
    return AutoModelForCausalLM.from_pretrained(weights.converted_folder(smallest.weights), dtype=torch.float32).eval()


@pytest.mark.real
def test_a_batch_gives_the_answers_of_one_task_at_a_time(smallest):
    together = smallest.complete(TASKS, seed=0)
    for task, expected in zip(TASKS, together, strict=True):
        alone = smallest.complete([task], seed=0)[0]
        assert alone.answer == expected.answer
        assert alone.completion_tokens == expected.completion_tokens
        assert alone.signals == pytest.approx(expected.signals, abs=1e-3)
    assert [completion.finish_reason for completion in together] == ["choice", "length", "stop", "choice", "length"]
    assert together[4].completion_tokens == 6


@pytest.mark.real
def test_the_chunks_of_a_streamed_answer_join_to_the_answer_and_end_with_its_completion(smallest):
    odd = make_task(5, "Write a line with the characters é, 漢 and 🙂.", max_tokens=24)
    for task in [*TASKS, odd]:
        *chunks, last = smallest.stream_text(task, seed=0)
        (whole,) = smallest.complete([task], seed=0)
        assert "".join(chunks) == whole.answer
        assert replace(last, latency_s=whole.latency_s) == whole
    assert len(chunks) > 5


@pytest.mark.real
def test_label_probabilities_are_those_of_a_plain_forward_pass(smallest, plain):
    completion = smallest.complete(TASKS[:1], seed=0)[0]
    tokenizer = smallest._tokenizer
    prompt = tokenizer.apply_chat_template(TASKS[0].messages, tokenize=False, add_generation_prompt=True) + "Answer:"
    with torch.inference_mode():
        logits = plain(tokenizer(prompt, return_tensors="pt", add_special_tokens=False)["input_ids"]).logits[0, -1]
    expected = {label: logits.softmax(-1)[tokenizer.encode(f" {label}")[0]].item() for label in "ABC"}
    assert {label: completion.signals[f"label:{label}"] for label in "ABC"} == pytest.approx(expected, rel=1e-3)
    assert completion.signals["label_mass"] == pytest.approx(sum(expected.values()), rel=1e-3)
    assert completion.answer == max(expected, key=expected.__getitem__)


@pytest.mark.real
def test_greedy_decoding_equals_that_of_transformers(smallest, plain):
    completion = smallest.complete([TASKS[2]], seed=0)[0]
    tokenizer = smallest._tokenizer
    prompt = tokenizer.apply_chat_template(TASKS[2].messages, tokenize=False, add_generation_prompt=True)
    encoded = tokenizer(prompt, return_tensors="pt", add_special_tokens=False)
    written = plain.generate(**encoded, max_new_tokens=24, do_sample=False)[0, encoded["input_ids"].shape[1] :]
    assert completion.answer == tokenizer.decode(written, skip_special_tokens=True)
    assert completion.completion_tokens == len(written)


@pytest.mark.real
def test_a_prompt_beyond_the_context_is_a_failed_call_and_is_never_cut(smallest):
    with pytest.raises(CallError, match=r"logic/made/9: \d+ prompt tokens exceed smollm2-135m's context of 8192"):
        smallest.complete([make_task(9, "word " * 9000)], seed=0)


@pytest.mark.real
def test_labels_that_share_their_first_token_are_a_failed_call(smallest):
    with pytest.raises(CallError, match="share their first token"):
        smallest.complete([replace(TASKS[3], choices=["yes", "yes indeed"])], seed=0)


@pytest.mark.real
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU that CUDA can use")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_gpu_answers_as_the_processor_does(smallest, dtype):
    there = replace(smallest, device="cuda", dtype=dtype)
    there.load()
    assert there._network.device.type == "cuda"
    given, expected = there.complete(TASKS, seed=0), smallest.complete(TASKS, seed=0)
    for task, one, other in zip(TASKS, given, expected, strict=True):
        if task.choices is not None:
            assert one.answer == other.answer
            assert one.signals == pytest.approx(other.signals, abs=0.05 if dtype == "bfloat16" else 1e-3)
        elif dtype == "float32":
            assert one.answer == other.answer
    there.release()


def test_construction_only_stores():
    model = LocalModel("none", weights=None)
    assert model.name == "none"


@pytest.mark.real
def test_a_deterministic_model_gives_identical_numbers_in_any_batch_and_order(smallest):
    alone = replace(smallest, deterministic=True)
    together = alone.complete(TASKS, seed=0)
    backwards = [alone.complete([task], seed=0)[0] for task in reversed(TASKS)][::-1]
    for one, other in zip(together, backwards, strict=True):
        assert (one.answer, one.signals) == (other.answer, other.signals)
    assert alone.identity() == smallest.identity() | {"deterministic": "each task alone, one thread"}
