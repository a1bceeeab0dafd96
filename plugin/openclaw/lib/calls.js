// Tool calls before they are made: protected files, orders and secrets in arguments, and whether the
// user wanted it. Both places that call this fail closed: an error here blocks the call.
import fs from 'node:fs';
import path from 'node:path';
import { strings } from './walk.js';

const WRITERS = new Set(['write', 'edit', 'apply_patch', 'multi_edit', 'create', 'str_replace']);
const SHELLS = new Set(['exec', 'process', 'bash', 'shell']);
const SENDERS = new Set(['exec', 'process', 'bash', 'shell', 'message', 'web_fetch', 'web_search', 'browser',
	'nodes', 'sessions_send']);
const PATH_KEYS = new Set(['path', 'file_path', 'filePath', 'file', 'filename', 'target', 'destination', 'dest']);
// commands that only read, when nothing is redirected, substituted or chained into another
const READERS = new Set(['cat', 'head', 'tail', 'less', 'more', 'grep', 'rg', 'wc', 'ls', 'stat', 'file', 'diff',
	'cmp', 'md5sum', 'sha256sum', 'nl', 'sort', 'uniq', 'cut', 'echo', 'true', 'test', 'cd', 'pwd']);
const REQUESTS = 200;

export class CallPolicy {
	constructor(set, guard, host) {
		this.set = set;
		this.guard = guard;
		this.host = host;
		this.names = set.protectedFiles.map((n) => n.toLowerCase());
		this.requests = new Map(); // what the user asked, by run
		this.decided = new Set(); // calls that the policy has let pass, once
	}

	remember(event, ctx) {
		const key = ctx?.runId ?? ctx?.sessionKey;
		if (!key)
			return;
		this.requests.delete(key);
		this.requests.set(key, String(event.currentUserMessage ?? event.prompt ?? '').slice(0, 8000));
		if (this.requests.size > REQUESTS)
			this.requests.delete(this.requests.keys().next().value);
	}

	// A file by any of its names: through links, by another case, by a hard link.
	protectedTarget(given) {
		const at = path.resolve(this.set.workspace, given.replace(/^~(?=\/)/, process.env.HOME ?? '~'));
		const real = (p) => {
			try {
				return fs.realpathSync(p);
			} catch {
				return p === path.dirname(p) ? p : path.join(real(path.dirname(p)), path.basename(p));
			}
		};
		const root = real(this.set.workspace);
		const wanted = [...this.set.protectedFiles.map((n) => path.join(root, n)), ...this.set.protectedPaths.map(real)];
		const id = (p) => {
			const st = fs.statSync(p, { throwIfNoEntry: false });
			return st?.isFile() ? `${st.dev}:${st.ino}` : null;
		};
		const target = real(at);
		if (wanted.some((p) => p.toLowerCase() === target.toLowerCase()))
			return path.basename(target);
		const mine = id(target);
		const same = mine && wanted.find((p) => id(p) === mine);
		return same ? path.basename(same) : null;
	}

	// A patch's own lines name its files.
	static patchPaths(text) {
		return [...text.matchAll(/^(?:\*\*\* (?:Add|Update|Delete) File:|\*\*\* Move to:|\+\+\+|---|rename to)\s+(?:[ab]\/)?(.+?)\s*$/gm)]
			.map((m) => m[1]);
	}

	writes(event) {
		const params = event.params ?? {};
		const paths = [...(event.derivedPaths ?? [])];
		for (const [k, v] of Object.entries(params))
			if (typeof v === 'string' && PATH_KEYS.has(k))
				paths.push(v);
			else if (typeof v === 'string' && event.toolName === 'apply_patch')
				paths.push(...CallPolicy.patchPaths(v));
		for (const p of paths.map(String)) {
			const hit = this.protectedTarget(p);
			if (hit)
				return hit;
		}
		return null;
	}

