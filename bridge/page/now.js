// What plays, and what it displaced: gives way, is paused, waits.

import { $, el, icon, keyed, minutes, put } from './dom.js';
import { unheard } from './volumes.js';

let page, seeking = null, seekTimer;
const lines = {};

// short is a playback's priority for a command that touches it: the field's, if
// there is one, else left to the hub.
const priority = () => ($('touch-priority').value === '' ? undefined : Number($('touch-priority').value));
const touch = (verb, more = {}) => page.command(verb, { ...more, priority: priority() });

// shown is the playback on top: what plays, or comes back, or was paused last while
// nothing plays.
function shown() {
	const s = page?.state.status;
	return s?.playing ?? s?.suspended ?? s?.paused.at(-1);
}

// seekCommand names a playback only where the hub would not find it by itself.
function seekCommand() {
	const p = shown();
	return touch('seek', { position: Math.round(seeking ?? Number($('seek').value)), playback: p?.phase === 'paused' ? p.playback : undefined });
}

export function setUpNow(p) {
	page = p;
	$('pause').prepend(icon('pause'));
	$('resume').prepend(icon('play'));
	$('stop').prepend(icon('stop'));
	$('pause').addEventListener('click', () => page.send(touch('pause')));
	$('resume').addEventListener('click', () => page.send(touch('resume')));
	$('stop').addEventListener('click', () => page.send(touch('stop')));
	$('touch-priority').addEventListener('input', () => page.refresh());
	lines.pause = page.line($('now-flows'), 'Pause', () => touch('pause')).node;
	lines.resume = page.line($('now-flows'), 'Resume', () => touch('resume')).node;
	page.line($('now-flows'), 'Stop', () => touch('stop'));
	page.line($('now-flows'), 'Seek', seekCommand);
	const slider = $('seek');
	slider.addEventListener('input', () => {
		seeking = Number(slider.value);
		tickNow();
		page.refresh();
		clearTimeout(seekTimer);
		seekTimer = setTimeout(seek, 500); // an arrow key held down goes there once
	});
	slider.addEventListener('change', () => {
		clearTimeout(seekTimer);
		seekTimer = setTimeout(seek, 150);
	});
	slider.addEventListener('keydown', (e) => {
		const step = { ArrowLeft: -5, ArrowDown: -5, ArrowRight: 5, ArrowUp: 5, PageDown: -30, PageUp: 30 }[e.key];
		if (!step) return;
		e.preventDefault();
		slider.value = Number(slider.value) + step;
		slider.dispatchEvent(new Event('input'));
	});
}

async function seek() {
	if (seeking === null) return;
	await page.send(seekCommand());
	seeking = null;
	tickNow();
}

// whose says for whom something plays.
function whose(p) {
	return p.id && !p.id.startsWith('hub-') ? `${p.id} · ${p.session_ref}` : p.session_ref;
}

function stateOf(s) {
	const p = s.playing;
	if (p?.stalled) return ['Waiting for the stream', 'warn'];
	if (p?.phase === 'starting') return ['Starting', 'good'];
	if (p && (s.suspended || p.on_busy === 'announce')) return ['Announcing', 'warn'];
	if (p) return ['Playing', 'good'];
	if (s.suspended) return ['Coming back', 'good'];
	if (s.paused.length) return ['Paused', 'quiet'];
	return ['Free', 'quiet'];
}

