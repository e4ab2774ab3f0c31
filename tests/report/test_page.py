import base64
import hashlib
import json
import re

from slm_orchestration.report.page import render

HOSTILE = "</script><script>alert(1)</script> %%plotly%%"


def test_data_cannot_end_its_element_and_comes_back_as_it_was():
    page = render({"answer": HOSTILE}, "Title <b>")
    held = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert held
    assert json.loads(held.group(1)) == {"answer": HOSTILE}
    assert "<title>Title &lt;b></title>" in page


def test_only_the_two_scripts_of_the_page_may_run():
    page = render({}, "Title")
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    sums = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    assert len(sums) == 2
    assert re.search(r"script-src ([^;]*);", policy.group(1)).group(1) == " ".join(f"'sha256-{sum_}'" for sum_ in sums)
    assert policy.group(1).startswith("default-src 'none';")
