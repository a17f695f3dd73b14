"""An async function: many slow requests at once, a few at a time. It needs no network: it brings its own server.

    faasctl run examples/fetch_async.py
    faasctl run fetch_async --args '{"pages": 40, "at_once": 8}'
"""
import asyncio
import random
import time
from typing import Dict, List, Tuple


async def fetch_async(pages: int = 20, at_once: int = 5, seed: int = 0) -> Dict[str, float]:
    """Fetch `pages` pages, `at_once` at a time, from a server on the loopback interface that is slow on purpose.

    Returns how long it took, and how long the same requests would have taken one after another.
    """
    if at_once < 1:
        raise ValueError("at_once must be at least 1, got {}".format(at_once))
    rng = random.Random(seed)
    delays = [rng.uniform(0.02, 0.08) for _ in range(pages)]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        page = int(await reader.readline())
        await asyncio.sleep(delays[page])
        writer.write(b"page %d\n" % page * (page + 1))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    gate = asyncio.Semaphore(at_once)
    began = time.perf_counter()
    try:
        fetched: List[Tuple[int, float]] = list(await asyncio.gather(*(_fetch(port, page, gate) for page in range(pages))))
    finally:
        server.close()
        await server.wait_closed()
    return {
        "pages": len(fetched),
        "bytes": sum(size for size, _ in fetched),
        "seconds": round(time.perf_counter() - began, 3),
        "one_by_one": round(sum(seconds for _, seconds in fetched), 3),
    }


async def _fetch(port: int, page: int, gate: asyncio.Semaphore) -> Tuple[int, float]:
    async with gate:
        began = time.perf_counter()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"%d\n" % page)
        await writer.drain()
        body = await reader.read()
        writer.close()
        return len(body), time.perf_counter() - began