export function showNow() {
	const s = page.state.status;
	const p = shown(), paused = p?.phase === 'paused';
	const [text, tone] = s ? stateOf(s) : page.state.locked ? ['A token is needed', 'warn'] : page.state.away ? ['Hub is away', 'bad'] : ['Connecting', 'quiet'];
	put($('now-state'), text);
	$('now-state').dataset.tone = $('now').dataset.tone = tone;
	put($('now-title'), p ? p.media.title : s ? 'Nothing is playing' : page.state.locked ? 'Locked' : page.state.away ? 'No word from the hub. Trying again…' : 'Asking the hub…');
	put($('now-by'), p ? [p.media.artist, p.media.album, paused ? 'the hub is free meanwhile' : unheard(s, p) ? 'unheard: the hub is muted' : ''].filter(Boolean).join(' · ')
		: !s ? '' : s.muted ? 'The hub is free, but muted.' : 'The hub is free: whoever asks is heard.');
	const facts = p ? [['Priority', p.priority], ['For', whose(p)], ['On', names(s, p.speakers)], ['Volume', p.volume]] : [];
	keyed($('now-facts'), facts.filter(([, v]) => v !== undefined), (f) => f[0],
		(f) => el('li', {}, el('span', { class: 'soft' }, `${f[0]} `), el('strong')),
		(node, f) => put(node.lastChild, String(f[1])));
	for (const id of ['pause', 'resume', 'stop']) $(id).disabled = !s;
	const focused = document.activeElement === $('pause') || document.activeElement === $('resume');
	$('pause').hidden = lines.pause.hidden = Boolean(paused);
	$('resume').hidden = lines.resume.hidden = !paused;
	if (focused) $(paused ? 'resume' : 'pause').focus(); // the one stands in the place of the other
	part('beneath', s?.playing && s.suspended ? [s.suspended] : [], 'stop');
	part('paused', s?.paused.filter((other) => other !== p).reverse() ?? [], 'resume');
	part('queue', s?.queue ?? [], 'stop');
	$('unlisted').hidden = !s?.more;
	put($('unlisted'), s?.more ? `and ${s.more} more that wait or are paused` : '');
	tickNow();
}

function names(s, ids) {
	if (ids.length === s.speakers.length && ids.length > 1) return 'all speakers';
	return ids.map((id) => s.speakers.find((sp) => sp.id === id)?.name || id).join(', ') || 'no speaker';
}

const phases = { preparing: 'is being opened', queued: 'waits', suspended: 'held', ducked: 'lowered', returning: 'coming back', paused: 'paused' };

// part lists playbacks with one button each: to resume it, or to send it away.
function part(id, playbacks, verb) {
	const section = $(id);
	section.hidden = playbacks.length === 0;
	keyed(section.querySelector('ul'), playbacks, (p) => p.playback, (p) => {
		const name = verb === 'resume' ? 'Resume' : 'Remove';
		const target = () => page.command(verb, { playback: p.playback, priority: priority() });
		return el('li', {},
			el('div', { class: 'text' }, el('span', { class: 'title' }), el('span', { class: 'soft' })),
			el('button', { type: 'button', 'aria-label': `${name} ${p.media.title}`, onclick: () => page.send(target()) }, ...(verb === 'resume' ? [icon('play')] : []), name));
	}, (node, p) => {
		put(node.querySelector('.title'), p.media.title);
		const at = page.position(p);
		put(node.querySelector('.soft'), [`Priority ${p.priority}`, phases[p.phase] ?? p.phase, at ? `at ${minutes(at)}` : '', whose(p)].filter(Boolean).join(' · '));
	});
}

// tickNow moves the position on. A slider that has the focus says where it is only
// now and then: a screen reader would read every second.
let spokenAt = 0;
export function tickNow() {
	const p = shown();
	const at = page?.position(p);
	const length = p?.media.duration;
	const slider = $('seek');
	const now = seeking ?? at ?? 0;
	put($('now-position'), at === undefined ? '' : minutes(now));
	put($('now-length'), at !== undefined && length ? minutes(length) : '');
	// It keeps its place when there is nothing to seek, so that the buttons keep theirs.
	const off = at === undefined || !length || p.media.kind === 'speech';
	if (slider.disabled !== off) slider.disabled = off;
	const max = String(length || 1), value = (length ? now : 0).toFixed(1);
	if (slider.max !== max) slider.max = max;
	if (seeking === null && Number(slider.value).toFixed(1) !== value) slider.value = value;
	slider.style.setProperty('--at', slider.value / slider.max);
	const focused = document.activeElement === slider;
	if (seeking !== null || !focused || Date.now() - spokenAt > 10_000) {
		spokenAt = Date.now();
		const text = length ? `${minutes(now)} of ${minutes(length)}` : minutes(now);
		if (slider.getAttribute('aria-valuetext') !== text) slider.setAttribute('aria-valuetext', text);
	}
}
