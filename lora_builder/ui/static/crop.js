// The crop editor: a box over the original, in the original's own pixels. The page only ever draws
// shares of the picture, so the display's size has no part in what is saved; Python checks every box.
const CORNERS = { nw: [-1, -1], ne: [1, -1], se: [1, 1], sw: [-1, 1] };
const STEP = 0.0025; // shares of the longer side that an arrow key moves the box; LEAP with Shift
const LEAP = 0.025;
const GROW = 1.02;
const SMALLEST = 64; // pixels of the original: framing.SMALLEST_SIDE
const NAMES = ['face', 'bust', 'full']; // focus.NAMES

let photos = [];
let sizes = [];
let hand = null; // the crop in hand: {photo, name, box, size, mine, output, warnings}
let drag = null;
let filter = 'all';
const proxies = new Map();

// The page

const picture = h('img', { alt: '', draggable: 'false' });
const box = h('div', { class: 'box', tabindex: '0', role: 'group', 'aria-describedby': 'ldb-crop-help' },
  ['v1', 'v2', 'h1', 'h2'].map((name) => h('i', { class: `third ${name}` })),
  Object.keys(CORNERS).map((name) => h('b', { class: `handle ${name}`, 'data-corner': name })));
const veil = h('div', { class: 'veil' }, box);
const frame = h('div', { class: 'frame' }, picture, veil);
const help = h('p', { class: 'ldb-sr', id: 'ldb-crop-help' });
const canvas = h('canvas', { role: 'img' });
const viewTitle = h('h3');
const viewNote = h('p', { class: 'note' });
const author = h('p', { class: 'note' });
const warnings = h('ul', { class: 'warnings', 'aria-live': 'polite' });
const picturesTitle = h('h3');
const pictures = h('div', { class: 'row', role: 'group' });
const framingsTitle = h('h3');
const framings = h('div', { class: 'row', role: 'group' });
const sizeChoice = h('select');
const sizeLabel = h('label', {}, h('span'), sizeChoice);
const zoom = h('input', { type: 'range', min: '0', max: '1000', step: '1' });
const zoomLabel = h('label', {}, h('span'), zoom);
const thirds = h('input', { type: 'checkbox', checked: true });
const thirdsLabel = h('label', { class: 'inline' }, thirds, h('span'));
const keys = h('details', {}, h('summary'), h('p'));
const previous = h('button', { type: 'button', class: 'turn', onclick: () => turn(-1) }, '‹');
const next = h('button', { type: 'button', class: 'turn', onclick: () => turn(1) }, '›');
const counter = h('span', { class: 'counter' });
const title = h('span', { class: 'name' });
const show = h('select');
const showLabel = h('label', { class: 'inline' }, h('span'), show);
const strip = h('div', { class: 'strip', role: 'group' });
const empty = h('p', { class: 'ldb-empty' });

const store = saver(
  (id, crop) => {
    const [key, name] = id.split('/');
    return ask('save_box', { key, crop: name, box: crop.mine ? crop.box : null, size: crop.size });
  },
  (id, answer) => {
    const photo = photos.find((entry) => entry.key === id.split('/')[0]);
    if (!photo || store.waits(photo.key)) return;
    if (answer) { past.know(answer.depth); Object.assign(photo, answer); }
    dressAll(photo);
    if (hand && hand.photo === photo && !drag && !gesture.open) take(photo, hand.name in photo.crops ? hand.name : '');
  });
// What was done is on the server, with all that is undone anywhere: it outlives the page.
const past = {
  undo: h('button', { type: 'button', class: 'quiet', disabled: true, onclick: () => past.step(false) }),
  redo: h('button', { type: 'button', class: 'quiet', disabled: true, onclick: () => past.step(true) }),
  know([back, forward]) { past.undo.disabled = !back; past.redo.disabled = !forward; },
  label() { past.undo.textContent = say('edit_undo'); past.redo.textContent = say('edit_redo'); },
  async step(redo) {
    gesture.end();
    await store.rest();
    tell('saving');
    try {
      const answer = await ask('undo_box', { redo });
      past.know(answer.depth);
      const keys = Object.keys(answer.photos);
      for (const photo of photos) if (keys.includes(photo.key)) { Object.assign(photo, answer.photos[photo.key]); dressAll(photo); }
      if (!keys.length) { tell('saved'); return; }
      const name = hand.photo.key === keys[0] ? hand.name : '';
      await go(keys[0]);
      take(hand.photo, name in hand.photo.crops ? name : '');
      trigger('changed');
    } catch (error) { complain(error); }
    tell('saved');
  },
  key(event) {
    const letter = event.key.toLowerCase();
    if (event.altKey || !['z', 'y'].includes(letter)) return false;
    past.step(letter === 'y' || event.shiftKey);
    return true;
  },
};

