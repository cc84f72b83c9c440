// Kept and left out, thresholds, coverage, review by keyboard. The server decides; this draws.
const host = element.querySelector('.ldb-choose');
const RULES = { kept: 0, exact_duplicate: 1, near_duplicate: 2, same_shot: 3 };

const TO_DECIDE = -2; // In the filter, beside the numbers of the reasons and -1 for all.

let photos = []; // [name, sha256, thumbnail]
let rows = []; // [kept, reason, because, said, to decide]
let edition = null;
let settings = {}; // moved and not kept yet
let focus = null;
let anchor = null;
let selected = new Set();
let mode = 'side';
let only = -1;
let opened = null;
let narrow = 'kept';
let stories = new Map();
let ui = null;

// What changes rows goes one after the other: each answer is the difference to the one before it.
let last = Promise.resolve();
const ask = async (name, data) => {
  const answer = await server[name]({ ...place(), edition, ...data });
  if (answer && answer.error) { ui.status.textContent = answer.error; return null; }
  return answer;
};
const change = (name, data = {}) => {
  last = last.then(async () => apply(await ask(name, data))).catch(() => { ui.status.textContent = say('choose_failed'); });
  return last;
};

// The marks of the steps may wait until a run of keys or of slider steps has ended.
let pausing = 0;
const changed = () => { clearTimeout(pausing); pausing = setTimeout(() => trigger('changed', {}), 400); };

// What is shown

const repeatsOf = () => {
  const found = new Map();
  rows.forEach((row, id) => { if (row[2] >= 0) (found.get(row[2]) || found.set(row[2], []).get(row[2])).push(id); });
  return found;
};

// Left out for want of a word is not left out for somebody else's face.
const classOf = (row) => (row[4] ? TO_DECIDE : row[1]);
const titleOf = (kind) => (kind === TO_DECIDE ? say('choose_to_decide') : props.value.reasons[kind]);

const sections = () => {
  const repeats = repeatsOf();
  const kept = [];
  const dropped = new Map();
  const keptCount = rows.filter((row) => row[0]).length;
  rows.forEach((row, id) => {
    if (only === TO_DECIDE && !row[4]) return;
    if (row[0]) kept.push(id);
    else if (only < 0 || classOf(row) === only) {
      const kind = classOf(row);
      if (!dropped.has(kind)) dropped.set(kind, []);
      dropped.get(kind).push(id);
    }
  });
  if (mode === 'groups') {
    const groups = [];
    const grouped = new Set();
    for (const id of kept) {
      const others = repeats.get(id);
      if (others) { groups.push({ key: `g${id}`, title: say('choose_group', { name: photos[id][0] }), items: [id, ...others] }); others.forEach((other) => grouped.add(other)); grouped.add(id); }
    }
    const single = kept.filter((id) => !grouped.has(id));
    const rest = [...dropped.entries()].map(([reason, ids]) => ({ key: `r${reason}`, title: `${titleOf(reason)} (${ids.filter((id) => !grouped.has(id)).length})`, items: ids.filter((id) => !grouped.has(id)) }));
    return { kept: [...groups, { key: 'single', title: `${say('choose_kept')} (${single.length})`, items: single }], dropped: rest, keptCount };
  }
  // Repeats of one photo lie together, in the order of the photos they repeat.
  const order = (a, b) => (rows[a][2] - rows[b][2]) || (a - b);
  return {
    kept: [{ key: 'kept', title: '', items: kept }],
    dropped: [...dropped.entries()].sort((a, b) => a[0] - b[0]).map(([reason, ids]) => ({
      key: `r${reason}`, title: `${titleOf(reason)} (${ids.length})`, items: ids.sort(order),
    })),
    keptCount,
  };
};

const draw = (id) => {
  const [name, , picture] = photos[id];
  const tile = h('div', { class: 'ldb-tile', role: 'option', id: `ldb-p${id}`, 'data-id': id },
    h('img', { src: picture || null, alt: '', loading: 'lazy', decoding: 'async', draggable: 'false' }),
    h('span', { class: 'mark', 'aria-hidden': 'true' }),
    h('span', { class: 'name', title: name }, name.slice(name.lastIndexOf('/') + 1)),
    h('span', { class: 'badge' }));
  tile.addEventListener('pointerenter', () => { if (!matchMedia('(hover: none)').matches) tell(id); });
  return tile;
};

