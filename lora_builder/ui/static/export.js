// What will be written, what is wrong with it, and the files. Every answer of the server is the whole state.
const host = element.querySelector('.ldb-export');
let state = null;

const call = async (name, data = {}) => {
  const answer = await server[name]({ ...place(), ...data });
  if (answer && answer.error) { host.replaceChildren(h('p', { class: 'ldb-notice', role: 'alert' }, answer.error)); return; }
  state = answer;
  draw();
  if (name !== 'load') trigger('changed', {});
};

const problem = (found) => h('li', { class: found.blocks ? 'blocks' : null },
  h('p', {}, found.blocks ? h('strong', {}, `${say('export_blocks')}: `) : null, found.text),
  found.images.length ? h('div', { class: 'pictures' }, found.images.map(([photo, name, picture]) => h('button', {
    type: 'button', title: name, 'aria-label': say('export_see', { name }), onclick: () => trigger('see', { step: found.step, photo }),
  }, h('img', { src: picture, alt: '', loading: 'lazy' }))), found.more > 0 ? h('span', {}, `+${found.more}`) : null) : null);

const command = (text) => {
  const said = h('span', { class: 'ldb-hint', role: 'status' });
  return h('div', { class: 'command' }, h('h4', {}, say('export_command')), h('pre', { tabindex: 0 }, text),
    h('button', {
      type: 'button', onclick: async () => {
        try { await navigator.clipboard.writeText(text); } catch {
          const box = h('textarea', { value: text });
          document.body.append(box); box.select(); document.execCommand('copy'); box.remove();
        }
        said.textContent = say('export_copied');
      },
    }, say('export_copy')), said);
};

// What a trainer really does to each picture: dark is cut off, the frame is the subject's face.
const opened = new Set();
const place_at = ([left, top, width, height]) => `left:${left}%;top:${top}%;width:${width}%;height:${height}%`;
const fate = (one) => h('button', {
  type: 'button', class: one.bad ? 'fate bad' : 'fate', title: say('export_see', { name: one.name }), onclick: () => trigger('see', { step: 'crop', photo: one.photo }),
}, h('span', { class: 'seen', style: `aspect-ratio:${one.size[0]}/${one.size[1]}` },
  h('img', { src: one.picture, alt: '', loading: 'lazy', style: one.mirror ? 'transform:scaleX(-1)' : '' }),
  h('span', { class: 'kept', style: place_at(one.kept) }),
  one.face ? h('span', { class: one.cut || one.small ? 'face bad' : 'face', style: place_at(one.face) }) : null),
  h('span', {}, `${one.from} → ${one.to}`),
  one.cells ? h('span', {}, say('export_fate_face', { cells: one.cells })) : null,
  one.cut ? h('strong', {}, say('export_fate_cut', { share: one.cut })) : null,
  one.small ? h('strong', {}, say('export_fate_small')) : null,
  one.scale > 105 ? h('strong', {}, say('export_fate_enlarged', { scale: one.scale })) : null);
const fates = (plan) => {
  const grid = h('div', { class: 'ldb-fates' });
  const fill = async () => {
    if (grid.childElementCount) return;
    const answer = await server.fates({ ...place(), layout: plan.name });
    if (!answer || answer.error) { grid.textContent = answer ? answer.error : ''; return; }
    grid.replaceChildren(...answer.pictures.map(fate), answer.more ? h('span', { class: 'ldb-hint' }, `+${answer.more}`) : '');
  };
  const fold = h('details', {
    id: `ldb-fates-${plan.name}`, open: opened.has(plan.name), ontoggle: () => {
      if (fold.open) { opened.add(plan.name); fill(); } else opened.delete(plan.name);
    },
  }, h('summary', {}, say('export_fates')), h('p', { class: 'ldb-hint' }, say('export_fates_hint')), grid);
  return fold;
};

