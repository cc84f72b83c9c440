// Edits, masks and backdrops: for all photos, the ticked ones or one, seen before and after. The page
// knows edits in the words of a recipe, `sharpen=0.4,mirror`; Python reads those and checks them.
const FIELDS = ['auto_levels', 'white_balance', 'denoise', 'sharpen', 'mirror', 'bystanders', 'backdrop'];
const BUILT_IN = ['gentle', 'phone', 'studio', 'private'];
const GREY = '#808080';
const CALM = 250; // ms without a change before the picture is made again

let photos = [];
let state = null; // {recipe, own: {key: recipe}, mask, feather, recipes}
let key = null; // the photo in hand
let scope = 'all';
const ticked = new Set();
let unsaved = new Set(); // photos whose own edits the server does not know yet

const read = (words) => Object.fromEntries(words.split(',').filter(Boolean).map((part) => {
  const [name, value] = part.split('=');
  return [name, value === undefined ? true : value];
}));
const write = (wanted) => FIELDS.filter((name) => wanted[name] && wanted[name] !== 'keep' && Number(wanted[name]) !== 0)
  .map((name) => (wanted[name] === true ? name : `${name}=${wanted[name]}`)).join(',');
const photo = () => photos.find((entry) => entry.key === key);
const edits = (of = key) => (of in state.own ? state.own[of] : state.recipe);
const subject = () => {
  if (scope === 'all') return state.recipe;
  if (scope === 'ticked' && ticked.size) return edits([...ticked][0]);
  return edits();
};

// The page

const choice = (name, options) => h('select', { id: `ldb-finish-${name}`, 'data-name': name }, options.map((value) => h('option', { value })));
const tick = (name) => h('input', { type: 'checkbox', id: `ldb-finish-${name}`, 'data-name': name });
const slide = (name, most, step) => h('input', { type: 'range', min: '0', max: String(most), step: String(step), id: `ldb-finish-${name}`, 'data-name': name });
const controls = {
  auto_levels: tick('auto_levels'), white_balance: tick('white_balance'),
  denoise: slide('denoise', 1, 0.05), sharpen: slide('sharpen', 1, 0.05), mirror: tick('mirror'),
  bystanders: choice('bystanders', ['keep', 'blur', 'exclude']),
  backdrop: choice('backdrop', ['keep', 'blur', 'colour']),
};
const colour = h('input', { type: 'color', value: GREY, id: 'ldb-finish-colour' });
const mask = choice('mask', ['none', 'subject', 'head', 'face']);
const feather = slide('feather', 64, 1);
const named = (control, boxed = false) => {
  const text = h('span');
  const figure = control.type === 'range' ? h('output') : null;
  return h('label', { class: boxed ? 'inline' : null, 'data-of': control.id }, ...(boxed ? [control, text] : [h('span', { class: 'row' }, text, figure), control]));
};
const rows = Object.fromEntries(Object.entries({ ...controls, colour, mask, feather })
  .map(([name, control]) => [name, named(control, control.type === 'checkbox')]));
