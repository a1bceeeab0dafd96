// Skills and plugins before they are installed: every file of the tree, read as what it will be,
// text that the model trusts.
import fs from 'node:fs/promises';
import path from 'node:path';

const FILES = 2000;
const OCTETS = 64 << 20;

async function* files(root) {
	const st = await fs.lstat(root);
	if (st.isSymbolicLink())
		throw new Error(`${root} is a link`);
	if (!st.isDirectory()) {
		yield [root, st];
		return;
	}
	for (const e of await fs.readdir(root, { withFileTypes: true })) {
		if (e.name === 'node_modules' || e.name === '.git')
			continue;
		if (!e.isSymbolicLink())
			yield* files(path.join(root, e.name));
	}
}

const TEXT = /(\.(md|mdx|txt|json5?|ya?ml|toml|js|mjs|cjs|ts|py|sh|html?)|\/(SKILL|README|LICENSE))$/i;

export async function scanTree(event, guard, host) {
	const root = event.sourcePath;
	let n = 0, octets = 0;
	for await (const [file, st] of files(root)) {
		octets += st.size;
		if (++n > FILES || octets > OCTETS)
			return { block: true, blockReason: 'creel: too much to read before it is installed' };
		if (!TEXT.test(file))
			continue;
		const found = await guard.scanLong(await fs.readFile(file), { source: 'skill', role: 'system' });
		guard.report(found, 'install', { file: path.relative(root, file) || path.basename(file),
			name: String(event.targetName ?? '') });
		if (found.action === 'block' || found.action === 'sanitize')
			return { block: true, blockReason: `creel: ${path.basename(file)} tries to give orders ` +
				`(${found.findings[0]?.rule ?? 'a layer failed'})` };
	}
	return undefined;
}
