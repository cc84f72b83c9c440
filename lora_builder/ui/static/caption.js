// The caption table: every caption beside its picture, edited in place, saved at once. What an operation
// changes is asked first and shown; Python does it.
const FIRST = 40; // rows drawn at once, about two screens; the rest follows in chunks
const CHUNK = 160;
const AUTOSAVE = 1500; // ms of rest after which a caption that is being typed is saved
const OPERATIONS = {
  replace: ['find', 'put', '?pattern', '?case', '?whole'],
  prepend: ['words'], append: ['words'], remove: ['words'],
  call: ['trigger', 'class_word', 'former'],
};

let rows = []; // what Python said of each caption, with its element
const byItem = new Map();
const chosen = new Set();
let audit = { findings: [], terms: [], total: 0 };
let names = { trigger: '', class_word: '' };
let filter = 'all';
let only = null; // items of a finding or a term that alone are shown

const t = (key, fields) => say(`caption_${key}`, fields);
const button = (key, act, more = {}) => h('button', { type: 'button', onclick: act, ...more }, t(key));
const plural = (key, n) => t(key, { n });

const SHAPES = {
  locked: 'M6 10V7a4 4 0 0 1 8 0v3M4.5 10h11v7h-11z',
  open: 'M6 10V7a4 4 0 0 1 7.7-1.5M4.5 10h11v7h-11z',
  history: 'M4 4v4h4M4.3 8A6.5 6.5 0 1 1 3.6 11M10 6.5V10l2.6 1.8',
  anew: 'M4 16l1-3.6L13.4 4l2.6 2.6L7.6 15 4 16zM11.6 5.8l2.6 2.6',
};
const icon = (name) => {
  const drawing = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  drawing.setAttribute('viewBox', '0 0 20 20');
  drawing.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
  path.setAttribute('d', SHAPES[name]);
  drawing.append(path);
  return drawing;
};

// The page

const search = h('input', { type: 'search' });
const show = h('select');
const showLabel = h('label', { class: 'inline' }, h('span'), show);
const count = h('span', { class: 'note', role: 'status' });
const chooseAll = h('input', { type: 'checkbox' });
const chooseLabel = h('label', { class: 'inline' }, chooseAll, h('span'));
const rewriteSome = h('button', { type: 'button', hidden: true, onclick: () => rewrite([...chosen]) });
const tools = h('details', { class: 'tools' }, h('summary'), h('div'));
const files = h('details', { class: 'tools' }, h('summary'), h('div'));
const list = h('ul', { class: 'rows' });
const nothing = h('p', { class: 'ldb-empty', hidden: true });
const empty = h('p', { class: 'ldb-empty' });
const keysNote = h('p', { class: 'note keys' });
const findingsTitle = h('h3');
const findingList = h('ul', { class: 'findings' });
const termsTitle = h('h3');
const termsNote = h('p', { class: 'note' });
const termList = h('ul', { class: 'terms' });
const dialog = h('dialog', { class: 'sheet' });

const past = memory(async (entry, forward) => {
  await texts.rest();
  try {
    if (forward) {
      const answer = await ask('save_captions', { texts: entry.after });
      entry.batch = answer.batch;
      refresh(answer.rows);
    } else refresh((await ask('undo_change', { batch: entry.batch })).rows);
    after();
  } catch (error) { complain(error); }
});

/** One caption typed by hand. */
const texts = saver(
  (item, text) => ask('save_captions', { texts: { [item]: text } }),
  (item, answer, text) => {
    const row = byItem.get(item);
    if (!row) return;
    if (!answer) { row.field.value = row.text; fit(row); return; }
    if (answer.batch) past.add({ batch: answer.batch, after: { [item]: text } });
    refresh(answer.rows);
    look();
  });

