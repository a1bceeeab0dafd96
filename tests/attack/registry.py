# registry.py DIR MARKER-FILE VICTIM-PID: an npm registry on loopback with one package, whose install
# script is attack.js beside this file; and a listener that it must not reach. Prints both ports.
import base64, hashlib, http.server, io, json, os, socket, sys, tarfile, threading

here, (folder, marker, pid) = os.path.dirname(os.path.abspath(__file__)), sys.argv[1:4]
other = socket.create_server(("127.0.0.1", 0))
unix = socket.socket(socket.AF_UNIX)
unix.bind(folder + "/sock")
unix.listen(8)
for s in (other, unix):
    threading.Thread(target=lambda s=s: [s.accept() for _ in iter(int, 1)], daemon=True).start()


class Registry(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = pages.get(self.path)
        self.send_response(200 if body else 404)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *a):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Registry)
port = server.server_address[1]
package = {"name": "evil", "version": "1.0.0", "scripts": {"install": "node attack.js result"}}
targets = {"marker": marker, "pid": int(pid), "other": other.getsockname()[1], "registry": port,
           "unix": folder + "/sock", "folder": folder}
files = {"package.json": json.dumps(package), "targets.json": json.dumps(targets),
         "attack.js": open(here + "/attack.js").read()}
out = io.BytesIO()
with tarfile.open(fileobj=out, mode="w:gz") as tar:
    for name, text in files.items():
        info = tarfile.TarInfo("package/" + name)
        info.size, info.mode = len(text.encode()), 0o644
        tar.addfile(info, io.BytesIO(text.encode()))
tgz = out.getvalue()
for name, text in files.items():
    open(folder + "/" + name, "w").write(text)
version = dict(package, hasInstallScript=True, dist={
    "tarball": "http://127.0.0.1:%d/evil/-/evil-1.0.0.tgz" % port,
    "integrity": "sha512-" + base64.b64encode(hashlib.sha512(tgz).digest()).decode()})
pages = {"/evil/-/evil-1.0.0.tgz": tgz,
         "/evil": json.dumps({"name": "evil", "dist-tags": {"latest": "1.0.0"},
                              "versions": {"1.0.0": version}}).encode()}
print(port, flush=True)
server.serve_forever()
