"""Measures what the gateway adds to a request; benchmarks/README.md has the goals and the numbers.

A server that answers at once and a client take turns: directly, and through the gateway. The CPU time of the gateway is
that of its own process, which other work on the machine changes little; latencies it does change.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import psutil
from aiohttp import web

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

from snakeval.gateway.settings import TOKEN_VARIABLE, Settings, write_settings  # noqa: E402
from snakeval.run.gateway import GatewayState  # noqa: E402

CPU_GOAL_MS = 0.6
LATENCY_GOAL_MS = 2.0
IN_FLIGHT = 16
MOST_IN_FLIGHT = 1024
TOKEN = "token"
HOLD_S = 2.0
REPLY = {
    "id": "x",
    "object": "chat.completion",
    "model": "m",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "An answer. " * 20}}],
    "usage": {"prompt_tokens": 150, "completion_tokens": 60},
}


@dataclass(frozen=True)
class Round:
    """One round of requests: seconds of each, and of the whole."""

    latencies_s: list[float]
    wall_s: float

    @property
    def median_ms(self) -> float:
        """Median latency."""
        return 1000 * statistics.median(self.latencies_s)


def _serve(port: int) -> None:
    """Answer everything at once, and what asks to be held after a while."""
    body = json.dumps(REPLY).encode()

    async def answer(request: web.Request) -> web.Response:
        if b"hold" in await request.read():
            await asyncio.sleep(HOLD_S)
        return web.Response(body=body, content_type="application/json")

    async def run() -> None:
        application = web.Application()
        application.router.add_post("/v1/chat/completions", answer)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port, backlog=2048).start()
        await asyncio.Event().wait()

    asyncio.run(run())


async def _ask(url: str, count: int, in_flight: int, text: str) -> Round:
    latencies: list[float] = []
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), headers=headers) as session:
        numbers = iter(range(count))

        async def work() -> None:
            for number in numbers:
                messages = [{"role": "user", "content": f"{text} {number} {'word ' * 100}"}]
                began = time.perf_counter()
                asked = {"model": "m", "temperature": 0, "messages": messages}
                async with session.post(f"{url}/chat/completions", json=asked) as response:
                    await response.read()
                    response.raise_for_status()
                latencies.append(time.perf_counter() - began)

        began = time.perf_counter()
        await asyncio.gather(*[work() for _ in range(in_flight)])
        return Round(latencies, time.perf_counter() - began)


@contextmanager
def _gateway(folder: Path, base_url: str) -> Iterator[tuple[str, psutil.Process]]:
    limit, state = folder / "limit", folder / "gateway.json"
    limit.write_text(str(MOST_IN_FLIGHT), encoding="utf-8")
    settings = Settings(
        base_url=base_url,
        own_server=True,
        deployment="benchmark",
        target=None,
        journal=folder / "journal.jsonl",
        state=state,
        limit=limit,
        life="first",
        attempt=1,
    )
    write_settings(folder / "settings.json", settings)
    command = [sys.executable, str(ROOT / "scripts" / "programs" / "gateway.py"), str(folder / "settings.json")]
    with subprocess.Popen(command, env=os.environ | {TOKEN_VARIABLE: TOKEN}) as process:
        while not state.exists():
            time.sleep(0.05)
        try:
            told = GatewayState.read(state)
            assert told is not None
            yield told.address, psutil.Process(process.pid)
        finally:
            process.terminate()


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _memory_mib(process: psutil.Process) -> float:
    return float(process.memory_info().rss) / 2**20


def main() -> int:
    """Print the table; return 1 when a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="alternating rounds")
    parser.add_argument("--requests", type=int, default=4000, help="requests of a round")
    parser.add_argument("--many", type=int, default=100_000, help="requests after which memory is looked at")
    given = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    port = 18_999
    server = context.Process(target=_serve, args=(port,), daemon=True)
    server.start()
    direct_url = f"http://127.0.0.1:{port}/v1"
    time.sleep(2)
    direct, through, cpu_ms = [], [], []
    with tempfile.TemporaryDirectory() as folder, _gateway(Path(folder), direct_url) as (url, process):
        for number in range(given.rounds):
            direct.append(asyncio.run(_ask(direct_url, given.requests, IN_FLIGHT, f"direct {number}")))
            before_s = _cpu_s(process)
            through.append(asyncio.run(_ask(url, given.requests, IN_FLIGHT, f"through {number}")))
            cpu_ms.append(1000 * (_cpu_s(process) - before_s) / given.requests)
        small_mib = _memory_mib(process)
        asyncio.run(_ask(url, 2 * MOST_IN_FLIGHT, MOST_IN_FLIGHT, "hold"))
        wide_mib = _memory_mib(process)
        asyncio.run(_ask(url, given.many, IN_FLIGHT, "many"))
        long_mib = _memory_mib(process)
    server.terminate()
    cpu, added = (
        statistics.median(cpu_ms),
        statistics.median(one.median_ms - other.median_ms for one, other in zip(through, direct, strict=True)),
    )
    print(f"CPU of the gateway a request: {cpu:.2f} ms (goal {CPU_GOAL_MS} ms)")
    print(f"requests a second of its CPU time: {1000 / cpu:.0f}")
    print(
        f"median latency, {IN_FLIGHT} in flight: {statistics.median(r.median_ms for r in direct):.1f} ms directly, "
        f"{added:+.1f} ms through the gateway (goal {LATENCY_GOAL_MS} ms)"
    )
    print(
        f"memory: {small_mib:.0f} MiB, {wide_mib:.0f} MiB after {MOST_IN_FLIGHT} in flight, "
        f"{long_mib:.0f} MiB after {given.many} more requests"
    )
    return 0 if cpu <= CPU_GOAL_MS else 1


if __name__ == "__main__":
    sys.exit(main())