const recipe = h('select', { id: 'ldb-finish-recipe' });
const recipeLabel = h('label', {}, h('span'), recipe);
const recipeName = h('input', { type: 'text', id: 'ldb-finish-name', maxlength: '40' });
const recipeSave = h('button', { type: 'button', id: 'ldb-finish-save' });
const recipeForget = h('button', { type: 'button', class: 'quiet' });
const recipeSaid = h('span', { class: 'note', role: 'status' });
const mirrorNote = h('p', { class: 'warn', role: 'note' });
const othersNote = h('p', { class: 'note' });
const maskNote = h('p', { class: 'warn', role: 'note' });
const scopes = h('div', { class: 'row', role: 'group' }, ['all', 'this', 'ticked'].map((name) => h('button', {
  type: 'button', 'data-scope': name, onclick: () => { scope = name; dress(); },
})));
const scopeTitle = h('h3');
const ownNote = h('div', { class: 'row' }, h('p', { class: 'note' }), h('button', { type: 'button', onclick: () => as_all() }));
const before = h('img', { alt: '' });
const after = h('img', { alt: '', id: 'ldb-finish-after' });
const pair = h('div', { class: 'pair' }, h('figure', {}, before, h('figcaption')), h('figure', {}, after, h('figcaption')));
const showMask = h('input', { type: 'checkbox', checked: true });
const showMaskLabel = h('label', { class: 'inline' }, showMask, h('span'));
const trained = h('p', { class: 'note' });
const strip = h('div', { class: 'strip', role: 'group' });
const title = h('strong');
const summary = h('span', { class: 'note', id: 'ldb-finish-now' });
const hint = h('p', { class: 'note' });
const panel = h('details', { id: 'ldb-finish' }, h('summary', {}, title, ' ', summary),
  h('div', { class: 'bar' }, hint, h('div', { class: 'row end' }, saved, history_buttons())), alarm,
  h('div', { class: 'desk' },
    h('div', { class: 'work' }, pair, h('div', { class: 'row' }, showMaskLabel, trained), strip),
    h('div', { class: 'side' }, scopeTitle, scopes, ownNote, recipeLabel,
      rows.auto_levels, rows.white_balance, rows.denoise, rows.sharpen, rows.mirror, mirrorNote,
      rows.bystanders, othersNote, maskNote, rows.backdrop, rows.colour,
      h('div', { class: 'row' }, recipeName, recipeSave, recipeForget, recipeSaid),
      h('hr'), rows.mask, rows.feather)), spoken);

// Saving, and taking back

const store = saver(
  (name, wanted) => {
    const own = Object.fromEntries([...unsaved].map((one) => [one, one in wanted.own ? wanted.own[one] : null]));
    return ask('save_finish', { recipe: wanted.recipe, mask: wanted.mask, feather: wanted.feather, own });
  },
  (name, answer) => {
    if (answer) { unsaved = new Set(); state = { ...state, ...answer }; } else revert();
    dress();
  });
function history_buttons() { return h('span', { class: 'row', id: 'ldb-finish-past' }); }
const past = memory(async ({ was, is }, forward) => put(forward ? is : was));

const copy = () => ({ recipe: state.recipe, own: { ...state.own }, mask: state.mask, feather: state.feather });
const put = (wanted) => {
  for (const one of new Set([...Object.keys(state.own), ...Object.keys(wanted.own)])) {
    if (state.own[one] !== wanted.own[one]) unsaved.add(one);
  }
  Object.assign(state, wanted);
  store.put('all', copy());
  dress();
};
const change = (alter) => {
  const was = copy();
  const is = copy();
  alter(is);
  if (JSON.stringify(was) === JSON.stringify(is)) return;
  past.add({ was, is });
  put(is);
};
const revert = async () => {
  unsaved = new Set();
  state = { ...state, ...await ask('open_finish') };
  dress();
};
const use = (words) => change((is) => {
  if (scope === 'all') is.recipe = words;
  else for (const one of scope === 'ticked' ? ticked : [key]) is.own[one] = words;
});
const as_all = () => change((is) => { delete is.own[key]; });

// What the controls say

const chosen = () => {
  const wanted = {};
  for (const [name, control] of Object.entries(controls)) wanted[name] = control.type === 'checkbox' ? control.checked : control.value;
  if (wanted.backdrop === 'colour') wanted.backdrop = colour.value;
  return write(wanted);
};
for (const control of [...Object.values(controls), colour]) {
  control.addEventListener('change', () => use(chosen()));
  control.addEventListener('input', () => { figures(); look(chosen()); });
}
mask.addEventListener('change', () => change((is) => { is.mask = mask.value; }));
feather.addEventListener('change', () => change((is) => { is.feather = Number(feather.value); }));
feather.addEventListener('input', () => figures());
recipe.addEventListener('change', () => { if (recipe.value !== 'own') use(recipe.value); });
showMask.addEventListener('change', () => draw());
recipeSave.addEventListener('click', () => name_it(chosen(), 'finish_recipe_saved'));
recipeForget.addEventListener('click', () => name_it(null, 'finish_recipe_gone'));
const name_it = async (words, done) => {
  const mine = state.recipes.find(([, value, own]) => own && value === subject());
  try {
    const name = words === null ? mine[0] : recipeName.value;
    state.recipes = (await ask('name_recipe', { name, edits: words })).recipes;
    recipeName.value = '';
    recipeSaid.textContent = say(done);
    complain(null);
  } catch (error) { complain(error); }
  dress();
};