const build = () => {
  root.replaceChildren(
    h('div', { class: 'bar' }, h('div', { class: 'row' }, previous, counter, next), title, showLabel,
      h('div', { class: 'row end' }, saved, past.undo, past.redo)),
    alarm,
    h('div', { class: 'desk' }, h('div', { class: 'work' }, h('div', { class: 'stage' }, frame, help), strip),
      h('div', { class: 'side' }, viewTitle, canvas, h('div', { class: 'notes' }, viewNote, author, warnings),
        picturesTitle, pictures, framingsTitle, framings, zoomLabel, sizeLabel, thirdsLabel, keys)),
    empty, spoken);
};

const label = () => {
  const named = [[box, 'box'], [canvas, 'view'], [pictures, 'pictures'], [framings, 'framings'],
    [strip, 'photos'], [previous, 'previous'], [next, 'next']];
  for (const [node, key] of named) node.setAttribute('aria-label', say(`crop_${key}`));
  const texts = [[help, 'help'], [viewTitle, 'view'], [sizeLabel.firstChild, 'size'], [zoomLabel.firstChild, 'zoom'],
    [picturesTitle, 'pictures'], [framingsTitle, 'framings'], [thirdsLabel.lastChild, 'grid'], [keys.firstChild, 'keys'],
    [keys.lastChild, 'keys_list'], [showLabel.firstChild, 'show'], [empty, 'empty']];
  for (const [node, key] of texts) node.textContent = say(`crop_${key}`);
  previous.title = say('crop_previous');
  next.title = say('crop_next');
  sizeChoice.replaceChildren(...sizes.map(([wide, high], n) => h('option', { value: n }, `${wide} × ${high}`)));
  sizeLabel.hidden = sizes.length < 2;
  past.label();
  tell('saved');
};

// Geometry, in pixels of the original

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);
const crop = () => ({
  box: [...hand.box], size: [...hand.size], mine: hand.mine, output: hand.output, warnings: hand.warnings,
});
const alike = (one, other) => one && other && same([one.box, one.size, one.mine], [other.box, other.size, other.mine]);
const scaleOf = ([, , across]) => across / hand.size[0];
const centre = ([left, top, across, down]) => [left + across / 2, top + down / 2];

/** The smallest and largest scale of the box against its training size. */
const scales = () => {
  const largest = Math.min(hand.photo.width / hand.size[0], hand.photo.height / hand.size[1]);
  return [Math.min(largest, SMALLEST / Math.min(...hand.size)), largest];
};

/** The whole-pixel box of that scale around a centre, inside the picture, in the size's ratio. */
const placed = ([x, y], scale) => {
  const [wide, high] = hand.size;
  const { width, height } = hand.photo;
  const across = clamp(Math.round(wide * clamp(scale, ...scales())), 1, width);
  const down = clamp(Math.round((across * high) / wide), 1, height);
  return [clamp(Math.round(x - across / 2), 0, width - across), clamp(Math.round(y - down / 2), 0, height - down), across, down];
};

