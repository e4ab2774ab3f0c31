"""Reading a GGUF file once, into a folder that transformers loads in seconds."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import torch

from slm_orchestration.artifacts import ArtifactError, cache_folder, explained
from slm_orchestration.files import sha256
from slm_orchestration.models.weights import Weights

# Part of what an answer depends on: raise it whenever a converted copy comes out different.
VERSION = "1"
_RECORD = "converted.json"
# Some publishers end a turn with one token and a text with another; a GGUF file names only the first.
_ENDS = ("<|endoftext|>", "<|im_end|>")


def converted(weights: Weights) -> Path:
    """Return the folder of the converted copy, making it on the first call.

    The copy holds float16 weights: closer to the quantised values than bfloat16, and half the size of float32. Raises
    ArtifactError if the weights cannot be had or a file of the copy was changed after it was made.
    """
    folder = cache_folder() / "models" / f"{weights.sha256[:16]}-{VERSION}"
    if not (folder / _RECORD).is_file():
        path = weights.fetch()
        with explained(f"the converted copy of {path.name}", folder.parent):
            _convert_into(path, folder)
    _verify(folder)
    return folder


def digests(weights: Weights) -> dict[str, str]:
    """Return the sha256 of each file of the converted copy, by name, as they were when it was made."""
    return json.loads((converted(weights) / _RECORD).read_text(encoding="utf-8"))


def _convert_into(path: Path, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.exists():
        shutil.rmtree(folder)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".converting-", ignore_cleanup_errors=True) as temporary:
        made = Path(temporary) / folder.name
        made.mkdir()
        _convert(path, made)
        found = {file.name: sha256(file) for file in sorted(made.iterdir())}
        (made / _RECORD).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        made.rename(folder)


def _convert(path: Path, folder: Path) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import save_file
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

    tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    config = AutoConfig.from_pretrained(path.parent, gguf_file=path.name)
    # The model is built empty: it only says what the tensors are called, and never holds a second copy of them.
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    read = load_gguf_checkpoint(path, return_tensors=True, model_to_load=model, torch_dtype=torch.float16)
    tensors = read["tensors"]
    inputs, outputs = tensors["model.embed_tokens.weight"], tensors.get("lm_head.weight")
    config.tie_word_embeddings = outputs is None or torch.equal(inputs, outputs)
    if config.tie_word_embeddings:
        tensors.pop("lm_head.weight", None)
    config.architectures, config.dtype = [type(model).__name__], torch.float16
    vocabulary = tokenizer.get_vocab()
    ends = {tokenizer.eos_token_id, *(vocabulary[end] for end in _ENDS if end in vocabulary)}
    config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    GenerationConfig(eos_token_id=sorted(ends), pad_token_id=tokenizer.pad_token_id).save_pretrained(folder)
    try:
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    except SafetensorError as error:
        raise OSError(f"the converted weights could not be written ({error})") from error


def _verify(folder: Path) -> None:
    recorded = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
    for name, digest in recorded.items():
        if not (folder / name).is_file() or sha256(folder / name) != digest:
            raise ArtifactError(f"{folder / name} is missing or was changed since it was converted; remove {folder}")
