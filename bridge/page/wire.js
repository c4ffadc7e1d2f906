// The hub as this page reaches it: commands are posted, and one stream brings
// status and events. The stream is read with fetch because a token goes in a header.

import { keep } from './dom.js';

let token = keep.get('token');

export class Unauthorized extends Error {}

async function ask(path, init = {}) {
	const headers = new Headers(init.headers);
	if (token) headers.set('Authorization', `Bearer ${token}`);
	const res = await fetch(path, { ...init, headers, cache: 'no-store' });
	if (res.status === 401) throw new Unauthorized('the hub asks for a token');
	return res;
}

// admit keeps a token if the hub takes it, and tells whether it does.
export async function admit(candidate) {
	const before = token;
	token = candidate;
	try {
		await ask('/page/bus.json');
	} catch (e) {
		token = before;
		if (e instanceof Unauthorized) return false;
		throw e;
	}
	keep.set('token', token);
	return true;
}

// hasToken tells whether a token is in use.
export const hasToken = () => token !== '';

export function forgetToken() {
	token = '';
	keep.set('token', '');
}

// hubs lists the hubs of this address and its version.
export async function hubs() {
	return (await fetch('/healthz', { cache: 'no-store' })).json();
}

// bus tells where other programs reach the bus.
export async function bus() {
	return (await ask('/page/bus.json')).json();
}

// send carries out a command and returns its result.
export async function send(hub, topic, payload) {
	const path = topic.split('/').map(encodeURIComponent).join('/');
	const res = await ask(`/hkw/${hub}/${path}`, {
		method: 'POST',
		body: payload,
		headers: { 'Content-Type': payload.startsWith('{') ? 'application/json' : 'text/plain;charset=utf-8' },
	});
	return res.json();
}

const silence = 40_000; // ms; the hub says something every 15 s
const firstWait = 250, longestWait = 4000; // ms between attempts

// follow reads a hub's stream until stop is called, and comes back after each
// interruption: on.message(topic, payload), on.away(), and await on.refused() when
// the token is not taken.
export function follow(hub, on) {
	let stopped = false, last = '', wait = firstWait, hurry = () => {}, abort = new AbortController();
	const read = async () => {
		let watchdog;
		const alive = () => {
			clearTimeout(watchdog);
			watchdog = setTimeout(() => abort.abort(), silence);
		};
		try {
			abort = new AbortController();
			alive();
			const res = await ask(`/hkw/${hub}/events?recent=100`, { signal: abort.signal, headers: last ? { 'Last-Event-ID': last } : {} });
			if (!res.ok) throw new Error(`status ${res.status}`);
			for await (const e of events(res.body, alive)) {
				if (stopped) return;
				wait = firstWait;
				last = e.id || last;
				on.message(e.event, e.data);
			}
		} finally {
			clearTimeout(watchdog);
		}
	};
	(async () => {
		while (!stopped) {
			try {
				await read();
			} catch (e) {
				if (e instanceof Unauthorized && !stopped) {
					await on.refused();
					continue;
				}
			}
			if (stopped) return;
			on.away();
			await new Promise((done) => {
				hurry = done;
				setTimeout(done, wait * (0.8 + 0.4 * Math.random()));
			});
			wait = Math.min(2 * wait, longestWait);
		}
	})();
	return {
		stop() { stopped = true; abort.abort(); hurry(); },
		hurry() { hurry(); },
	};
}

// events parses a body of server-sent events.
async function* events(body, alive) {
	const reader = body.pipeThrough(new TextDecoderStream()).getReader();
	let text = '', event = { data: [] };
	for (;;) {
		const { value, done } = await reader.read();
		if (done) return;
		alive();
		const lines = (text + value).split('\n');
		text = lines.pop();
		for (const line of lines) {
			if (line === '') {
				if (event.event) yield { ...event, data: event.data.join('\n') };
				event = { data: [] };
				continue;
			}
			const [, field, content] = /^([^:]*):? ?(.*)$/.exec(line);
			if (field === 'data') event.data.push(content);
			else if (field === 'id' || field === 'event') event[field] = content;
		}
	}
}
