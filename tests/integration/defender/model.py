#!/usr/bin/env python3
"""model.py CREEL DEFENDERD TINY ONNXRUNTIME CACHE: `creel model`: what is kept, what is not, and what it leaves when
it is cut off; from folders, archives and a server on loopback. Then `creel scan --model` and creel-defenderd."""
import hashlib, http.client, io, json, os, shutil, signal, ssl, subprocess, sys, tarfile, tempfile, threading, time, zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

creel, defenderd, tiny, ort, cache = sys.argv[1:6]
n = 0
tmp = tempfile.mkdtemp()
store = tmp + "/state/models"
FILES = ("config.json", "model.onnx", "tokenizer.json")
have_ort = os.path.exists(ort)
ENV = dict(os.environ, XDG_STATE_HOME=tmp + "/xdg", CREEL_DEFENDER_CACHE=cache, no_proxy="*",
           CREEL_ONNXRUNTIME=ort if have_ort else "/nonexistent.so")
ENV.pop("CREEL_MODELS", None)


def check(name, ok, why=""):
    global n
    n += 1
    print(f"{'ok' if ok else 'not ok'} {n} - {name}", flush=True)
    if not ok:
        print(f"# {why}", flush=True)


def command(*args, env=ENV):
    return [creel, "--state-dir", tmp + "/state", *args]


def run(*args, env=ENV):
    p = subprocess.run(command(*args), env=env, capture_output=True, text=True, timeout=300)
    return p.returncode, p.stdout, p.stderr


def refused(name, status, why, *args):
    """It says no with these words, and keeps nothing."""
    before = sorted(os.listdir(store)) if os.path.isdir(store) else []
    p = run(*args)
    after = sorted(os.listdir(store)) if os.path.isdir(store) else []
    check(f"{name}: refused", p[0] == status and why in p[2], p)
    check(f"{name}: nothing is kept", [f for f in after if f != ".lock"] == [f for f in before if f != ".lock"], after)


def octets(name):
    return open(f"{tiny}/{name}", "rb").read()


def sha(data):
    return hashlib.sha256(data).hexdigest()


DIGEST = sha("".join(f"{sha(octets(f))}  {f}\n" for f in FILES).encode())

# --- a folder
check("hash of a folder is that of sha256sum's lines", run("model", "hash", tiny)[1].strip() == DIGEST)
refused("no hash", 2, "--sha256 HEX is wanted", "model", "add", "tiny", tiny)
refused("half a hash", 2, "64 hexadecimal digits", "model", "add", "tiny", tiny, "--sha256", DIGEST[:-1])
refused("a name that is a path", 2, "cannot be a model's name", "model", "add", "../tiny", tiny, "--sha256", DIGEST)
refused("another hash", 1, f"is {DIGEST}, not the one given", "model", "add", "tiny", tiny, "--sha256", "0" * 64)
refused("the network's hash alone", 1, "of model.onnx alone", "model", "add", "tiny", tiny, "--sha256",
        sha(octets("model.onnx")))
refused("no such folder", 1, "open", "model", "add", "tiny", tmp + "/nothing", "--sha256", DIGEST)
os.mkdir(tmp + "/half")
shutil.copy(tiny + "/config.json", tmp + "/half")
refused("a folder without the network", 1, "model.onnx", "model", "add", "tiny", tmp + "/half", "--sha256", DIGEST)
check("none is there", run("model", "list") == (0, "", ""), run("model", "list"))
p = run("--json", "model", "add", "tiny", tiny, "--sha256", DIGEST.upper())
check("a folder is taken", p[0] == 0 and json.loads(p[1])["sha256"] == DIGEST, p)
check("again: it is there already", run("model", "add", "tiny", tiny, "--sha256", DIGEST)[0] == 0)
refused("another model of that name", 1, "creel model rm tiny", "model", "add", "tiny", tiny, "--sha256", "1" * 64)
p = run("--json", "model", "list")
a = json.loads(p[1])
check("list --json", a["name"] == "tiny" and a["source"] == tiny and a["size"] == sum(len(octets(f)) for f in FILES), p)
check("it holds the three files", all(open(f"{store}/tiny/{f}", "rb").read() == octets(f) for f in FILES))

