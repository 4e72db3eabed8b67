"""The slots of one machine: at most `execution.max_deployments` deployments have servers at a time."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from snakeval.backends.base import Backend
from snakeval.config.model import Config
from snakeval.run.claims import POLL_S, claim, is_held
from snakeval.run.paths import RunPaths
from snakeval.system.caller import refuse_orphaned, snakemake_process
from snakeval.system.files import locked
from snakeval.system.polling import Reminder, rounds
from snakeval.system.say import Say


@contextmanager
def slot(config: Config, paths: RunPaths, backend: Backend, deployment: str, task: str, say: Say) -> Iterator[None]:
    """Wait until the deployment may have a server on this machine, and claim it while the block runs.

    At most `execution.max_deployments` deployments have servers. Where there is no room, it stops a server that no
    lease and no process holds. So waiting ends as soon as the tasks of another deployment have ended.
    """
    limit = config.execution.max_deployments
    others = [one.name for one in config.deployments if one.name != deployment]
    reminder = Reminder(say)
    snakemake = snakemake_process()
    with ExitStack() as claimed:
        for _ in rounds(POLL_S):
            # Whoever outlives Snakemake would take the slot from the next call, which knows nothing of it.
            refuse_orphaned(snakemake)
            with locked(paths.slots_lock):
                held = [name for name in others if is_held(paths, name)]
                if len(held) < limit:
                    idle = [name for name in others if name not in held and backend.state(name).lives]
                    for name in idle[: max(0, len(held) + len(idle) + 1 - limit)]:
                        say(f"stopping the server of {name}, which no task needs right now, to make room")
                        backend.stop(name)
                    # Claimed before the lock is given back, so that nobody else takes the same slot.
                    claimed.enter_context(claim(paths, deployment, task))
                    break
            reminder.remind(f"waiting for the tasks of {', '.join(held)} to end (execution.max_deployments: {limit})")
        yield
