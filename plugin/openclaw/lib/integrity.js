// The files that say who the agent is: put back as soon as anybody but root has changed them.
import fs from 'node:fs';
import path from 'node:path';
import { createHash } from 'node:crypto';

const EVERY_MS = 1000; // beside inotify, which sees a folder and not what replaced it
const LARGEST = 1 << 20;

export class Integrity {
	constructor(set, guard, host, logger) {
		this.set = set;
		this.guard = guard;
		this.host = host;
		this.logger = logger;
		this.kept = new Map(); // name -> {text, mode}, or null: it is not to be there
		this.aside = 0; // two in one millisecond are two names
		this.skills = new Map(); // path -> what it looked like when it was read
	}

	start() {
		for (const name of this.set.protectedFiles)
			this.keep(name);
		this.skillsCheck();
		if (!this.set.rollback)
			return;
		this.timer = setInterval(() => this.check(), EVERY_MS);
		this.timer.unref();
		try {
			this.watcher = fs.watch(this.set.workspace, () => this.check());
			this.watcher.on('error', () => this.watcher?.close());
		} catch {
			/* no folder yet: the timer sees it */
		}
	}

	stop() {
		clearInterval(this.timer);
		this.watcher?.close();
		this.timer = this.watcher = undefined;
	}

	path(name) {
		return path.join(this.set.workspace, name);
	}

	// {text, mode, uid}, null when there is none, undefined when it is no plain file of a sane size.
	read(name) {
		let fd;
		try {
			fd = fs.openSync(this.path(name), fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW | fs.constants.O_NONBLOCK);
			const st = fs.fstatSync(fd);
			if (!st.isFile() || st.size > LARGEST || st.nlink !== 1)
				return undefined;
			return { text: fs.readFileSync(fd), mode: st.mode & 0o777, uid: st.uid };
		} catch (err) {
			return err.code === 'ENOENT' ? null : undefined;
		} finally {
			if (fd !== undefined)
				fs.closeSync(fd);
		}
	}

	poisoned(text, name) {
		const found = this.guard.scan(text, { source: 'file', role: 'system' });
		this.guard.report(found, 'file', { file: name });
		return found.action === 'block' || found.action === 'sanitize';
	}

	// At the start: what stands there is what is kept, unless it gives orders.
	keep(name) {
		const now = this.read(name);
		if (now && this.poisoned(now.text, name)) {
			this.putAside(name);
			this.kept.set(name, null);
		} else {
			this.kept.set(name, now ?? null);
		}
	}

	// The folder is in the agent's hands, too: what cannot be kept there goes.
	putAside(name) {
		const dir = path.join(this.set.workspace, '.creel-withheld');
		try {
			fs.mkdirSync(dir, { recursive: true, mode: 0o700 });
			fs.renameSync(this.path(name), path.join(dir, `${name.replaceAll('/', '_')}.${Date.now()}-${this.aside++}`));
		} catch {
			fs.rmSync(this.path(name), { recursive: true, force: true });
		}
	}

	putBack(name, kept) {
		const dir = fs.mkdtempSync(path.join(this.set.workspace, '.creel-'));
		try {
			const tmp = path.join(dir, 'file');
			fs.writeFileSync(tmp, kept.text, { mode: kept.mode, flag: 'wx' });
			fs.renameSync(tmp, this.path(name));
		} finally {
			fs.rmSync(dir, { recursive: true, force: true });
		}
	}

	// Synchronous, so that a turn does not begin between the look and the repair.
	check() {
		if (this.set.rollback)
			for (const [name, kept] of this.kept)
				try {
					this.checkOne(name, kept);
				} catch (err) {
					this.host.event('defender.error', { where: 'file', file: name, why: err.message });
				}
		this.skillsCheck();
	}

	checkOne(name, kept) {
		const now = this.read(name);
		if (now === null ? kept === null : now && kept && now.text.equals(kept.text))
			return;
		/* root is the person outside: `creel cp`, or a declared file of a new start */
		if (now && now.uid === 0 && process.geteuid() !== 0 && !this.poisoned(now.text, name)) {
			this.kept.set(name, now);
			this.host.event('defender.warn', { where: 'file', file: name, rules: 'file.accepted' });
			return;
		}
		if (now !== null)
			this.putAside(name);
		if (kept)
			this.putBack(name, kept);
		const hash = now ? createHash('sha256').update(now.text).digest('hex') : '';
		this.host.event('file.restore', { file: name, was: now === null ? 'removed' : 'changed', sha256: hash });
		this.logger?.warn?.(`creel-defender: ${name} was changed and is put back`);
	}

	// Skills in the workspace: their description is in the prompt before any tool has read a word.
	skillsCheck() {
		const root = path.join(this.set.workspace, 'skills');
		let dirs = [];
		try {
			dirs = fs.readdirSync(root, { withFileTypes: true }).slice(0, 500);
		} catch {
			return;
		}
		for (const d of dirs) {
			const name = path.join('skills', d.name, 'SKILL.md');
			const st = fs.statSync(this.path(name), { throwIfNoEntry: false });
			const look = st && `${st.ino} ${st.size} ${st.mtimeMs} ${st.ctimeMs}`;
			if (!look || this.skills.get(name) === look)
				continue;
			try {
				if (this.poisoned(fs.readFileSync(this.path(name)), name))
					this.putAside(name);
				else
					this.skills.set(name, look);
			} catch (err) {
				this.host.event('defender.error', { where: 'skill', file: name, why: err.message });
			}
		}
	}
}