# --- it is used
if have_ort:
    p = run("scan", "--json", "--layers", "1,2", "--model", "tiny", tiny + "/config.json")
    check("creel scan --model NAME", p[0] in (0, 3) and any(v["name"] == "tiny" and not v["failed"]
          for v in json.loads(p[1])["layers"]), p)
    d = subprocess.Popen([defenderd, "--listen", "127.0.0.1:0", "--cache-dir", cache, "--model", "tiny",
                          "--model-threads", "1"], env=dict(ENV, CREEL_MODELS=store), stderr=subprocess.PIPE, text=True)
    port = next((int(l.split()[-1]) for l in d.stderr if "listening on port" in l), 0)
    answers = []

    def ask(i):
        c = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        c.request("POST", "/scan", json.dumps({"text": f"good day {i}"}), {"Content-Type": "application/json"})
        answers.append(json.loads(c.getresponse().read()))

    ts = [threading.Thread(target=ask, args=(i,)) for i in range(20)]
    [t.start() for t in ts]
    [t.join() for t in ts]
    check("creel-defenderd --model NAME", len(answers) == 20 and all(v["score"] >= 0 and not v["failed"]
          for a in answers for v in a["layers"] if v["name"] == "tiny") and all(
              "tiny" in [v["name"] for v in a["layers"]] for a in answers), answers[:1])
    d.send_signal(signal.SIGTERM)
    check("and it ends", d.wait(60) == 0)
else:
    p = run("scan", "--model", "tiny", tiny + "/config.json")
    check("no ONNX Runtime: an error, not a clean text", p[0] == 1 and "install ONNX Runtime" in p[2], p)
p = run("scan", "--model", "nosuch", tiny + "/config.json")
check("a model that is not there", p[0] == 1 and "creel model list" in p[2], p)
# what looks untouched is believed, but by list --check
note = open(store + "/tiny/creel-model.json").read()
open(store + "/tiny/creel-model.json", "w").write(note.replace(sha(octets("config.json")), "0" * 64))
p, q = run("model", "list"), run("model", "list", "--check")
check("list --check hashes what looks untouched", p[0] == 0 and q[0] == 3 and "BROKEN" in q[1], (p, q))
open(store + "/tiny/creel-model.json", "w").write(note)
broken = bytearray(octets("config.json"))
broken[-2] ^= 1
open(store + "/tiny/config.json", "wb").write(broken)
p = run("scan", "--model", "tiny", tiny + "/config.json")
check("a file that was changed: not used", p[0] == 1 and "no longer what it was" in p[2], p)
p = run("model", "list", "--check")
check("list --check: exit status 3", p[0] == 3 and "BROKEN" in p[1], p)
check("rm", run("model", "rm", "tiny")[0] == 0 and sorted(os.listdir(store)) == [".lock"], os.listdir(store))
p = run("model", "rm", "tiny")
check("rm of what is not there", p[0] == 1 and "tiny" in p[2], p)

# --- archives
LAYOUT = {"config.json": "config.json", "tokenizer.json": "tokenizer.json", "onnx/model.onnx": "model.onnx"}


def tar(path, names=LAYOUT, more=()):
    with tarfile.open(path, "w:gz") as t:
        for to, f in names.items():
            t.add(f"{tiny}/{f}", "deberta-v3/" + to)
        for e, data in more:
            t.addfile(e, io.BytesIO(data))
    return sha(open(path, "rb").read())


hex_ = tar(tmp + "/a.tar.gz")
p = run("model", "add", "a", tmp + "/a.tar.gz", "--sha256", hex_)
check("a tar archive with the layout of a hub", p[0] == 0 and octets("model.onnx") == open(store + "/a/model.onnx", "rb").read(), p)
with zipfile.ZipFile(tmp + "/b.zip", "w") as z:
    for f in FILES:
        z.write(f"{tiny}/{f}", f)
    z.writestr("old/config.json", b"{}")
