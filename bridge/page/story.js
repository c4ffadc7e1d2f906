// What the hub decided, in sentences. Events say what became of a playback; results
// of commands say what was refused. An event names who caused it only by the id of
// the playback, so that every playback that was seen is remembered for a while.

import { $, announce, el } from './dom.js';

const most = 200; // entries shown
const known = new Map(); // playbacks by id
const told = new Set(); // payloads, by boot and seq
const answered = new Set(); // ids of commands whose end an event told
const joined = new Set(); // playbacks for whom something gave way, until they start
const heldBack = new Set(); // playbacks that gave way
let batch = [], status = null;

// meet remembers the playbacks of a snapshot.
export function meet(snapshot) {
	if (status?.boot === snapshot.boot) changes(status, snapshot);
	status = snapshot;
	for (const p of [snapshot.playing, snapshot.suspended, ...snapshot.paused, ...snapshot.queue]) remember(p);
}

// changes tells what no event tells.
function changes(was, is) {
	const at = new Date(is.at);
	if (Boolean(is.muted) !== Boolean(was.muted)) show(at, is.muted ? 'The hub was muted.' : 'The hub is heard again.', 'quiet');
	if (is.quiet && was.quiet && is.quiet.active !== was.quiet.active) show(at, is.quiet.active ? 'Quiet hours are in force.' : 'Quiet hours are over.', 'quiet');
	for (const sp of is.speakers) {
		const before = was.speakers.find((other) => other.id === sp.id);
		if (before && before.available !== sp.available) show(at, `${sp.name || sp.id} ${sp.available ? 'can be heard again' : `cannot be heard${sp.error ? `: ${sp.error}` : ''}`}.`, sp.available ? 'good' : 'bad');
	}
}

function remember(p) {
	if (!p?.playback) return;
	known.delete(p.playback);
	known.set(p.playback, { title: p.media.title, priority: p.priority });
	if (known.size > 500) known.delete(known.keys().next().value);
}

// tell takes an event or a result. What comes together is told together: who
// interrupts may be made known only after whom.
export function tell(kind, payload) {
	const key = `${payload.boot}.${payload.seq}`;
	if (payload.seq && told.has(key)) return;
	told.add(key);
	if (told.size > 2000) told.delete(told.values().next().value);
	if (batch.push([kind, payload]) === 1) setTimeout(flush, 30);
}

// note adds a sentence of the page itself.
export function note(sentence, tone = 'quiet') {
	flush(); // what came before stands before
	show(new Date(), sentence, tone);
}

function flush() {
	const now = batch;
	batch = [];
	for (const [kind, p] of now) if (kind === 'event') remember(p);
	for (const [kind, p] of now) {
		const [sentence, tone] = (kind === 'event' ? ofEvent(p) : ofResult(p)) ?? [];
		if (sentence) show(new Date(p.at), sentence, tone, p.id);
	}
}

function show(at, sentence, tone, command) {
	const time = at.toTimeString().slice(0, 8);
	const whose = command && !command.startsWith('hub-') ? el('span', { class: 'whose' }, ` ${command}`) : null;
	const entry = el('li', { 'data-tone': tone }, el('time', { dateTime: at.toISOString() }, time), el('span', { class: 'said' }, sentence, whose));
	$('log').prepend(entry);
	while ($('log').children.length > most) $('log').lastChild.remove();
	$('log-empty').hidden = true;
	if (Date.now() - at < 15_000) announce(sentence);
}

const full = (p) => `${p.title} (priority ${p.priority})`;
const brief = (p) => `${p.title} (${p.priority})`;
const other = (id, write) => (known.has(id) ? write(known.get(id)) : 'another sound');
const capital = (s) => s.charAt(0).toUpperCase() + s.slice(1);

