// The values that this process was given and that nobody else is to see: whatever the environment
// names as a key, token or password, as it is and as it is commonly written otherwise.
const NAME = /(KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL)S?$/i;
const SHORTEST = 12;

export class Secrets {
	constructor(env) {
		const values = Object.entries(env).filter(([k, v]) => NAME.test(k) && v && v.length >= SHORTEST)
			.map(([, v]) => v);
		const forms = values.flatMap((v) => {
			const b = Buffer.from(v);
			return [v, encodeURIComponent(v), b.toString('hex'), b.toString('base64').replace(/=+$/, ''),
				b.toString('base64url'), JSON.stringify(v).slice(1, -1), [...v].reverse().join('')];
		});
		this.forms = [...new Set(forms)].sort((a, b) => b.length - a.length);
	}

	has(text) {
		return this.forms.some((f) => text.includes(f));
	}

	cut(text) {
		for (const f of this.forms)
			if (text.includes(f))
				text = text.replaceAll(f, '[creel: a secret]');
		return text;
	}
}
