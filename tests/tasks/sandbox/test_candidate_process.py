import pytest

from slm_orchestration.tasks.sandbox.candidate_process import longest_program


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        ("    return 1\n\nHope this helps!", 2),
        ("    x = 1\n    return (x,", 1),
        ("    x = '''\n    never closed", 0),
        ("return 1", 0),
    ],
)
def test_a_body_is_cut_before_its_first_line_that_does_not_compile(body, kept):
    head = "def square(x):\n    ''' . '''\n"
    expected = compile(head + "\n".join(body.split("\n")[:kept]), "<answer>", "exec")
    assert longest_program([(head, body)]) == expected
