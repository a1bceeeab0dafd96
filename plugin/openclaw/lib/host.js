// The host, over /run/creel/host.sock: findings go out as events, the kill switch comes in. What the
// octets mean is in creel-defender.node; here they are only carried. Nothing waits for the host but
// the next event.
import net from 'node:net';

// OpenClaw registers a plugin more than once and starts its service in one of them: what the service
// learns is for all.
export const shared = globalThis[Symbol.for('creel-defender.shared')] ??= { killed: false, integrity: null };

const QUEUE = 256;
const PAUSE_MS = 500; // when the host cannot say now
const ANSWER_MS = 30_000;

export class Host {
	constructor(native, set, logger) {
		this.native = native;
		this.socket = set.socket ?? native.socket;
		this.logger = logger;
		this.queue = [];
		this.lost = 0;
		this.sending = false;
		this.running = false;
	}

	get killed() {
		return shared.killed;
	}

	start() {
		this.running = true;
		this.drain();
		this.look();
	}

	stop() {
		this.running = false;
	}

	ask(octets, timeoutMs = ANSWER_MS) {
		return new Promise((resolve, reject) => {
			const c = net.connect(this.socket);
			let got = Buffer.alloc(0);
			const end = (f, v) => {
				c.destroy();
				f(v);
			};
			c.setTimeout(timeoutMs, () => end(reject, new Error('the host has not answered in time')));
			c.on('connect', () => c.write(octets));
			c.on('error', (err) => end(reject, err));
			c.on('close', () => reject(new Error('the host\'s answer was cut')));
			c.on('data', (d) => {
				try {
					got = Buffer.concat([got, d]);
					const a = this.native.answer(got);
					if (a)
						end(resolve, a);
				} catch (err) {
					end(reject, err);
				}
			});
		});
	}

	// The kill switch: what was known stays true while the host cannot say.
	async look() {
		while (this.running) {
			try {
				const a = await this.ask(this.native.why('killswitch'), 5000);
				if (a.status === this.native.OK)
					shared.killed = JSON.parse(a.text).killswitch === 'on';
			} catch {
				/* asked again */
			}
			await new Promise((r) => setTimeout(r, PAUSE_MS).unref());
		}
	}

	event(kind, fields) {
		const clean = Object.fromEntries(Object.entries(fields).slice(0, 8)
			.map(([k, v]) => [k, String(v).replaceAll('\0', ' ').slice(0, 500)]));
		if (this.queue.length >= QUEUE) {
			this.lost++;
			return;
		}
		this.queue.push([kind, clean]);
		this.drain();
	}

	async drain() {
		if (this.sending)
			return;
		this.sending = true;
		while (this.queue.length > 0) {
			const [kind, fields] = this.queue[0];
			try {
				const a = await this.ask(this.native.event(kind, fields));
				if (a.status === this.native.AGAIN)
					throw new Error(a.text);
				this.queue.shift();
				if (a.status !== this.native.OK)
					this.logger?.warn?.(`creel-defender: ${kind}: ${a.text}`);
				if (this.lost > 0 && this.queue.length < QUEUE) {
					this.queue.push(['defender.error', { why: `${this.lost} findings were not told`, where: 'plugin' }]);
					this.lost = 0;
				}
			} catch (err) {
				if (err.code === 'ENOENT' && !this.told) {
					this.told = true;
					this.logger?.warn?.(`creel-defender: no ${this.socket}: findings stay in this log`);
				}
				await new Promise((r) => setTimeout(r, PAUSE_MS).unref());
				if (!this.running)
					break;
			}
		}
		this.sending = false;
	}
}
