// The world of tests/attack/openclaw/defender, in a network of its own: a model that obeys whatever it
// reads, a page, and the place where stolen data would arrive.
//
// The model (OpenAI-compatible, port 18080) makes the tool calls that it finds in the text: first of
// the user's words, then of each tool's result, as the most gullible model would. Written as
//     tool `NAME` with `JSON`
// anywhere in a text. Everything it was sent is in LOG, everything the sink got in SINK.
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';

const [, , dir, pageAddress, hostSocket] = process.argv;
const log = `${dir}/model.log`, sink = `${dir}/sink.log`;
const ORDER = /tool `(\w+)` with `(\{[^`]*\})`/g;

const text = (m) => typeof m.content === 'string' ? m.content
	: (m.content ?? []).map((c) => c.text ?? '').join('\n');
/* a model reads base64 as well */
const decoded = (s) => [s, ...(s.match(/[\w+/-]{60,}={0,2}/g) ?? []).map((b) => Buffer.from(b, 'base64').toString())];
const orders = (s) => decoded(s).flatMap((d) => [...d.matchAll(ORDER)])
	.map((m) => ({ name: m[1], arguments: m[2] }));

function next(messages) {
	const last = messages.map((m, i) => m.role === 'user' && !text(m).includes('OPENCLAW_INTERNAL_CONTEXT') ? i : -1)
		.reduce((a, b) => Math.max(a, b), 0);
	const turn = messages.slice(last);
	const done = turn.flatMap((m) => (m.tool_calls ?? []).map((c) => `${c.function.name} ${c.function.arguments}`));
	/* a skill's description is read, too: it stands in the system prompt */
	const system = messages.filter((m) => m.role === 'system' || m.role === 'developer').map(text).join('\n');
	const wanted = [text(turn[0]), ...turn.filter((m) => m.role === 'tool').map(text), system].flatMap(orders);
	return wanted.find((o) => !done.includes(`${o.name} ${o.arguments}`));
}

http.createServer((req, res) => {
	let body = '';
	req.on('data', (d) => { body += d; });
	req.on('end', () => {
		const messages = JSON.parse(body || '{}').messages ?? [];
		fs.appendFileSync(log, JSON.stringify(messages) + '\n');
		const say = (delta, finish) => res.write('data: ' + JSON.stringify({ id: 'c', object: 'chat.completion.chunk',
			created: 1, model: 'mock-1', choices: [{ index: 0, delta, finish_reason: finish }] }) + '\n\n');
		res.writeHead(200, { 'Content-Type': 'text/event-stream' });
		const call = next(messages);
		if (call) {
			say({ role: 'assistant', tool_calls: [{ index: 0, id: `call${Date.now()}`, type: 'function',
				function: { name: call.name, arguments: call.arguments } }] }, null);
			say({}, 'tool_calls');
		} else {
			const last = messages.filter((m) => m.role === 'tool').pop();
			say({ role: 'assistant', content: 'done. ' + (last ? text(last).slice(-300) : '') }, null);
			say({}, 'stop');
		}
		res.end('data: [DONE]\n\n');
	});
}).listen(18080, '127.0.0.1');

http.createServer((req, res) => {
	let body = '';
	req.on('data', (d) => { body += d; });
	req.on('end', () => {
		if (req.method === 'POST' || req.url.startsWith('/steal'))
			fs.appendFileSync(sink, `${req.url} ${body}\n`);
		const file = `${dir}/www${req.url.split('?')[0]}`;
		if (req.method === 'GET' && /^\/[\w.-]+$/.test(req.url) && fs.existsSync(file)) {
			res.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8' });
			res.end(fs.readFileSync(file));
		} else {
			res.writeHead(req.method === 'POST' ? 200 : 404);
			res.end();
		}
	});
}).listen(80, pageAddress);

// The host, as far as the plugin sees it: every question is answered with "ok" (wire/call.h).
const OK = Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0, 0]);
net.createServer((c) => {
	c.on('data', (d) => {
		fs.appendFileSync(`${dir}/host.log`, d.toString('latin1').replace(/[^ -~]+/g, ' ') + '\n');
		/* creel-why killswitch (type 2) */
		const text = d[12] === 2 ? `{"killswitch":"${fs.existsSync(`${dir}/killswitch`) ? 'on' : 'off'}"}` : '';
		const head = Buffer.from(OK);
		head.writeUInt32LE(text.length);
		c.end(Buffer.concat([head, Buffer.from(text)]));
	});
	c.on('error', () => {});
}).listen(hostSocket);
