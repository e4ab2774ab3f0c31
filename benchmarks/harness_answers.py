"""Run by an interpreter that has lm-evaluation-harness: answer FOLDER/asked.json into FOLDER/said.json.

python benchmarks/harness_answers.py FOLDER        (benchmarks.collect_speed calls it)
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path


def main(folder: Path) -> None:
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    about = json.loads((folder / "asked.json").read_text())
    model = HFLM(pretrained=about["folder"], device=about["device"], dtype=about["dtype"], batch_size=about["batch"])
    # The prompts hold their template already.
    model.add_bos_token = False
    ends = [model.tokenizer.decode([token]) for token in model.model.generation_config.eos_token_id]
    asked = about["asked"]
    labelled = [(n, one["prompt"], label) for n, one in enumerate(asked) for label in one["labels"] or []]
    free = [n for n, one in enumerate(asked) if one["labels"] is None]
    likelihoods = [Instance("loglikelihood", {}, (prompt, label), n) for n, prompt, label in labelled]
    written = [
        Instance(
            "generate_until",
            {},
            (asked[n]["prompt"], {"until": ends, "max_gen_toks": asked[n]["max_tokens"], "do_sample": False}),
            n,
        )
        for n in free
    ]
    started = time.perf_counter()
    scores = model.loglikelihood(likelihoods) if likelihoods else []
    texts = model.generate_until(written) if written else []
    seconds = time.perf_counter() - started
    answers = dict(zip(free, texts, strict=True))
    best: dict[int, float] = {}
    for (n, _, label), (score, _) in zip(labelled, scores, strict=True):
        if n not in best or score > best[n]:
            best[n], answers[n] = score, label
    said = {"seconds": seconds, "answers": [answers[n] for n in range(len(asked))]}
    (folder / "said.json").write_text(json.dumps(said))


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
