"""Chat templates that refuse system messages, or fail."""

from dataclasses import replace

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from slm_orchestration.models.local.model import LocalModel
from slm_orchestration.models.local.prompt import prompt_text, without_system
from slm_orchestration.models.model import ContextExceeded, TaskError
from tests.models.local.test_model import make_task

PLAIN = "{% for one in messages %}[{{ one.role }}] {{ one.content }} {% endfor %}[assistant]"
NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" + PLAIN
BROKEN = "{{ raise_exception('no') if 'bad' in messages[-1].content else messages[-1].content }}"


def tokenizer(template):
    words = Tokenizer(WordLevel({"<unk>": 0}, unk_token="<unk>"))
    return PreTrainedTokenizerFast(tokenizer_object=words, chat_template=template)


def with_system(task):
    return replace(task, messages=[{"role": "system", "content": "Be brief."}, *task.messages])


def model(template, context=8):
    one = LocalModel("tiny", weights=None)
    one._tokenizer, one._context, one._network = tokenizer(template), context, object()
    return one


def test_a_system_message_goes_to_a_template_that_takes_it_and_else_into_the_users_turn():
    task = with_system(make_task(0, "Say hello.", ["A"]))
    assert prompt_text(tokenizer(PLAIN), task) == "[system] Be brief. [user] Say hello. [assistant]Answer:"
    assert prompt_text(tokenizer(NO_SYSTEM), task) == "[user] Be brief.\n\nSay hello. [assistant]Answer:"
    assert without_system(task.messages)[0]["content"] == "Be brief.\n\nSay hello."
    assert task.messages[0]["role"] == "system"


def test_a_template_that_fails_is_an_error_that_gives_its_reason():
    with pytest.raises(TaskError, match=r"the chat template fails \(no\)"):
        prompt_text(tokenizer(BROKEN), make_task(0, "bad"))


def test_a_template_that_fails_on_one_task_is_the_error_of_that_task_alone():
    tasks = [make_task(0, "bad"), make_task(1, "good")]
    one = model(BROKEN)
    assert one.prompt_lengths(tasks)[1] == 1
    errors = [one._task_error(task, prompt) for task, prompt in zip(tasks, one._prompts(tasks), strict=True)]
    assert str(errors[0]) == "logic/made/0: tiny: the chat template fails (no)" and errors[1] is None
    (yielded,) = one.stream([tasks[0]], batch_tokens=100, seed=0)  # no weights are needed
    assert isinstance(yielded[0][1], TaskError)


def test_a_prompt_beyond_the_context_is_known_without_the_weights():
    task = make_task(0, "one two three four five six seven eight nine ten")
    one = model(PLAIN)
    one._tokenizer.backend_tokenizer.pre_tokenizer = __import__("tokenizers").pre_tokenizers.Whitespace()
    (prompt,) = one._prompts([task])
    assert isinstance(one._length_error(task, prompt), ContextExceeded)
    assert "exceed tiny's context of 8" in str(one._length_error(task, prompt))
