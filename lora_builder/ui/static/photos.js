// Photos come in: dropped or chosen files, folders (their names are kept) and ZIPs; below, what is there.
const host = element.querySelector('.ldb-photos');
const AT_ONCE = 3;
const PICTURE = /\.(jpe?g|jpe|jfif|mpo|png|webp|tiff?|bmp|gif|avif|hei[cf]|hif|jp2|j2k|dng|cr2|cr3|nef|arw|raf|orf|rw2|pef|srw|zip|txt)$/i;

let pane = null;
let photos = [];
let stopped = false;
let working = false;
let ui = null;

const size = (bytes) => (bytes > 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${Math.max(0.1, bytes / 1e6).toFixed(1)} MB`);

// From what was dropped or chosen to a list of {file, name}

const walk = async (entry, path, found) => {
  if (entry.isFile) {
    const file = await new Promise((good, bad) => entry.file(good, bad));
    found.push({ file, name: path + file.name });
  } else if (entry.isDirectory) {
    const reader = entry.createReader();
    for (;;) {
      const some = await new Promise((good, bad) => reader.readEntries(good, bad));
      if (!some.length) break;
      for (const inner of some) await walk(inner, `${path}${entry.name}/`, found);
    }
  }
};

const wanted = (found) => found.filter(({ file, name }) => PICTURE.test(file.name) && !name.split('/').some((part) => part.startsWith('.') || part === '__MACOSX'));

/** The ZIPs and top folders of a list, where it holds nothing else; they may be a project each. */
const heaps = (found) => {
  const names = new Set();
  for (const { name } of found) {
    if (name.includes('/')) names.add(name.split('/')[0]);
    else if (/\.zip$/i.test(name)) names.add(name);
    else return [];
  }
  return [...names];
};

const ask = (found) => new Promise((answer) => {
  const names = heaps(found);
  if (names.length < 2) { answer(false); return; }
  const choose = (each) => { ui.ask.replaceChildren(); answer(each); };
  ui.ask.replaceChildren(h('p', {}, say('photos_each', { n: names.length })),
    h('button', { type: 'button', class: 'primary', onclick: () => choose(true) }, say('photos_each_yes')),
    h('button', { type: 'button', onclick: () => choose(false) }, say('photos_each_no')));
  ui.ask.querySelector('button').focus();
});

const send = async (all) => {
  if (working) return;
  const found = wanted(all);
  const value = props.value;
  if (!found.length) { ui.status.textContent = say('photos_nothing'); return; }
  const total = found.reduce((sum, { file }) => sum + file.size, 0);
  if (total > value.limit * 1048576 || found.some(({ file }) => file.size > value.limit * 1048576)) {
    ui.status.textContent = say('photos_too_much', { size: size(total), mb: value.limit });
    return;
  }
  working = true;
  stopped = false;
  const each = await ask(found);
  let done = 0;
  let bytes = 0;
  const sent = new Array(found.length);
  const bar = h('span', { style: 'width:0%' });
  const stop = h('button', { type: 'button', onclick: () => { stopped = true; } }, say('photos_stop'));
  const line = h('span', { role: 'status' });
  ui.status.replaceChildren(h('span', { class: 'track' }, bar), line, stop);
  const show = () => {
    bar.style.width = `${(100 * bytes) / Math.max(1, total)}%`;
    line.textContent = say('photos_sending', { done, n: found.length, sent: size(bytes), size: size(total) });
  };
  show();
  let next = 0;
  const worker = async () => {
    while (next < found.length && !stopped) {
      const at = next;
      next += 1;
      const { file, name } = found[at];
      for (let attempt = 0; ; attempt += 1) {
        try {
          const { path } = await upload(file);
          sent[at] = { path, name };
          break;
        } catch (error) {
          if (attempt >= 2 || stopped) throw error;
          await new Promise((wait) => setTimeout(wait, 1000 * (attempt + 1)));
        }
      }
      done += 1;
      bytes += file.size;
      show();
    }
  };
  try {
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    if (stopped) ui.status.textContent = say('photos_stopped');
    else {
      ui.status.textContent = say('photos_reading');
      trigger('arrived', { files: sent, each, finished: ui.finished.checked });
    }
  } catch {
    ui.status.textContent = say('photos_failed');
  }
  working = false;
};

// What is there

const draw = (id) => h('div', { class: 'ldb-tile kept', role: 'option', id: `ldb-f${id}`, 'data-id': id },
  h('img', { alt: '', loading: 'lazy', decoding: 'async', draggable: 'false' }), h('span', { class: 'mark', 'aria-hidden': 'true' }), h('span', { class: 'name' }));

const update = (tile, id) => {
  const [name, picture, source] = photos[id];
  const image = tile.querySelector('img');
  const label = tile.querySelector('.name');
  const on = selected.has(source);
  if (label.title !== name) { label.title = name; label.textContent = name.slice(name.lastIndexOf('/') + 1); }
  tile.setAttribute('aria-label', name);
  tile.setAttribute('aria-selected', String(on));
  tile.classList.toggle('selected', on);
  tile.classList.toggle('focus', id === focus);
  tile.querySelector('.mark').textContent = on ? '✓' : '';
  tile.classList.toggle('waiting', !picture);
  if (picture && image.getAttribute('src') !== picture) image.src = picture;
};

// Selecting, and taking out of the project

let selected = new Set(); // source names: places change as photos come and go
let focus = null;
let anchor = null;

const bulk = () => {
  ui.bulk.hidden = !selected.size;
  ui.selectHint.hidden = selected.size > 0;
  ui.count.textContent = say('photos_selected', { n: selected.size });
  pane.refresh();
};

const pick = (id, extend) => {
  if (id === null || !photos[id]) return;
  focus = id;
  if (extend && anchor !== null) {
    const [from, to] = [anchor, id].sort((a, b) => a - b);
    for (let at = from; at <= to; at += 1) selected.add(photos[at][2]);
  } else {
    anchor = id;
    if (!selected.delete(photos[id][2])) selected.add(photos[id][2]);
  }
  pane.root.setAttribute('aria-activedescendant', `ldb-f${id}`);
  bulk();
};

const remove = (names) => {
  if (!names.length) return;
  selected = new Set();
  focus = null;
  anchor = null;
  trigger('remove', { names });
};

const keys = (event) => {
  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (moves[event.key]) {
    const next = pane.beside(focus, ...moves[event.key]);
    if (next === null) return;
    if (event.shiftKey) pick(next, true);
    else { focus = next; anchor = next; pane.root.setAttribute('aria-activedescendant', `ldb-f${next}`); }
    pane.reveal(next);
    pane.refresh();
  } else if (event.key === ' ' || event.key.toLowerCase() === 'x') pick(focus, false);
  else if (event.key === 'Delete') remove([...selected]);
  else if (event.key === 'Escape') { selected = new Set(); bulk(); }
  else return;
  event.preventDefault();
};

const gone = () => {
  const removed = props.value.removed || [];
  ui.removed.hidden = !removed.length;
  if (!removed.length) return;
  const back = (names) => trigger('restore', { names });
  ui.removed.replaceChildren(
    h('summary', {}, say('photos_removed', { n: removed.length })),
    h('button', { type: 'button', id: 'ldb-restore', onclick: () => back(removed.map(([source]) => source)) }, say('photos_restore_all')),
    h('ul', {}, removed.map(([source, name]) => h('li', {}, h('span', { translate: 'no' }, name), ' ',
      h('button', { type: 'button', 'aria-label': `${say('photos_restore')}: ${name}`, onclick: () => back([source]) }, say('photos_restore'))))));
};

let listed = '';
let asking = false;
const gallery = async () => {
  if (!props.value.project || asking || !ui) return;
  asking = true;
  try {
    const answer = await server.gallery({ ...place(), seen: listed });
    if (!answer || answer.error || answer.same) return;
    listed = answer.key;
    photos = answer.photos;
    ui.title.textContent = photos.length ? say('photos_count', { n: photos.length, done: photos.filter((photo) => photo[1]).length }) : '';
    ui.gallery.hidden = !photos.length;
    ui.skipped.textContent = answer.problems.length ? say('photos_problems', { n: answer.problems.length }) : '';
    ui.problems.replaceChildren(...answer.problems.map(([name, why]) => h('li', {}, h('strong', { translate: 'no' }, name), ` ${why}`)));
    ui.faulty = answer.problems.map(([, , source]) => source);
    const there = new Set(photos.map((photo) => photo[2]));
    selected = new Set([...selected].filter((source) => there.has(source)));
    if (focus !== null && focus >= photos.length) focus = null;
    ui.problemBox.hidden = !answer.problems.length;
    pane.show([{ key: 'all', title: '', items: photos.map((_, id) => id) }]);
    bulk();
  } finally { asking = false; }
};

const build = () => {
  const value = props.value;
  const files = h('input', { type: 'file', multiple: true, id: 'ldb-files', class: 'ldb-sr', tabindex: -1, 'aria-hidden': 'true' });
  const folder = h('input', { type: 'file', multiple: true, webkitdirectory: true, id: 'ldb-dir', class: 'ldb-sr', tabindex: -1, 'aria-hidden': 'true' });
  files.addEventListener('change', () => { send([...files.files].map((file) => ({ file, name: file.name }))); files.value = ''; });
  folder.addEventListener('change', () => { send([...folder.files].map((file) => ({ file, name: file.webkitRelativePath || file.name }))); folder.value = ''; });
  ui = {
    status: h('div', { class: 'ldb-sending', 'aria-live': 'polite' }), ask: h('div', { class: 'ldb-ask', role: 'alert' }),
    finished: h('input', { type: 'checkbox', id: 'ldb-finished' }), title: h('h2', { class: 'ldb-h2' }), skipped: h('summary', {}), problems: h('ul', {}),
  };
  ui.problemBox = h('details', { class: 'ldb-problems', hidden: true }, ui.skipped, ui.problems,
    h('button', { type: 'button', class: 'ldb-plain', onclick: () => remove(ui.faulty) }, say('photos_remove_faulty')));
  ui.removed = h('details', { class: 'ldb-problems ldb-removed', hidden: true });
  ui.count = h('strong', { role: 'status' });
  ui.selectHint = h('span', { class: 'ldb-hint' }, say('photos_select'));
  ui.bulk = h('span', { class: 'ldb-picked', hidden: true }, ui.count,
    h('button', { type: 'button', id: 'ldb-remove', class: 'ldb-plain', onclick: () => remove([...selected]) }, say('photos_remove')),
    h('button', { type: 'button', class: 'ldb-plain', onclick: () => { selected = new Set(); bulk(); } }, say('photos_clear')));
  pane = new Pane({ label: say('step_photos'), tile: [104, 128], draw, update, empty: '' });
  pane.root.addEventListener('click', (event) => {
    const tile = event.target.closest('.ldb-tile');
    if (tile) pick(Number(tile.dataset.id), event.shiftKey);
  });
  pane.root.addEventListener('keydown', keys);
  ui.gallery = h('section', { class: 'ldb-gallery', hidden: true }, ui.title, h('div', { class: 'ldb-line2' }, ui.selectHint, ui.bulk), pane.root);
  const zone = h('div', { class: `ldb-zone${value.project && !value.empty ? ' slim' : ''}` },
    h('p', { class: 'big' }, say(value.project && !value.empty ? 'photos_more' : 'photos_drop')),
    h('div', { class: 'buttons' },
      h('button', { type: 'button', class: 'primary', onclick: () => files.click() }, say('photos_files')),
      h('button', { type: 'button', onclick: () => folder.click() }, say('photos_folder')),
      value.empty ? h('button', { type: 'button', id: 'ldb-sample', onclick: () => trigger('sample', {}) }, say('photos_sample')) : null),
    h('label', { class: 'check' }, ui.finished, say('photos_finished')),
    h('p', { class: 'ldb-hint' }, value.promise), files, folder, ui.ask, ui.status);
  if (value.reads) zone.replaceChildren(h('p', {}, say(value.store ? 'photos_reads_store' : 'photos_reads')), h('code', {}, value.reads),
    h('button', { type: 'button', onclick: () => trigger('again', {}) }, say('photos_again')));
  for (const name of ['dragenter', 'dragover']) zone.addEventListener(name, (event) => { event.preventDefault(); zone.classList.add('over'); });
  for (const name of ['dragleave', 'drop']) zone.addEventListener(name, () => zone.classList.remove('over'));
  zone.addEventListener('drop', async (event) => {
    event.preventDefault();
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry && item.webkitGetAsEntry()).filter(Boolean);
    const found = [];
    for (const entry of entries) await walk(entry, '', found);
    send(found);
  });
  host.replaceChildren(zone, ui.removed, ui.problemBox, ui.gallery);
};

let built = '';
const show = () => {
  const value = props.value;
  if (!value.words) return;
  const key = `${value.project} ${value.language} ${value.empty} ${value.reads}`;
  if (key !== built) { built = key; listed = ''; photos = []; selected = new Set(); focus = null; anchor = null; build(); }
  gone();
  gallery();
};

const news = () => { if (element.isConnected) gallery(); else document.removeEventListener('ldb-progress', news); };
document.addEventListener('ldb-progress', news);
show();
watch('value', show);