let counts = new Map();
const update = (tile, id) => {
  const [kept, reason, because, said, open] = rows[id];
  const repeats = counts.get(id) || 0;
  const own = said >= 0;
  const related = focus !== null && focus !== id && (because === focus || (rows[focus] && rows[focus][2] === id));
  const state = `ldb-tile ${kept ? 'kept' : 'dropped'}${own ? ' own' : ''}${repeats ? ' keeper' : ''}${open ? ' undecided' : ''}${id === focus ? ' focus' : ''}${selected.has(id) ? ' selected' : ''}${related ? ' related' : ''}`;
  if (tile.className !== state) tile.className = state;
  tile.setAttribute('aria-selected', String(selected.has(id)));
  const title = open ? say('choose_to_decide') : kept && !own ? (repeats ? say('choose_keeper', { n: repeats }) : '') : props.value.reasons[reason];
  const badge = tile.querySelector('.badge');
  if (badge.textContent !== title) badge.textContent = title;
  const mark = tile.querySelector('.mark');
  const sign = open ? '?' : repeats ? `+${repeats}` : own ? '●' : '';
  if (mark.textContent !== sign) mark.textContent = sign;
  tile.setAttribute('aria-label', `${photos[id][0]}, ${kept ? say('choose_kept') : say('choose_dropped')}${title ? `, ${title}` : ''}`);
};

const relayout = () => {
  const shown = sections();
  counts = new Map([...repeatsOf()].map(([id, others]) => [id, others.length]));
  const filtered = only === TO_DECIDE;
  ui.kept.options.empty = say(filtered ? 'choose_none_to_decide' : 'choose_none_kept');
  ui.dropped.options.empty = say(filtered ? 'choose_none_to_decide' : 'choose_none_dropped');
  ui.kept.show(shown.kept);
  ui.dropped.show(shown.dropped);
  const left = rows.length - shown.keptCount;
  ui.keptTitle.textContent = `${say('choose_kept')} (${shown.keptCount})`;
  ui.droppedTitle.textContent = `${say('choose_dropped')} (${left})`;
  ui.keptTab.textContent = ui.keptTitle.textContent;
  ui.droppedTab.textContent = ui.droppedTitle.textContent;
  const reasons = [...new Set(rows.filter((row) => !row[0] && !row[4]).map((row) => row[1]))].sort((a, b) => a - b);
  const open = rows.filter((row) => row[4]).length;
  ui.filter.replaceChildren(h('option', { value: -1 }, say('choose_all')),
    open || filtered ? h('option', { value: TO_DECIDE, selected: filtered }, `${say('choose_to_decide')} (${open})`) : '',
    ...reasons.map((reason) => h('option', { value: reason, selected: reason === only }, props.value.reasons[reason])));
};

const apply = (answer) => {
  if (!answer) return;
  if (answer.label !== undefined) ui.status.textContent = answer.label ? say(answer.redone ? 'choose_redone' : 'choose_undone') : '';
  edition = answer.edition;
  for (const [id, ...row] of answer.changed) rows[id] = row;
  if (answer.changed.length) { stories.clear(); relayout(); }
  if (answer.panel) cover(answer.panel);
  if (answer.depth) { ui.undo.disabled = !answer.depth[0]; ui.redo.disabled = !answer.depth[1]; }
  if (answer.controls && !dragging) tune(answer.controls);
  ui.kept.refresh();
  ui.dropped.refresh();
};

// Why

let telling = 0;
const story = async (id) => {
  if (!stories.has(id)) stories.set(id, ask('story', { photo: id, settings }));
  return stories.get(id);
};

const tell = (id) => {
  clearTimeout(telling);
  telling = setTimeout(async () => {
    const found = await story(id);
    if (!found || !found.name || !rows[id]) return;
    const other = rows[id][2];
    ui.why.replaceChildren(
      photos[id][2] ? h('img', { src: photos[id][2], alt: '' }) : '',
      other < 0 ? '' : h('span', { class: 'arrow', 'aria-hidden': 'true' }, '→'),
      other < 0 ? '' : h('figure', {}, h('img', { src: photos[other][2], alt: photos[other][0] }), h('figcaption', {}, say('choose_repeats'))),
      h('div', { class: 'text' }, h('p', {}, h('strong', {}, found.name), ' · ', found.why),
        h('p', { class: 'ldb-hint' }, found.figures.slice(0, 8).map(([name, value]) => `${name} ${value}`).join(' · '))));
  }, 60);
};

const zoom = async () => {
  if (focus === null) return;
  const found = await story(focus);
  if (!found || !found.name) return;
  const other = rows[focus][2] >= 0 ? await story(rows[focus][2]) : null;
  const button = (label, act) => h('button', { type: 'button', onclick: act }, label);
  ui.zoom.show(found, other, [
    button(say('choose_keep'), () => decide(true)), button(say('choose_drop'), () => decide(false)),
    rows[focus][2] >= 0 ? button(say('choose_prefer'), () => decide(null, true)) : null,
  ]);
};

