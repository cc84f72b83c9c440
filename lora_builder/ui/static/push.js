// Pushing to the Hub. The form is made once a project, so that nothing that was typed is lost; a typed token
// is in its box and in the one request that starts the push.
const host = element.querySelector('.ldb-push');
const POLL_MS = 1000;
let timer = 0;
let form = null;
let shownFor = '';
let open = false;

const status = h('div', { class: 'ldb-push-status', role: 'status' });

const labelled = (key, input, info = '') => h('label', {}, say(key), input, info ? h('span', { class: 'ldb-hint' }, say(info)) : null);

const tell = (push) => {
  const running = push && push.state === 'running';
  if (form) form.button.disabled = !!running || props.value.busy;
  if (!push) { status.replaceChildren(); return false; }
  const words = {
    running: push.total ? say('push_running', push) : say('push_waiting'),
    stopped: say('push_stopped'),
    failed: `${push.error} ${push.remedy}`,
    done: say(push.private ? 'push_done_private' : 'push_done_public'),
  }[push.state];
  status.replaceChildren(
    h('p', { class: push.state === 'failed' ? 'ldb-notice' : null }, words,
      push.state === 'done' ? h('a', { href: push.url, target: '_blank', rel: 'noopener noreferrer' }, push.url) : null),
    ...(running ? [
      h('progress', { max: push.total || 1, value: push.done, 'aria-label': say('push_title') }),
      h('button', { type: 'button', id: 'ldb-push-stop', onclick: () => ask('stop_push') }, say('push_stop')),
    ] : []));
  return running;
};

const draw = (state) => {
  const box = (id, value, more = {}) => h('input', { type: 'text', id, value, autocomplete: 'off', spellcheck: 'false', ...more });
  const repository = box('ldb-push-repository', state.repository);
  const token = state.by === 'typed' ? box('ldb-push-token', '', { type: 'password', autocomplete: 'new-password' }) : null;
  const everybody = h('input', { type: 'checkbox', id: 'ldb-push-public', onchange: () => { more.hidden = !everybody.checked; } });
  const licence = box('ldb-push-licence', state.licence);
  const consent = box('ldb-push-consent', state.consent);
  const more = h('div', { class: 'ldb-push-form', hidden: true },
    labelled('push_licence', licence, 'push_licence_info'), labelled('push_consent', consent));
  const button = h('button', {
    type: 'button', id: 'ldb-push-start', class: 'primary',
    onclick: async () => {
      const sent = { repository: repository.value, licence: licence.value, consent: consent.value, public: everybody.checked };
      await ask('start_push', { ...sent, token: token ? token.value : '' });
      if (token) token.value = '';
    },
  }, say('push_start'));
  const back = encodeURIComponent(`/${location.search}`);
  form = { button };
  host.replaceChildren(h('details', { open, ontoggle: (event) => { open = event.target.open; } },
    h('summary', {}, say('push_title')),
    h('p', { class: 'ldb-hint' }, say('push_about')),
    state.sign_in ? h('p', {}, h('a', { class: 'enter', href: `login/huggingface?_target_url=${back}` }, say('push_sign_in'))) : null,
    token ? null : h('p', { class: 'ldb-hint' }, say(state.by === 'account' ? 'push_by_account' : 'push_by_machine', state)),
    h('div', { class: 'ldb-push-form' }, token ? labelled('push_token', token, 'push_token_info') : null,
      labelled('push_repository', repository, 'push_repository_info'),
      h('label', { class: 'line' }, everybody, say('push_public'))),
    more, button, status));
};

const ask = async (name, data = {}) => {
  clearTimeout(timer);
  let again = true;
  try {
    const state = await server[name]({ ...place(), ...data });
    if (state.error) {
      status.replaceChildren(h('p', { class: 'ldb-notice', role: 'alert' }, state.error));
      return;
    }
    const key = `${props.value.project} ${props.value.language} ${state.by} ${state.name}`;
    if (key !== shownFor) {
      open = open || !!state.push;
      draw(state);
      shownFor = key;
    }
    again = tell(state.push);
  } catch {
    again = name === 'pushing'; // the network is away: what is pushed goes on
  }
  if (again && element.isConnected) timer = setTimeout(() => ask('pushing'), POLL_MS);
};

const load = () => {
  const value = props.value;
  if (!value.words || !value.project || !value.ready || value.step !== 'export') {
    clearTimeout(timer);
    if (!value.ready) { host.replaceChildren(); shownFor = ''; open = false; }
    return;
  }
  ask('pushing');
};
load();
watch('value', load);
