// scan-plugin.mjs PLUGIN TEXT: what a scan costs as OpenClaw's plugin makes it: from JavaScript, through the
// native part, with the built-in model as tools' results are scanned and (skip) with layer 1 alone. Prints
// lines `name size microseconds`, a median of runs of processor time.
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const [, , dir, file] = process.argv;
const { loadNative } = await import(pathToFileURL(`${dir}/lib/native.js`));
const native = loadNative(`${dir}/creel-defender.node`, console);
const defender = native.open({ cacheDir: dir });
const text = readFileSync(file, 'utf8').replace(/[^\x00-\x7f]/g, '?').slice(0, 1 << 18);

const us = (size, context, loops) => {
	const runs = [];
	for (let i = 0; i < 9; i++) {
		const from = process.cpuUsage();
		for (let k = 0; k < loops; k++) {
			const at = (k * 977 + i * 131) % 65536; // another part each time
			native.scan(defender, text.slice(at, at + size), context);
		}
		const used = process.cpuUsage(from);
		runs.push((used.user + used.system) / loops);
	}
	return runs.sort((a, b) => a - b)[4].toFixed(2);
};

for (const [size, loops] of [[200, 4000], [4096, 400], [65536, 30]]) {
	console.log('plugin1', size, us(size, { skip: 1 << 2 }, loops));
	console.log('plugin12', size, us(size, {}, loops));
}
