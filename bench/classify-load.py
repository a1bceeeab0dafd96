#!/usr/bin/env python3
"""classify-load.py TEXT SIZE CLIENTS SECONDS NAME=PORT:PID...: asks each server in turn, in rounds, with the same messages
of SIZE octets cut from TEXT; prints a line of JSON for each: requests a second, p50 of the latency in milliseconds,
processor time a request. Medians of the rounds, since whatever else runs here comes and goes."""
import http.client, json, os, statistics, sys, threading, time

path, size, clients, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
servers = [(name, *map(int, at.split(":"))) for name, at in (a.split("=") for a in sys.argv[5:])]
words = open(path, encoding="utf-8", errors="replace").read()
ROUNDS = 3


def cpu(pid):
    f = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(f[11]) + int(f[12])) / os.sysconf("SC_CLK_TCK")


def load(port, took):
    until = time.monotonic() + seconds

    def client(k):
        c = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
        i = k * 7919
        while time.monotonic() < until:
            i += 1
            at = i * 977 % (len(words) - size)
            body = json.dumps({"text": words[at:at + size]})
            begin = time.monotonic()
            c.request("POST", "/classify", body, {"Content-Type": "application/json"})
            r = c.getresponse()
            if r.status != 200:
                raise SystemExit(f"status {r.status}: {r.read()}")
            answer = json.loads(r.read())
            if answer.get("failed"):
                raise SystemExit(f"a layer failed: {answer}")
            took.append((time.monotonic() - begin) * 1000)

    ts = [threading.Thread(target=client, args=(k,)) for k in range(clients)]
    [t.start() for t in ts]
    [t.join() for t in ts]


rows = {name: [] for name, _, _ in servers}
for name, port, _ in servers:
    load(port, [])  # what is slow the first time
for _ in range(ROUNDS):
    for name, port, pid in servers:
        took, from_, used = [], time.monotonic(), cpu(pid)
        load(port, took)
        rows[name].append((len(took) / (time.monotonic() - from_), statistics.median(took),
                           (cpu(pid) - used) * 1000 / len(took)))
for name, runs in rows.items():
    rate, p50, used = (statistics.median(r[i] for r in runs) for i in range(3))
    print(json.dumps({"server": name, "octets": size, "clients": clients, "rate": round(rate, 2), "p50_ms": round(p50, 1),
                      "cpu_ms": round(used, 1)}))