p = run("model", "add", "b", tmp + "/b.zip", "--sha256", sha(open(tmp + "/b.zip", "rb").read()))
check("a zip archive; what lies deeper is another's", p[0] == 0 and all(
    octets(f) == open(f"{store}/b/{f}", "rb").read() for f in FILES), p)
refused("an archive with another hash", 1, "not the one given", "model", "add", "c", tmp + "/a.tar.gz", "--sha256", "0" * 64)
link = tarfile.TarInfo("deberta-v3/onnx/model.onnx")
link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
hex_ = tar(tmp + "/c.tar.gz", {k: v for k, v in LAYOUT.items() if v != "model.onnx"}, [(link, b"")])
refused("a link for a network", 1, "has no model.onnx", "model", "add", "c", tmp + "/c.tar.gz", "--sha256", hex_)
big = tarfile.TarInfo("deberta-v3/model.onnx")
big.size = 64 << 20
hex_ = tar(tmp + "/d.tar.gz", LAYOUT, [(big, b"\0" * big.size)])
refused("an archive that grows", 1, "over 8.4 MB", "model", "add", "d", tmp + "/d.tar.gz", "--sha256", hex_, "--max-size", "8")
cut = open(tmp + "/a.tar.gz", "rb").read()[:100000]
open(tmp + "/e.tar.gz", "wb").write(cut)
refused("half an archive", 1, "archive", "model", "add", "e", tmp + "/e.tar.gz", "--sha256", sha(cut))
open(tmp + "/f", "wb").write(b"MZ" + bytes(5000))
refused("no archive", 1, "archive", "model", "add", "f", tmp + "/f", "--sha256", sha(b"MZ" + bytes(5000)))
if have_ort:
    os.mkdir(tmp + "/junk")
    for f in FILES:
        shutil.copy(f"{tiny}/{f}", tmp + "/junk")
    open(tmp + "/junk/model.onnx", "wb").write(b"no network")
    refused("a folder that does not work", 1, "does not work", "model", "add", "junk", tmp + "/junk", "--sha256",
            run("model", "hash", tmp + "/junk")[1].strip())

# --- a server
slow = threading.Event()
ARCHIVE = open(tmp + "/a.tar.gz", "rb").read()


class Hub(BaseHTTPRequestHandler):
    def do_GET(self):
        p = self.path
        if p == "/gated/config.json":
            return self.send_error(401)
        if p == "/led.tar.gz":
            self.send_response(302)
            self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/a.tar.gz")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        body = {"/a.tar.gz": ARCHIVE, "/cut.tar.gz": ARCHIVE, "/slow.tar.gz": ARCHIVE}.get(p)
        if p.startswith("/hub/") and p[5:] in LAYOUT:
            body = octets(LAYOUT[p[5:]])
        if body is None:
            return self.send_error(404)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            if p == "/a.tar.gz" or p.startswith("/hub/"):
                self.wfile.write(body)
            elif p == "/cut.tar.gz":
                self.wfile.write(body[:-1000])
            else:  # until whoever asks has gone
                self.wfile.write(body[:50000])
                slow.set()
                while self.wfile.write(b"x") and not self.server.ends:
                    time.sleep(0.05)
        except OSError:
            pass

    def log_message(self, *a):
        pass


def serve(tls=None):
    s = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    s.daemon_threads, s.ends = True, False
    if tls:
        s.socket = tls.wrap_socket(s.socket, server_side=True)
    threading.Thread(target=s.serve_forever, daemon=True).start()
    return s, f"{'https' if tls else 'http'}://127.0.0.1:{s.server_port}"