// What is done

const paneOf = (id) => (ui.kept.where && ui.kept.where.has(id) ? ui.kept : ui.dropped);

const setFocus = (id, extend = false) => {
  if (id === null || id === undefined) return;
  if (extend) {
    if (anchor === null) anchor = focus ?? id;
    const order = paneOf(id).order;
    const [from, to] = [order.indexOf(anchor), order.indexOf(id)].sort((a, b) => a - b);
    if (from >= 0) selected = new Set(order.slice(from, to + 1));
  } else anchor = id;
  focus = id;
  const pane = paneOf(id);
  pane.reveal(id);
  pane.root.setAttribute('aria-activedescendant', `ldb-p${id}`);
  ui.kept.refresh();
  ui.dropped.refresh();
  bulk();
  tell(id);
};

// Where there are no keys to press, the photo in focus is answered by the same buttons.
const touch = matchMedia('(hover: none), (max-width: 900px)');
const bulk = () => {
  const one = touch.matches && focus !== null && !selected.size;
  ui.bulk.classList.toggle('on', selected.size > 0 || one);
  ui.closer.hidden = !one;
  ui.clear.hidden = one;
  ui.count.textContent = one ? photos[focus][0] : say('choose_selected', { n: selected.size });
};

const decide = async (keep, prefer = false) => {
  const chosen = selected.size ? [...selected] : focus === null ? [] : [focus];
  if (!chosen.length) return;
  const pane = paneOf(chosen[chosen.length - 1]);
  const order = pane.order;
  const gone = new Set(chosen);
  const next = order.slice(order.indexOf(chosen[chosen.length - 1]) + 1).find((id) => !gone.has(id)) ?? order.filter((id) => !gone.has(id)).pop();
  await change('decide', { photos: chosen, keep, prefer });
  selected.clear();
  // Of those to decide the other half may hold more; after the last one nothing is left to press a key on.
  const after = next === undefined && only === TO_DECIDE ? [...ui.kept.order, ...ui.dropped.order][0] ?? null : next;
  if (after === null) focus = null;
  else if (after !== undefined) setFocus(after);
  bulk();
  changed();
  if (ui.zoom.open) zoom();
};

const step = async (redo) => {
  settings = {};
  await change('undo', { redo });
  changed();
};

const keys = (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) {
    if (event.key.toLowerCase() === 'a' && event.target.role === 'listbox') {
      event.preventDefault();
      selected = new Set((event.currentTarget === ui.kept.root ? ui.kept : ui.dropped).order);
      ui.kept.refresh(); ui.dropped.refresh(); bulk();
    }
    return;
  }
  const pane = focus === null ? ui.kept : paneOf(focus);
  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (moves[key]) setFocus(pane.beside(focus, ...moves[key]), event.shiftKey);
  else if (key === 'k') decide(true);
  else if (key === 'd') decide(false);
  else if (key === 'a') decide(null);
  else if (key === 'u') step(event.shiftKey);
  else if (key === ' ') { if (ui.zoom.open) ui.zoom.close(); else zoom(); }
  else if (key === 'x') { if (focus !== null) { if (!selected.delete(focus)) selected.add(focus); ui.kept.refresh(); ui.dropped.refresh(); bulk(); } }
  else if (key === 'Escape' && !ui.zoom.open) { selected.clear(); ui.kept.refresh(); ui.dropped.refresh(); bulk(); }
  else return;
  event.preventDefault();
};

// Thresholds: while a slider is dragged one question at a time is on its way, and the newest wins.
let dragging = false;
let asking = false;
let again = false;
const drag = async () => {
  if (asking) { again = true; return; }
  asking = true;
  do {
    again = false;
    const began = performance.now();
    await change('regroup', { settings });
    host.dataset.regroup = (performance.now() - began).toFixed(0);
  } while (again);
  asking = false;
};

const keepSettings = async () => {
  dragging = false;
  const moved = settings;
  settings = {};
  await change('tune', { settings: moved });
  changed();
};

const slider = (control) => {
  const shown = h('output', {}, String(control.value));
  const input = h('input', {
    type: 'range', min: control.min, max: control.max, step: control.step, value: control.value, id: `ldb-set-${control.name}`,
    'aria-describedby': `ldb-info-${control.name}`,
    oninput: () => { dragging = true; shown.textContent = input.value; settings[control.name] = Number(input.value); drag(); },
    onchange: keepSettings,
  });
  return h('div', { class: `ldb-control${control.value === control.default ? '' : ' moved'}` },
    h('label', { for: `ldb-set-${control.name}` }, control.label), shown, input,
    h('p', { class: 'ldb-hint', id: `ldb-info-${control.name}` }, control.info));
};

