// What every script of ours begins with. File names and captions are hostile text: they enter the page
// through textContent and properties, never as markup.

/** An element: h('button', {class: 'x', onclick: f, 'aria-label': t}, 'text', child, null). */
const h = (tag, attributes = {}, ...children) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) made.addEventListener(name.slice(2), value);
    else if (name === 'style') made.style.cssText = value;
    else if (['value', 'checked', 'textContent', 'disabled', 'min', 'max', 'step'].includes(name) && name in made) made[name] = value;
    else made.setAttribute(name, value === true ? '' : String(value));
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
};

/** A text of `props.value.words` with its {fields} filled in. */
const say = (key, fields = {}) => {
  const text = (props.value && props.value.words && props.value.words[key]) || key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in fields ? String(fields[name]) : whole));
};

/** A moment (seconds since the epoch) in the words and the time zone of whoever reads. */
const moment = (seconds) => new Date(seconds * 1000).toLocaleString(props.value.language === 'zh' ? 'zh-CN' : 'en',
  { weekday: 'short', month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit' });

/** Where this page is; goes with every call of a server function. */
const place = () => ({
  project: props.value.project, step: props.value.step, language: props.value.language,
});
