// NODE_OPTIONS=--import=.../require.mjs: the gateway runs with the plugin or not at
// all. OpenClaw goes on without a plugin that is missing, refused or switched off; this does not.
import fs from 'node:fs';
import net from 'node:net';
import { isMainThread } from 'node:worker_threads';
import { isGateway, loadNative } from './native.js';

const TICK_MS = 500;
const START_MS = Number(process.env.CREEL_DEFENDER_WAIT_MS ?? 300_000);
const GONE_MS = 30_000; // a reload of the plugin takes a moment
const active = Symbol.for('creel-defender.active');

// Time is counted in ticks of the event loop, not by the clock: on an emulated machine OpenClaw's start holds
// the loop for minutes, in which neither the plugin nor anybody who talks to the gateway gets a turn.
function watch() {
	let idle = 0, patience = START_MS;
	setInterval(() => {
		if (globalThis[active]) {
			idle = 0;
			patience = GONE_MS;
		} else if ((idle += TICK_MS) > patience) {
			process.stderr.write('creel-defender: the plugin is not at work: the gateway ends\n');
			process.exit(78);
		}
	}, TICK_MS).unref();
}

// Only root writes this file; who is without the defender has said so in creel.yaml.
function wanted() {
	try {
		const config = JSON.parse(fs.readFileSync(process.env.OPENCLAW_CONFIG_PATH));
		return config.plugins?.entries?.['creel-defender'] !== undefined;
	} catch {
		return true;
	}
}

if (isMainThread && process.argv[1]?.endsWith('openclaw.mjs') && isGateway() && wanted()) {
	loadNative(process.env.CREEL_DEFENDER_NATIVE ?? '/usr/lib/creel/openclaw/creel-defender.node');
	const listen = net.Server.prototype.listen;
	let watching = false;
	net.Server.prototype.listen = function (...args) {
		if (!watching)
			this.once('listening', () => {
				if (!watching && typeof this.address() === 'object')
					watch(watching = true);
			});
		return Reflect.apply(listen, this, args);
	};
}