hub, at = serve()
p = run("model", "add", "hub", at + "/hub/", "--sha256", DIGEST)
check("a folder by URL", p[0] == 0 and octets("model.onnx") == open(store + "/hub/model.onnx", "rb").read(), p)
p = run("model", "add", "archive", at + "/a.tar.gz", "--sha256", sha(ARCHIVE))
check("an archive by URL", p[0] == 0 and sorted(os.listdir(store + "/archive")) == sorted([*FILES, "creel-model.json"]), p)
refused("another hash by URL", 1, "not the one given", "model", "add", "x", at + "/a.tar.gz", "--sha256", "0" * 64)
refused("gated", 1, "accept its licence", "model", "add", "x", at + "/gated/", "--sha256", DIGEST)
refused("404", 1, "HTTP 404", "model", "add", "x", at + "/nothing.tar", "--sha256", DIGEST)
refused("a download that is cut", 1, "download failed", "model", "add", "x", at + "/cut.tar.gz", "--sha256", sha(ARCHIVE))
refused("one that leads to plain http", 1, "download failed", "model", "add", "x", at + "/led.tar.gz", "--sha256", sha(ARCHIVE))
open(tmp + "/pad", "wb").write(os.urandom(2 << 20))
ARCHIVE_BIG, ARCHIVE = ARCHIVE, open(tmp + "/pad", "rb").read()
refused("a download over the limit", 1, "over 1.0 MB", "model", "add", "x", at + "/a.tar.gz", "--sha256", sha(ARCHIVE), "--max-size", "1")
ARCHIVE = ARCHIVE_BIG
refused("http to another machine", 2, "https only", "model", "add", "x", "http://models.example/a.tar", "--sha256", DIGEST)
refused("a token in the URL", 2, "refused", "model", "add", "x", "https://me:token@models.example/a.tar", "--sha256", DIGEST)
subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", tmp + "/key", "-out", tmp + "/cert", "-days",
                "2", "-subj", "/CN=hub", "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
tls.load_cert_chain(tmp + "/cert", tmp + "/key")
secure, tls_at = serve(tls)
refused("a certificate that nobody trusts", 1, "download failed", "model", "add", "x", tls_at + "/a.tar.gz", "--sha256", sha(ARCHIVE))
p = run("model", "add", "tls", tls_at + "/a.tar.gz", "--sha256", sha(ARCHIVE), "--ca-file", tmp + "/cert")
check("https", p[0] == 0, p)


# --- cut off
def started(name="cut"):
    slow.clear()
    p = subprocess.Popen(command("model", "add", name, at + "/slow.tar.gz", "--sha256", sha(ARCHIVE)), env=ENV,
                         stderr=subprocess.PIPE, text=True)
    slow.wait(60)
    until = time.monotonic() + 60
    while time.monotonic() < until and not any(f.startswith(".new-") for f in os.listdir(store)):
        time.sleep(0.01)
    return p


there = sorted(os.listdir(store))
p = started()
check("a download on its way is no model", len(os.listdir(store)) == len(there) + 1 and "cut" not in run("model", "list")[1])
refused("a second one meanwhile", 1, "another `creel model` is at work", "model", "add", "two", tiny, "--sha256", DIGEST)
p.send_signal(signal.SIGINT)
check("ctrl-C ends it, says so", p.wait(60) == 1 and "interrupted" in p.stderr.read())
check("and leaves nothing", sorted(os.listdir(store)) == there, os.listdir(store))
p = started()
p.kill()
p.wait()
check("kill -9: no model", "cut" not in run("model", "list")[1] and run("scan", "--model", "cut", tiny + "/config.json")[0] == 1)
p = run("model", "add", "after", tiny, "--sha256", DIGEST)
check("the next one removes what it left", p[0] == 0 and sorted(os.listdir(store)) == sorted([*there, "after"]), os.listdir(store))
hub.ends = True
# a disk of 300 KiB: the network does not fit
os.mkdir(tmp + "/small")
p = subprocess.run(["unshare", "-rm", "sh", "-c", 'mount -t tmpfs -o size=300k none "$1" && shift && "$@"; s=$?; ls -A "$CREEL_MODELS"; exit $s',
                    "sh", tmp + "/small", creel, "model", "add", "small", tiny, "--sha256", DIGEST],
                   env=dict(ENV, CREEL_MODELS=tmp + "/small/models"), capture_output=True, text=True)
if "unshare" in p.stderr:
    check("a full disk # SKIP not required: no namespaces here", True)
else:
    check("a full disk is said, and nothing is left", p.returncode == 1 and "No space left" in p.stderr and p.stdout == ".lock\n", p)
shutil.rmtree(tmp)
print(f"1..{n}")