/** The box with the corner opposite to `corner` fixed, and that corner near (x, y). */
const stretched = ([left, top, across, down], corner, x, y) => {
  const [wide, high] = hand.size;
  const { width, height } = hand.photo;
  const [toRight, toBottom] = CORNERS[corner];
  const fixedX = toRight > 0 ? left : left + across;
  const fixedY = toBottom > 0 ? top : top + down;
  const room = Math.min((toRight > 0 ? width - fixedX : fixedX) / wide, (toBottom > 0 ? height - fixedY : fixedY) / high);
  const wanted = Math.max(((x - fixedX) * toRight) / wide, ((y - fixedY) * toBottom) / high);
  const scale = clamp(wanted, Math.min(room, scales()[0]), room);
  const newAcross = Math.max(1, Math.min(Math.round(wide * scale), Math.floor(wide * room + 1e-6)));
  const newDown = clamp(Math.round((newAcross * high) / wide), 1, height);
  const newTop = toBottom > 0 ? fixedY : fixedY - newDown;
  return [toRight > 0 ? fixedX : fixedX - newAcross, clamp(newTop, 0, height - newDown), newAcross, newDown];
};

// Drawing

const lay = (node, [left, top, across, down], { width, height }) => Object.assign(node.style, {
  left: `${(100 * left) / width}%`, top: `${(100 * top) / height}%`,
  width: `${(100 * across) / width}%`, height: `${(100 * down) / height}%`,
});

const draw = () => {
  const [left, top, across, down] = hand.box;
  lay(box, hand.box, hand.photo);
  box.dataset.box = JSON.stringify(hand.box);
  const [low, high] = scales().map(Math.log);
  zoom.value = high > low ? String(Math.round((1000 * (Math.log(scaleOf(hand.box)) - low)) / (high - low))) : '1000';
  zoom.setAttribute('aria-valuetext', say('crop_box_at', { x: left, y: top, w: across, h: down }));
  viewNote.textContent = `${hand.output.join(' × ')} · ${say('crop_from', { w: across, h: down })}`;
  author.textContent = say(hand.mine ? 'crop_by_you' : 'crop_by_us');
  sizeChoice.value = String(Math.max(0, sizes.findIndex((size) => same(size, hand.size))));
  for (const button of framings.children) button.setAttribute('aria-pressed', String(button.dataset.name === 'auto' && !hand.mine));
  preview();
};

let painting = false;
const preview = () => {
  if (painting) return;
  painting = true;
  requestAnimationFrame(() => {
    painting = false;
    if (!hand || !picture.complete || !picture.naturalWidth || picture.dataset.key !== hand.photo.key) return;
    const share = picture.naturalWidth / hand.photo.width;
    paint(picture, hand.box.map((side) => side * share));
  });
};

const paint = (image, from) => {
  const [wide, high] = hand.output;
  if (canvas.width !== wide || canvas.height !== high) Object.assign(canvas, { width: wide, height: high });
  canvas.style.aspectRatio = `${wide} / ${high}`;
  const pen = canvas.getContext('2d');
  pen.imageSmoothingQuality = 'high';
  pen.drawImage(image, ...from, 0, 0, wide, high);
};

const showWarnings = () => {
  const lines = hand.warnings.map((line) => h('li', { class: line.serious ? 'serious' : 'mild' }, line.text));
  warnings.replaceChildren(...(lines.length ? lines : [h('li', { class: 'good' }, say('crop_good'))]));
};

/** The picture of the box at rest, from the original's own pixels. */
const look = async () => {
  const drawn = crop();
  const { key } = hand.photo;
  try {
    const { image } = await ask('view_box', { key, box: drawn.box, size: drawn.size });
    const exact = h('img', { src: image });
    await exact.decode();
    if (!hand || hand.photo.key !== key || !same(hand.box, drawn.box) || drag) return;
    paint(exact, [0, 0, exact.naturalWidth, exact.naturalHeight]);
    canvas.dataset.exact = JSON.stringify(drawn.box);
  } catch (error) {
    if (error instanceof Refused) complain(error);
  }
};

let asking = false;
let askAgain = false;
/** Warnings while the box moves: one question at a time, and the last box is always asked about. */
const check = async () => {
  askAgain = true;
  if (asking) return;
  asking = true;
  while (askAgain) {
    askAgain = false;
    const { photo, box: where, size } = hand;
    try {
      const answer = await ask('check_box', { key: photo.key, box: where, size });
      if (hand.photo === photo) {
        Object.assign(hand, answer);
        showWarnings();
        draw();
      }
    } catch { /* the box is checked again when it is saved */ }
    await pause(50);
  }
  asking = false;
};

