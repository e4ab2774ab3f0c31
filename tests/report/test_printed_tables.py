import pandas as pd

from slm_orchestration.report import facts, numbers, printed_tables
from slm_orchestration.report.claims import Claim, Evidence, quotes, readings
from slm_orchestration.report.numbers import Source
from tests.figures import tables_by_hand as by_hand

SOURCE = Source("estimates.parquet", "0123456789ab")


def named() -> dict[str, numbers.Number]:
    estimates = by_hand.estimates()
    found = numbers.from_estimates(estimates, SOURCE) | numbers.from_comparisons(by_hand.comparisons(), SOURCE)
    return (
        found
        | facts.counts(estimates, SOURCE)
        | facts.verdicts(estimates, by_hand.comparisons(), SOURCE)
        | facts.model_names(estimates, SOURCE)
    )


def test_the_summary_says_what_each_strategy_keeps_saves_and_gains():
    table = printed_tables.summary(named(), by_hand.estimates())
    adaptive = ("adaptive", "60.0\u00a0%", "0.875", "2.00×", "2.00×", "+0.170\u00a0[+0.050,\u00a0+0.300]")
    assert table.rows[0] == (*adaptive, "–", "–", "better")  # no curve and no classifier here
    assert [row[0] for row in table.rows] == [
        *("adaptive", "heuristic", "confidence", "small", "large"),
        *("mixture", "random", "guess", "oracle"),
    ]
    assert table.rules == (3, 5)


def test_the_comparisons_hold_the_primary_test_of_quality_only():
    table = printed_tables.comparisons(named(), by_hand.comparisons(), by_hand.estimates())
    against_mixture = [(name, "mixture") for name in ("adaptive", "heuristic", "confidence")]
    assert [row[:2] for row in table.rows] == [("adaptive", "large"), *against_mixture]
    assert table.rows[0][2:] == ("−0.100 [−0.200, −0.010]", "−2.50", "0.001", "−0.40")


def test_the_domains_say_how_many_tasks_they_have():
    table = printed_tables.domains(named(), by_hand.estimates())
    assert table.header == ("domain", "tasks", "small", "large")
    assert table.rows[0] == ("code", "5", "0.400 [0.200, 1.000]", "0.800 [0.400, 1.000]")


def test_a_claim_is_printed_with_what_was_measured_and_why_it_was_not():
    claims = [
        Claim("share", "50 %", "share", "routing", strategy="adaptive", metric="small_share", target=0.5),
        Claim("load", "10,000 requests/s", "load", "needs a load test", strategy="gateway", metric="rate", target=1e4),
    ]
    nothing = by_hand.estimates().iloc[:0]
    evidence = Evidence(by_hand.estimates(), nothing, nothing, by_hand.comparisons(), pd.DataFrame())
    evaluated = readings(claims, evidence)
    quoted = quotes(evaluated, claims)
    found = named() | facts.claim_facts(evaluated, quoted, {"": SOURCE, "estimates": SOURCE})
    table = printed_tables.claims(found, evaluated, quoted)
    assert table.rows[0] == ("50 % share", "60.0\u00a0% [54.0\u00a0%, 66.0\u00a0%]", "supported", "")
    assert table.rows[1] == ("10,000 requests/s load", "–", "not testable here", "needs a load test")
    told = printed_tables.readings(found, evaluated)
    assert told.rows[0] == ("50 %", "share", "–", "60.0\u00a0% [54.0\u00a0%, 66.0\u00a0%]", "–", "supported")


def test_the_sentence_names_who_beats_the_mixture_and_who_does_not():
    compared = by_hand.comparisons()
    said = facts.verdicts(by_hand.estimates(), compared, SOURCE)["words.against_mixture"].text
    assert said == ("adaptive beats the mixture; confidence falls short of it; for heuristic neither is shown")
    adaptive = (compared["strategy"] == "adaptive") & (compared["baseline"] == "mixture")
    compared.loc[adaptive, "p_adjusted"] = 0.051
    judged = facts.verdicts(by_hand.estimates(), compared, SOURCE)
    assert [judged[f"{name}.verdict"].text for name in ("adaptive", "confidence")] == [
        "undecided (finds ±0.100, excludes ±0.200)",
        "worse",
    ]
    nobody = facts.verdicts(by_hand.estimates(["always_small", "always_large", "confidence"]), compared, SOURCE)
    assert (
        nobody["words.against_mixture"].text == "no strategy is shown to beat the mixture; confidence falls short of it"
    )


