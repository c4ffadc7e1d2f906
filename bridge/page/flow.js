// The line under an action: what a flow publishes to do the same. It is made by the
// function that makes the command, so that it is what the page sends.

import { announce, el, put } from './dom.js';

let prefix = 'hkw/home/', broker = {};
const lines = new Set();

// at names the hub and the bus that the lines are for.
export function at(hub, bus) {
	prefix = `hkw/${hub}/`;
	broker = bus;
	refresh();
}

// refresh writes all lines anew.
export function refresh() {
	for (const line of lines) {
		if (line.node.isConnected || line.fresh) line.write();
		else lines.delete(line);
		line.fresh = false;
	}
}

// command writes a payload: an object as JSON without the fields left open.
export function command(topic, payload = '') {
	if (typeof payload !== 'object') return { topic, payload: String(payload) };
	const given = Object.entries(payload).filter(([, v]) => v !== undefined && v !== '' && v !== false);
	return { topic, payload: given.length ? JSON.stringify(Object.fromEntries(given)) : '' };
}

// flowLine shows what make makes; write shows it anew.
export function flowLine(name, make) {
	const topic = el('code', { class: 'topic' });
	const payload = el('code', { class: 'payload' });
	const shell = el('code', { class: 'shell' });
	const line = {
		fresh: true,
		write() {
			const c = make();
			put(topic, prefix + c.topic);
			put(payload, c.payload || 'any payload, or none');
			payload.classList.toggle('empty', !c.payload);
			put(shell, mosquitto(c));
		},
	};
	line.node = el('div', { class: 'flow', role: 'group', 'aria-label': `${name}, from a flow` },
		el('span', { class: 'call' }, el('span', { class: 'what', 'aria-hidden': 'true' }, name), topic, payload),
		copier(`Copy topic and payload of ${name}`, () => { const c = make(); return c.payload ? `${prefix}${c.topic} ${c.payload}` : prefix + c.topic; }),
		el('details', {}, el('summary', { 'aria-label': `Shell: mosquitto_pub for ${name}` }, 'Shell'),
			el('div', { class: 'paste' }, shell, copier(`Copy mosquitto_pub of ${name}`, () => mosquitto(make())))));
	lines.add(line);
	line.write();
	return line;
}

const loopback = /^(localhost|127\.|\[?::1\]?$)/;

function mosquitto(c) {
	let host = broker.host || location.hostname;
	if (loopback.test(host) && !loopback.test(location.hostname)) host = location.hostname;
	const words = ['mosquitto_pub', '-h', host.replace(/^\[|\]$/g, '')];
	if (broker.port) words.push('-p', broker.port);
	if (broker.user) words.push('-u', broker.user, '-P', 'PASSWORD');
	if (broker.tls) words.push('--tls-use-os-certs');
	words.push('-t', prefix + c.topic);
	words.push(...(c.payload ? ['-m', c.payload] : ['-n']));
	return words.map(quoted).join(' ');
}

const quoted = (word) => (/^[\w./:@%+-]+$/.test(word) ? word : `'${String(word).replaceAll("'", "'\\''")}'`);

function copier(label, text) {
	const button = el('button', { type: 'button', class: 'copy', 'aria-label': label }, 'Copy');
	button.addEventListener('click', async () => {
		const done = await copy(text(), button);
		put(button, done ? 'Copied' : 'Not copied');
		announce(done ? 'Copied' : 'It could not be copied');
		setTimeout(() => put(button, 'Copy'), 1500);
	});
	return button;
}

// copy works without the clipboard's own interface too, which browsers give to
// pages of https and of this machine alone.
async function copy(text, beside) {
	if (navigator.clipboard && window.isSecureContext) {
		try {
			await navigator.clipboard.writeText(text);
			return true;
		} catch { /* not allowed; the old way may be */ }
	}
	const area = el('textarea', { class: 'hidden', value: text, readOnly: true, 'aria-hidden': 'true' });
	beside.after(area);
	area.select();
	const done = document.execCommand('copy');
	area.remove();
	beside.focus();
	return done;
}
