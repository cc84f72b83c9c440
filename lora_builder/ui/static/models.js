// The vision models by priority: order, what each is asked for, limits and prices. Saved at every change.
const host = element.querySelector('.ldb-models');
const NUMBERS = ['per_minute', 'per_day', 'parallel', 'price_in', 'price_out'];
let models = [];

const send = async (list, focus) => {
  const answer = await server.arrange_models({ ...place(), models: list });
  alarm.hidden = !(answer && answer.error);
  alarm.textContent = (answer && answer.error) || '';
  if (answer && answer.models) { models = answer.models; trigger('changed', {}); }
  draw(focus);
};
const alarm = h('p', { class: 'ldb-notice', role: 'alert', hidden: true });

const moved = (from, to) => {
  const list = [...models];
  list.splice(to, 0, ...list.splice(from, 1));
  send(list, `ldb-model-${to < from ? 'up' : 'down'}-${to}`);
};
const changed = (at, name, value) => send(models.map((one, i) => (i === at ? { ...one, [name]: value } : one)), `ldb-model-${name}-${at}`);

const number = (one, at, name) => h('input', {
  type: 'number', id: `ldb-model-${name}-${at}`, min: name.startsWith('price') ? 0 : 1, step: name.startsWith('price') ? 'any' : 1,
  value: one[name] === null ? '' : one[name], 'aria-label': `${say(`models_${name}`)}: ${one.model}`, placeholder: '–',
  onchange: (event) => changed(at, name, event.target.value === '' ? null : Number(event.target.value)),
});
const tick = (one, at, name) => h('input', {
  type: 'checkbox', id: `ldb-model-${name}-${at}`, checked: one[name], 'aria-label': `${say(`models_${name}`)}: ${one.model}`,
  onchange: (event) => changed(at, name, event.target.checked),
});
const arrow = (one, at, to, way) => h('button', {
  type: 'button', id: `ldb-model-${way}-${at}`, disabled: to < 0 || to >= models.length,
  'aria-label': `${say(`models_${way}`)}: ${one.model}`, title: say(`models_${way}`), onclick: () => moved(at, to),
}, way === 'up' ? '↑' : '↓');

const row = (one, at) => h('tr', {},
  h('th', { scope: 'row' }, `${at + 1}. ${one.model}`, h('br'), h('small', {}, one.host)),
  h('td', {}, arrow(one, at, at - 1, 'up'), arrow(one, at, at + 1, 'down')),
  h('td', {}, tick(one, at, 'captions')), h('td', {}, tick(one, at, 'focus')),
  NUMBERS.map((name) => h('td', {}, number(one, at, name))),
  h('td', {}, h('button', {
    type: 'button', 'aria-label': `${say('models_remove')}: ${one.model}`, title: say('models_remove'),
    onclick: () => send(models.filter((other) => other !== one)),
  }, '✕')));

const draw = (focus) => {
  if (!models.length) { host.replaceChildren(alarm); return; }
  const names = ['order', 'captions', 'focus', ...NUMBERS];
  host.replaceChildren(alarm, h('table', {}, h('caption', {}, say('models_title')),
    h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, say('models_model')),
      names.map((name) => h('th', { scope: 'col' }, say(`models_${name}`))), h('th', {}))),
    h('tbody', {}, models.map(row))), h('p', { class: 'ldb-hint' }, say('models_info')));
  const held = focus && document.getElementById(focus);
  if (held) (held.disabled ? held.parentElement.querySelector('button:enabled') || held : held).focus();
};

const load = () => {
  if (!props.value.words) return;
  models = props.value.models || [];
  draw(document.activeElement && host.contains(document.activeElement) ? document.activeElement.id : null);
};
load();
watch('value', load);