// Changing the box

const adopt = (entry) => {
  Object.assign(hand, { ...entry, box: [...entry.box], size: [...entry.size] });
  draw();
  showWarnings();
};

/** A gesture ends in one step that can be undone and one save, however many moves it had. */
const gesture = {
  open: false,
  before: null,
  timer: null,
  begin() {
    if (this.open) return;
    this.open = true;
    this.before = crop();
  },
  rest() { clearTimeout(this.timer); this.timer = setTimeout(() => this.end(), 350); },
  end() {
    clearTimeout(this.timer);
    if (!this.open) return;
    this.open = false;
    const entry = { key: hand.photo.key, name: hand.name, before: this.before, after: crop() };
    if (alike(entry.before, entry.after)) return;
    keep(entry);
    const [x, y, wide, high] = hand.box;
    spoken.textContent = say('crop_box_at', { x, y, w: wide, h: high });
  },
};

const keep = (entry) => {
  hand.photo.crops[entry.name] = entry.after;
  store.put(`${entry.key}/${entry.name}`, entry.after);
  look();
};

const change = (where, { mine = true, size = hand.size } = {}) => {
  gesture.begin();
  Object.assign(hand, { box: where, size: [...size], mine });
  draw();
  check();
};

const resize = (scale) => { change(placed(centre(hand.box), scale)); gesture.rest(); };
const move = (dx, dy) => {
  const [x, y] = centre(hand.box);
  change(placed([x + dx, y + dy], scaleOf(hand.box)));
  gesture.rest();
};
const reframe = (ready, mine) => {
  gesture.end();
  change([...ready.box], { mine, size: ready.size });
  gesture.end();
};
const reset = () => reframe(hand.name ? hand.photo.framings[hand.name] || hand.photo.automatic : hand.photo.automatic, false);

sizeChoice.addEventListener('change', () => {
  gesture.end();
  gesture.begin();
  const [, , across, down] = hand.box;
  const middle = centre(hand.box);
  hand.size = [...sizes[Number(sizeChoice.value)]];
  change(placed(middle, Math.sqrt((across * down) / (hand.size[0] * hand.size[1]))));
  gesture.end();
});
zoom.addEventListener('input', () => {
  const [low, high] = scales().map(Math.log);
  resize(Math.exp(low + ((high - low) * Number(zoom.value)) / 1000));
});
zoom.addEventListener('change', () => gesture.end());
thirds.addEventListener('change', () => frame.classList.toggle('plain', !thirds.checked));

// Pointer: touch, pen and mouse alike

const point = (event) => {
  const area = veil.getBoundingClientRect();
  return [((event.clientX - area.left) / area.width) * hand.photo.width, ((event.clientY - area.top) / area.height) * hand.photo.height];
};
box.addEventListener('pointerdown', (event) => {
  if (!hand || event.button) return;
  event.preventDefault();
  box.focus({ preventScroll: true });
  box.setPointerCapture(event.pointerId);
  gesture.end();
  drag = { corner: event.target.dataset.corner, from: point(event), box: [...hand.box], id: event.pointerId };
});
box.addEventListener('pointermove', (event) => {
  if (!drag || event.pointerId !== drag.id) return;
  const [x, y] = point(event);
  const [left, top, across, down] = drag.box;
  const dx = x - drag.from[0];
  const dy = y - drag.from[1];
  if (drag.corner) {
    const [toRight, toBottom] = CORNERS[drag.corner];
    change(stretched(drag.box, drag.corner, (toRight > 0 ? left + across : left) + dx, (toBottom > 0 ? top + down : top) + dy));
  } else {
    const { width, height } = hand.photo;
    change([clamp(Math.round(left + dx), 0, width - across), clamp(Math.round(top + dy), 0, height - down), across, down]);
  }
});
for (const end of ['pointerup', 'pointercancel']) {
  box.addEventListener(end, (event) => {
    if (!drag || event.pointerId !== drag.id) return;
    drag = null;
    gesture.end();
  });
}

