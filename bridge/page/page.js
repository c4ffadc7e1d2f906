// The page of a hub. It is made of
//
//	page.js     which hub, its stream, and what is true
//	wire.js     commands and the stream
//	now.js      what plays, gives way, is paused, waits
//	volumes.js  volume, mute, quiet hours, speakers
//	play.js     what can be played and said
//	flow.js     the lines to copy into a flow
//	story.js    what the hub decided, in sentences
//
// All that is shown of the hub comes from its snapshot: a button sends a command and
// changes nothing by itself.

import { $, el, keep, put } from './dom.js';
import { at, command, flowLine, refresh } from './flow.js';
import { setUpNow, showNow, tickNow } from './now.js';
import { searchAgain, setUpPlay, showPlay } from './play.js';
import { meet, note, refusal, tell } from './story.js';
import { setUpVolumes, showVolumes } from './volumes.js';
import * as wire from './wire.js';

// What is true, as far as this page knows.
const state = {
	hub: '', status: null, // the snapshot; null while it is not known
	away: false, // the hub does not answer
	onBus: true, // the hub has its broker
	boot: '', version: '',
	locked: false, // it waits for a token
	offset: Infinity, // ms that this machine's clock is ahead of the hub's
};
let stream, unlocked, unlock;

// page is what the parts need of it.
const page = {
	state,
	// now is the time on the hub's clock, in ms.
	now: () => Date.now() - (Number.isFinite(state.offset) ? state.offset : 0),
	// position is where a playback is now, in seconds; undefined if nobody knows.
	position(p) {
		if (p?.position === undefined) return undefined;
		let s = p.position;
		if (p.player_state === 'PlayerStatePlaying' && !p.stalled) s += (page.now() - Date.parse(p.position_at)) / 1000;
		return Math.max(0, Math.min(s, p.media.duration || Infinity));
	},
	command,
	// line puts the flow line of an action into a container.
	line(container, name, make) {
		const line = flowLine(name, make);
		container.append(line.node);
		return line;
	},
	// send carries out a command, and says so if it was refused. Who was outranked is
	// offered to ask again with the priority that it takes.
	async send(c) {
		let r;
		try {
			r = await wire.send(state.hub, c.topic, c.payload);
		} catch (e) {
			if (e instanceof wire.Unauthorized) return void logIn();
			return void notice('The hub could not be reached. Nothing was sent.');
		}
		if (!r.error) {
			$('notice').hidden = true;
			return r;
		}
		const needed = r.error === 'PriorityTooLow' ? r.current?.priority : undefined;
		notice(refusal(r), needed === undefined ? null : {
			text: `Do it with priority ${needed}`,
			run: () => page.send(command(c.topic, { ...fields(c), priority: needed })),
		});
		return r;
	},
	ask: (topic, payload) => wire.send(state.hub, topic, payload),
	refresh,
	notice,
};

// fields are those of a command's payload.
function fields(c) {
	return c.payload.startsWith('{') ? JSON.parse(c.payload) : {};
}

function notice(text, act) {
	put($('notice-text'), text);
	$('notice-act').hidden = !act;
	if (act) {
		put($('notice-act'), act.text);
		$('notice-act').onclick = () => {
			$('notice').hidden = true;
			act.run();
		};
	}
	$('notice').hidden = false;
}

// show draws everything that is true.
function show() {
	const [text, tone] = state.locked ? ['Locked', 'warn'] : state.away ? ['Hub is away', 'bad'] : !state.status ? ['Connecting', 'quiet']
		: state.onBus ? ['Live', 'good'] : ['Broker is away', 'warn'];
	put($('link'), text);
	$('link').dataset.tone = tone;
	showNow();
	showVolumes();
	showPlay();
	showCondition();
	const title = state.status?.playing?.media.title;
	document.title = state.away ? `${state.hub || 'hkw'} is away` : title ? `${title} · ${state.hub}` : `${state.hub} · hkw`;
}

function showCondition() {
	const s = state.status;
	const rows = [];
	const row = (name, text, tone = 'quiet') => rows.push(el('dt', {}, name), el('dd', { 'data-tone': tone }, text));
	if (!s) row('Hub', state.locked ? 'asks for a token' : state.away ? 'away; this page keeps trying' : 'not heard of yet', state.away ? 'bad' : 'quiet');
	else {
		row('Hub', `${state.hub}, run ${s.boot}`, 'good');
		row('Broker', state.onBus ? 'connected' : 'not connected; the hub keeps trying', state.onBus ? 'good' : 'bad');
		const lost = s.speakers.filter((sp) => !sp.available).length;
		row('Speakers', s.speakers.length === 0 ? 'none yet' : lost ? `${lost} of ${s.speakers.length} cannot be heard` : `${s.speakers.length} ready`, s.speakers.length && !lost ? 'good' : 'bad');
		const v = s.speech;
		if (v) row('Speech', v.available ? `${v.engine}, ready` : `${v.engine}${v.error ? `: ${v.error}` : ''}`, v.available ? 'good' : 'warn');
		row('Held at', s.priority === null ? 'nothing: anyone may play' : `priority ${s.priority}`);
		row('Media', `${s.media} by name`);
		row('Sessions', `${s.sessions} open`);
	}
	if (state.version) row('hkw', state.version);
	const text = rows.map((r) => r.textContent + r.dataset.tone).join('\n');
	if ($('condition').dataset.shown === text) return;
	$('condition').dataset.shown = text;
	$('condition').replaceChildren(...rows);
}