const build = () => {
  root.replaceChildren(
    h('div', { class: 'bar' }, search, showLabel, count, h('div', { class: 'row end' }, saved, past.undo, past.redo)),
    h('div', { class: 'bar' }, chooseLabel, rewriteSome, tools, files),
    alarm,
    h('div', { class: 'desk' },
      h('div', { class: 'work' }, list, nothing, keysNote),
      h('div', { class: 'side' }, findingsTitle, findingList, termsTitle, termsNote, termList)),
    empty, dialog, spoken);
};

const label = () => {
  search.placeholder = t('search');
  search.setAttribute('aria-label', t('search'));
  list.setAttribute('aria-label', t('title'));
  const said = [[showLabel.firstChild, 'show'], [chooseLabel.lastChild, 'choose_all'], [tools.firstChild, 'edit_many'],
    [files.firstChild, 'files'], [nothing, 'none'], [empty, 'empty'], [keysNote, 'keys'], [findingsTitle, 'audit'],
    [termsTitle, 'terms'], [termsNote, 'terms_note']];
  for (const [node, key] of said) node.textContent = t(key);
  buildTools();
  past.label();
  tell('saved');
};

// Rows

const authorOf = (row) => (row.author === 'user' ? t('by_user') : row.author === 'composer' ? t('by_composer') : row.author);

/** The part of the thumbnail that is the training picture. */
const cutOut = (row) => {
  const image = h('img', { src: row.thumb, alt: '', loading: 'lazy', decoding: 'async' });
  const frame = h('span', { class: 'cut-out' }, h('span', { style: `aspect-ratio:${row.shape}` }, image));
  frame.firstChild.classList.add(row.shape > 1 ? 'wide' : 'tall');
  if (row.cut) {
    const [left, top, across, down] = row.cut;
    image.style.cssText = `left:${(-100 * left) / across}%;top:${(-100 * top) / down}%;width:${100 / across}%;height:${100 / down}%`;
  }
  return frame;
};

const draw = (row) => {
  const choose = h('input', {
    type: 'checkbox', 'aria-label': t('choose', { name: row.name }),
    onchange: () => { if (choose.checked) chosen.add(row.item); else chosen.delete(row.item); countAll(); },
  });
  const field = h('textarea', { rows: '2', spellcheck: 'true', 'aria-label': t('of', { name: row.name }), placeholder: t('no_text') });
  const lock = h('button', { type: 'button', class: 'icon', onclick: () => setLock([row.item], !row.locked) });
  const note = h('p', { class: 'reason', hidden: true });
  const byline = h('span', { class: 'author' });
  Object.assign(row, { choose, field, lock, note, byline });
  const slow = { timer: null };
  const keep = () => {
    clearTimeout(slow.timer);
    slow.timer = null;
    const text = field.value.replace(/\s+/g, ' ').trim();
    if (text && text !== row.text) texts.put(row.item, text);
    else if (!text) { field.value = row.text; fit(row); }
  };
  field.addEventListener('input', () => {
    clearTimeout(slow.timer);
    slow.timer = setTimeout(keep, AUTOSAVE);
    fit(row);
  });
  field.addEventListener('blur', keep);
  field.addEventListener('keydown', (event) => {
    if (event.isComposing) return;
    if (event.key === 'Enter') { event.preventDefault(); keep(); step(row, event.shiftKey ? -1 : 1); }
    if (event.key === 'Escape') { clearTimeout(slow.timer); field.value = row.text; fit(row); }
  });
  row.node = h('li', { class: 'row-of' }, choose,
    cutOut(row),
    h('div', { class: 'words' }, h('p', { class: 'name', title: row.name }, row.name, ' ', byline), field, note),
    h('div', { class: 'acts' }, lock,
      h('button', { type: 'button', class: 'icon', title: t('history'), 'aria-label': t('history_of', { name: row.name }), onclick: () => openHistory(row) }, icon('history')),
      h('button', { type: 'button', class: 'icon', title: t('rewrite'), 'aria-label': `${t('rewrite')}: ${row.name}`, onclick: () => rewrite([row.item]) }, icon('anew'))));
  fill(row);
  return row.node;
};

