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

// flowLine shows what make makes; write shows it anew. Topic and payload are copied
// one by one: a flow has a place for each.
export function flowLine(name, make) {
	const topic = copier('code topic', () => prefix + make().topic);
	const payload = copier('code payload', () => make().payload);
	const shell = el('code', { class: 'shell' });
	const line = {
		fresh: true,
		write() {
			const c = make();
			topic.show(prefix + c.topic, `Copy the topic of ${name}`);
			payload.show(c.payload || 'any payload, or none', `Copy the payload of ${name}`);
			payload.classList.toggle('empty', !c.payload);
			payload.disabled = !c.payload;
			put(shell, mosquitto(c));
		},
	};
	line.node = el('div', { class: 'flow', role: 'group', 'aria-label': `${name}, from a flow` },
		el('span', { class: 'call' }, el('span', { class: 'what', 'aria-hidden': 'true' }, name), topic, payload),
		el('details', {}, el('summary', { 'aria-label': `Shell: mosquitto_pub for ${name}` }, 'Shell'),
			el('div', { class: 'paste' }, shell, copier('copy', () => mosquitto(make())).show('Copy', `Copy mosquitto_pub of ${name}`))));
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

// copier is a button that copies text and says so, to the eye by a mark of the style.
function copier(kind, text) {
	const button = el('button', { type: 'button', class: kind });
	button.show = (face, label) => {
		put(button, face);
		button.title = label;
		button.setAttribute('aria-label', face === 'Copy' ? label : `${label}: ${face}`);
		return button;
	};
	button.addEventListener('click', async () => {
		const done = await copy(text(), button);
		button.dataset.copied = done ? 'copied' : 'not copied';
		announce(done ? 'Copied' : 'It could not be copied');
		setTimeout(() => delete button.dataset.copied, 1500);
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
