// Prompt templates: choose, edit with a live preview on one photo, save, delete, export, import.
const host = element.querySelector('.ldb-prompts');
let state = null;
let draft = null;
let timer = 0;
let asked = 0;

const alarm = h('p', { class: 'ldb-notice', role: 'alert', hidden: true });
const said = h('p', { class: 'ldb-hint', role: 'status' });
const about = h('p', { class: 'ldb-hint' });
const preview = h('pre', { class: 'ldb-prompt', tabindex: 0 });

const call = async (name, data = {}) => {
  const answer = await server[name]({ ...place(), ...data });
  if (!answer) return null;
  alarm.hidden = !answer.error;
  alarm.textContent = answer.error || '';
  return answer.error ? null : answer;
};
const show = (answer) => {
  about.textContent = answer.photo ? say('prompt_of', { name: answer.photo }) : say('prompt_no_photo');
  preview.textContent = answer.prompt;
  preview.hidden = !answer.photo;
};
const take = (answer, words = '') => {
  if (!answer) return;
  state = answer;
  draft = { ...(state.templates.find((one) => one.name === state.chosen) || state.templates[0]) };
  said.textContent = words;
  draw();
  show(answer);
};
const sent = () => ({ name: draft.name, system: draft.system, user: draft.user, structured: draft.structured });

const typed = () => {
  clearTimeout(timer);
  timer = setTimeout(async () => {
    const mine = ++asked;
    const answer = await call('preview_template', sent());
    if (answer && mine === asked) show(answer);
  }, 300);
};
const field = (name, tag, more = {}) => {
  const box = h(tag, { id: `ldb-prompt-${name}`, value: draft[name], oninput: () => { draft[name] = box.value; typed(); }, ...more });
  return h('label', {}, say(`prompt_${name}`), box);
};
const insert = (name) => {
  const box = document.getElementById('ldb-prompt-user');
  box.setRangeText(`{${name}}`, box.selectionStart, box.selectionEnd, 'end');
  draft.user = box.value;
  box.focus();
  typed();
};
const save = async () => {
  const answer = await call('save_template', sent());
  if (!answer) return;
  take(answer, say('prompt_saved', { name: draft.name }));
  trigger('changed', {});
};
const download = async () => {
  const answer = await call('export_template', sent());
  if (!answer) return;
  const link = h('a', { href: URL.createObjectURL(new Blob([answer.text], { type: 'application/json' })), download: answer.file });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
};
const readFile = async (file) => {
  if (!file) return;
  if (file.size > 200000) { alarm.hidden = false; alarm.textContent = say('prompt_no_template'); return; }
  const answer = await call('import_template', { text: await file.text() });
  if (!answer) return;
  draft = answer.template;
  said.textContent = say('prompt_imported');
  draw();
  show(answer);
};

const draw = () => {
  const files = h('input', { type: 'file', accept: '.json,application/json', hidden: true, id: 'ldb-prompt-file', onchange: (event) => readFile(event.target.files[0]) });
  const known = state.templates.find((one) => one.name === draft.name);
  const button = (name, act, more = {}) => h('button', { type: 'button', id: `ldb-prompt-${name}`, onclick: act, ...more }, say(`prompt_${name}`));
  host.replaceChildren(
    h('label', {}, say('prompt_template'), h('select', {
      id: 'ldb-prompt-choice', onchange: async (event) => { take(await call('choose_template', { name: event.target.value })); trigger('changed', {}); },
    }, state.templates.map((one) => h('option', { value: one.name, selected: one.name === state.chosen }, one.own ? `${one.name} ★` : one.name)))),
    h('details', { id: 'ldb-prompt-edit', open: host.querySelector('details')?.open || (known ? null : true) },
      h('summary', {}, say('prompt_edit')),
      field('name', 'input', { type: 'text', maxlength: 100 }), field('system', 'textarea', { rows: 4 }), field('user', 'textarea', { rows: 8 }),
      h('p', { class: 'ldb-hint variables' }, say('prompt_variables'), ' ', state.variables.map((name) => h('button', { type: 'button', onclick: () => insert(name) }, `{${name}}`))),
      h('label', { class: 'line' }, h('input', { type: 'checkbox', checked: draft.structured, onchange: (event) => { draft.structured = event.target.checked; typed(); } }), say('prompt_structured')),
      h('div', { class: 'acts' }, button('save', save, { class: 'primary' }), button('export', download), button('import', () => files.click()), files,
        known && known.own ? button('delete', async () => { take(await call('delete_template', { name: known.name })); trigger('changed', {}); }) : null)),
    alarm, said, about, preview);
};

let loaded = '';
const load = async () => {
  const value = props.value;
  if (!value.words || !value.project) { loaded = ''; host.replaceChildren(); return; }
  const key = `${value.project} ${value.language} ${value.moment} ${value.rules}`;
  if (key === loaded) return;
  loaded = key;
  take(await call('open_templates'));
};
load();
watch('value', load);
