// Who is in the photos. Every answer of the server is the whole state; nothing is kept here.
const host = element.querySelector('.ldb-people');
let state = null;
let last = Promise.resolve();

// One after the other, so that no answer overtakes another.
const call = (name, data = {}) => {
  host.setAttribute('aria-busy', 'true');
  last = last.then(async () => {
    const answer = await server[name]({ ...place(), ...data });
    host.removeAttribute('aria-busy');
    if (answer && answer.error) { draw(answer.error); return; }
    state = answer;
    draw('');
    if (name !== 'load') trigger('changed', {});
  }).catch(() => host.removeAttribute('aria-busy'));
};

const histogram = () => {
  const most = Math.max(1, ...state.bins);
  const wide = 100 / state.bins.length;
  const ns = 'http://www.w3.org/2000/svg';
  const svg = document.createElementNS(ns, 'svg');
  svg.setAttribute('viewBox', '0 0 100 60');
  svg.setAttribute('preserveAspectRatio', 'none');
  svg.setAttribute('aria-hidden', 'true');
  const bars = state.bins.map((count, at) => {
    const bar = document.createElementNS(ns, 'rect');
    const high = count ? Math.max(1.5, (58 * count) / most) : 0;
    for (const [name, value] of Object.entries({ x: at * wide + 0.1, width: wide - 0.2, y: 60 - high, height: high })) bar.setAttribute(name, value);
    svg.append(bar);
    return bar;
  });
  const title = h('p', {});
  const show = (value) => {
    bars.forEach((bar, at) => bar.setAttribute('class', (at + 0.5) / bars.length >= value ? 'bar in' : 'bar'));
    const passing = state.alike.filter((alike) => alike >= value).length;
    title.textContent = `${say('people_threshold', { value: Number(value).toFixed(2) })} · ${say('people_pass', { n: passing, all: state.photos })}`;
  };
  const input = h('input', {
    type: 'range', min: 0, max: 1, step: 0.01, value: state.threshold, 'aria-label': say('people_how'), id: 'ldb-threshold',
    oninput: () => show(input.value), onchange: () => call('threshold', { value: Number(input.value) }),
  });
  show(state.threshold);
  return h('section', {}, h('h2', { class: 'ldb-h2' }, say('people_how')), title,
    h('div', { class: 'ldb-histogram' }, svg, input), h('p', { class: 'ldb-hint' }, say('people_info')));
};

const references = (theirs) => {
  const names = theirs ? state.references : state.others;
  const file = h('input', { type: 'file', accept: 'image/*', class: 'ldb-sr', tabindex: -1, 'aria-hidden': 'true', id: theirs ? 'ldb-ref' : 'ldb-notref' });
  file.addEventListener('change', async () => {
    const chosen = file.files[0];
    if (!chosen) return;
    const { path } = await upload(chosen);
    call('refer', { path, name: chosen.name, theirs });
  });
  return h('section', {}, h('h3', {}, say(theirs ? 'people_refs' : 'people_others')),
    h('div', { class: 'ldb-refs' }, names.map((name) => h('span', {}, name)), file,
      names.length < 5 ? h('button', { type: 'button', onclick: () => file.click() }, say('people_add')) : null,
      names.length ? h('button', { type: 'button', onclick: () => call('refer', { theirs }) }, say('people_clear')) : null));
};

const person = (found, index) => h('li', { class: `ldb-person${found.subject ? ' subject' : ''}` },
  h('img', { src: found.cover, alt: '', loading: 'lazy' }),
  h('div', {},
    h('h3', {}, found.subject ? say('people_subject') : say('people_person', { n: index + 1 }), ' · ', say('people_photos', { n: found.photos })),
    h('div', { class: 'buttons' },
      h('button', { type: 'button', 'aria-pressed': String(found.mark === true), onclick: () => call('mark', { at: found.at, mark: found.mark === true ? null : true }) }, say('people_this')),
      h('button', { type: 'button', 'aria-pressed': String(found.mark === false), onclick: () => call('mark', { at: found.at, mark: found.mark === false ? null : false }) }, say('people_not')))),
  h('div', { class: 'ldb-faces' }, found.faces.map(([sha, at, picture, mark, name]) => h('button', {
    type: 'button', class: mark === false ? 'no' : mark === true ? 'yes' : null, 'aria-pressed': String(mark === false), title: name,
    'aria-label': say('people_face', { name }), onclick: () => call('mark', { at: [sha, at], mark: mark === null ? false : null }),
  }, h('img', { src: picture, alt: '', loading: 'lazy' })))));

// Where nobody appears twice, every face by itself.
const alone = (face) => h('li', { class: `ldb-person${face.subject ? ' subject' : ''}` },
  h('img', { src: face.picture, alt: '', loading: 'lazy' }),
  h('div', {},
    h('h3', { title: face.name }, face.subject ? `${say('people_subject')} · ` : '', face.name.slice(face.name.lastIndexOf('/') + 1)),
    h('div', { class: 'buttons' },
      h('button', { type: 'button', 'aria-pressed': String(face.mark === true), onclick: () => call('mark', { at: face.at, mark: face.mark === true ? null : true }) }, say('people_this')))));

const draw = (error) => {
  if (!state || !state.photos) { host.replaceChildren(h('p', { class: 'ldb-empty' }, error || say('people_empty'))); return; }
  host.replaceChildren(
    error ? h('p', { class: 'ldb-notice', role: 'alert' }, error) : '',
    h('p', { class: 'ldb-hint' }, say(state.people.length ? 'people_intro' : `people_${state.chosen}`), ' ', state.people.length ? say('people_faces') : '', ' ',
      state.undo ? h('button', { type: 'button', onclick: () => call('undo') }, say('people_undo')) : null),
    ...state.doubts.map((line) => h('p', { class: 'ldb-notice' }, line)),
    state.people.length || !state.alone.length ? '' : h('h2', { class: 'ldb-h2' }, say('people_found')),
    h('ul', { class: 'ldb-who' }, state.people.length ? state.people.map(person) : state.alone.map(alone)),
    h('div', { class: 'ldb-two' }, histogram(), h('div', {}, references(true), references(false))));
};

let loaded = '';
const load = () => {
  const value = props.value;
  if (!value.words) return;
  if (!value.project) { state = null; loaded = ''; draw(''); return; }
  const key = `${value.project} ${value.language} ${value.moment} ${value.busy}`;
  if (key === loaded) return;
  loaded = key;
  call('load');
};
load();
watch('value', load);