def test_what_the_mixture_is_made_of_is_the_mixture_itself():
    assert named()["always_small.verdict"].text == "the mixture itself"
    assert named()["oracle.verdict"].text == "better"


def test_an_online_strategy_and_one_that_equals_a_constant_are_shown_as_what_they_are():
    apart = by_hand.estimates().iloc[:2].assign(strategy=["heuristic", "confidence"], domain="overall")
    apart = apart.assign(
        metric=["streams", "equals_constant"], estimate=[40.0, 1.0], method=["counted", "always_small"]
    )
    estimates = pd.concat([by_hand.estimates(), apart])
    judged = facts.verdicts(estimates, by_hand.comparisons(), SOURCE)
    assert judged["heuristic.verdict"].text == "online, 40 streams"
    assert judged["confidence.verdict"].text == "= always_small"
    assert judged["words.against_mixture"].text == "adaptive beats the mixture"
    assert judged["count.short"].text == "0"


def test_a_strategy_that_was_not_run_says_so_under_its_other_name():
    found = facts.aliased(named(), "domain_table_given", "given")
    assert found["given.gain_over_mixture"].text == "not run"
    assert facts.aliased(named(), "oracle", "oracle")["oracle.gain_over_mixture"].text == "+0.370"


def test_simulated_rates_stand_by_population_and_those_off_their_band_are_marked():
    rows = [
        ("coverage", "cost_usd", 0.948, "inside", "alone", 200), ("coverage", "cost_usd", 0.92, "below", "alone", 30),
        ("rejection", "paired_t, quality", 0.05, "inside", "alone", 200),
    ]  # fmt: skip
    simulated = pd.DataFrame(rows, columns=["rate_of", "statistic", "rate", "band", "tasks", "groups"])
    table = printed_tables.validation(facts.validation(simulated, SOURCE), simulated)
    assert table.header == ("rate of", "statistic", "alone, 200", "alone, 30")
    assert table.rows == (("coverage", "cost usd", "94.8", "92.0 !"), ("rejection", "paired t, quality", "5.0", "–"))
    assert table.rules == (1,)


def test_what_is_certified_has_a_pair_of_columns_per_promise():
    rows = [("knn", 0.9, 0.15, 0.97, 1.7), ("knn", 0.95, None, 1.0, 1.0), ("kinds", 0.9, 0.175, 0.95, 1.96)]
    frame = pd.DataFrame(rows, columns=["strategy", "target", "threshold", "retention", "cost_saving"])
    table = printed_tables.certified(facts.certified(frame, SOURCE), frame)
    assert table.header == ("strategy", "90 %: threshold", "saving", "95 %: threshold", "saving")
    assert table.rows == (
        ("k nearest neighbours", "0.150", "1.70×", "always-L", "1.00×"),
        ("kinds", "0.175", "1.96×", "–", "–"),
    )
    close = pd.DataFrame([("knn", 0.995, 0.1, 1.0, 1.2), ("knn", 1.0, None, 1.0, 1.0)], columns=frame.columns)
    table = printed_tables.certified(facts.certified(close, SOURCE), close)
    assert table.header[1::2] == ("99.5 %: threshold", "100 %: threshold")
    assert table.rows == (("k nearest neighbours", "0.100", "1.20×", "always-L", "1.00×"),)
    assert printed_tables.certified({}, pd.DataFrame()).rows == ()
    assert facts.certified(pd.DataFrame(), SOURCE)["certified.adaptive.95.cost_saving"].text == "not run"


def test_predictions_stand_beside_the_gain_and_below_how_they_go_together():
    measured = pd.DataFrame({"strategy": ["knn", "length"], "brier": [0.164, 0.441], "mean_gain": [0.032, -0.034]})
    ranks = pd.DataFrame({"measure": ["brier"], "spearman": [1.0], "strategies": [2]})
    table = printed_tables.predictions(facts.predictions(measured, ranks, SOURCE), measured)
    assert table.rows == (
        ("k nearest neighbours", "0.164", "+0.032"),
        ("length", "0.441", "\N{MINUS SIGN}0.034"),
        ("rank correlation with gain", "1.00", ""),
    )
    assert table.rules == (2,) and printed_tables.predictions({}, pd.DataFrame()).rows == ()
