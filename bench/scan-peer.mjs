// scan-peer.mjs ORIGINAL TEXT SCAN-RUN CACHE PLUGIN COSTLY...: layer 1 beside the original's, in turn. A round is a few
// hundredths of a second of ours and as much of theirs, so that a machine whose speed changes within a minute does it to both; a
// ratio is the median of those of the rounds. Ours is asked through scan-run's pipe, and through the plugin in this very
// process where PLUGIN, a directory, is not empty. Prints lines `pair name size ours theirs ratio least most`, in
// microseconds of processor time, and those of the original alone, of files COSTLY, too.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

const [, , original, file, scanRun, cache, plugin, ...costly] = process.argv;
const { createScanner } = await import(pathToFileURL(`${original}/dist/index.js`));
const peer = createScanner();
const text = readFileSync(file, 'utf8');
const ascii = text.replace(/[^\x00-\x7f]/g, '?').slice(0, 1 << 18);
const ROUNDS = 15, CUT = 10000; // characters that the original reads of a text

const child = spawn(scanRun, [cache, file, '-'], { stdio: ['pipe', 'pipe', 'inherit'] });
const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
const ours = async (size) => {
	child.stdin.write(`${size}\n`);
	const { value, done } = await answers.next();
	if (done) throw new Error('scan-run ended before it answered');
	return Number(value);
};

const spent = (loops, each) => {
	const from = process.cpuUsage();
	for (let k = 0; k < loops; k++) each(k);
	const used = process.cpuUsage(from);
	return (used.user + used.system) / loops;
};
// another part each time, as in scan-run.c
const at = (size, k, round) => size < 65536 ? (k * 977 + round * 131) % 65536 : size === 65536 ? k % 4 * size + round * 131 : 0;
const theirs = (size, round, loops) =>
	spent(loops, (k) => {
		const from = at(size, k, round);
		for (let a = from; a < from + size; a += CUT) peer.scanSync(text.slice(a, Math.min(a + CUT, from + size)));
	});

const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];
const pair = async (name, size, rounds, one, other) => {
	const a = [], b = [], ratio = [];
	for (let i = -2; i < rounds; i++) { // two to become warm
		const x = await one(i + 2), y = other(i + 2);
		if (i < 0) continue;
		a.push(x), b.push(y), ratio.push(y / x);
	}
	console.log('pair', name, size, median(a).toFixed(2), median(b).toFixed(2), median(ratio).toFixed(2),
		Math.min(...ratio).toFixed(2), Math.max(...ratio).toFixed(2));
};

for (const [size, loops] of [[200, 2000], [4096, 100], [65536, 4], [1048576, 1]])
	await pair('layer1', size, size > 65536 ? 7 : ROUNDS, () => ours(size), (i) => theirs(size, i, loops));
child.stdin.end();

if (plugin) {
	const { loadNative } = await import(pathToFileURL(`${plugin}/lib/native.js`));
	const native = loadNative(`${plugin}/creel-defender.node`, console);
	const defender = native.open({ cacheDir: cache });
	const scan = (size, loops) => (i) =>
		spent(loops, (k) => native.scan(defender, ascii.slice(at(size, k, i), at(size, k, i) + size), { skip: 1 << 2 }));
	for (const [size, loops] of [[200, 2000], [4096, 100]])
		await pair('plugin1', size, ROUNDS, scan(size, loops * 4), (i) => theirs(size, i, loops));
}

for (const size of [65536, 1048576])
	console.log('cut', size, spent(20, () => peer.scanSync(text.slice(0, size))).toFixed(2));
for (const [name, unit] of [['base64-run', 'QUJD'], ['timestamps', '[timestamp:' + ' '.repeat(60)], ['exec-paren', 'exec(']])
	console.log('hard-' + name, CUT, spent(1, () => peer.scanSync(unit.repeat(CUT / unit.length + 1).slice(0, CUT))).toFixed(2));
for (const path of costly) {
	const input = readFileSync(path, 'utf8');
	console.log('hard-' + basename(path), Buffer.byteLength(input), spent(1, () => peer.scanSync(input)).toFixed(2));
}
