// Strings in a tree of JSON. Keys are read too: they reach the model where a tool prints JSON.
const DEPTH = 64;
const COUNT = 20_000;

// What holds a picture or a sound as base64 is no text.
const binary = (o) => typeof o.data === 'string' && typeof (o.mimeType ?? o.media_type) === 'string' &&
	(o.type === 'image' || o.type === 'audio' || o.type === 'base64');

export function strings(tree) {
	const out = [];
	const visit = (v, depth) => {
		if (out.length >= COUNT || depth > DEPTH)
			throw new Error('a tree of too many or too deep parts');
		if (typeof v === 'string')
			out.push(v);
		else if (Array.isArray(v))
			v.forEach((x) => visit(x, depth + 1));
		else if (v && typeof v === 'object')
			for (const [k, x] of Object.entries(v)) {
				if (k === 'data' && binary(v))
					continue;
				if (k.length > 24)
					out.push(k);
				visit(x, depth + 1);
			}
	};
	visit(tree, 0);
	return out;
}

export function mapStrings(v, change) {
	if (typeof v === 'string')
		return change(v);
	if (Array.isArray(v))
		return v.map((x) => mapStrings(x, change));
	if (v && typeof v === 'object')
		return Object.fromEntries(Object.entries(v).map(([k, x]) => [k.length > 24 ? change(k) : k,
			k === 'data' && binary(v) ? x : k === 'type' ? x : mapStrings(x, change)]));
	return v;
}