const figures = () => {
  for (const [name, row] of Object.entries(rows)) {
    const control = { ...controls, feather }[name];
    if (control && control.type === 'range') row.querySelector('output').textContent = name === 'feather' ? control.value : `${Math.round(100 * control.value)}%`;
  }
};

/** A recipe by its name, else by what it does. */
const inWords = (words) => {
  if (!words) return say('finish_none');
  const found = state.recipes.find(([, known]) => known === words);
  if (found) return BUILT_IN.includes(found[0]) ? say(`finish_recipe_${found[0]}`) : found[0];
  return FIELDS.filter((name) => name in read(words)).map((name) => say(`finish_${name}`)).join(', ');
};

/** Everything as the state says. */
const dress = () => {
  if (!state || !key) return;
  const wanted = read(subject());
  for (const [name, control] of Object.entries(controls)) {
    if (control.type === 'checkbox') control.checked = Boolean(wanted[name]);
    else if (control.type === 'range') control.value = String(wanted[name] || 0);
  }
  controls.bystanders.value = wanted.bystanders || 'keep';
  const plain = String(wanted.backdrop || '').startsWith('#');
  controls.backdrop.value = plain ? 'colour' : wanted.backdrop || 'keep';
  if (plain) colour.value = wanted.backdrop;
  rows.colour.hidden = !plain;
  mask.value = state.mask;
  feather.value = String(state.feather);
  rows.feather.hidden = state.mask === 'none';
  figures();
  recipe.replaceChildren(h('option', { value: '' }, say('finish_recipe_plain')),
    ...state.recipes.map(([name, words]) => h('option', { value: words }, BUILT_IN.includes(name) ? say(`finish_recipe_${name}`) : name)),
    h('option', { value: 'own' }, say('finish_recipe_own')));
  recipe.value = [...recipe.options].some((option) => option.value === subject()) ? subject() : 'own';
  recipeForget.hidden = !state.recipes.some(([, words, own]) => own && words === subject());
  recipeSave.disabled = !subject();
  mirrorNote.hidden = !wanted.mirror;
  maskNote.hidden = !(wanted.bystanders === 'exclude' && state.mask === 'none');
  const { others } = photo();
  othersNote.hidden = !others;
  othersNote.textContent = say('finish_others', { n: others });
  ownNote.hidden = !(key in state.own);
  for (const button of scopes.children) {
    const name = button.dataset.scope;
    button.setAttribute('aria-pressed', String(name === scope));
    button.textContent = say(`finish_for_${name}`, { n: ticked.size });
    button.disabled = name === 'ticked' && !ticked.size;
  }
  const own = Object.keys(state.own).length;
  const said = [inWords(state.recipe), state.mask === 'none' ? '' : `${say('finish_mask')}: ${say(`finish_mask_${state.mask}`)}`,
    own ? say('finish_own_count', { n: own }) : ''];
  summary.textContent = said.filter(Boolean).join(' · ');
  for (const item of strip.children) {
    item.classList.toggle('mine', item.dataset.photo in state.own);
    item.firstChild.checked = ticked.has(item.dataset.photo);
    item.lastChild.setAttribute('aria-current', String(item.dataset.photo === key));
  }
  look(edits());
};

// The picture before and after

