"use strict";
// What cells say is foreign text: it is only ever set as text, with what cannot be seen spelled out.
const token = decodeURIComponent(location.hash.slice(1));
history.replaceState(null, "", location.pathname);
const say = (t) => { if (document.getElementById("say").textContent !== t) document.getElementById("say").textContent = t; };
const shown = (s) => String(s).replace(/[\u0000-\u001f\u007f-\u009f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]/gu,
	(c) => c === "\n" ? "\\n" : "\\u{" + c.codePointAt(0).toString(16) + "}");
const el = (tag, text, ...children) => {
	const e = document.createElement(tag);
	if (text !== null) e.textContent = shown(text);
	e.append(...children);
	return e;
};
async function api(path, body) {
	const r = await fetch("/api/" + path, {
		method: body ? "POST" : "GET", credentials: "omit", cache: "no-store",
		headers: Object.assign({ "X-Creel-Token": token }, body ? { "Content-Type": "application/json" } : {}),
		body: body ? JSON.stringify(body) : undefined,
	});
	const j = await r.json().catch(() => ({}));
	if (!r.ok) throw new Error(j.error ? j.error : "HTTP " + r.status);
	return j;
}
async function answer(id, op, body) {
	try {
		await api("approvals/" + id + "/" + op, body);
		say("Approval " + id + ": " + (op === "grant" ? "granted" : "denied"));
	} catch (e) {
		say("Approval " + id + ": " + shown(e.message));
	}
	await approvals();
	const next = document.querySelector("#approvals button");
	(next || document.getElementById("events")).focus();
}
function item(a) {
	const li = el("li", null), dl = el("dl", null), d = a.detail || {};
	li.dataset.id = a.id;
	const h = el("h3", a.subject + " (" + a.kind + ", cell " + a.cell + ")");
	h.id = "a" + a.id;
	li.setAttribute("aria-labelledby", h.id);
	const row = (k, v) => dl.append(el("dt", k), el("dd", v));
	if (d.asked_by) row("asked by", d.asked_by);
	(d.lines || []).forEach((l) => row("it says", l));
	(d.argv || []).forEach((w, i) => row("argument " + i, w));
	if (d.stdin_octets) row("standard input", d.stdin_octets + " octets, " + d.stdin_hash);
	(d.files || []).forEach((f) => row("file", f.name + ", " + f.octets + " octets, " + f.hash));
	row("expires", new Date(a.expires_ms).toLocaleTimeString());
	(a.context || []).forEach((e) => row("lately", JSON.stringify(e)));
	const button = (text, f) => { const b = el("button", text); b.type = "button"; b.setAttribute("aria-describedby", h.id); b.onclick = f; return b; };
	const reason = el("input", null);
	reason.maxLength = 200;
	const left = el("p", "Who asked has left: a yes runs nothing until the same call is made again.");
	left.className = "left";
	left.hidden = a.waiting !== false;
	li.append(h, left, dl, button(a.kind === "gate" ? "Approve once" : "Approve", () => answer(a.id, "grant", {})),
		button("Approve for 10 minutes", () => answer(a.id, "grant", { for_s: 600 })),
		button("Deny", () => answer(a.id, "deny", reason.value ? { reason: reason.value } : {})),
		el("label", " reason: ", reason));
	return li;
}
async function approvals() {
	const list = document.getElementById("approvals"), j = await api("approvals");
	const open = j.approvals.filter((a) => a.state === "pending"), ids = new Set(open.map((a) => String(a.id)));
	for (const li of [...list.children]) if (!ids.has(li.dataset.id)) li.remove();
	for (const a of open) { const left = list.querySelector('[data-id="' + a.id + '"] .left'); if (left) left.hidden = a.waiting !== false; }
	for (const a of open) if (!list.querySelector('[data-id="' + a.id + '"]')) { list.append(item(a)); if (ready) say("New: " + shown(a.subject) + ", cell " + shown(a.cell)); }
	document.title = (open.length ? "(" + open.length + ") " : "") + "creel: approvals";
	return open.length;
}
let ready = false, newest = 0;
async function round() {
	try {
		const n = await approvals(), s = await api("status"), e = await api("events");
		document.getElementById("cells").replaceChildren(...s.cells.map((c) => el("tr", null, el("td", c.cell), el("td", c.state), el("td", Math.round((c.memory_kb || 0) / 1024) + " MiB"))));
		const ol = document.getElementById("events");
		for (const v of e.events) if (v.seq > newest) { newest = v.seq; ol.prepend(el("li", JSON.stringify(v))); }
		while (ol.children.length > 200) ol.lastChild.remove();
		if (!ready) say(n ? n + " waiting" : "Nothing waits for an answer");
		ready = true;
	} catch (x) {
		say("Not connected: " + shown(x.message));
		ready = false;
	}
	setTimeout(round, 2000);
}
round();
