"""What a harness has left of every sample, which says more than its summary: one module per harness."""

from ..journal import Journal
from ..request import NemoRequest
from .bfcl import read_bfcl
from .conversations import read_conversations
from .lm_eval import read_lm_eval
from .model import Evidence
from .simple_evals import read_simple_evals


def read_evidence(request: NemoRequest, journal: Journal) -> Evidence:
    """Return what the request's harness has left; of one that is not known, what the endpoint was asked.

    Raises:
        RunnerError: what it has left is not complete.
    """
    readers = {"simple_evals": read_simple_evals, "lm-evaluation-harness": read_lm_eval, "bfcl": read_bfcl}
    return readers.get(request.framework, read_conversations)(request, journal)
