// Texts on their way to the model and to the transcript.
import { Secrets } from './secrets.js';
import { strings, mapStrings } from './walk.js';

const RANK = { allow: 0, log: 1, warn: 2, sanitize: 3, block: 4 };
const ASYNC_FROM = 65536; // characters: from here on a thread scans, and the gateway goes on

export const withheld = (rule) => `[creel: withheld, it tries to give you orders (${rule})]`;

export class Guard {
	constructor(native, set, host) {
		this.native = native;
		this.host = host;
		this.secrets = new Secrets(process.env);
		// as it stands in a text, and in a text that is JSON
		this.notices = set.notice ? [set.notice, JSON.stringify(set.notice).slice(1, -1)] : [];
		this.defender = native.open({ cacheDir: set.cacheDir, rules: set.rules, replacement: '[creel: removed]' });
	}

	scan(text, context) {
		return this.native.scan(this.defender, text, context);
	}

	scanLong(text, context) {
		return text.length < ASYNC_FROM ? this.scan(text, context)
			: this.native.scanAsync(this.defender, text, context);
	}

	// A tool's result without OpenClaw's own words: what stood on either side of them stays apart by a
	// blank alone, so they part no order in two.
	foreign(text) {
		return this.notices.reduce((t, notice) => t.split(notice).join(' '), text);
	}

	static worst(found) {
		return found.findings.reduce((a, f) => RANK[f.action] > RANK[a?.action ?? 'allow'] ? f : a, null);
	}

	// One line of the record for one text. Rules' names are ours; where it came from is foreign.
	report(found, where, more = {}) {
		if (found.failed)
			this.host.event('defender.error', { why: found.failed, where, ...more });
		if (RANK[found.action] < RANK.warn)
			return;
		this.host.event(`defender.${found.action}`, {
			where,
			rules: [...new Set(found.findings.map((f) => f.rule))].slice(0, 8).join(' '),
			score: found.score.toFixed(2),
			...more,
		});
	}

	// What of a text may go on. A blocked text is replaced whole, a doubtful one in part.
	static settle(found, text) {
		if (found.action === 'block')
			return withheld(Guard.worst(found)?.rule ?? 'a layer failed');
		return found.action === 'sanitize' ? found.sanitized : text;
	}

	// A tree of strings (a tool's result, its details, a message) with nothing of it left that is
	// an order. Pieces are read together first: an order may be cut in two, and one scan is cheaper.
	static judge(tree, scan) {
		const texts = strings(tree);
		if (texts.length === 0)
			return { tree };
		const whole = scan(texts.join('\n'));
		if (RANK[whole.action] < RANK.sanitize)
			return { tree, found: whole };
		const parts = mapStrings(tree, (text) => Guard.settle(scan(text), text));
		const again = scan(strings(parts).join('\n'));
		if (RANK[again.action] < RANK.sanitize)
			return { tree: parts, found: whole };
		return { tree: null, found: whole }; /* only together it is an order */
	}

	clean(content, details, context) {
		const scan = (text) => this.scan(this.foreign(text), context);
		const a = Guard.judge(content, scan);
		const b = details === undefined || details === null ? { tree: details } : Guard.judge(details, scan);
		const found = [a.found, b.found].filter(Boolean).sort((x, y) => RANK[y.action] - RANK[x.action])[0];
		const notice = withheld(found ? Guard.worst(found)?.rule ?? 'a layer failed' : '');
		const cut = (tree) => mapStrings(tree, (text) => this.secrets.cut(text));
		return {
			found,
			changed: a.tree !== content || b.tree !== details,
			content: cut(a.tree ?? [{ type: 'text', text: notice }]),
			details: b.tree === null && details ? { withheld: notice } : cut(b.tree),
		};
	}

	async toolResult(event) {
		if (this.host.killed)
			return { result: { content: [{ type: 'text', text: '[creel: the kill switch is on]' }], details: {} } };
		const context = { source: 'tool', role: 'tool', tool: String(event.toolName ?? '') };
		const { content, details } = event.result;
		const long = strings(content).join('\n');
		if (long.length >= ASYNC_FROM && RANK[(await this.scanLong(this.foreign(long), context)).action] < RANK.sanitize &&
		    strings(details).join('').length < ASYNC_FROM) {
			/* the common long text, without a pause; anything found is worth the time below */
			const rest = this.clean([], details, context);
			return { result: { ...event.result, details: rest.details,
				content: mapStrings(content, (text) => this.secrets.cut(text)) } };
		}
		const done = this.clean(content, details, context);
		if (done.found)
			this.report(done.found, 'tool result', { tool: context.tool });
		return { result: { ...event.result, content: done.content, details: done.details } };
	}

	// Both hooks on the transcript ignore an error, so one means a text that nobody knows.
	persisted(message) {
		try {
			const done = this.clean(message.content, message.details, { source: 'tool', role: 'tool' });
			return { message: { ...message, content: done.content,
				...(message.details === undefined ? {} : { details: done.details }) } };
		} catch (err) {
			this.host.event('defender.error', { why: err.message, where: 'transcript' });
			return { message: { ...message, content: [{ type: 'text', text: withheld('error') }], details: {} } };
		}
	}

	// What the user wrote is his; only what tools brought is read again.
	written(message) {
		if (message?.role === 'toolResult' || message?.role === 'tool')
			return this.persisted(message);
		return undefined;
	}
}
