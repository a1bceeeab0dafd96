// The native part. Without it nothing is scanned, so a gateway does not start without it: exit 78 is
// OpenClaw's own status for a configuration that cannot work.
const EX_CONFIG = 78;

// What is said of a text in which nothing was found.
const CLEAN = Object.freeze({ action: 'allow', score: 0, dropped: 0, failed: '', findings: Object.freeze([]) });

// The native functions take a context's properties one by one, which costs less than an object.
const withContext = (module) => ({
	...module,
	scan: (defender, text, c) => module.scan(defender, text, c.skip, c.out, c.source, c.role, c.tool) ?? CLEAN,
	scanAsync: async (defender, text, c) =>
		await module.scanAsync(defender, text, c.skip, c.out, c.source, c.role, c.tool) ?? CLEAN,
});

export const isGateway = () => process.argv.slice(2).includes('gateway') && process.argv.includes('run');

export function loadNative(file, logger) {
	const module = { exports: {} };
	try {
		process.dlopen(module, file);
		if (typeof module.exports.scan !== 'function')
			throw new Error('it is another module');
		return withContext(module.exports);
	} catch (err) {
		const why = `creel-defender: ${file}: ${err.message}`;
		logger?.error?.(why);
		if (!isGateway())
			throw new Error(why);
		process.stderr.write(`${why}\ncreel-defender: the gateway does not run without its defender\n`);
		return process.exit(EX_CONFIG);
	}
}
