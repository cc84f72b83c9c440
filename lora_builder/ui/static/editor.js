// What the crop editor and the caption table share, after dom.js.
const root = element.querySelector('.ldb-editor');

/** What Python refused, in a sentence for people; anything else that is thrown is the network. */
class Refused extends Error {}

/** The answer of a Python function, asked in the name of the present place. */
const ask = async (name, sent = {}) => {
  const answer = await server[name]({ ...sent, ...place() });
  // Gradio's client turns a lost network into no answer.
  if (!answer) throw new Error('no answer');
  if (answer.error) throw new Refused(answer.error);
  return answer;
};

const pause = (ms) => new Promise((done) => { setTimeout(done, ms); });

// A line that says whether everything is saved, one that is read out, and one for what went wrong.
const saved = h('span', { class: 'saved', 'data-state': 'saved' });
const spoken = h('span', { class: 'ldb-sr', 'aria-live': 'polite' });
const alarm = h('p', { class: 'alarm', role: 'alert', hidden: true });

const tell = (state) => {
  saved.dataset.state = state;
  saved.textContent = say(`edit_${state}`);
};

const complain = (error) => {
  alarm.hidden = !error;
  alarm.textContent = error ? (error instanceof Refused ? error.message : say('edit_offline')) : '';
};

/**
 * Saves one thing after the other, of each key only the latest; a lost network is tried again.
 * `send(key, value)` asks Python; `landed(key, answer, value)` gets its answer, null where refused.
 */
const saver = (send, landed) => {
  const waiting = new Map();
  let busy = false;
  const pump = async () => {
    if (busy) return;
    busy = true;
    let wait = 500;
    while (waiting.size) {
      const [key, value] = waiting.entries().next().value;
      tell(wait > 500 ? 'unsaved' : 'saving');
      let answer = null;
      try {
        answer = await send(key, value);
        complain(null);
      } catch (error) {
        if (!(error instanceof Refused)) {
          tell('unsaved');
          await pause(wait);
          wait = Math.min(8000, wait * 2);
          continue;
        }
        complain(error);
      }
      wait = 500;
      if (waiting.get(key) === value) {
        waiting.delete(key);
        landed(key, answer, value);
      }
    }
    busy = false;
    tell('saved');
    trigger('changed');
  };
  return {
    put: (key, value) => { waiting.set(key, value); pump(); },
    /** Whether something of a key that begins so is still to be saved. */
    waits: (start) => [...waiting.keys()].some((key) => key.startsWith(start)),
    /** Resolves once nothing waits. */
    rest: async () => { while (busy) await pause(50); },
  };
};

/** What was done, to be taken back and done again; `play(entry, forward)` carries it out. */
const memory = (play) => {
  const done = [];
  const undone = [];
  const undo = h('button', { type: 'button', class: 'quiet', onclick: () => step(done, undone, false) });
  const redo = h('button', { type: 'button', class: 'quiet', onclick: () => step(undone, done, true) });
  const label = () => {
    undo.textContent = say('edit_undo');
    redo.textContent = say('edit_redo');
    undo.disabled = !done.length;
    redo.disabled = !undone.length;
  };
  const step = async (from, to, forward) => {
    const entry = from.pop();
    if (!entry) return;
    to.push(entry);
    label();
    await play(entry, forward);
  };
  return {
    undo, redo, label,
    add: (entry) => { done.push(entry); undone.length = 0; label(); },
    clear: () => { done.length = 0; undone.length = 0; label(); },
    /** Whether a key meant undo or redo, which is then done. */
    key: (event) => {
      const letter = event.key.toLowerCase();
      if (!(event.ctrlKey || event.metaKey) || event.altKey || !['z', 'y'].includes(letter)) return false;
      event.preventDefault();
      if (letter === 'y' || event.shiftKey) step(undone, done, true); else step(done, undone, false);
      return true;
    },
  };
};

/** Runs `load(fresh)` now and at every visit; `fresh()` says whether that visit is still the last. */
const atEachVisit = (load, blank) => {
  let latest = 0;
  const take = async () => {
    const mine = ++latest;
    const fresh = () => mine === latest;
    if (!props.value || !props.value.words) return;
    if (!props.value.project) { blank(); return; }
    for (let wait = 1000; fresh(); wait = Math.min(8000, wait * 2)) {
      try {
        await load(fresh);
        return;
      } catch (error) {
        if (!root.contains(alarm)) root.replaceChildren(alarm);
        complain(error);
        if (error instanceof Refused) return;
        if (!['TypeError', 'Error'].includes(error.name)) throw error;
        await pause(wait);
      }
    }
  };
  watch('value', take);
  take();
};
