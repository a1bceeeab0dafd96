#!/usr/bin/python3
"""ws.py URL: a WebSocket client that knows nothing of creel; prints what went well."""
import asyncio
import os
import sys

import websockets


async def main(url):
    async with websockets.connect(url, max_size=None) as a, websockets.connect(url) as b:
        await a.send("from a")
        await b.send("from b")
        assert await b.recv() == "from b" and await a.recv() == "from a"
        print("two at once")
        big = os.urandom(1 << 20)
        await a.send(big)
        assert await a.recv() == big
        print("a megabyte")
        await asyncio.wait_for(await b.ping(), 20)
        print("ping")
        await asyncio.gather(*[a.send(str(i)) for i in range(200)])
        assert sorted([await a.recv() for _ in range(200)], key=int) == [str(i) for i in range(200)]
        print("200 messages")
    assert a.close_code == 1000
    print("a clean close")
    try:
        async with websockets.connect(url, origin="http://evil.example"):
            print("a foreign origin was let in")
    except websockets.exceptions.InvalidStatusCode as e:
        print("a foreign origin:", e.status_code)


asyncio.run(main(sys.argv[1]))
