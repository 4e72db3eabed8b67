"""What goes wrong with a task, by harness: what fails it and what the user is told, or why it cannot happen there."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MODES = (
    "dead endpoint",
    "all 4xx",
    "all 5xx",
    "null contents",
    "partial results",
    "missing dataset",
    "missing secret",
    "killed",
    "own report",
)


@dataclass(frozen=True)
class Failure:
    """One way in which a task fails.

    Attributes:
        message: Part of what the user is told.
        faults: Of the server.
        options: Of the task.
        kind: "endpoint", worth another attempt, or "harness".
        dead: Whether the server has gone.
        no_data: Whether the task's data has.
        report: A file that the harness has written all the same, as a pattern below its folder.
        held_after: The harness is killed when the server has answered this often and holds the rest.
        requests: All requests of the task, which a killed one and the next attempt send together.
        probes: Requests before the first sample, which every attempt sends.
        has_key: Whether the task is given the key that the server asks for.
    """

    message: str
    faults: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    kind: str = "endpoint"
    dead: bool = False
    no_data: bool = False
    report: str | None = None
    held_after: int | None = None
    requests: int = 0
    probes: int = 0
    has_key: bool = True


FOUR = "4 of 4 samples got no answer: "
GSM8K = "the dataset of task gsm8k_cot_instruct cannot be loaded"
NOBODY_ANSWERED = "requests got no answer: "
IN_BFCL = {"limit": 2, "max_retries": 0, "parallelism": 1}
OWN_WORDS = 'echo "{}" >&2; exit 3'
REPORTS = 'echo \'{{"metrics": [{{"name": "accuracy", "value": 0.5, "n": 4}}], "samples": {}}}\' > '
REPORTS += '"$SNAKEVAL_OUTPUT_DIR/result.json"; exit {}'
PROGRAM = "the command ended with exit status 1; its log says more"
ONE_AT_A_TIME: Mapping[str, Any] = {"parallelism": 1}
# A prompt goes through the tokenizer and back; one for letters gives every text back.
BY_LETTER = "letters"

TABLE: Mapping[str, Mapping[str, Failure | str]] = {
    "lm-eval chat": {
        "dead endpoint": Failure(f"{FOUR}unreachable (4x), e.g. 'no connection", dead=True),
        "all 4xx": Failure(f"{FOUR}rejected (4x), e.g. 'HTTP 400", ("status:400",), {"max_retries": 5}),
        "all 5xx": Failure(f'{FOUR}server error (4x), e.g. \'HTTP 500: {{"error"', ("status:500",), {"max_retries": 1}),
        "null contents": Failure(f"{FOUR}not an answer (4x), e.g. 'no content, finish_reason length'", ("null",)),
        "partial results": Failure("1 of 4 samples got no answer: server error (1x)", ("status-if:500:q2",)),
        "missing dataset": Failure("set evaluation.data_dir", kind="harness", no_data=True),
        "missing secret": Failure(f"{FOUR}rejected (4x), e.g. 'HTTP 401", has_key=False),
        "killed": Failure("lm-eval was killed by SIGKILL", kind="harness", held_after=3, requests=6),
        "own report": "lm-eval is called as a library; its results are written when every sample has an answer",
    },
    "lm-eval loglikelihood": {
        "dead endpoint": Failure("does not answer", dead=True),
        "all 4xx": Failure(f"{FOUR}rejected (8x)", ("status:400",), {"max_retries": 5}),
        "all 5xx": Failure(f"{FOUR}server error (8x)", ("status:500",)),
        "null contents": Failure("do not fit (8x), e.g. 'the answer has no token_logprobs", ("no-echo",)),
        "partial results": Failure("1 of 4 samples got no answer: server error (2x)", ("status-if:500:q2",)),
        "missing dataset": Failure("set evaluation.data_dir", kind="harness", no_data=True),
        "missing secret": Failure(f"{FOUR}rejected (8x), e.g. 'HTTP 401", has_key=False),
        "killed": Failure("lm-eval was killed by SIGKILL", kind="harness", held_after=3, requests=12),
        "own report": "as with chats",
    },
    "simple_evals": {
        "dead endpoint": Failure(f"{NOBODY_ANSWERED}unreachable", dead=True),
        "all 4xx": Failure(f"{NOBODY_ANSWERED}rejected", ("status:400",)),
        "all 5xx": Failure(f"{NOBODY_ANSWERED}server error", ("status:500",)),
        "null contents": Failure(f"{NOBODY_ANSWERED}not an answer", ("null",)),
        "partial results": Failure("requests got no answer: not an answer (1x), e.g. 'no content", ("null-if:q2",)),
        "missing dataset": Failure("dataset of task mmlu_pro cannot be loaded", kind="harness", no_data=True),
        "missing secret": Failure(f"{NOBODY_ANSWERED}rejected", has_key=False),
        "killed": Failure("nemo-evaluator was killed by SIGKILL", kind="harness", held_after=3, requests=6),
        "own report": "nemo-evaluator writes results.yml when the harness has ended well",
    },
    "nvidia-lm-eval chat": {
        "dead endpoint": Failure(f"{NOBODY_ANSWERED}unreachable", dead=True),
        "all 4xx": Failure(f"{NOBODY_ANSWERED}rejected", ("status:400",)),
        "all 5xx": Failure(f"{NOBODY_ANSWERED}server error", ("status:500",)),
        "null contents": Failure(f"{NOBODY_ANSWERED}not an answer", ("null",)),
        "partial results": Failure("1 of 2 requests got no answer: not an answer", ("null-if:q1",), ONE_AT_A_TIME),
        "missing dataset": Failure(GSM8K, kind="harness", no_data=True),
        "missing secret": Failure(f"{NOBODY_ANSWERED}rejected", has_key=False),
        "killed": Failure("nemo-evaluator was killed by SIGKILL", kind="harness", held_after=3, requests=6),
        "own report": "as with simple_evals",
    },
    "nvidia-lm-eval completions": {
        "dead endpoint": "as with chats: the adapter sends the requests of all kinds",
        "all 4xx": "as with chats",
        "all 5xx": "as with chats",
        "null contents": Failure(f"{NOBODY_ANSWERED}not an answer", ("null",)),
        "partial results": Failure("1 of 2 requests got no answer: not an answer", ("null-if:q1",), ONE_AT_A_TIME),
        "missing dataset": "as with chats: loaded before anything is sent",
        "missing secret": "as with chats",
        "killed": "as with chats",
        "own report": "as with chats",
    },
    "nvidia-lm-eval loglikelihood": {
        "dead endpoint": "as with chats: the adapter sends the requests of all kinds",
        "all 4xx": Failure(f"{NOBODY_ANSWERED}rejected", ("status:400",)),
        "all 5xx": "as with chats",
        "null contents": Failure(f"{NOBODY_ANSWERED}log-probabilities do not fit", ("no-echo",)),
        "partial results": Failure(
            "requests got no answer: server error", ("status-if:500:q2", BY_LETTER), ONE_AT_A_TIME
        ),
        "missing dataset": "as with chats: loaded before anything is sent",
        "missing secret": "as with chats",
        "killed": Failure(
            "nemo-evaluator was killed by SIGKILL",
            (BY_LETTER,),
            kind="harness",
            held_after=4,
            # One before the first sample.
            requests=13,
        ),
        "own report": "as with chats",
    },
    "bfcl": {
        "dead endpoint": Failure(
            f"2 of 2 {NOBODY_ANSWERED}unreachable",
            options=IN_BFCL,
            dead=True,
            report="nemo_evaluator/result/*/*.json",
        ),
        "all 4xx": Failure(f"2 of 2 {NOBODY_ANSWERED}rejected", ("status:400",), IN_BFCL),
        "all 5xx": Failure(f"2 of 2 {NOBODY_ANSWERED}server error", ("status:500",), IN_BFCL),
        "null contents": Failure(f"2 of 2 {NOBODY_ANSWERED}not an answer", ("null",), IN_BFCL),
        "partial results": Failure(f"1 of 2 {NOBODY_ANSWERED}unreachable", ("die-after:1",), IN_BFCL),
        "missing dataset": "the package brings its data",
        "missing secret": Failure(f"2 of 2 {NOBODY_ANSWERED}rejected", options=IN_BFCL, has_key=False),
        "killed": Failure("nemo-evaluator was killed by SIGKILL", kind="harness", held_after=3, requests=6),
        "own report": "beside `dead endpoint`: BFCL scores errors in the place of answers, and ends with 0",
    },
    "inspect": {
        "dead endpoint": Failure(f"{FOUR}unreachable (4x), e.g. 'no connection", dead=True),
        "all 4xx": Failure(f"{FOUR}rejected (4x)", ("status:400",), {"max_retries": 5}, report="inspect/*.json"),
        "all 5xx": Failure(f'{FOUR}server error (4x), e.g. \'HTTP 500: {{"error"', ("status:500",), {"max_retries": 1}),
        "null contents": Failure(f"{FOUR}not an answer (4x)", ("null",)),
        "partial results": Failure("1 of 4 samples got no answer: rejected (1x)", ("status-if:400:q2",)),
        "missing dataset": Failure("the dataset of task mini cannot be loaded", kind="harness", no_data=True),
        "missing secret": Failure(f"{FOUR}rejected (4x), e.g. 'HTTP 401", has_key=False),
        "killed": Failure("Inspect was killed by SIGKILL", kind="harness", held_after=3, requests=6),
        "own report": "beside `all 4xx`: Inspect's log is there, and its process has ended well",
    },
    "inspect_evals": {
        "dead endpoint": Failure(f"{FOUR}unreachable (4x)", dead=True),
        "all 4xx": Failure(f"{FOUR}rejected (4x)", ("status:400",), report="inspect/*.json"),
        "all 5xx": Failure(f"{FOUR}server error (4x)", ("status:500",)),
        "null contents": Failure(f"{FOUR}not an answer (4x)", ("null",)),
        "partial results": Failure("1 of 4 samples got no answer: not an answer (1x)", ("null-if:q2",)),
        "missing dataset": Failure("the dataset of task gsm8k cannot be loaded", kind="harness", no_data=True),
        "missing secret": Failure(f"{FOUR}rejected (4x), e.g. 'HTTP 401", has_key=False),
        "killed": Failure("Inspect was killed by SIGKILL", kind="harness", held_after=3, requests=6),
        "own report": "beside `all 4xx`",
    },
    "command": {
        "dead endpoint": Failure(PROGRAM, kind="harness", dead=True),
        "all 4xx": Failure(PROGRAM, ("status:400",), kind="harness"),
        "all 5xx": Failure(PROGRAM, ("status:500",), kind="harness"),
        "null contents": "what an answer is only the program knows; see `partial results`",
        "partial results": Failure(
            "1 of 4 samples got no answer",
            options={"command": REPORTS.format('{"asked": 4, "answered": 3}', 0)},
            kind="harness",
            report="result.json",
        ),
        "missing dataset": Failure(
            "the command ended with exit status 3", options={"command": OWN_WORDS.format("no data")}, kind="harness"
        ),
        "missing secret": Failure(PROGRAM, has_key=False, kind="harness"),
        "killed": Failure("the command was killed by SIGKILL", kind="harness", held_after=2),
        "own report": Failure(
            "the command ended with exit status 3",
            options={"command": REPORTS.format('{"asked": 4, "answered": 4}', 3)},
            kind="harness",
            report="result.json",
        ),
    },
}