// follow shows a hub.
function follow(hub) {
	stream?.stop();
	Object.assign(state, { hub, status: null, away: false, boot: '', offset: Infinity });
	put($('hub-name'), hub);
	wire.bus().catch(() => ({})).then((bus) => at(hub, bus));
	const mine = stream = wire.follow(hub, {
		message(topic, data) {
			if (mine === stream) hear(topic, data);
		},
		away() {
			if (mine !== stream) return;
			if (state.status) note('The hub is away.', 'bad');
			state.status = null;
			state.away = true;
			state.offset = Infinity;
			show();
		},
		refused: logIn,
	});
	show();
}

function hear(topic, data) {
	if (topic === 'status/availability') {
		state.onBus = data === 'online';
		return show();
	}
	if (topic !== 'status' && topic !== 'status/result' && topic !== 'event/playback') return;
	if (!data) return;
	const payload = JSON.parse(data);
	// The smallest difference is the one that travelled the least.
	state.offset = Math.min(state.offset, Date.now() - Date.parse(payload.at));
	if (topic === 'event/playback') return tell('event', payload);
	if (topic === 'status/result') return tell('result', payload);
	if (state.boot && state.boot !== payload.boot) {
		note('The hub has started anew.', 'good');
		searchAgain();
	} else if (state.boot && !state.status) note('The hub is back.', 'good');
	const media = state.status?.media;
	state.boot = payload.boot;
	state.status = payload;
	state.away = false;
	meet(payload);
	show();
	if (media !== undefined && media !== payload.media || !searched) {
		searched = true;
		searchAgain();
	}
}
let searched = false;

// logIn asks for a token until one is taken.
function logIn() {
	const dialog = $('token-dialog');
	if (!state.locked) {
		state.locked = true;
		unlocked = new Promise((resolve) => { unlock = resolve; });
		put($('token-error'), wire.hasToken() ? 'The token that was kept is not taken any more.' : '');
		wire.forgetToken();
		show();
		dialog.showModal();
	}
	return unlocked;
}

async function tryToken(e) {
	e.preventDefault();
	const token = $('token').value.trim();
	let taken = false, why = 'The hub does not take this token.';
	try {
		taken = await wire.admit(token);
	} catch {
		why = 'The hub could not be reached.';
	}
	if (!taken) {
		put($('token-error'), '');
		put($('token-error'), why);
		$('token').select();
		return;
	}
	$('token').value = '';
	$('token-dialog').close();
	state.locked = false;
	searched = false;
	$('docs').hidden = true; // a link carries no token
	wire.bus().then((bus) => at(state.hub, bus), () => {});
	unlock();
}

async function begin() {
	$('flows').checked = keep.get('flows') !== 'off';
	const flows = () => document.body.classList.toggle('no-flows', !$('flows').checked);
	$('flows').addEventListener('change', () => { keep.set('flows', $('flows').checked ? '' : 'off'); flows(); });
	flows();
	$('docs').hidden = wire.hasToken();
	$('notice-close').addEventListener('click', () => { $('notice').hidden = true; });
	$('token-form').addEventListener('submit', tryToken);
	$('token-dialog').addEventListener('cancel', (e) => e.preventDefault()); // without a token there is nothing to see
	setUpNow(page);
	setUpVolumes(page);
	setUpPlay(page);
	setInterval(tickNow, 250);
	for (const [target, event] of [[window, 'online'], [document, 'visibilitychange']]) target.addEventListener(event, () => stream?.hurry());
	let found;
	while (!found) {
		try {
			found = await wire.hubs();
		} catch {
			state.away = true;
			show();
			await new Promise((done) => setTimeout(done, 1000));
		}
	}
	state.version = found.version;
	const names = found.hubs.map((h) => h.hub);
	const wanted = new URLSearchParams(location.search).get('hub');
	$('hub').replaceChildren(...names.map((name) => el('option', { value: name }, name)));
	$('hub-choice').hidden = names.length < 2;
	$('hub-name').classList.toggle('hidden', names.length > 1); // the choice shows it
	$('hub').value = names.includes(wanted) ? wanted : names[0];
	$('hub').addEventListener('change', () => {
		history.replaceState(null, '', `?hub=${$('hub').value}`);
		searched = false;
		$('log').replaceChildren();
		follow($('hub').value);
	});
	follow($('hub').value);
}

begin();
