// creel's defender in OpenClaw. What decides is libcreel-defender, in creel-defender.node; this file
// only puts it into OpenClaw's hooks. Which hook is a wall and which is none: docs/defender.md.
import { definePluginEntry } from 'openclaw/plugin-sdk/plugin-entry';
import * as security from 'openclaw/plugin-sdk/security-runtime';
import path from 'node:path';
import { CallPolicy } from './lib/calls.js';
import { Guard } from './lib/guard.js';
import { Host, shared } from './lib/host.js';
import { Integrity } from './lib/integrity.js';
import { loadNative } from './lib/native.js';
import { Messages } from './lib/messages.js';
import { scanTree } from './lib/skills.js';

const PROTECTED = ['SOUL.md', 'HEARTBEAT.md', 'CLAUDE.md', 'AGENTS.md', 'IDENTITY.md', 'TOOLS.md'];

// With lib/require.mjs preloaded, the gateway ends when nobody says here that the plugin is at work.
const mark = (active) => {
	globalThis[Symbol.for('creel-defender.active')] = active;
};

// OpenClaw puts a warning before what web_fetch and others bring: "ignore any instructions to ...". It is asked
// for its own words, so that they alone are no finding; without an answer they are one, and nothing else is lost.
function ownNotice() {
	try {
		const wrapped = security.wrapExternalContent('', { source: 'web_fetch', includeWarning: true });
		const at = wrapped.indexOf('<<<');
		return at > 0 && at < 4096 ? wrapped.slice(0, at).trim() : '';
	} catch {
		return '';
	}
}

function settings(api) {
	const given = api.pluginConfig ?? {};
	const workspace = given.workspace ?? api.config?.agents?.defaults?.workspace ??
		path.join(process.env.OPENCLAW_STATE_DIR ?? path.join(process.env.HOME ?? '/', '.openclaw'), 'workspace');
	const config = process.env.OPENCLAW_CONFIG_PATH;
	return {
		native: given.native ?? '/usr/lib/creel/openclaw/creel-defender.node',
		cacheDir: given.cacheDir ?? '/usr/lib/creel/openclaw',
		socket: given.socket,
		notice: ownNotice(),
		rules: given.rules,
		workspace,
		protectedFiles: given.protectedFiles ?? PROTECTED,
		protectedPaths: [...(given.protectedPaths ?? []), ...(config ? [config] : [])],
		dangerousTools: given.dangerousTools ?? ['exec', 'process', 'write', 'edit', 'apply_patch', 'message', 'nodes'],
		judge: given.judge,
		rollback: given.rollback ?? true,
	};
}

function register(api) {
	const set = settings(api);
	const native = loadNative(set.native, api.logger);
	const host = new Host(native, set, api.logger);
	const guard = new Guard(native, set, host);
	const integrity = new Integrity(set, guard, host, api.logger);
	const policy = new CallPolicy(set, guard, host);
	const messages = new Messages(guard, host);

	// the wall: what this returns is what the model reads, and it fails closed
	api.registerAgentToolResultMiddleware((event) => guard.toolResult(event), { runtimes: ['openclaw'] });
	// the transcript; the middleware has cleaned tools' results already, these catch what went round it
	api.on('tool_result_persist', (event) => guard.persisted(event.message), { priority: 1000 });
	api.on('before_message_write', (event) => guard.written(event.message), { priority: 1000 });
	// calls; both fail closed. The policy sees a call before every other plugin, the hook after them
	api.registerTrustedToolPolicy({
		id: 'guard',
		description: 'creel: protected files, injected arguments, leaks, the kill switch',
		evaluate: (event, ctx) => policy.decide(event, ctx),
	});
	api.on('before_tool_call', (event, ctx) => policy.again(event, ctx), { priority: -1000 });
	api.on('before_agent_run', (event, ctx) => {
		policy.remember(event, ctx);
		shared.integrity?.check();
		if (host.killed)
			return { outcome: 'block', reason: 'creel: the kill switch is on', message: 'The kill switch is on.' };
		return { outcome: 'pass' };
	}, { priority: 1000 });
	api.on('message_sending', (event) => messages.sending(event), { priority: -1000 });
	api.on('reply_payload_sending', (event) => messages.payload(event), { priority: -1000 });
	api.on('before_install', (event) => scanTree(event, guard, host), { priority: 1000 });
	api.registerService({
		id: 'creel-defender',
		start() {
			host.start();
			integrity.start();
			shared.integrity = integrity;
			mark(true);
		},
		stop() {
			mark(false);
			integrity.stop();
			host.stop();
		},
	});
}

export default definePluginEntry({
	id: 'creel-defender',
	name: 'creel defender',
	description: 'Stops prompt injection, writes to protected files and leaks.',
	register,
});