let made = null;
let asked = '';
let timer = 0;
const look = (words) => {
  if (!panel.open) return;
  const wanted = JSON.stringify([key, words, mask.value, feather.value]);
  if (wanted === asked) return;
  asked = wanted;
  clearTimeout(timer);
  pair.classList.add('loading');
  timer = setTimeout(async () => {
    try {
      const answer = await ask('see_finish', { key, edits: words, mask: mask.value, feather: Number(feather.value) });
      if (wanted !== asked) return;
      made = answer;
      complain(null);
      pair.dataset.shown = words;
    } catch (error) {
      if (wanted !== asked) return;
      asked = '';
      made = null;
      complain(error);
    }
    draw();
  }, CALM);
};
const draw = () => {
  pair.classList.remove('loading');
  const masked = Boolean(made && made.masked);
  showMaskLabel.hidden = !masked;
  trained.textContent = masked ? say('finish_trained', { share: Math.round(100 * made.trained) }) : '';
  if (!made) { before.removeAttribute('src'); after.removeAttribute('src'); return; }
  before.src = made.before;
  after.src = masked && showMask.checked ? made.masked : made.after;
};
panel.addEventListener('toggle', () => { if (panel.open) dress(); });

const go = (to) => { key = to; if (scope === 'ticked' && !ticked.size) scope = 'all'; dress(); };
const fill = () => strip.replaceChildren(...photos.map((entry) => h('div', { class: 'item', 'data-photo': entry.key },
  h('input', {
    type: 'checkbox', 'aria-label': say('finish_tick', { name: entry.name }), onchange: (event) => {
      if (event.target.checked) ticked.add(entry.key); else ticked.delete(entry.key);
      scope = ticked.size ? 'ticked' : 'all';
      dress();
    },
  }),
  h('button', { type: 'button', title: entry.name, 'aria-label': say('finish_open', { name: entry.name }), onclick: () => go(entry.key) },
    h('img', { src: entry.thumb, alt: '', loading: 'lazy' })))));

const label = () => {
  const texts = [[title, 'title'], [hint, 'hint'], [recipeLabel.firstChild, 'recipe'], [recipeSave, 'recipe_save'], [recipeForget, 'recipe_forget'],
    [mirrorNote, 'mirror_warning'], [maskNote, 'no_mask'], [scopeTitle, 'for'], [ownNote.firstChild, 'own'], [ownNote.lastChild, 'as_all'],
    [showMaskLabel.lastChild, 'show_mask']];
  for (const [node, name] of texts) node.textContent = say(`finish_${name}`);
  for (const [name, row] of Object.entries(rows)) {
    const text = row.querySelector('span > span') || row.querySelector('span');
    text.textContent = say(`finish_${name}`);
  }
  for (const select of [controls.bystanders, controls.backdrop, mask]) {
    for (const option of select.options) option.textContent = say(`finish_${select.dataset.name}_${option.value}`);
  }
  recipeName.placeholder = say('finish_recipe_name');
  recipeName.setAttribute('aria-label', say('finish_recipe_name'));
  before.alt = say('finish_before');
  after.alt = say('finish_after');
  pair.firstChild.lastChild.textContent = say('finish_before');
  pair.lastChild.lastChild.textContent = say('finish_after');
  scopes.setAttribute('aria-label', say('finish_for'));
  panel.querySelector('#ldb-finish-past').replaceChildren(past.undo, past.redo);
  past.label();
  tell('saved');
};

atEachVisit(async (fresh) => {
  await store.rest();
  const answer = await ask('open_finish');
  if (!fresh()) return;
  ({ photos, ...state } = answer);
  for (const one of [...ticked]) if (!photos.some((entry) => entry.key === one)) ticked.delete(one);
  if (!ticked.size && scope === 'ticked') scope = 'all';
  past.clear();
  asked = '';
  if (!root.contains(panel)) root.replaceChildren(panel);
  root.hidden = !photos.length;
  label();
  fill();
  const wanted = [props.value.photo, key].find((one) => photos.some((entry) => entry.key === one));
  if (photos.length) go(wanted || photos[0].key);
}, () => { root.replaceChildren(); });
