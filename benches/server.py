"""A tiny HTTP server that fails when it is told to: each path by a timetable, answers after a random latency.

The timetable is a JSON file, `{"/path": [[from, until], …]}` in seconds of the wall clock: in these spans the path
answers 503. Which answer is given depends on the clock alone, when the request has been read, so the timetable is the
truth. One process, one thread, HTTP/1.1 with connections kept.
"""
import argparse
import asyncio
import bisect
import json
import random
import time


class Timetable:
    """When which path is down."""

    def __init__(self, spans):
        self.edges = {path: [edge for span in sorted(each) for edge in span] for path, each in spans.items()}

    def is_down(self, path, now):
        return bisect.bisect_right(self.edges.get(path, ()), now) % 2 == 1


async def serve(timetable, latency, rng, reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split(b" ", 2)[1].decode("ascii", "replace")
            if latency:
                await asyncio.sleep(rng.uniform(*latency))
            down = timetable.is_down(path, time.time())
            status, body = (b"503 Service Unavailable", b"down\n") if down else (b"200 OK", b"well\n")
            writer.write(b"HTTP/1.1 %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s"
                         % (status, len(body), body))
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass  # the client has had enough
    finally:
        writer.close()


async def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--port", type=int, required=True)
    arguments.add_argument("--timetable", help="JSON file; without it all is well")
    arguments.add_argument("--latency", type=float, nargs=2, metavar=("FROM", "TO"), help="milliseconds")
    arguments.add_argument("--seed", type=int, default=0)
    options = arguments.parse_args()
    spans = {}
    if options.timetable:
        with open(options.timetable) as file:
            spans = json.load(file)
    latency = [edge / 1000 for edge in options.latency] if options.latency else None
    timetable, rng = Timetable(spans), random.Random(options.seed)
    server = await asyncio.start_server(lambda reader, writer: serve(timetable, latency, rng, reader, writer),
                                        "127.0.0.1", options.port, backlog=1024)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
