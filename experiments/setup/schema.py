"""What each key of the configuration may hold: one table for every command, read before a command does anything."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from omegaconf import DictConfig, OmegaConf

from experiments.setup.allowed import MOST, Allowed, Built, Choice, ListOf, MappingOf, Number, Text, shown
from slm_orchestration.outcomes.imported.columns import COLUMNS
from slm_orchestration.serving.settings import read_settings

_SHARE, _OPEN_SHARE, _YES_OR_NO = Number(0, 1), Number(0, 1, exclusive=True), Choice((True, False))
_COUNT, _SECONDS = Number(1, MOST, whole=True), Number(0, 10**6)
_COUNT_OR_NULL, _POSITIVE_SECONDS = replace(_COUNT, null=True), replace(_SECONDS, exclusive=True)
_NAME = Text("a name without / (one folder or file)", r"[^/\\\0-\x1f]{1,200}")
_MODEL, _MODELS = Text("the name of a model", example="smollm2-135m"), ListOf(Text("a name", example="a,b"), null=True)
_PATH = Text("a path", example="elsewhere")
_PATH_OR_NULL = replace(_PATH, null=True)
_AIM = Choice(("retention", "same_quality", "budget", "best_quality"))

# Every key of every command, without what a `_target_` builds. A key that the chosen files lack is not checked.
ALLOWED: dict[str, Allowed] = {
    "record": _YES_OR_NO,
    "seed": Number(0, 2**32 - 1, whole=True),
    "n": _COUNT,
    "model": replace(_MODEL, null=True),
    "shard": Text("K/N, the K-th of N parts, such as 3/16", r"\d{1,4}/\d{1,4}", null=True, example="3/16"),
    "profile": _NAME,
    "thresholds": ListOf(_SHARE, rising=True),
    "suite.name": _NAME,
    "suite.tasks_per_domain": _COUNT_OR_NULL,
    "suite.first_size": _COUNT,
    "suite.longest": _COUNT_OR_NULL,
    "suite.pilot_per_dataset": _COUNT_OR_NULL,
    "suite.selected_by": _PATH_OR_NULL,
    "suite.checksum": Text("a sha256", "[0-9a-f]{64}", null=True, example="null"),
    "isolated": _YES_OR_NO,
    "answers.name": Choice(("recorded", "calibrated")),
    "answers.folder": Text("an ending of the name of the folder of results", r"[\w-]*"),
    "pool.name": _NAME,
    "pool.classifier": _YES_OR_NO,
    "pool.small": ListOf(_MODEL, empty=True),
    "pool.prices": _PATH,
    "pool.models": Built(several=True),
    "pool.suite": _NAME,
    "pool.tasks": _PATH,
    "pool.recorded": _PATH,
    "pool.own_models": ListOf(_MODEL),
    "inference.name": _NAME,
    "inference.folder": _PATH,
    "inference.profile": _NAME,
    "inference.device": Choice(("auto", "cpu", "cuda", "mps")),
    "inference.dtype": Choice(("auto", "float32", "bfloat16", "float16")),
    "inference.deterministic": _YES_OR_NO,
    "inference.audit_may_skip": _YES_OR_NO,
    "inference.states": _YES_OR_NO,
    "inference.state_layer": Number(1, 1000, whole=True, null=True),
    "inference.state_pooling": Choice(("mean", "last")),
    "inference.samples": _YES_OR_NO,
    "inference.sample_count": Number(1, 1000, whole=True),
    "inference.sample_temperature": Number(0, 10, exclusive=True),
    "inference.token_budget": _COUNT_OR_NULL,
    "inference.attempts": Number(1, 100, whole=True),
    "inference.timed_rows": Number(1, 4096, whole=True),
    "inference.audit_agreement": _SHARE,
    "routing.name": _NAME,
    "routing.strategy": Built(),
    "operating_point": Built(),
    "operating_point.threshold": _SHARE,
    "operating_point.target": _SHARE,
    "operating_point.share": _SHARE,
    "operating_point.delta": _OPEN_SHARE,
    "operating_point.measure": Choice(("cost", "small_share")),
    "operating_point.seed": Number(0, 2**32 - 1, whole=True),
    "statistics.name": _NAME,
    "statistics.resamples": Number(100, 10**6, whole=True),
    "statistics.level": _OPEN_SHARE,
    "statistics.retention_margin": _SHARE,
    "statistics.simulations": Number(1, 10**6, whole=True),
    "statistics.validation": _PATH,
    "statistics.power.retention": Number(0, 2, exclusive=True),
    "statistics.power.within": _OPEN_SHARE,
    "statistics.power.gains": ListOf(_OPEN_SHARE),
    "tracking": Built(),
    "tracking.uri": Text("the address of an MLflow store or server"),
    "tracking.experiment": Text("the name of an MLflow experiment"),
    "paths.tasks": _PATH,
    "paths.outcomes": _PATH,
    "paths.profile": _PATH,
    "paths.overhead": _PATH,
    "paths.results": _PATH,
    "paths.output": _PATH,
    "paths.figures": _PATH,
    "paths.paper": _PATH,
    "paths.page": _PATH,
    "paths.expected": _PATH,
    # imported outcomes
    "outcomes": _PATH_OR_NULL,
    "models": _MODELS,
    "datasets": _MODELS,
    "small": _MODELS,
    "unanswered": Choice(("refuse", "drop")),
    "quality": Text(
        "recorded or agreement_with:<model>",
        r"recorded|agreement_with:[^\0-\x1f]+",
        example="agreement_with:my-large-model",
    ),
    "token_prices": _PATH_OR_NULL,
    "columns": MappingOf("{task: instance_id, …}, auto or null", Text("a column"), ("task", *COLUMNS), ("auto",)),
    "split": MappingOf("{train: [fit,calibration], …} or null", Choice(("fit", "calibration", "evaluation"))),
    "repeats": Choice(("refuse", "average")),
    "reference": replace(_MODEL, null=True),
    "domain_known": _YES_OR_NO,
    "page": _PATH_OR_NULL,
    "save": _PATH_OR_NULL,
    # one command's own
    "new": _PATH_OR_NULL,
    "aim": _AIM,
    "target": Number(1e-6, 1),
    "delta": _OPEN_SHARE,
    "budget_share": _SHARE,
    "resamples": Number(100, 10**6, whole=True),
    "other": _NAME,
    "folds": Number(2, 1000, whole=True),
    "repetitions": Number(1, 1000, whole=True),
    "retentions": ListOf(Number(1e-6, 1)),
    "by": Choice(("group", "dataset", "domain")),
    "fit_tasks": _COUNT_OR_NULL,
    "grade": Choice(("now", "later")),
    "only": Choice(("profile",), null=True),
    "max_seconds": replace(_POSITIVE_SECONDS, null=True),
    "files": ListOf(_PATH, empty=True),
    "most_pairs": _COUNT,
    "splits": Number(1, 10**4, whole=True),
    "most_fit": Number(10, MOST, whole=True),
    "show": Text("a task id, as in logic/logiqa/00042", null=True, example="logic/logiqa/00042"),
    "cards": _YES_OR_NO,
    "skip_invalid": _YES_OR_NO,
    "clone": _PATH_OR_NULL,
    "pilot.model": _MODEL,
    "into": _PATH,
    "part_mb": Number(1, 10**4, whole=True),
    "answered": _YES_OR_NO,
    "archive": _PATH,
    "pilot.margin": _SHARE,
    "pilot.most": _COUNT,
    "pilot.table": _PATH,
    "cache.encoder": Choice(("hashed", "minilm")),
    "cache.false_hit_budget": _OPEN_SHARE,
    "cache.delta": _OPEN_SHARE,
    "cache.questions": _PATH,
    "cache.most": Number(2, 10**6, whole=True),
    "cache.draws": Number(1, 1000, whole=True),
    "cache.thresholds": ListOf(_SHARE),
    "cache.requests": Number(1, 10**7, whole=True),
    "cache.zipf": ListOf(Number(0, 10)),
    "cache.paraphrased": _SHARE,
    "cache.changed": _SHARE,
    "faults.kinds": ListOf(Choice(("fail", "stall", "garbage", "die"))),
    "faults.rates": ListOf(_SHARE),
    "faults.requests": Number(1, 10**7, whole=True),
    "faults.clients": Number(1, 1000, whole=True),
    "faults.routing_strategy": _NAME,
    "faults.call_s": _SECONDS,
    "faults.stall_s": _SECONDS,
    "faults.restart_s": _SECONDS,
    "faults.deadline_s": _POSITIVE_SECONDS,
    "live.tasks": _PATH,
    "live.most": _COUNT,
    "live.models": Number(1, 1000, whole=True),
    "live.concurrency": ListOf(Number(1, 1000, whole=True)),
    "live.longest_answer": _COUNT,
    "serve.host": Text("an address of this machine, such as 127.0.0.1 or ::1", r"[0-9A-Za-z.:_%-]+", example="0.0.0.0"),
    "serve.port": Number(0, 65535, whole=True),
    "serve.advice": _PATH_OR_NULL,
    "serve.waiting": Number(0, 10**6, whole=True),
    "serve.body_bytes": _COUNT,
    "serve.stale_s": _POSITIVE_SECONDS,
    "serve.read_s": _POSITIVE_SECONDS,
    "serve.answer_s": _POSITIVE_SECONDS,
    "serve.drain_s": _SECONDS,
    "serve.protection.timeout_s": replace(_POSITIVE_SECONDS, null=True),
    "serve.protection.attempts": Number(1, 100, whole=True),
    "serve.protection.backoff_s": _SECONDS,
    "serve.protection.open_at": Number(1e-6, 1, null=True),
    "serve.protection.window": Number(1, 10**6, whole=True),
    "serve.protection.least": Number(1, 10**6, whole=True),
    "serve.protection.open_s": _POSITIVE_SECONDS,
    "load.only": Choice(("routing", "cache", "gateway_cache", "gateway_model"), null=True),
    "load.rate": Number(1e-3, 10**6, null=True),
    "load.minutes": Number(1e-4, 10**5),
    "load.patience_s": _POSITIVE_SECONDS,
    "load.texts": Number(1, 10**6, whole=True),
    **{
        f"load.paths.{path}.{mode}": ListOf(levels)
        for path in ("routing", "cache", "gateway_cache", "gateway_model")
        for mode, levels in (("open", Number(1e-3, 10**6)), ("closed", Number(1, 1000, whole=True)))
    },
}
_REQUIRED = (
    "record",
    "seed",
    "n",
    "thresholds",
    "suite.name",
    "pool.name",
    "pool.prices",
    "routing.name",
    "routing.strategy",
)
_REQUIRED_TO_ASK = ("pool.small", "pool.models")  # outcomes recorded elsewhere come with their models


def check(cfg: DictConfig) -> None:
    """Raise ValueError naming the first key whose value is impossible, the value, and what is allowed.

    A name that YAML reads as a whole number, such as routing.name=7, becomes text.
    """
    required = _REQUIRED if "outcomes" in cfg else (*_REQUIRED, *_REQUIRED_TO_ASK)
    derived = []
    for node, name, key in _places(cfg):
        if node is None or name not in node.keys():  # noqa: SIM118
            if key in required:
                where = "; conf/pool/packaged.yaml shows a whole file" if key.startswith("pool.") else ""
                raise ValueError(f"{key} is missing: allowed is {ALLOWED[key]}{where}")
        elif OmegaConf.is_interpolation(node, name):
            derived.append((node, name, key))
        else:
            _check_value(key, node[name])
            if isinstance(ALLOWED[key], Text) and isinstance(node[name], int):
                node[name] = str(node[name])
    for node, name, key in derived:  # last, so that the message names the key to change
        _check_value(key, node[name])
    orchestrator = OmegaConf.select(cfg, "serve.orchestrator", default=None)
    if orchestrator is not None:
        try:
            read_settings(OmegaConf.to_container(orchestrator, resolve=True))  # type: ignore[arg-type]
        except ValueError as error:
            raise ValueError(f"serve.orchestrator.{error}") from error


def leaves(node: DictConfig, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yield every key that holds no further keys, with its value; a list counts as one value."""
    for name in node:
        child = node._get_node(name)
        if isinstance(child, DictConfig) and not child._is_none() and not child._is_interpolation():
            yield from leaves(child, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", node[name]


def _places(cfg: DictConfig) -> Iterator[tuple[DictConfig | None, str, str]]:
    """Yield, for every key, the node that it lies in, its name there, and the key."""
    nodes: dict[str, object] = {"": cfg}
    for key in ALLOWED:
        group, _, name = key.rpartition(".")
        if group not in nodes:
            nodes[group] = OmegaConf.select(cfg, group)
        node = nodes[group]
        yield node if isinstance(node, DictConfig) else None, name, key


def _check_value(key: str, value: object) -> None:
    if not ALLOWED[key].allows(value):
        raise ValueError(f"{key}={shown(value)}: allowed is {ALLOWED[key]}")
