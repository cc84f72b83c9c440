// One photo large, with the photo that it repeats beside it, why, and the figures.

class Zoom {
  constructor() {
    this.body = h('div', { class: 'ldb-zoom-body' });
    this.root = h('dialog', { class: 'ldb-zoom' }, this.body);
    this.root.addEventListener('click', (event) => { if (event.target === this.root) this.root.close(); });
    element.append(this.root);
  }

  get open() { return this.root.open; }

  show(story, other, buttons) {
    const figure = (picture, name, label) => h('figure', {},
      picture ? h('img', { src: picture, alt: name }) : null, h('figcaption', {}, label ? `${label}: ` : '', name));
    this.body.replaceChildren(
      h('div', { class: 'ldb-zoom-pictures' },
        figure(story.picture, story.name, ''),
        other ? figure(other.picture, other.name, say('choose_repeats')) : null),
      h('div', { class: 'ldb-zoom-words' },
        h('p', {}, h('strong', {}, story.title), ' · ', story.size ? say('choose_size', { w: story.size[0], h: story.size[1] }) : ''),
        h('p', {}, story.why),
        story.warnings.map((warning) => h('p', { class: 'ldb-hint' }, warning)),
        h('dl', { class: 'ldb-figures' }, story.figures.map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value)))),
        h('div', { class: 'ldb-zoom-buttons' }, buttons,
          h('button', { type: 'button', onclick: () => this.root.close() }, say('choose_close')))));
    if (!this.root.open) this.root.showModal();
  }

  close() { this.root.close(); }
}