	// A shell command that names a protected file may only read it. What is spelt so that we do not see
	// the name is put back by the watch on the files.
	shellWrites(command) {
		const flat = command.replace(/\\\n/g, ' ').replace(/["'\\]/g, '');
		const low = flat.toLowerCase();
		const names = [...this.names, ...this.set.protectedPaths.map((p) => p.toLowerCase())];
		const name = names.find((n) => low.includes(n));
		if (!name)
			return null;
		const reads = !/[>`]|\$\(|<\(/.test(flat.replace(/2>(&1|\s*\/dev\/null)/g, '')) &&
			flat.split(/\|\||&&|[|;&\n]/).every((c) => c.trim() === '' || READERS.has(c.trim().split(/\s+/)[0]));
		return reads ? null : name;
	}

	block(event, rule, reason, more = {}) {
		this.host.event('defender.block', { where: 'tool call', tool: String(event.toolName), rules: rule, ...more });
		return { block: true, blockReason: `creel: ${reason}` };
	}

	files(event) {
		const hit = WRITERS.has(event.toolName) ? this.writes(event) : null;
		if (hit)
			return this.block(event, 'file.protected', `${hit} is protected; the person who runs you changes it`,
				{ file: hit });
		if (!SHELLS.has(event.toolName))
			return undefined;
		for (const text of strings(event.params)) {
			const named = this.shellWrites(text);
			if (named)
				return this.block(event, 'file.protected', `a command may read ${path.basename(named)}, nothing else`,
					{ file: path.basename(named) });
		}
		return undefined;
	}

	arguments(event) {
		const text = strings(event.params).join('\n');
		if (text === '')
			return undefined;
		const context = { source: 'tool-arguments', role: 'assistant', tool: event.toolName, skip: 1 << 2 };
		const found = this.guard.scan(text, context);
		if (found.action === 'block')
			return this.block(event, found.findings[0]?.rule ?? 'a layer failed',
				'an argument holds orders to an agent', { score: found.score.toFixed(2) });
		if (!SENDERS.has(event.toolName))
			return undefined;
		if (this.guard.secrets.has(text))
			return this.block(event, 'secret.known', 'an argument holds a secret of this cell');
		const out = this.guard.scan(text, { ...context, out: 1 });
		if (out.action === 'block')
			return this.block(event, out.findings[0]?.rule ?? 'a layer failed', 'an argument holds a credential');
		return undefined;
	}

	// Layer 3, where there is one: does this call serve what the user asked for?
	async intent(event, ctx) {
		const judge = this.set.judge;
		if (!judge || !this.set.dangerousTools.includes(event.toolName))
			return undefined;
		const asked = this.requests.get(ctx?.runId) ?? this.requests.get(ctx?.sessionKey) ?? '';
		try {
			const r = await fetch(judge.url, {
				method: 'POST',
				redirect: 'error',
				headers: { 'content-type': 'application/json' },
				body: JSON.stringify({ request: asked, tool: event.toolName, arguments: event.params }),
				signal: AbortSignal.timeout(judge.timeoutMs ?? 8000),
			});
			const said = r.ok ? await r.json() : null;
			if (typeof said?.aligned !== 'boolean')
				throw new Error(`the judge answered ${r.status}`);
			return said.aligned ? undefined : this.block(event, 'intent.misaligned',
				'this is not what the user asked for', { why: String(said.reason ?? '') });
		} catch (err) {
			this.host.event('defender.error', { where: 'judge', tool: String(event.toolName), why: err.message });
			return judge.onError === 'open' ? undefined
				: this.block(event, 'intent.unknown', 'the judge of this call could not be asked');
		}
	}

	async decide(event, ctx) {
		if (this.host.killed)
			return this.block(event, 'killswitch', 'the kill switch is on');
		const no = this.files(event) ?? this.arguments(event) ?? await this.intent(event, ctx);
		if (!no && event.toolCallId) {
			this.decided.add(CallPolicy.key(event));
			if (this.decided.size > 1000)
				this.decided.delete(this.decided.values().next().value);
		}
		return no;
	}

	// After all other plugins: what they changed is looked at as new.
	again(event, ctx) {
		if (!this.host.killed && event.toolCallId && this.decided.delete(CallPolicy.key(event)))
			return undefined;
		return this.decide(event, ctx);
	}

	static key(event) {
		return `${event.toolCallId} ${event.toolName} ${JSON.stringify(event.params)}`;
	}
}
