// Volume, mute and quiet hours, of the hub and of each speaker.

import { $, el, keyed, put } from './dom.js';

const settle = 400; // ms after the last touch in which a slider keeps what it was given

let page, hub;

export function setUpVolumes(p) {
	page = p;
	hub = volumeSlider('All speakers', 'volume');
	hub.mute = muteSwitch('Mute', 'mute');
	hub.quiet = quietChoice('', 'quiet');
	$('hub-switches').append(hub.mute.node, hub.quiet.node);
	$('hub-volume').append(hub.node, hub.lines);
	hub.lines.append(hub.mute.line.node, hub.quiet.line.node);
}

// volumeSlider is a slider that sends while it moves, one command at a time, and
// follows the hub when it is left alone.
function volumeSlider(name, topic) {
	const input = el('input', { type: 'range', min: '0', max: '50', step: '1', value: '0', 'aria-label': `Volume of ${name}` });
	const number = el('output', { class: 'time' });
	const s = { touched: 0, sending: false, pending: false, held: false, truth: 0 };
	const make = () => page.command(topic, Number(input.value));
	const write = () => {
		put(number, input.value);
		input.setAttribute('aria-valuetext', `${input.value} of 50`);
		input.style.setProperty('--at', input.value / 50);
		s.line.write();
	};
	const push = async () => {
		if (s.sending) {
			s.pending = true;
			return;
		}
		s.sending = true;
		do {
			s.pending = false;
			await page.send(make());
		} while (s.pending);
		s.sending = false;
		setTimeout(follow, settle);
	};
	const follow = () => {
		if (s.held || s.sending || Date.now() - s.touched < settle) return;
		if (input.value !== String(s.truth)) {
			input.value = s.truth;
			write();
		}
	};
	input.addEventListener('input', () => {
		s.touched = Date.now();
		write();
		push();
	});
	input.addEventListener('pointerdown', () => { s.held = true; });
	for (const event of ['pointerup', 'pointercancel', 'blur']) {
		input.addEventListener(event, () => {
			s.held = false;
			setTimeout(follow, settle);
		});
	}
	s.set = (value) => {
		s.truth = value;
		follow();
	};
	s.input = input;
	s.lines = el('div', { class: 'flows' });
	s.line = page.line(s.lines, name === 'All speakers' ? 'Volume' : `Volume of ${name}`, make);
	s.node = el('div', { class: 'volume' }, input, number);
	write();
	return s;
}

// muteSwitch is hidden while the hub says nothing of its field.
function muteSwitch(name, topic) {
	const box = el('input', { type: 'checkbox', role: 'switch', 'aria-label': topic === 'mute' ? 'Mute the hub' : `Mute ${name}` });
	const make = () => page.command(topic, box.checked === m.truth ? box.checked ? 'off' : 'on' : box.checked ? 'on' : 'off');
	const m = { truth: false, node: el('label', { class: 'toggle', hidden: true }, box, ' Mute') };
	m.line = { node: el('div') };
	box.addEventListener('change', async () => {
		await page.send(make());
		box.checked = m.truth;
	});
	m.set = (value) => {
		m.node.hidden = m.line.node.hidden = value === undefined;
		m.truth = box.checked = Boolean(value);
		m.line.write?.();
	};
	const holder = el('div');
	m.line = page.line(holder, topic === 'mute' ? 'Mute' : `Mute ${name}`, make);
	m.line.node.hidden = true;
	return m;
}

