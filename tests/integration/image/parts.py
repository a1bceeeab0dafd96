# parts.py DIR: on every address, a Go module proxy with one module (http) and a host of files (https, as
# localhost, with DIR/cert.pem). Prints both ports.
import http.server, io, ssl, sys, tarfile, threading, zipfile

folder = sys.argv[1]
module, version = "example.test/tool", "v1.0.0"
files = {"go.mod": "module example.test/tool\n\ngo 1.18\n",
         "cmd/tool/main.go": 'package main\n\nfunc main() { println("a tool") }\n'}
out = io.BytesIO()
with zipfile.ZipFile(out, "w") as z:
    for name, text in files.items():
        z.writestr("%s@%s/%s" % (module, version, name), text)
base = "/%s/@v/" % module
go = {base + "list": (version + "\n").encode(), base + version + ".mod": files["go.mod"].encode(),
      base + version + ".info": b'{"Version":"v1.0.0","Time":"2026-01-01T00:00:00Z"}',
      base + version + ".zip": out.getvalue()}
out = io.BytesIO()
with tarfile.open(fileobj=out, mode="w:gz") as t:
    info = tarfile.TarInfo("in/it")
    info.size = 6
    t.addfile(info, io.BytesIO(b"inside"))
web = {"/file": b"hello\n", "/tar": out.getvalue()}
open(folder + "/tar", "wb").write(web["/tar"])


def handler(pages):
    class Pages(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = pages.get(self.path)
            self.send_response(302 if self.path == "/away" else 200 if body else 404)
            if self.path == "/away":
                self.send_header("Location", "https://elsewhere.invalid/file")
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *a):
            pass
    return Pages


plain = http.server.ThreadingHTTPServer(("0.0.0.0", 0), handler(go))
tls = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler(web))
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(folder + "/cert.pem", folder + "/key.pem")
tls.socket = context.wrap_socket(tls.socket, server_side=True)
print(plain.server_address[1], tls.server_address[1], flush=True)
threading.Thread(target=tls.serve_forever, daemon=True).start()
plain.serve_forever()
