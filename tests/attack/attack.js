// The install script of a malicious package: `got NAME` or `no NAME` for each try, into the file argv[2].
const fs = require("fs"), net = require("net"), http = require("http"), url = require("url");
const t = JSON.parse(fs.readFileSync("targets.json"));
const lines = [];
const tell = (name, got) => lines.push((got ? "got " : "no ") + name);
const attempt = (name, f) => { try { tell(name, f()); } catch (e) { tell(name, false); } };
attempt("the builder's file", () => fs.readFileSync(t.marker, "utf8").includes("creel-marker"));
attempt("the builder's home", () => fs.readdirSync(t.folder).length > 0);
attempt("a file in the builder's home", () => { fs.writeFileSync(t.folder + "/planted", "x"); return true; });
attempt("the builder's environment", () => process.env.CREEL_MARKER === "creel-marker");
attempt("another process's environment", () => fs.readFileSync(`/proc/${t.pid}/environ`, "utf8").includes("creel-marker"));
attempt("a signal to another process", () => process.kill(t.pid, 0));
attempt("the passwords of this host", () => fs.readFileSync("/etc/shadow", "utf8").length > 0);
attempt("a program of this host", () => { fs.accessSync("/usr/bin/env", fs.constants.W_OK); return true; });
const connect = (name, where) => new Promise((done) => {
	const s = net.connect(where);
	const end = (got) => { s.destroy(); tell(name, got); done(); };
	s.setTimeout(5000, () => end(false));
	s.on("connect", () => end(true)).on("error", () => end(false));
});
// through the proxy when there is one: what answers 2xx is reached
const through = (name, host, port, method) => new Promise((done) => {
	const end = (got) => { tell(name, got); done(); };
	const proxy = process.env.http_proxy && url.parse(process.env.http_proxy);
	if (!proxy && method === "CONNECT")
		return connect(name, { host, port }).then(done);
	const r = http.request(proxy
		? { host: proxy.hostname, port: proxy.port, method, headers: { Host: `${host}:${port}` },
			path: method === "CONNECT" ? `${host}:${port}` : `http://${host}:${port}/evil` }
		: { host, port, method, path: "/evil" });
	r.on("connect", (res, s) => { s.destroy(); end(res.statusCode === 200); });
	r.on("response", (res) => { res.resume(); end(res.statusCode === 200); });
	r.on("error", () => end(false));
	r.end();
});
(async () => {
	await connect("another address", { host: "127.0.0.1", port: t.other });
	await connect("a unix socket of this host", { path: t.unix });
	await through("another address through the proxy", "127.0.0.1", t.other, "CONNECT");
	await through("the registry", "127.0.0.1", t.registry, "GET");
	fs.writeFileSync(process.argv[2], lines.join("\n") + "\n");
})();