// quietChoice is hidden while the hub says nothing of its field.
function quietChoice(name, topic) {
	const select = el('select', {}, ...[['auto', 'By the clock'], ['on', 'On'], ['off', 'Off']].map(([value, text]) => el('option', { value }, text)));
	const q = { node: el('label', { class: 'choice', hidden: true }, 'Quiet hours ', select) };
	if (name) select.setAttribute('aria-label', `Quiet hours of ${name}`);
	const make = () => page.command(topic, select.value);
	select.addEventListener('change', async () => {
		q.line.write();
		await page.send(make());
		q.set(q.truth);
	});
	q.set = (value) => {
		q.truth = value;
		q.node.hidden = q.line.node.hidden = !value;
		if (value && select.value !== value.mode) select.value = value.mode;
		q.line.write();
	};
	q.line = page.line(el('div'), name ? `Quiet hours of ${name}` : 'Quiet hours', make);
	q.line.node.hidden = true;
	return q;
}

function quietText(q) {
	if (!q) return '';
	const when = q.from && q.to ? `${q.from} to ${q.to}` : '';
	if (!q.active) return when ? `Quiet hours are from ${when}.` : '';
	const until = q.until ? ` until ${new Date(q.until).toTimeString().slice(0, 5)}` : '';
	const what = q.volume === 0 ? 'nothing is heard' : `nothing is louder than ${q.volume}`;
	return `Quiet hours are in force${until}: ${what} unless its priority is ${q.priority} or more.`;
}

function muteText(of) {
	if (!of.muted) return '';
	return of.mute_below ? `Muted: only priority ${of.mute_below} and above is heard.` : 'Muted: what plays is not heard.';
}

// unheard tells whether the mute of a hub or a speaker takes away what plays.
export function unheard(of, p) {
	return of.muted && !(of.mute_below && p?.priority >= of.mute_below);
}

const rows = new WeakMap();

function controls(off) {
	for (const c of document.querySelectorAll('#speakers input, #speakers select, #hub-switches input, #hub-switches select')) c.disabled = off;
}

export function showVolumes() {
	const s = page.state.status;
	hub.input.disabled = !s || s.speakers.length === 0;
	$('no-speakers').hidden = !s || s.speakers.length > 0;
	$('hub-volume').hidden = !$('no-speakers').hidden;
	if (!s) {
		controls(true);
		for (const row of $('speakers').children) {
			row.dataset.tone = 'quiet';
			put(row.querySelector('.soft'), ''); // nobody knows
		}
		return;
	}
	controls(false);
	hub.set(s.volume);
	hub.mute.set(s.muted);
	hub.quiet.set(s.quiet);
	put($('quiet-note'), [muteText(s), quietText(s.quiet)].filter(Boolean).join(' '));
	$('quiet-note').hidden = !$('quiet-note').textContent;
	keyed($('speakers'), s.speakers, (sp) => sp.id, (sp) => {
		const name = sp.name || sp.id;
		const v = volumeSlider(name, `speaker/${sp.id}/volume`);
		v.mute = muteSwitch(name, `speaker/${sp.id}/mute`);
		v.quiet = quietChoice(name, `speaker/${sp.id}/quiet`);
		v.lines.append(v.mute.line.node, v.quiet.line.node);
		const node = el('li', {}, el('div', { class: 'head' }, el('div', { class: 'text' }, el('span', { class: 'title' }), el('span', { class: 'soft' })), v.quiet.node, v.mute.node),
			v.node, v.lines);
		rows.set(node, v);
		return node;
	}, (node, sp) => {
		const v = rows.get(node);
		put(node.querySelector('.title'), sp.name || sp.id);
		const facts = [sp.available ? '' : 'cannot be heard', sp.error, sp.warning, sp.available && sp.active ? unheard(s, s.playing) || unheard(sp, s.playing) ? 'playing unheard' : 'sounding' : '',
			sp.quiet?.active ? 'quiet hours' : '',
			sp.override === undefined ? '' : `at ${sp.override} for what plays`, `driver ${sp.driver}`];
		put(node.querySelector('.soft'), facts.filter(Boolean).join(' · '));
		node.dataset.tone = !sp.available ? 'bad' : sp.warning ? 'warn' : sp.active ? 'good' : 'quiet';
		v.set(sp.volume);
		v.mute.set(sp.muted);
		v.quiet.set(sp.quiet);
	});
}
