#!/usr/bin/python3
"""wss.py ADDRESS PORT CERTIFICATE KEY LOG: a WebSocket server by TLS that echoes; LOG gets each opening's Authorization."""
import asyncio
import ssl
import sys

import websockets


async def echo(ws):
    with open(sys.argv[5], "a") as log:
        print(ws.request_headers.get("Authorization", ""), file=log)
    async for message in ws:
        await ws.send(message)


async def main():
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(sys.argv[3], sys.argv[4])
    async with websockets.serve(echo, sys.argv[1], int(sys.argv[2]), ssl=tls):
        open(sys.argv[5], "a").close()  # it listens
        await asyncio.Future()


asyncio.run(main())