// Keyboard

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const pressed = (event) => {
  if (event.ctrlKey || event.metaKey) { gesture.end(); return past.key(event); }
  const longer = Math.max(hand.photo.width, hand.photo.height);
  const by = event.altKey ? 1 : Math.max(1, Math.round(longer * (event.shiftKey ? LEAP : STEP)));
  const arrow = ARROWS[event.key];
  if (arrow && event.target === box) move(arrow[0] * by, arrow[1] * by);
  else if (event.altKey || arrow) return false;
  else if (event.key === '+' || event.key === '=') resize(scaleOf(hand.box) * GROW);
  else if (event.key === '-') resize(scaleOf(hand.box) / GROW);
  else if (event.key === 'PageDown' || event.key.toLowerCase() === 'n') turn(1);
  else if (event.key === 'PageUp' || event.key.toLowerCase() === 'p') turn(-1);
  else if (event.key.toLowerCase() === 'r') reset();
  else if (event.key.toLowerCase() === 'g') thirds.click();
  else return false;
  return true;
};
root.addEventListener('keydown', (event) => {
  if (hand && !event.target.matches('select') && pressed(event)) event.preventDefault();
});

// Several crops of one photo

const hold = () => box.focus({ preventScroll: true });

/** Shows one of a photo's crops in the frame. */
const take = (photo, name) => {
  const entry = photo.crops[name] || photo.crops[''];
  hand = { photo, name: photo.crops[name] ? name : '' };
  offer();
  adopt(entry);
  look();
};

const offer = () => {
  const { photo } = hand;
  const titled = (name) => say(`crop_${name || 'main'}`);
  const known = (name) => ['', ...NAMES].includes(name);
  const chips = Object.keys(photo.crops).map((name) => h('span', { class: 'chip' },
    h('button', { type: 'button', 'aria-pressed': String(name === hand.name), onclick: () => { gesture.end(); take(photo, name); hold(); } },
      known(name) ? titled(name) : name),
    name && photo.crops[name].mine ? h('button', {
      type: 'button', class: 'drop', 'aria-label': say('crop_remove', { name: known(name) ? titled(name) : name }), onclick: () => dropCrop(name),
    }, '×') : null));
  const more = NAMES.filter((name) => !(name in photo.crops) && name in photo.framings).map((name) => h('button', {
    type: 'button', class: 'add', 'aria-label': say('crop_add', { name: titled(name) }), onclick: () => addCrop(name),
  }, `+ ${titled(name)}`));
  pictures.replaceChildren(...chips, ...more);
  const ready = Object.entries(photo.framings).map(([name, entry]) => h('button', {
    type: 'button', 'data-name': name, onclick: () => reframe(entry, true),
  }, titled(name)));
  framings.replaceChildren(h('button', { type: 'button', 'data-name': 'auto', onclick: reset }, say('crop_reset')), ...ready);
};

const addCrop = (name) => {
  gesture.end();
  const { photo } = hand;
  const entry = { ...photo.framings[name], mine: true, output: photo.framings[name].size, warnings: [] };
  photo.crops[name] = entry;
  store.put(`${photo.key}/${name}`, entry);
  take(photo, name);
  hold();
};
const dropCrop = (name) => {
  gesture.end();
  const { photo } = hand;
  delete photo.crops[name];
  store.put(`${photo.key}/${name}`, { mine: false, size: sizes[0] });
  take(photo, '');
  hold();
};

// From photo to photo

const isMine = (photo) => Object.values(photo.crops).some((entry) => entry.mine);
const wanted = (photo) => filter === 'all' || (filter === 'check' ? photo.check : isMine(photo));
const shown = () => photos.filter((photo) => wanted(photo) || (hand && photo === hand.photo));

const turn = (by) => {
  const list = shown();
  const target = list[clamp(list.indexOf(hand && hand.photo) + by, 0, list.length - 1)];
  if (target) go(target.key);
};
show.addEventListener('change', () => {
  filter = show.value;
  const first = photos.find(wanted);
  fillStrip();
  if (first && !wanted(hand.photo)) go(first.key); else where();
});

