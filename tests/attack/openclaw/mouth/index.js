// A channel that writes down what it is given to send, and a way to the gateway's own methods over HTTP:
// by both the test reaches the hooks that no turn over HTTP passes.
import { createChannelPluginBase, createChatChannelPlugin, defineChannelPluginEntry } from 'openclaw/plugin-sdk/channel-core';
import { dispatchGatewayMethod } from 'openclaw/plugin-sdk/gateway-method-runtime';
import fs from 'node:fs';

const account = (cfg, accountId) => ({ accountId: accountId ?? null, token: cfg.channels?.mouth?.token, allowFrom: [] });

const say = async ({ to, text }) => {
	fs.appendFileSync('/persist/world/mouth.log', `${to} ${text}\n`);
	return { messageId: `m${Date.now()}` };
};

// a channel that does not run keeps the gateway from being ready
const startAccount = (ctx) => new Promise((done) => {
	ctx.setStatus?.({ ...ctx.getStatus?.(), accountId: ctx.accountId, running: true, connected: true });
	ctx.abortSignal.addEventListener('abort', done, { once: true });
});

const plugin = createChatChannelPlugin({
	base: { gateway: { startAccount }, ...createChannelPluginBase({
		id: 'mouth',
		config: {
			listAccountIds: () => ['default'],
			resolveAccount: account,
			inspectAccount: () => ({ enabled: true, configured: true, tokenStatus: 'available' }),
		},
		setup: { applyAccountConfig: ({ cfg }) => cfg },
	}) },
	security: { dm: { channelKey: 'mouth', resolvePolicy: () => 'allowlist', resolveAllowFrom: () => [], defaultPolicy: 'allowlist' } },
	outbound: { attachedResults: { channel: 'mouth', sendText: say } },
});

async function call(req, res) {
	let body = '';
	for await (const d of req)
		body += d;
	const { method, params } = JSON.parse(body);
	let answer;
	try {
		answer = await dispatchGatewayMethod(method, params);
	} catch (err) {
		answer = { ok: false, error: String(err) };
	}
	res.writeHead(200, { 'Content-Type': 'application/json' });
	res.end(JSON.stringify(answer));
	return true;
}

export default defineChannelPluginEntry({
	id: 'mouth',
	name: 'mouth',
	description: 'a channel of this test',
	plugin,
	registerFull(api) {
		api.registerHttpRoute({ path: '/mouth', auth: 'gateway', match: 'exact',
			gatewayRuntimeScopeSurface: 'trusted-operator', handler: call });
	},
});