/** The row as Python knows it; what is being typed at the moment stays. */
const fill = (row) => {
  if (!row.node && !row.field) return;
  if (row.field !== document.activeElement || row.field.value.trim() === row.text) row.field.value = row.text;
  row.lock.replaceChildren(icon(row.locked ? 'locked' : 'open'));
  row.lock.setAttribute('aria-pressed', String(row.locked));
  row.lock.title = row.locked ? t('unlock') : t('lock');
  row.lock.setAttribute('aria-label', `${row.lock.title}: ${row.name}`);
  row.field.readOnly = row.locked;
  row.byline.textContent = authorOf(row);
  row.note.hidden = !row.reason;
  row.note.textContent = row.reason;
  fit(row);
};

const grows = CSS.supports('field-sizing', 'content');
/** The field as high as its text, where the browser does not do it by itself. */
const fit = (row) => {
  if (grows || !row.field.isConnected) return;
  row.field.style.height = 'auto';
  row.field.style.height = `${row.field.scrollHeight + 2}px`;
};

const refresh = (fresh) => {
  for (const one of fresh) {
    const row = byItem.get(one.item);
    if (!row) continue;
    Object.assign(row, one);
    if (row.node) fill(row);
  }
};

let drawing = 0;
/** Draws the rows in pieces; the first piece is there before anything else is asked. */
const drawAll = () => {
  const mine = ++drawing;
  list.replaceChildren();
  let begin = 0;
  const piece = () => {
    if (mine !== drawing) return;
    const end = begin + (begin ? CHUNK : FIRST);
    list.append(...rows.slice(begin, end).map(draw));
    begin = end;
    sift();
    if (begin < rows.length) requestAnimationFrame(piece);
  };
  piece();
};

const step = (row, by) => {
  const visible = rows.filter((one) => one.node && !one.node.hidden);
  const next = visible[visible.indexOf(row) + by];
  if (next) { next.field.focus(); next.node.scrollIntoView({ block: 'nearest' }); } else row.field.blur();
};

/** Puts the hand on a photo's caption, as soon as its row is drawn. */
const lead = (photo) => {
  const row = photo ? rows.find((one) => one.item.split('/')[0] === photo) : null;
  if (!row) return;
  if (!row.node || !row.node.isConnected) { requestAnimationFrame(() => lead(photo)); return; }
  row.field.focus();
  row.node.scrollIntoView({ block: 'center' });
};

// What is shown

const found = () => new Set(audit.findings.filter((one) => one.items.length < rows.length || one.items.length === 1).flatMap((one) => one.items));
const sieves = {
  all: () => true,
  findings: (row) => found().has(row.item),
  failed: (row) => !row.text,
  locked: (row) => row.locked,
  yours: (row) => row.author === 'user',
};
const passes = () => {
  const wanted = search.value.trim().toLowerCase();
  const marked = found();
  return (row) => (!only || only.has(row.item))
    && (filter === 'findings' ? marked.has(row.item) : sieves[filter](row))
    && (!wanted || row.text.toLowerCase().includes(wanted) || row.name.toLowerCase().includes(wanted));
};
const shownRows = () => rows.filter(passes());

const sift = () => {
  const pass = passes();
  let visible = 0;
  for (const row of rows) {
    const good = pass(row);
    visible += good;
    if (row.node && row.node.hidden === good) row.node.hidden = !good;
  }
  nothing.hidden = visible > 0 || !rows.length;
  countAll(visible);
};

const countAll = (visible = shownRows().length) => {
  count.textContent = chosen.size ? plural('chosen', chosen.size) : t('count', { n: visible, total: rows.length });
  rewriteSome.hidden = !chosen.size;
  rewriteSome.textContent = plural('rewrite_some', chosen.size);
  const marked = found();
  const kinds = [['all', rows.length], ['findings', marked.size], ['failed', rows.filter(sieves.failed).length],
    ['locked', rows.filter(sieves.locked).length], ['yours', rows.filter(sieves.yours).length]];
  show.replaceChildren(...kinds.map(([key, n]) => h('option', { value: key }, plural(key, n))));
  show.value = filter;
  scope.textContent = chosen.size ? plural('scope_chosen', chosen.size) : plural('scope_shown', visible);
};

