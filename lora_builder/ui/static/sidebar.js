// The visitor's projects: search, filter, make, rename, copy, delete. Value: place, projects, words.
const host = element.querySelector('.ldb-projects');
let search = '';
let state = 'all';
let asking = null; // {id, what: 'rename' | 'delete' | 'menu'}

const list = h('ul', { class: 'ldb-list' });

const act = (what, project, more = {}) => {
  asking = null;
  trigger('act', { what, project, ...more });
};

const row = (project) => {
  const open = project.id === props.value.project;
  const line = h('li', { class: open ? 'open' : null });
  if (asking && asking.id === project.id && asking.what === 'rename') {
    const box = h('input', { type: 'text', value: project.name, maxlength: 120, 'aria-label': say('side_rename') });
    const save = () => act('rename', project.id, { name: box.value });
    box.addEventListener('keydown', (event) => {
      if (event.key === 'Enter') save();
      if (event.key === 'Escape') { asking = null; fill(); }
    });
    line.append(h('div', { class: 'ask' }, box, h('button', { type: 'button', onclick: save }, say('side_save'))));
    queueMicrotask(() => { box.focus(); box.select(); });
    return line;
  }
  line.append(
    h('button', {
      type: 'button', class: 'name', 'aria-current': open ? 'true' : null,
      onclick: () => trigger('act', { what: 'open', project: project.id }),
    },
    h('span', { class: 't' }, project.name),
    h('span', { class: `s ${project.state}` }, `${say(`side_${project.state}`)}${project.start ? ` ${moment(project.start)}` : ''}${project.count ? ` · ${project.count}` : ''}`)),
    h('button', {
      type: 'button', class: 'more', 'aria-label': say('side_more', { name: project.name }),
      'aria-expanded': String(Boolean(asking && asking.id === project.id)),
      onclick: () => { asking = asking && asking.id === project.id ? null : { id: project.id, what: 'menu' }; fill(); },
    }, '⋯'));
  if (asking && asking.id === project.id) {
    if (asking.what === 'menu') {
      line.append(h('div', { class: 'menu' },
        h('button', { type: 'button', onclick: () => { asking = { id: project.id, what: 'rename' }; fill(); } }, say('side_rename')),
        h('button', { type: 'button', onclick: () => act('duplicate', project.id) }, say('side_duplicate')),
        project.state === 'queued' ? h('button', { type: 'button', onclick: () => act('hurry', project.id) }, say('side_hurry')) : null,
        project.start ? h('button', { type: 'button', onclick: () => act('begin', project.id) }, say('side_begin')) : null,
        project.start ? h('button', { type: 'button', onclick: () => act('call_off', project.id) }, say('side_call_off')) : null,
        h('button', { type: 'button', class: 'danger', onclick: () => { asking = { id: project.id, what: 'delete' }; fill(); } }, say('side_delete'))));
    } else {
      line.append(h('div', { class: 'menu', role: 'alert' }, h('p', {}, say('side_delete_sure')),
        h('button', { type: 'button', class: 'danger', onclick: () => act('delete', project.id) }, say('side_delete_yes')),
        h('button', { type: 'button', onclick: () => { asking = null; fill(); } }, say('side_no'))));
    }
  }
  return line;
};

// A token for the visitor's own programs; it is shown once, and only its fingerprint is kept.
const access = () => {
  const { token, tokened } = props.value;
  const fold = h('details', { class: 'access', open: Boolean(token) }, h('summary', { id: 'ldb-access' }, say('side_access')),
    h('p', { class: 'note' }, say(token ? 'side_access_once' : tokened ? 'side_access_made' : 'side_access_info')));
  if (token) {
    fold.append(h('input', { type: 'text', id: 'ldb-token', readonly: true, value: token, 'aria-label': say('side_access'), onfocus: (event) => event.target.select() }));
    queueMicrotask(() => document.getElementById('ldb-token')?.focus());
  } else {
    fold.append(h('button', { type: 'button', id: 'ldb-make-token', onclick: () => act('token', null) }, say(tokened ? 'side_access_anew' : 'side_access_make')),
      tokened ? h('button', { type: 'button', id: 'ldb-revoke-token', onclick: () => act('revoke', null) }, say('side_access_revoke')) : '');
  }
  return fold;
};

const fill = () => {
  const all = props.value.projects;
  const found = all.filter((project) => (state === 'all' || project.state === state)
    && project.name.toLowerCase().includes(search.toLowerCase()));
  list.replaceChildren(...found.map(row));
  if (!found.length) list.append(h('li', { class: 'none' }, say(all.length ? 'side_none' : 'side_empty')));
};

// Signing in leaves the page, and comes back to where it was.
const account = () => {
  const { name, enter, leave } = props.value.account || {};
  const back = encodeURIComponent(`/${location.search}`);
  const at = (address) => `${address}?_target_url=${back}`;
  if (enter) return h('p', {}, h('a', { class: 'enter', id: 'ldb-enter', href: at(enter), title: say('side_enter_info') }, say('side_enter')));
  if (!name) return '';
  return h('p', { class: 'note' }, say('side_account', { name }), ' ', h('a', { id: 'ldb-leave', href: at(leave) }, say('side_leave')));
};

const draw = () => {
  const states = ['all', ...new Set(props.value.projects.map((project) => project.state))];
  if (!states.includes(state)) state = 'all';
  const many = props.value.projects.length > 3;
  host.replaceChildren(
    h('details', { class: 'ldb-fold', open: element.dataset.open !== 'no' },
      h('summary', {}, say('side_title')),
      h('button', { type: 'button', class: 'new', id: 'ldb-new', onclick: () => act('create', null) }, `+ ${say('side_new')}`),
      many ? h('input', {
        type: 'search', value: search, placeholder: say('side_search'), 'aria-label': say('side_search'),
        oninput: (event) => { search = event.target.value; fill(); },
      }) : '',
      many ? h('select', {
        'aria-label': say('side_filter'), onchange: (event) => { state = event.target.value; fill(); },
      }, states.map((name) => h('option', { value: name, selected: name === state }, say(`side_${name}`)))) : '',
      list,
      h('div', { class: 'foot' },
        h('button', { type: 'button', id: 'ldb-forget', onclick: () => { forget.hidden = false; forget.querySelector('button').focus(); } }, say('side_forget')))));
  const forget = h('div', { class: 'menu', role: 'alert', hidden: true }, h('p', {}, say('side_forget_sure')),
    h('button', { type: 'button', class: 'danger', onclick: () => act('forget', null) }, say('side_delete_yes')),
    h('button', { type: 'button', onclick: () => { forget.hidden = true; } }, say('side_no')));
  host.querySelector('.foot').append(forget);
  host.querySelector('.foot').prepend(account());
  host.querySelector('.foot').append(access());
  if (props.value.log) host.querySelector('.foot').append(h('a', { href: 'log', target: '_blank', id: 'ldb-log' }, say('side_log')));
  if (props.value.retention) host.querySelector('.foot').append(h('p', { class: 'note' }, props.value.retention));
  fill();
};

if (matchMedia('(max-width: 900px)').matches) element.dataset.open = 'no';
if (props.value.words) draw();
watch('value', draw);
