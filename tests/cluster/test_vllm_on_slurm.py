"""The real vLLM on CPUs as a Slurm job: both kinds of tasks, and nothing left on the node."""

from cluster.conftest import SlurmWorkspace
from engine_bench import define_choice, served_by_vllm, vllm_checkpoint
from workspace import name_of


def test_chat_and_loglikelihood_on_slurm(slurm: SlurmWorkspace) -> None:
    slurm.configure(
        {
            "deployment": served_by_vllm(vllm_checkpoint()),
            "execution": {"type": "slurm", "walltime": "00:20:00", "mem_gb": 3, "cpus_per_task": 2},
            "evaluation": {
                "limit": 4,
                "max_new_tokens": 8,
                "task_dirs": [str(define_choice(slurm.folder))],
                "tasks": ["capitals", {"name": "choice", "protocol": "loglikelihood"}],
            },
        }
    )
    done = slurm.run()
    assert done.returncode == 0, done.output
    for task in ("capitals", "choice"):
        assert slurm.result("smol", task)["samples"] == {"asked": 4, "answered": 4, "failed": 0}
    assert slurm.jobs() == []
    assert not [one for one in slurm.processes() if name_of(one).startswith("VLLM::")]