let typing = null;
search.addEventListener('input', () => { clearTimeout(typing); typing = setTimeout(sift, 80); });
show.addEventListener('change', () => { filter = show.value; only = null; sift(); });
chooseAll.addEventListener('change', () => {
  const pass = passes();
  for (const row of rows) {
    const on = chooseAll.checked && pass(row);
    if (on) chosen.add(row.item); else chosen.delete(row.item);
    if (row.choose) row.choose.checked = on;
  }
  countAll();
});

// Locks, history, writing anew

const setLock = async (items, locked) => {
  try {
    refresh((await ask('lock_captions', { items, locked })).rows);
    countAll();
    trigger('changed');
  } catch (error) { complain(error); }
};

const rewrite = (items) => { if (items.length) trigger('rewrite', { items }); };

const sheet = (title, ...content) => {
  dialog.replaceChildren(h('div', { class: 'bar' }, h('h3', {}, title), h('div', { class: 'row end' }, button('close', () => dialog.close()))), ...content);
  dialog.setAttribute('aria-label', title);
  if (!dialog.open) dialog.showModal();
};

const openHistory = async (row) => {
  let versions;
  try {
    ({ versions } = await ask('history_of', { item: row.item }));
  } catch (error) { complain(error); return; }
  const lines = versions.map((one, n) => h('li', {},
    h('p', { class: 'note' }, `${new Date(one.at * 1000).toLocaleString(document.documentElement.lang)} · ${authorOf(one)}`),
    h('p', {}, one.text || one.reason),
    n === 0 || one.text === row.text ? h('span', { class: 'note' }, t('present'))
      : one.text ? button('revert', () => bringBack(row, one)) : null));
  sheet(t('history_of', { name: row.name }), lines.length ? h('ul', { class: 'versions' }, lines) : h('p', { class: 'note' }, t('no_history')));
};

const bringBack = async (row, version) => {
  dialog.close();
  await texts.rest();
  await perform('revert_to', { item: row.item, id: version.id }, () => ({ [row.item]: version.text }));
  row.field.focus();
};

/** Does something that changes captions, remembers how to take it back, and says how many. */
const perform = async (name, sent, redo) => {
  try {
    tell('saving');
    const answer = await ask(name, sent);
    refresh(answer.rows);
    const changes = redo ? redo(answer) : Object.fromEntries(answer.rows.map((row) => [row.item, row.text]));
    if (answer.batch) past.add({ batch: answer.batch, after: changes });
    spoken.textContent = plural('done', answer.rows.length);
    complain(null);
    after();
  } catch (error) { complain(error); } finally { tell('saved'); }
};
const after = () => { sift(); look(); trigger('changed'); };

// Editing many

const inputs = {};
const scope = h('p', { class: 'note' });
const form = h('div', { class: 'form' });
const kindOf = h('select');

const buildTools = () => {
  const kind = kindOf.value || 'replace';
  kindOf.replaceChildren(...Object.keys(OPERATIONS).map((key) => h('option', { value: key }, t(key))));
  kindOf.value = kind;
  tools.lastChild.replaceChildren(
    h('label', {}, t('operation'), kindOf), form,
    h('div', { class: 'row' }, button('preview', previewChange, { class: 'go-on' }), scope));
  files.lastChild.replaceChildren(h('div', { class: 'row' },
    button('import', () => picker.click()), button('to_csv', () => save('csv')), button('to_zip', () => save('zip'))));
  buildForm();
};

