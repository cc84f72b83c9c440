// The way of six steps, the language, light and dark. Value: the place, marks, words (see Shell.place).
const host = element.querySelector('.ldb-nav');
const ORDER = ['photos', 'people', 'choose', 'crop', 'caption', 'export'];

const dark = () => document.body.classList.contains('dark');
const paint = (theme) => {
  document.body.classList.toggle('dark', theme === 'dark');
};
try {
  const kept = localStorage.getItem('ldb-theme');
  if (kept) paint(kept);
} catch { /* storage may be forbidden: then the system's choice holds */ }

const address = () => {
  const url = new URL(location.href);
  const { project, step } = props.value;
  if (project) url.searchParams.set('project', project); else url.searchParams.delete('project');
  url.searchParams.set('step', step);
  url.searchParams.delete('photo'); // it led here once
  if (url.href !== location.href) history.replaceState(null, '', url);
};

// When a run should start: typed in this browser's own time zone.
let asking = false;
let typed = '';
const later = () => {
  const now = new Date(Date.now() - new Date().getTimezoneOffset() * 60000).toISOString().slice(0, 16);
  const box = h('input', { type: 'datetime-local', id: 'ldb-at', min: now, value: typed, oninput: (event) => { typed = event.target.value; } });
  const go = () => {
    const at = typed ? new Date(typed).getTime() / 1000 : null;
    asking = false;
    typed = '';
    trigger('run', at ? { at } : {});
  };
  return h('p', { class: 'ldb-later' }, h('label', { for: 'ldb-at' }, say('nav_at')), box,
    h('button', { type: 'button', id: 'ldb-at-go', onclick: go }, say('nav_at_go')),
    h('span', { class: 'ldb-hint' }, say('nav_at_info')));
};

const draw = () => {
  const value = props.value;
  const held = document.activeElement && host.contains(document.activeElement) ? document.activeElement.id : null;
  const steps = ORDER.map((name, index) => {
    const mark = value.marks[name] || 'todo';
    const here = name === value.step;
    const note = mark === 'stale' ? say('nav_stale') : mark === 'done' ? say('nav_done') : '';
    return h('li', {},
      h('button', {
        type: 'button', id: `ldb-go-${name}`, class: `ldb-go ${mark}${here ? ' here' : ''}`,
        'aria-current': here ? 'step' : null, title: note || null,
        onclick: () => trigger('go', { step: name }),
      },
      h('span', { class: 'n', 'aria-hidden': 'true' }, mark === 'done' && !here ? '✓' : mark === 'stale' ? '↻' : String(index + 1)),
      h('span', { class: 't' }, say(`step_${name}`)),
      note ? h('span', { class: 'ldb-sr' }, ` (${note})`) : null));
  });
  const languages = Object.entries(value.languages).map(([code, name]) => h('button', {
    type: 'button', lang: code, id: `ldb-speak-${code}`, 'aria-pressed': String(code === value.language),
    onclick: () => trigger('speak', { language: code }),
  }, name));
  const theme = h('button', {
    type: 'button', id: 'ldb-theme', 'aria-label': say('nav_theme'), title: say('nav_theme'),
    onclick: () => {
      const next = dark() ? 'light' : 'dark';
      paint(next);
      try { localStorage.setItem('ldb-theme', next); } catch { /* see above */ }
    },
  }, '◐');
  const stale = value.marks[value.step] === 'stale';
  host.replaceChildren(
    h('div', { class: 'ldb-bar1' },
      h('h1', {}, value.name || say('nav_title')),
      h('div', { class: 'ldb-tools' },
        value.project ? h('button', {
          type: 'button', class: 'ldb-all', id: 'ldb-run-all', disabled: value.busy, title: say('nav_all_info'),
          onclick: () => trigger('run', {}),
        }, say('nav_all')) : null,
        value.project ? h('button', {
          type: 'button', id: 'ldb-later', disabled: value.busy, title: say('nav_later'), 'aria-label': say('nav_later'),
          'aria-expanded': String(asking), onclick: () => { asking = !asking; draw(); document.getElementById('ldb-at')?.focus(); },
        }, '◷') : null,
        h('span', { class: 'ldb-seg', role: 'group', 'aria-label': say('nav_language') }, languages),
        theme)),
    asking && value.project && !value.busy ? later() : '',
    h('nav', { 'aria-label': say('nav_steps') }, h('ol', { class: 'ldb-way' }, steps)),
    stale && !value.busy ? h('p', { class: 'ldb-stale', role: 'status' }, say('nav_stale_long'), ' ',
      h('button', {
        type: 'button', id: 'ldb-redo-step',
        onclick: () => trigger('run', { step: value.step }),
      }, say('nav_redo'))) : '');
  document.documentElement.lang = value.language === 'zh' ? 'zh-CN' : 'en';
  document.title = value.name ? `${value.name} · ${say('nav_title')}` : say('nav_title');
  if (held) document.getElementById(held)?.focus();
  address();
};

if (props.value.words) draw();
watch('value', draw);