const choice = (control) => h('div', { class: 'ldb-control' },
  h('label', { for: `ldb-set-${control.name}` }, control.label),
  h('select', {
    id: `ldb-set-${control.name}`, onchange: (event) => { settings[control.name] = event.target.value; keepSettings(); },
  }, control.options.map(([value, label]) => h('option', { value, selected: value === control.value }, label))),
  h('p', { class: 'ldb-hint' }, control.info));

const checks = (control) => h('div', { class: 'ldb-control', role: 'group', 'aria-labelledby': `ldb-name-${control.name}` },
  h('span', { id: `ldb-name-${control.name}` }, control.label),
  control.checks.map(([value, label]) => h('label', { class: 'check' }, h('input', {
    type: 'checkbox', id: `ldb-set-${control.name}-${value}`, checked: control.value.includes(value),
    // As ticked in the page: an answer may still be on its way.
    onchange: (event) => {
      const boxes = event.target.closest('.ldb-control').querySelectorAll('input');
      settings[control.name] = control.checks.map(([kind]) => kind).filter((kind, at) => boxes[at].checked);
      keepSettings();
    },
  }), label)),
  h('p', { class: 'ldb-hint' }, control.info));

const tune = (groups) => {
  const held = document.activeElement && ui.tune.contains(document.activeElement) ? document.activeElement.id : null;
  ui.tune.replaceChildren(...groups.map((group) => h('fieldset', {}, h('legend', {}, group.title),
    group.rows.map((control) => (control.checks ? checks : control.options ? choice : slider)(control)))),
  h('button', {
    type: 'button', class: 'ldb-plain', onclick: () => {
      for (const group of groups) for (const control of group.rows) settings[control.name] = control.default;
      keepSettings();
    },
  }, say('choose_reset')));
  if (held) document.getElementById(held)?.focus();
};

const cover = (panel) => {
  const most = Math.max(1, panel.kept);
  ui.cover.replaceChildren(
    h('ul', { class: 'ldb-advice' }, panel.advice.length ? panel.advice.map((line) => h('li', {}, line)) : h('li', { class: 'fine' }, say('cover_fine'))),
    ...panel.groups.map((group) => h('section', {}, h('h3', {}, group.name),
      group.rows.map(([label, count]) => h('div', { class: `ldb-cover${count ? '' : ' zero'}` }, h('span', {}, label),
        h('span', { class: 'track' }, h('span', { style: `width:${(100 * count) / most}%` })), h('span', { class: 'count' }, String(count)))))));
};

// On a phone one half is in sight: the one that holds something to decide.
const turn = () => {
  if ((narrow === 'kept' ? ui.kept : ui.dropped).order.length) return;
  narrow = narrow === 'kept' ? 'dropped' : 'kept';
  host.dataset.narrow = narrow;
  ui[narrow].layout();
};

const openPanel = (name) => {
  opened = opened === name ? null : name;
  for (const key of ['tune', 'cover']) {
    ui[key].hidden = opened !== key;
    ui[`${key}Button`].setAttribute('aria-expanded', String(opened === key));
  }
  host.classList.toggle('open', opened !== null);
};

