// The twin: the same library, in the one hook that the seed had; and nothing at all until the test says so,
// so that one gateway is both twins.
import { definePluginEntry } from 'openclaw/plugin-sdk/plugin-entry';
import fs from 'node:fs';

const at = '/usr/lib/creel/openclaw';

export default definePluginEntry({
	id: 'seed',
	name: 'the twin',
	description: 'tool_result_persist and nothing else',
	register(api) {
		const module = { exports: {} };
		process.dlopen(module, `${at}/creel-defender.node`);
		const native = module.exports, defender = native.open({ cacheDir: at });
		api.on('tool_result_persist', ({ message }) => {
			if (!fs.existsSync('/persist/world/seed'))
				return undefined;
			const content = message.content.map((c) => c.type !== 'text' ? c
				: { ...c, text: native.scan(defender, c.text)?.sanitized ?? c.text });
			if (JSON.stringify(content) !== JSON.stringify(message.content))
				fs.appendFileSync('/persist/world/seed', 'rewritten\n');
			return { message: { ...message, content } };
		});
	},
});