// ofEvent is the sentence of an event and its tone; nothing if another said it.
function ofEvent(e) {
	const p = { title: e.media.title, priority: e.priority };
	const by = e.by ? other(e.by, full) : '';
	if (e.id && (e.error || ['failed', 'dropped', 'expired', 'stopped'].includes(e.event))) remembered(answered, e.id);
	switch (e.event) {
	case 'started': {
		if (joined.delete(e.playback)) return null;
		const under = status?.suspended;
		if (under?.phase === 'ducked' && status.playing?.playback === e.playback) return [`${full(p)} is heard over ${brief(known.get(under.playback))}, which is lowered.`, 'good'];
		return [`${full(p)} started.`, 'good'];
	}
	case 'queued': {
		const holder = e.by ? known.get(e.by) : known.get(status?.playing?.playback);
		return [`${full(p)} waits${holder ? `: ${brief(holder)} holds the hub` : ' for its turn'}.`, 'wait'];
	}
	case 'interrupted':
		heldBack.delete(e.playback);
		if (!by) return [`${full(p)} was interrupted.`, 'warn'];
		remembered(joined, e.by);
		return [`${capital(by)} interrupted ${brief(p)}.`, 'warn'];
	case 'suspended':
		remembered(heldBack, e.playback);
		if (!by) return [`${full(p)} gives way to an announcement.`, 'wait'];
		remembered(joined, e.by);
		return [`${capital(by)} is announced; ${brief(p)} gives way and comes back.`, 'wait'];
	case 'resumed':
		return heldBack.delete(e.playback) ? [`${full(p)} came back.`, 'good'] : [`${full(p)} was resumed.`, 'good'];
	case 'paused': return [`${full(p)} was paused.`, 'quiet'];
	case 'finished': return [`${full(p)} ended.`, 'quiet'];
	case 'stopped':
		heldBack.delete(e.playback);
		if (e.reason === 'cancelled') return [`${full(p)} never began: ${by || 'a newer sound'} took its place.`, 'warn'];
		if (e.reason === 'closed') return [`${full(p)} was stopped: its session was closed.`, 'quiet'];
		if (e.reason === 'expired') return [`${full(p)} was stopped: its session expired.`, 'quiet'];
		if (e.reason === 'quiet') return [`${full(p)} was stopped: quiet hours have begun.`, 'warn'];
		return [`${full(p)} was stopped.`, 'quiet'];
	case 'expired': return [`${full(p)} came too late and was not started.`, 'warn'];
	case 'dropped': return [`${full(p)} was dropped: ${reason(e, e.by ? known.get(e.by) : null)}.`, 'bad'];
	case 'failed': return [`${full(p)} failed: ${reason(e, null)}.`, 'bad'];
	default: return [`${full(p)}: ${e.event}.`, 'quiet'];
	}
}

const names = { 'play': 'Play', 'say': 'Announce', 'stop': 'Stop', 'pause': 'Pause', 'resume': 'Resume', 'seek': 'Seek', 'volume': 'Volume', 'mute': 'Mute', 'quiet': 'Quiet hours', 'siren': 'Siren' };

// ofResult is the sentence of a refusal. What went well is told by its events.
function ofResult(r) {
	if (!r.error || r.id && answered.has(r.id)) return null;
	return [refusal(r), 'bad'];
}

// refusal says what was refused and why.
export function refusal(r) {
	const priority = r.priority === undefined ? '' : ` (${r.priority})`;
	const what = (r.title || names[r.command] || `The command ${r.command}`) + priority;
	const holder = r.current ? { title: r.current.media.title, priority: r.current.priority } : null;
	const verb = r.outcome === 'failed' ? 'failed' : 'was refused';
	return `${what} ${verb}: ${reason(r, holder)}.`;
}

function reason({ error, message }, holder) {
	switch (error) {
	case 'PriorityTooLow': if (holder) return `${brief(holder)} holds the hub`; break;
	case 'Busy': if (holder) return `the hub is busy with ${brief(holder)}`; break;
	case 'Cancelled': return 'a newer sound took its place';
	case 'NothingToResume': return 'nothing is paused';
	case 'NotSeekable': return 'it can only run forward';
	case 'QuietHours': return 'in quiet hours it would not be heard';
	case 'RateLimited': return 'too many commands in too short a time';
	}
	return (message || error || 'no reason was given').replace(/\.$/, '');
}

function remembered(set, id) {
	set.add(id);
	if (set.size > 500) set.delete(set.values().next().value);
}
