// The native part. Without it nothing is scanned, so a gateway does not start without it: exit 78 is
// OpenClaw's own status for a configuration that cannot work.
const EX_CONFIG = 78;

export const isGateway = () => process.argv.slice(2).includes('gateway') && process.argv.includes('run');

export function loadNative(file, logger) {
	const module = { exports: {} };
	try {
		process.dlopen(module, file);
		if (typeof module.exports.scan !== 'function')
			throw new Error('it is another module');
		return module.exports;
	} catch (err) {
		const why = `creel-defender: ${file}: ${err.message}`;
		logger?.error?.(why);
		if (!isGateway())
			throw new Error(why);
		process.stderr.write(`${why}\ncreel-defender: the gateway does not run without its defender\n`);
		return process.exit(EX_CONFIG);
	}
}
