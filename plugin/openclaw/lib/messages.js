// Messages on their way to somebody. Both hooks would let a message pass when they fail, so a failure
// here cancels it.
import { mapStrings, strings } from './walk.js';

export class Messages {
	constructor(guard, host) {
		this.guard = guard;
		this.host = host;
	}

	// The text with secrets cut; null when it is not to be sent at all.
	settle(text) {
		const cut = this.guard.secrets.cut(text);
		const found = this.guard.scan(cut, { out: 1, source: 'message', role: 'assistant', skip: 1 << 2 });
		this.guard.report(found, 'message');
		if (cut !== text)
			this.host.event('defender.sanitize', { where: 'message', rules: 'secret.known' });
		return found.action === 'sanitize' || found.action === 'block' ? found.sanitized : cut;
	}

	failed(err) {
		this.host.event('defender.error', { why: err.message, where: 'message' });
		return { cancel: true, cancelReason: 'creel: the message could not be checked' };
	}

	sending(event) {
		if (this.host.killed)
			return { cancel: true, cancelReason: 'creel: the kill switch is on' };
		try {
			const content = this.settle(String(event.content ?? ''));
			return content === event.content ? undefined : { content };
		} catch (err) {
			return this.failed(err);
		}
	}

	payload(event) {
		if (this.host.killed)
			return { cancel: true };
		try {
			const before = JSON.stringify(strings(event.payload));
			const payload = mapStrings(event.payload, (text) => this.settle(text));
			return JSON.stringify(strings(payload)) === before ? undefined : { payload };
		} catch (err) {
			return this.failed(err);
		}
	}
}
