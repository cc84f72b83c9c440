// Bars of the project's job. Value: place and words; the figures come from server.progress, twice a second.
const host = element.querySelector('.ldb-work');
const POLL_MS = 600;
let seen = null;
let timer = 0;
let failures = 0;
let planned = false; // waits for its hour, so nobody need ask twice a second

const bar = (stage) => {
  const label = say(`stage_${stage.name}`);
  return h('li', { class: `ldb-stage ${stage.mark}` },
    h('span', { class: 'name' }, label),
    h('span', {
      class: 'track', role: 'progressbar', 'aria-label': label, 'aria-valuemin': 0, 'aria-valuemax': 100,
      'aria-valuenow': Math.round(stage.share),
    }, h('span', { style: `width:${stage.share.toFixed(1)}%` })),
    h('span', { class: 'count' }, stage.figure));
};

const draw = (work) => {
  if (!work) { host.replaceChildren(); return; }
  const running = work.state === 'running' || work.state === 'queued';
  planned = Boolean(work.start);
  host.replaceChildren(h('section', { class: `ldb-progress ${work.state}`, 'aria-label': say('progress_title') },
    h('div', { class: 'ldb-now' },
      work.picture ? h('img', { src: work.picture, alt: '' }) : null,
      h('div', { class: 'ldb-now-words' },
        h('p', { class: 'ldb-status', role: running ? null : work.state === 'failed' ? 'alert' : 'status' },
          planned ? say('progress_planned', { when: moment(work.start) }) : work.line),
        work.remedy ? h('p', { class: 'ldb-hint' }, work.remedy) : null,
        running && work.photo ? h('p', { class: 'ldb-hint', title: work.photo }, work.photo) : null),
      planned ? h('button', {
        type: 'button', id: 'ldb-begin', class: 'ldb-stop',
        onclick: async (event) => { event.target.disabled = true; await server.begin(place()); tick(); },
      }, say('progress_begin')) : null,
      running ? h('button', {
        type: 'button', id: 'ldb-cancel', class: 'ldb-stop', disabled: work.stopping,
        onclick: async (event) => { event.target.disabled = true; await server.cancel(place()); tick(); },
      }, say(planned ? 'progress_call_off' : 'progress_cancel')) : h('button', {
        type: 'button', class: 'ldb-stop', 'aria-label': say('progress_close'),
        onclick: () => { server.close(place()); host.replaceChildren(); },
      }, '×')),
    running && !planned ? h('ol', { class: 'ldb-stages' }, work.stages.map(bar)) : null));
};

const tick = async () => {
  clearTimeout(timer);
  if (!element.isConnected || !props.value.project) return;
  let again = true;
  try {
    const work = await server.progress({ ...place(), seen });
    failures = 0;
    if (work && work.error) { host.replaceChildren(); return; }
    if (work && work.version !== undefined) {
      const before = seen;
      seen = [work.job, work.version];
      draw(work.job ? work : null);
      again = work.state === 'running' || work.state === 'queued';
      if (!again && work.job && (before || props.value.busy)) trigger('ended', {});
      if (again) document.dispatchEvent(new CustomEvent('ldb-progress', { detail: work }));
    }
  } catch {
    failures += 1; // The network is away: what runs, runs on; ask again later.
  }
  if (again) timer = setTimeout(tick, document.hidden ? 3000 : POLL_MS * Math.min(8, 1 + failures + (planned ? 8 : 0)));
};

const start = () => {
  if (!props.value.words) return;
  const key = `${props.value.project} ${props.value.language}`;
  if (element.dataset.key !== key) { host.replaceChildren(); seen = null; element.dataset.key = key; }
  if (props.value.busy || seen === null) tick();
};

// Whoever goes on to another step has seen that all went well.
const seenIt = (event) => {
  if (!element.isConnected) { document.removeEventListener('click', seenIt); return; }
  if (!event.target.closest('.ldb-go') || !host.querySelector('.ldb-progress.done')) return;
  server.close(place());
  host.replaceChildren();
};
document.addEventListener('click', seenIt);

document.addEventListener('visibilitychange', () => { if (!document.hidden && props.value.busy) tick(); });
start();
watch('value', start);
