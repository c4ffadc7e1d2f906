// Small helpers around the document. Text from the network enters through
// textContent and attributes only, never as markup.

export const $ = (id) => document.getElementById(id);

// el makes an element. Of its properties, class, data-… and aria-… become
// attributes, on… listeners, and the others are set as they are.
export function el(tag, properties = {}, ...children) {
	const node = document.createElement(tag);
	for (const [name, value] of Object.entries(properties)) {
		if (value === undefined || value === null) continue;
		if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
		else if (name === 'class' || name.includes('-')) node.setAttribute(name, value);
		else node[name] = value;
	}
	node.append(...children.filter((c) => c !== undefined && c !== null));
	return node;
}

// put changes a text only if it is another: a selection in it survives.
export function put(node, text) {
	if (node.textContent !== text) node.textContent = text;
}

const shapes = {
	play: 'M7 5v14l12-7z',
	pause: 'M7 5h4v14H7zM13 5h4v14h-4z',
	stop: 'M6 6h12v12H6z',
};

export function icon(name) {
	const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
	svg.setAttribute('viewBox', '0 0 24 24');
	svg.setAttribute('aria-hidden', 'true');
	const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
	path.setAttribute('d', shapes[name]);
	svg.append(path);
	return svg;
}

// keyed makes a list show items. What stays keeps its node, and with it the focus.
export function keyed(list, items, key, make, update) {
	const old = new Map([...list.children].map((node) => [node.dataset.key, node]));
	let next = list.firstElementChild;
	for (const item of items) {
		const k = String(key(item));
		let node = old.get(k);
		old.delete(k);
		if (!node) {
			node = make(item);
			node.dataset.key = k;
		}
		if (node === next) next = next.nextElementSibling;
		else list.insertBefore(node, next);
		update?.(node, item);
	}
	for (const node of old.values()) node.remove();
}

// minutes writes seconds as a clock of a player does.
export function minutes(seconds) {
	const s = Math.max(0, Math.floor(seconds));
	const rest = String(s % 60).padStart(2, '0');
	if (s < 3600) return `${Math.floor(s / 60)}:${rest}`;
	return `${Math.floor(s / 3600)}:${String(Math.floor(s / 60) % 60).padStart(2, '0')}:${rest}`;
}

// keep remembers a setting of this browser; where it may not, it is forgotten.
export const keep = {
	get(name) {
		try { return localStorage.getItem(`hkw-${name}`) ?? ''; } catch { return ''; }
	},
	set(name, value) {
		try {
			if (value) localStorage.setItem(`hkw-${name}`, value);
			else localStorage.removeItem(`hkw-${name}`);
		} catch { /* private windows may refuse */ }
	},
};

// announce tells a screen reader, politely and not more often than every three
// seconds: of many things in a row only the last is said.
let last = 0, waiting;
export function announce(text) {
	clearTimeout(waiting);
	waiting = setTimeout(() => {
		last = Date.now();
		put($('announcer'), text);
	}, Math.max(100, last + 3000 - Date.now()));
}
