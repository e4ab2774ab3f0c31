"""A router that advice saved is served as advised, from a file without code."""

from pathlib import Path

import pytest

from experiments.advise import main
from experiments.setup.config import load_config
from slm_orchestration.models.scripted import ScriptedModel
from slm_orchestration.serving.advised import checksum, read_advised
from slm_orchestration.serving.orchestrator import AdaptiveOrchestrator
from slm_orchestration.serving.pool import Pool

TICKETS = Path(__file__).parents[2] / "data" / "examples" / "tickets.csv"
MODELS = [ScriptedModel(name, default=f"from {name}") for name in ("small", "large")]
POOL = Pool(tuple(MODELS), frozenset({"small"}))
LONG = (
    "Ticket: my invoice is wrong and the refund too; please explain each step, compare both contracts from 2019 and "
    "calculate what remains after 12 instalments"
)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("advice")
    words = [f"page={folder / 'advice.html'}", f"save={folder / 'router.yaml'}", "statistics=quick"]
    main(load_config(f"outcomes={TICKETS}", *words, config="advise"))
    return folder


def test_the_orchestrator_sends_long_tickets_to_the_large_model(saved):
    with AdaptiveOrchestrator.from_advice(saved / "router.yaml", POOL) as orchestrator:
        long, short = orchestrator.process_batch([LONG, "Ticket: where is my order number 4711?"])
        assert (long.output, short.output) == ("from large", "from small")


def test_the_file_says_how_to_serve_it_and_holds_the_threshold(saved):
    text = (saved / "router.yaml").read_text()
    assert text.startswith("# python -m experiments.serve serve.advice=")
    advised = read_advised(saved / "router.yaml")
    assert advised.models == ("small", "large") and advised.sha256 == checksum(TICKETS)


def test_a_changed_table_another_pool_and_a_broken_file_are_refused(saved, tmp_path):
    other = tmp_path / "router.yaml"
    other.write_text((saved / "router.yaml").read_text().replace(checksum(TICKETS), "0" * 64))
    with pytest.raises(ValueError, match="is not the table that the advice was given on"):
        AdaptiveOrchestrator.from_advice(other, POOL).prepare()
    with pytest.raises(ValueError, match="give the pool's models these names"):
        AdaptiveOrchestrator.from_advice(saved / "router.yaml", Pool(POOL.models[::-1], POOL.small)).prepare()
    for content, said in (("[", "cannot be read"), ("a: 1", "is no router"), ("router: x", "router=x: allowed is")):
        other.write_text(content)
        with pytest.raises(ValueError, match=said):
            read_advised(other)


def test_where_no_router_is_needed_nothing_is_saved_and_the_page_is_written_all_the_same(tmp_path):
    page, router = tmp_path / "advice.html", tmp_path / "router.yaml"
    words = [f"outcomes={TICKETS.with_name('overpriced.csv')}", "columns=auto", f"page={page}", f"save={router}"]
    with pytest.raises(ValueError, match=r"router\.yaml: nothing is saved, as no router is needed"):
        main(load_config(*words, "statistics=quick", config="advise"))
    assert "steady alone" in page.read_text() and not router.exists()


def test_the_page_leads_with_the_plain_truth_and_needs_no_script(saved):
    page = (saved / "advice.html").read_text()
    assert page.index("Route: ") < page.index("<svg") < page.index("<dt>Verdict</dt>")
    assert "<script" not in page and "default-src 'none'" in page
    assert "serve.advice=" in page and "src=" not in page