const buildForm = () => {
  form.replaceChildren(...OPERATIONS[kindOf.value].map((part) => {
    const name = part.replace('?', '');
    const before = inputs[name];
    const input = part.startsWith('?')
      ? h('input', { type: 'checkbox', checked: before ? before.checked : false })
      : h('input', { type: 'text', value: before ? before.value : names[name] || '' });
    input.addEventListener('keydown', (event) => { if (event.key === 'Enter' && !event.isComposing) previewChange(); });
    inputs[name] = input;
    return part.startsWith('?') ? h('label', { class: 'inline' }, input, t(name)) : h('label', {}, t(name), input);
  }));
};
kindOf.addEventListener('change', buildForm);

const request = () => {
  const operation = { kind: kindOf.value };
  for (const part of OPERATIONS[kindOf.value]) {
    const name = part.replace('?', '');
    operation[name] = part.startsWith('?') ? inputs[name].checked : inputs[name].value;
  }
  const items = chosen.size ? [...chosen] : shownRows().map((row) => row.item);
  return { operation, items };
};

const pieces = (text) => text.match(/[\p{L}\p{N}_'’-]+|\s+|./gu) || [];

/** Before and after with what differs marked, in whole words: beginning and end in common stay plain. */
const difference = (before, changed) => {
  const one = pieces(before);
  const other = pieces(changed);
  let start = 0;
  while (start < one.length && start < other.length && one[start] === other[start]) start += 1;
  let end = 0;
  while (end < one.length - start && end < other.length - start && one[one.length - 1 - end] === other[other.length - 1 - end]) end += 1;
  const middle = (words) => words.slice(start, words.length - end).join('');
  return h('p', {}, one.slice(0, start).join(''), middle(one) ? h('del', {}, middle(one)) : null,
    middle(other) ? h('ins', {}, middle(other)) : null, one.slice(one.length - end).join(''));
};

const showPreview = (title, seen, apply) => {
  const notes = [
    seen.count ? plural('would', seen.count) : t('would_not'),
    seen.locked ? plural('skips_locked', seen.locked) : null,
    seen.emptied ? plural('skips_emptied', seen.emptied) : null,
    seen.unknown && seen.unknown.length ? t('unknown', { names: seen.unknown.join(', ') }) : null,
  ].filter(Boolean);
  const changes = seen.changes.map((one) => h('li', {},
    h('p', { class: 'note' }, (byItem.get(one.item) || {}).name || ''), difference(one.before, one.after)));
  if (seen.count > seen.changes.length) changes.push(h('li', { class: 'note' }, plural('more', seen.count - seen.changes.length)));
  sheet(title, h('p', { role: 'status' }, notes.join(' ')), h('ul', { class: 'versions' }, changes),
    seen.count ? h('div', { class: 'row foot' }, h('button', { type: 'button', class: 'go-on', onclick: () => { dialog.close(); tools.open = false; files.open = false; apply(); } }, plural('apply', seen.count))) : null);
  const first = dialog.querySelector('.go-on');
  if (first) first.focus();
};

const previewChange = async () => {
  await texts.rest();
  const sent = request();
  try {
    const seen = await ask('preview_change', sent);
    complain(null);
    showPreview(t(kindOf.value), seen, () => perform('apply_change', sent));
  } catch (error) { complain(error); }
};

// Files

const picker = h('input', { type: 'file', accept: '.txt,.csv', multiple: true, hidden: true });
picker.addEventListener('change', async () => {
  const read = await Promise.all([...picker.files].map(async (file) => ({ name: file.name, text: await file.text() })));
  picker.value = '';
  try {
    const seen = await ask('import_captions', { files: read });
    complain(null);
    showPreview(t('import'), seen, () => perform('save_captions', { texts: seen.texts }));
  } catch (error) { complain(error); }
});

const save = async (kind) => {
  try {
    const file = await ask('export_captions', { kind });
    const bytes = Uint8Array.from(atob(file.data), (letter) => letter.charCodeAt(0));
    const address = URL.createObjectURL(new Blob([bytes], { type: file.type }));
    h('a', { href: address, download: file.name }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10000);
  } catch (error) { complain(error); }
};

// Findings and words

let looking = false;
let lookAgain = false;
/** Asks for the findings anew, one question at a time. */
const look = async () => {
  lookAgain = true;
  if (looking) return;
  looking = true;
  while (lookAgain) {
    lookAgain = false;
    await pause(400);
    try {
      audit = await ask('audit_captions');
      showAudit();
    } catch { /* the table is good without */ }
  }
  looking = false;
};

const showOnly = (items) => {
  const same = only && only.size === items.length && items.every((item) => only.has(item));
  only = same ? null : new Set(items);
  filter = 'all';
  sift();
  showAudit();
};
const isOnly = (items) => Boolean(only) && only.size === items.length && items.every((item) => only.has(item));

const FEW = 3; // findings of one kind shown before the rest is folded away

const showAudit = () => {
  const line = (one) => h('li', { class: one.kind }, h('p', {}, one.text), h('div', { class: 'row' },
    h('button', { type: 'button', class: 'quiet', 'aria-pressed': String(isOnly(one.items)), onclick: () => showOnly(one.items) }, plural('show_these', one.items.length)),
    one.cure === 'none' ? null : button(`cure_${one.cure}`, () => cure(one))));
  const kinds = [...new Set(audit.findings.map((one) => one.kind))];
  findingList.replaceChildren(...(kinds.length ? kinds.flatMap((kind) => {
    const lines = audit.findings.filter((one) => one.kind === kind).map(line);
    if (lines.length <= FEW + 1) return lines;
    return [...lines.slice(0, FEW), h('li', { class: 'fold' }, h('details', {}, h('summary', {}, plural('more', lines.length - FEW)), h('ul', { class: 'findings' }, lines.slice(FEW))))];
  }) : [h('li', { class: 'good' }, t('audit_good'))]));
  const top = audit.terms.slice(0, 40);
  termList.replaceChildren(...top.map((term) => h('li', { class: term.binding },
    h('button', {
      type: 'button', class: 'term', title: t('term_of', { count: term.count, total: audit.total }),
      onclick: () => { search.value = term.term; only = null; filter = 'all'; sift(); },
    }, h('span', { class: 'say', lang: 'en' }, term.term), term.binding ? h('span', { class: 'badge' }, t(term.binding)) : null,
    h('span', { class: 'share' }, `${Math.round(100 * term.share)}%`), h('span', { class: 'rule', style: `width:${100 * term.share}%` })))));
  countAll();
};

const cure = (finding) => {
  if (finding.cure === 'rewrite') { rewrite(finding.items); return; }
  perform('apply_cure', { kind: finding.kind, cure: finding.cure, items: finding.items, term: finding.term });
};

document.addEventListener('pointerdown', (event) => {
  for (const menu of [tools, files]) if (menu.open && !menu.contains(event.target) && !dialog.open) menu.open = false;
});
root.addEventListener('keydown', (event) => {
  if (event.key === 'Escape') for (const menu of [tools, files]) if (menu.contains(event.target)) { menu.open = false; menu.firstChild.focus(); }
  if (!event.target.matches('textarea, input[type=text], input[type=search]')) past.key(event);
});

atEachVisit(async (fresh) => {
  await texts.rest();
  const answer = await ask('open_captions');
  if (!fresh()) return;
  rows = answer.rows;
  names = answer;
  byItem.clear();
  for (const row of rows) byItem.set(row.item, row);
  for (const item of [...chosen]) if (!byItem.has(item)) chosen.delete(item);
  only = null;
  past.clear();
  complain(null);
  if (!root.contains(list)) build();
  label();
  root.classList.toggle('nothing', !rows.length);
  drawAll();
  for (const row of rows) if (row.choose) row.choose.checked = chosen.has(row.item);
  if (rows.length) look();
  lead(props.value.photo);
}, () => {
  build();
  label();
  root.classList.add('nothing');
});