const trainer = (plan) => h('section', { class: 'ldb-plan' }, h('h3', {}, plan.title),
  plan.files ? h('p', { class: 'ldb-hint' }, [
    say('export_size', { images: state.images, files: plan.files, size: plan.size }),
    say('export_steps', { repeats: plan.repeats, steps: plan.steps }),
    plan.resolutions ? say('export_resolutions', { list: plan.resolutions }) : '',
  ].filter(Boolean).join(' · ')) : null,
  plan.buckets.length ? h('p', { class: 'ldb-hint' }, `${say('export_buckets')}: ${plan.buckets.map(([size, count]) => `${size} (${count})`).join(', ')}`) : null,
  plan.problems.length ? h('ul', { class: 'ldb-faults' }, plan.problems.map(problem)) : null,
  plan.previewed ? fates(plan) : null,
  plan.command ? command(plan.command) : null);

const draw = () => {
  if (!state || !state.images) { host.replaceChildren(h('p', { class: 'ldb-empty' }, say('export_empty'))); return; }
  const held = document.activeElement && host.contains(document.activeElement) ? document.activeElement.id : null;
  const chosen = () => [...host.querySelectorAll('input.layout:checked')].map((box) => box.value);
  host.replaceChildren(
    h('ul', { class: 'ldb-files' }, state.files.map((file) => h('li', {},
      h('div', {}, h('strong', {}, file.label), ` · ${file.size}`, file.info ? h('p', { class: 'ldb-hint' }, file.info) : null),
      h('a', { href: file.href, download: '', class: 'ldb-get' }, say('export_download'))))),
    state.folder ? h('p', { class: 'ldb-hint' }, say('export_where', { folder: state.folder })) : '',
    state.problems.length ? h('ul', { class: 'ldb-faults' }, state.problems.map(problem)) : '',
    h('div', { class: 'ldb-chosen' },
      h('label', {}, say('export_base'), ' ', h('select', { id: 'ldb-base', onchange: (event) => call('choose', { base: event.target.value }) },
        state.bases.map(([name, title]) => h('option', { value: name, selected: name === state.base }, title)))),
      h('fieldset', { class: 'ldb-layouts' }, h('legend', {}, say('export_for')),
        state.layouts.map(([name, title, on]) => h('label', {}, h('input', {
          type: 'checkbox', value: name, checked: on, class: 'layout', id: `ldb-layout-${name}`, onchange: () => call('choose', { layouts: chosen() }),
        }), title))),
      h('fieldset', { class: 'ldb-layouts' }, h('legend', {}, say('export_shape')),
        h('label', { title: say('export_buckets_hint') }, h('input', {
          type: 'checkbox', checked: state.buckets, id: 'ldb-portrait', onchange: (event) => call('choose', { buckets: event.target.checked }),
        }), say('export_portrait')),
        state.extras.map(([name, on]) => h('label', {}, h('input', {
          type: 'checkbox', value: name, checked: on, id: `ldb-extra-${name}`, class: 'extra',
          onchange: () => call('choose', { extras: [...host.querySelectorAll('input.extra:checked')].map((box) => box.value) }),
        }), say(`export_extra_${name}`)))),
      h('p', { class: 'ldb-hint' }, say('export_shape_hint')),
      h('button', { type: 'button', id: 'ldb-write', class: 'primary', disabled: props.value.busy || state.blocked, onclick: () => trigger('write', {}) }, say('export_write'))),
    ...(state.plans.length ? state.plans.map(trainer) : [h('p', { class: 'ldb-hint' }, say('export_none'))]));
  if (held) document.getElementById(held)?.focus();
};

let loaded = '';
const load = () => {
  const value = props.value;
  if (!value.words) return;
  if (!value.project) { state = null; loaded = ''; draw(); return; }
  const key = `${value.project} ${value.language} ${value.moment} ${value.busy}`;
  if (key === loaded) return;
  loaded = key;
  call('load');
};
load();
watch('value', load);