const fetchPhoto = (key) => {
  if (!proxies.has(key)) {
    const answer = ask('open_photo', { key });
    answer.catch(() => proxies.delete(key));
    proxies.set(key, answer);
    if (proxies.size > 8) proxies.delete(proxies.keys().next().value);
  }
  return proxies.get(key);
};

let going = 0;
const go = async (key) => {
  if (hand && hand.photo.key === key) return;
  if (hand) gesture.end();
  const mine = ++going;
  const photo = photos.find((entry) => entry.key === key);
  if (!photo) return;
  frame.classList.add('loading');
  try {
    const { image } = await fetchPhoto(key);
    if (mine !== going) return;
    complain(null);
    picture.dataset.key = key;
    picture.src = image;
  } catch (error) {
    if (mine !== going) return;
    complain(error);
    picture.dataset.key = '';
    picture.removeAttribute('src');
  }
  frame.style.setProperty('--ratio', photo.width / photo.height);
  title.textContent = photo.name;
  title.title = photo.name;
  frame.classList.remove('loading');
  take(photo, '');
  where();
  const list = shown();
  for (const neighbour of [list[list.indexOf(photo) + 1], list[list.indexOf(photo) - 1]]) {
    if (neighbour) fetchPhoto(neighbour.key).catch(() => {});
  }
};
picture.addEventListener('load', preview);

const where = () => {
  const list = shown();
  const position = list.indexOf(hand && hand.photo);
  counter.textContent = say('crop_place', { n: position + 1, total: list.length });
  previous.disabled = position <= 0;
  next.disabled = position >= list.length - 1;
  const options = [['all', 'all', photos.length], ['check', 'to_check', photos.filter((p) => p.check).length],
    ['mine', 'mine', photos.filter(isMine).length]];
  show.replaceChildren(...options.map(([value, key, n]) => h('option', { value }, say(`crop_${key}`, { n }))));
  show.value = filter;
  for (const item of strip.children) {
    const current = hand && item.dataset.photo === hand.photo.key;
    if (current) item.setAttribute('aria-current', 'true'); else item.removeAttribute('aria-current');
    if (current && strip.scrollWidth > strip.clientWidth) {
      strip.scrollTo({ left: item.offsetLeft - strip.clientWidth / 2 + item.offsetWidth / 2 });
    }
  }
};

/** A photo's place in the strip: what is cut, and whether something is to check. */
const dress = (item, photo) => {
  item.className = `item${photo.check ? ' check' : ''}${isMine(photo) ? ' mine' : ''}`;
  lay(item.querySelector('.cut'), photo.crops[''].box, photo);
  const states = [photo.check ? '⚠' : '', isMine(photo) ? say('crop_by_you') : ''].filter(Boolean).join(', ');
  item.setAttribute('aria-label', states ? `${photo.name}, ${states}` : photo.name);
};
const dressAll = (photo) => {
  for (const item of strip.children) if (item.dataset.photo === photo.key) dress(item, photo);
  where();
};
const fillStrip = () => {
  strip.replaceChildren(...shown().map((photo) => {
    const item = h('button', {
      type: 'button', 'data-photo': photo.key, title: photo.name,
      onclick: () => go(photo.key).then(hold),
    }, h('span', { class: 'small', style: `aspect-ratio:${photo.width}/${photo.height}` },
      h('img', { src: photo.thumb, alt: '', loading: 'lazy', draggable: 'false' }), h('span', { class: 'cut' })));
    dress(item, photo);
    return item;
  }));
};

atEachVisit(async (fresh) => {
  if (hand) gesture.end();
  await store.rest();
  const answer = await ask('open_crops');
  if (!fresh()) return;
  const before = hand && hand.photo.key;
  ({ photos, sizes } = answer);
  hand = null;
  proxies.clear();
  past.know(answer.depth);
  if (!root.contains(box)) build();
  label();
  root.classList.toggle('nothing', !photos.length);
  fillStrip();
  where();
  const there = [props.value.photo, before].find((key) => photos.some((photo) => photo.key === key));
  if (photos.length) await go(there || photos[0].key);
}, () => {
  build();
  label();
  root.classList.add('nothing');
});
