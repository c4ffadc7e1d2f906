// What can be played by name, a stream's address, and what can be said.

import { $, announce, el, icon, keyed, minutes, put } from './dom.js';

const pageful = 24, patience = 200; // ms after the last letter

let page, chosen = null, found = [], total = 0, timer, asked = 0, playOptions, sayOptions;

export function setUpPlay(p) {
	page = p;
	playOptions = options('play');
	sayOptions = options('say');
	$('play-options').append(playOptions.node);
	$('say-options').append(sayOptions.node);
	page.line($('play-flows'), 'Play', playCommand);
	page.line($('say-flows'), 'Announce', sayCommand);
	$('query').addEventListener('input', () => {
		clearTimeout(timer);
		timer = setTimeout(searchAgain, patience);
	});
	$('query').addEventListener('keydown', (e) => {
		if (e.key !== 'Enter' || !found.length) return;
		if (address()) play(found[0]);
	});
	$('more').addEventListener('click', () => search(found.length));
	$('text').addEventListener('input', () => page.refresh());
	$('text').addEventListener('keydown', (e) => {
		if (e.key === 'Enter' && !e.shiftKey && !e.isComposing) {
			e.preventDefault();
			$('say-form').requestSubmit();
		}
	});
	$('say-form').addEventListener('submit', async (e) => {
		e.preventDefault();
		if (!$('text').value.trim()) {
			$('text').focus();
			return;
		}
		$('say').disabled = true;
		await page.send(sayCommand());
		$('say').disabled = false;
		if (document.activeElement === $('text')) $('text').select(); // the next text takes its place
	});
}

// mediaName is how a command calls a media.
const mediaName = (m) => (m.kind === 'web' && m.url ? m.url : m.kind === 'hub' && m.path || m.id || m.title);
const playCommand = () => page.command('play', { media: chosen ? mediaName(chosen) : 'chime', ...playOptions.fields() });
const sayCommand = () => page.command('say', { say: $('text').value.trim() || 'Dinner is ready', ...sayOptions.fields() });

// address is what the field holds if that is the address of a stream.
function address() {
	const text = $('query').value.trim();
	return /^https?:\/\/\S+$/i.test(text) ? text : '';
}

// searchAgain looks for what the field says, anew.
export function searchAgain() {
	clearTimeout(timer);
	const url = address();
	if (!url) return search(0);
	asked++;
	found = [{ kind: 'web', url, title: url }];
	total = 1;
	chosen = found[0];
	list();
	put($('found'), 'An address: play it as it is.');
}

async function search(offset) {
	const mine = ++asked;
	const query = $('query').value.trim();
	let r;
	try {
		r = await page.ask('media', JSON.stringify({ query, offset, limit: pageful }));
	} catch {
		return; // the page says already that the hub is away
	}
	if (mine !== asked || !r.list && r.error) return;
	found = offset ? [...found, ...(r.list ?? [])] : r.list ?? [];
	total = r.total ?? found.length;
	if (!found.some((m) => same(m, chosen))) chosen = found[0] ?? chosen;
	list();
	const text = total ? `${found.length} of ${total}` : `Nothing is called “${query}”.`;
	put($('found'), text);
	if (offset) announce(`${text} shown`);
}

const nameOf = (m) => `${m.kind} ${mediaName(m)}`;
const same = (a, b) => a && b && nameOf(a) === nameOf(b);
const kinds = { preset: 'preset', chime: 'chime', web: 'stream' };

function list() {
	keyed($('media'), found, nameOf, (m) => {
		const facts = [kinds[m.kind], m.artist, m.album, m.duration ? minutes(m.duration) : ''].filter(Boolean).join(' · ');
		const button = el('button', { type: 'button', class: 'round', 'aria-label': `Play ${m.title}` }, icon('play'));
		button.addEventListener('click', () => play(m));
		button.addEventListener('focus', () => choose(m));
		const node = el('li', { 'data-kind': m.kind }, button,
			el('div', { class: 'text' }, el('span', { class: 'title' }, m.title), el('span', { class: 'soft' }, facts)));
		node.addEventListener('click', () => choose(m));
		return node;
	}, (node, m) => node.classList.toggle('chosen', same(m, chosen)));
	$('more').hidden = found.length >= total;
	page.refresh();
}

// choose makes the line below and the options about m.
function choose(m) {
	if (chosen === m) return;
	chosen = m;
	for (const node of $('media').children) node.classList.toggle('chosen', node.dataset.key === nameOf(m));
	page.refresh();
}

async function play(m) {
	choose(m);
	await page.send(playCommand());
}

export function showPlay() {
	const s = page.state.status;
	const mute = s?.speech && !s.speech.available;
	$('say').disabled = !s || s.speech?.engine === 'none';
	put($('say-note'), mute ? s.speech.error || 'There is no speech engine.' : '');
	$('say-note').hidden = !mute;
	playOptions.speakers(s?.speakers ?? []);
	sayOptions.speakers(s?.speakers ?? []);
}

// options are the fields that a play may carry; what is left open is not sent.
function options(name) {
	const number = (label, max, placeholder) => el('input', { type: 'number', min: '0', max: String(max), placeholder, inputMode: 'numeric', 'aria-label': label });
	const priority = number('Priority', 9999, '100');
	const volume = number('Volume for this alone', 50, 'own');
	const ttl = number('Not later than, in seconds', 86400, 'any time');
	const length = number('Stop after, in seconds', 86400, 'its end');
	const repeat = el('input', { type: 'checkbox' });
	const busy = el('select', {}, ...[['', name === 'say' ? 'announce (usual)' : 'interrupt (usual)'], ['interrupt', 'interrupt'], ['announce', 'announce over it'], ['queue', 'wait for its turn'], ['drop', 'give up']]
		.map(([value, text]) => el('option', { value }, text)));
	const duck = el('input', { type: 'checkbox' });
	const voice = el('input', { type: 'text', maxLength: 64, placeholder: 'the usual' });
	const where = el('fieldset', { class: 'where', hidden: true }, el('legend', {}, 'Heard on (none chosen: all)'));
	const boxes = el('div', { class: 'switches' });
	where.append(boxes);
	const field = (text, input) => {
		input.removeAttribute('aria-label');
		return el('label', { class: 'field' }, text, input);
	};
	const node = el('details', { class: 'options' }, el('summary', {}, 'Options'),
		el('div', { class: 'grid' },
			field('Priority', priority), field('If the hub is busy', busy), field('Volume for this alone', volume), field('Start within (s)', ttl), field('Stop after (s)', length),
			name === 'say' ? field('Voice', voice) : null,
			el('label', { class: 'toggle' }, repeat, ' Again and again'),
			el('label', { class: 'toggle' }, duck, ' Lower the music instead of holding it')),
		where);
	node.addEventListener('input', () => page.refresh());
	const whole = (input) => (input.value === '' ? undefined : Number(input.value));
	return {
		node,
		fields: () => {
			const chosenSpeakers = [...boxes.querySelectorAll('input:checked')].map((box) => box.value);
			return { voice: voice.value.trim(), priority: whole(priority), on_busy: busy.value, volume: whole(volume), ttl: whole(ttl), duration: whole(length), repeat: repeat.checked, duck: duck.checked,
				speakers: chosenSpeakers.length ? chosenSpeakers : undefined };
		},
		speakers: (all) => {
			where.hidden = all.length < 2;
			keyed(boxes, all, (sp) => sp.id, (sp) => el('label', { class: 'toggle' }, el('input', { type: 'checkbox', value: sp.id }), ` ${sp.name || sp.id}`));
		},
	};
}
