"""The configuration of an orchestrator: what is allowed, and the error for what is not."""

import pytest

from slm_orchestration.serving.settings import ModelSettings, OrchestratorSettings, read_settings


def test_a_yaml_file_and_a_mapping_say_the_same(tmp_path):
    path = tmp_path / "orchestrator.yaml"
    path.write_text(
        "orchestration:\n  routing_threshold: 0.7\n  cache_ttl: 3600\n  max_concurrent_tasks: 100\n"
        "models:\n  smollm2-135m: {max_tokens: 64, temperature: 0.0}\n"
    )
    expected = OrchestratorSettings(
        routing_threshold=0.7,
        cache_ttl=3600,
        max_concurrent_tasks=100,
        models={"smollm2-135m": ModelSettings(max_tokens=64, temperature=0.0)},
    )
    assert read_settings(path) == expected
    flat = {"routing_threshold": 0.7, "cache_ttl": 3600, "max_concurrent_tasks": 100}
    assert read_settings(flat | {"models": {"smollm2-135m": {"max_tokens": 64, "temperature": 0.0}}}) == expected


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"routing_treshold": 0.5}, r"routing_treshold: no such key; did you mean routing_threshold\?"),
        ({"routing_threshold": 1.5}, r"routing_threshold=1.5: allowed is a number from 0 \(most expensive\) to 1"),
        ({"routing_threshold": True}, r"routing_threshold=True: allowed is a number"),
        ({"aim": "thrift"}, r"^aim=thrift: allowed is retention, same_quality, budget or best_quality$"),
        ({"aim": ["budget"]}, r"aim=\['budget'\]: allowed is retention, same_quality, budget or best_quality"),
        ({"budget_share": 1.5}, r"budget_share=1.5: allowed is a number from 0 to 1"),
        ({"max_latency_ms": 0}, r"max_latency_ms=0: allowed is a number above 0, or null"),
        ({"cache_ttl": float("nan")}, r"cache_ttl=nan: allowed is a number of seconds above 0"),
        ({"max_concurrent_tasks": 2.5}, r"max_concurrent_tasks=2.5: allowed is a whole number from 1"),
        ({"no_model_fits": "panic"}, r"no_model_fits=panic: allowed is relax or refuse"),
        ({"models": {"m": {"max_token": 3}}}, r"models.m.max_token: no such key; did you mean models.m.max_tokens\?"),
        ({"models": {"m": {"temperature": -1}}}, r"models.m.temperature=-1: allowed is a number from 0 to 2"),
        ({"models": ["m"]}, r"models=\['m'\]: allowed is a mapping"),
    ],
)
def test_a_mistake_is_named_with_what_is_allowed(config, message):
    with pytest.raises(ValueError, match=message):
        read_settings(config)


def test_a_file_that_is_not_there_or_no_yaml_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"none\.yaml: no such configuration file"):
        read_settings(tmp_path / "none.yaml")
    (tmp_path / "broken.yaml").write_text("a: [1")
    with pytest.raises(ValueError, match=r"broken\.yaml: not YAML"):
        read_settings(tmp_path / "broken.yaml")