const build = () => {
  const button = (text, act, more = {}) => h('button', { type: 'button', onclick: act, ...more }, text);
  const pane = (label, empty) => new Pane({ label, tile: [92, 132], draw, update, empty });
  ui = { kept: pane(say('choose_kept'), say('choose_none_kept')), dropped: pane(say('choose_dropped'), say('choose_none_dropped')) };
  ui.keptTitle = h('h2', {});
  ui.droppedTitle = h('h2', {});
  ui.keptTab = button('', () => { narrow = 'kept'; host.dataset.narrow = narrow; ui.kept.layout(); });
  ui.droppedTab = button('', () => { narrow = 'dropped'; host.dataset.narrow = narrow; ui.dropped.layout(); });
  ui.undo = button(say('choose_undo'), () => step(false), { id: 'ldb-undo', disabled: true });
  ui.redo = button(say('choose_redo'), () => step(true), { id: 'ldb-redo', disabled: true });
  ui.filter = h('select', { 'aria-label': say('choose_filter'), id: 'ldb-filter', onchange: (event) => { only = Number(event.target.value); relayout(); if (only === TO_DECIDE) turn(); } });
  const views = ['side', 'groups'].map((name) => button(say(`choose_${name}`), () => {
    mode = name;
    views.forEach((view, i) => view.setAttribute('aria-pressed', String(['side', 'groups'][i] === mode)));
    relayout();
  }, { 'aria-pressed': String(mode === name), id: `ldb-view-${name}` }));
  ui.tuneButton = button(say('choose_tune'), () => openPanel('tune'), { id: 'ldb-tune', 'aria-expanded': 'false' });
  ui.coverButton = button(say('choose_cover'), () => openPanel('cover'), { id: 'ldb-cover', 'aria-expanded': 'false' });
  ui.count = h('span', {});
  ui.closer = button(say('choose_closer'), zoom);
  ui.clear = button(say('choose_clear'), () => { selected.clear(); ui.kept.refresh(); ui.dropped.refresh(); bulk(); });
  ui.bulk = h('div', { class: 'ldb-bulk', role: 'toolbar' }, ui.count,
    button(say('choose_keep'), () => decide(true)), button(say('choose_drop'), () => decide(false)), button(say('choose_auto'), () => decide(null)),
    ui.closer, ui.clear);
  ui.status = h('span', { class: 'ldb-hint', role: 'status' });
  ui.why = h('div', { class: 'ldb-why' }, h('p', { class: 'ldb-hint' }, say('choose_hint')));
  ui.tune = h('div', { class: 'ldb-panelbox', hidden: true });
  ui.cover = h('div', { class: 'ldb-panelbox', hidden: true });
  ui.zoom = ui.zoom || new Zoom();
  host.dataset.narrow = narrow;
  host.replaceChildren(
    h('div', { class: 'ldb-toolbar' },
      h('span', { class: 'ldb-seg', role: 'group', 'aria-label': say('choose_view') }, views), ui.filter,
      h('span', { class: 'ldb-seg' }, ui.undo, ui.redo), ui.status,
      h('span', { class: 'ldb-seg end' }, ui.tuneButton, ui.coverButton)),
    h('div', { class: 'ldb-tabs' }, ui.keptTab, ui.droppedTab),
    h('div', { class: 'ldb-body' },
      h('section', { class: 'ldb-half kept' }, ui.keptTitle, ui.kept.root),
      h('section', { class: 'ldb-half dropped' }, ui.droppedTitle, ui.dropped.root),
      ui.tune, ui.cover, ui.bulk),
    ui.why,
    h('p', { class: 'ldb-hint ldb-keys' }, say('choose_keys')));
  for (const { root } of [ui.kept, ui.dropped]) {
    root.addEventListener('keydown', keys);
    root.addEventListener('focus', () => {
      const here = root === ui.kept.root ? ui.kept : ui.dropped;
      if (focus === null || !here.where || !here.where.has(focus)) setFocus(here.order[0]);
    });
    root.addEventListener('click', (event) => {
      const tile = event.target.closest('.ldb-tile');
      if (!tile) return;
      const id = Number(tile.dataset.id);
      if (event.ctrlKey || event.metaKey) { if (!selected.delete(id)) selected.add(id); }
      setFocus(id, event.shiftKey);
    });
    root.addEventListener('dblclick', zoom);
  }
  ui.zoom.root.addEventListener('keydown', (event) => { if (event.key !== 'Escape') keys(event); });
  ui.zoom.root.addEventListener('close', () => { if (focus !== null) paneOf(focus).root.focus(); });
};

let loaded = '';
const load = async () => {
  const value = props.value;
  if (!value.words) return;
  if (!value.project) { host.replaceChildren(h('p', { class: 'ldb-empty' }, say('choose_empty'))); loaded = ''; return; }
  const key = `${value.project} ${value.language} ${value.moment} ${value.busy}`;
  if (key === loaded) return;
  loaded = key;
  const answer = await server.load(place());
  if (loaded !== key) return;
  if (!answer || answer.error || !(answer.photos.length || answer.problems.length)) {
    host.replaceChildren(h('p', { class: 'ldb-empty' }, answer && answer.error ? answer.error : say(value.busy ? 'choose_busy' : 'choose_empty')));
    return;
  }
  const kept = focus;
  photos = answer.photos;
  rows = [];
  settings = {};
  stories = new Map();
  selected = new Set();
  const shown = opened;
  opened = null;
  build();
  apply(answer);
  relayout();
  if (shown) openPanel(shown);
  if (answer.problems.length) ui.status.textContent = say('choose_problems', { n: answer.problems.length });
  focus = kept !== null && kept < photos.length ? kept : null;
  host.dataset.ready = 'yes';
};

load();
watch('value', load);
