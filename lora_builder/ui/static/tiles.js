// A grid of tiles that keeps only what is in sight in the page: 5,000 photos weigh as much as 50.

/**
 * Pane(options) with options:
 *   label: string; tile: [width, height] in CSS pixels; draw(id) -> element; update(element, id);
 *   head(section) -> element; empty: string.
 * show(sections): [{key, title, items: [ids]}]; refresh(ids): redraw those in sight.
 */
class Pane {
  constructor(options) {
    this.options = options;
    this.sections = [];
    this.rows = [];
    this.tiles = new Map(); // id -> element, of what is in sight
    this.heads = new Map();
    this.inner = h('div', { class: 'ldb-inner', role: 'presentation' });
    this.root = h('div', {
      class: 'ldb-pane', tabindex: 0, role: 'listbox', 'aria-multiselectable': 'true', 'aria-label': options.label,
    }, this.inner);
    this.root.addEventListener('scroll', () => this.render(), { passive: true });
    this.observer = new ResizeObserver(() => { this.layout(); });
    this.observer.observe(this.root);
  }

  get order() { return this.sections.flatMap((section) => section.items); }

  show(sections) {
    this.sections = sections.filter((section) => section.items.length);
    this.layout();
  }

  layout() {
    const [least, height] = this.options.tile;
    const width = this.inner.clientWidth || this.root.clientWidth;
    if (!width) return;
    const gap = 8;
    this.columns = Math.max(2, Math.floor((width + gap) / (least + gap)));
    this.tileWidth = Math.floor((width - gap * (this.columns - 1)) / this.columns);
    const high = height + Math.max(0, this.tileWidth - least);
    this.rows = [];
    this.where = new Map();
    let top = 0;
    for (const section of this.sections) {
      if (section.title) { this.rows.push({ top, height: 30, section }); top += 30; }
      for (let i = 0; i < section.items.length; i += this.columns) {
        const items = section.items.slice(i, i + this.columns);
        items.forEach((id, column) => this.where.set(id, { row: this.rows.length, column }));
        this.rows.push({ top, height: high, items });
        top += high + gap;
      }
    }
    this.tileHeight = high;
    this.inner.style.height = `${top}px`;
    this.inner.dataset.empty = this.rows.length ? '' : this.options.empty || '';
    this.render();
  }

  render() {
    const from = this.root.scrollTop - 200;
    const to = this.root.scrollTop + this.root.clientHeight + 200;
    const seen = new Set();
    const heads = new Set();
    let low = 0;
    let high = this.rows.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.rows[middle].top + this.rows[middle].height < from) low = middle + 1; else high = middle;
    }
    for (let at = low; at < this.rows.length && this.rows[at].top <= to; at += 1) {
      const row = this.rows[at];
      if (row.section) {
        heads.add(row.section.key);
        let head = this.heads.get(row.section.key);
        if (!head) {
          head = h('div', { class: 'ldb-head', role: 'presentation' });
          this.heads.set(row.section.key, head);
          this.inner.append(head);
        }
        head.textContent = row.section.title;
        head.style.transform = `translateY(${row.top}px)`;
        continue;
      }
      row.items.forEach((id, column) => {
        seen.add(id);
        let tile = this.tiles.get(id);
        if (!tile) {
          tile = this.options.draw(id);
          this.tiles.set(id, tile);
          this.inner.append(tile);
        }
        this.options.update(tile, id);
        tile.style.width = `${this.tileWidth}px`;
        tile.style.height = `${this.tileHeight}px`;
        tile.style.transform = `translate(${column * (this.tileWidth + 8)}px, ${row.top}px)`;
      });
    }
    for (const [id, tile] of this.tiles) if (!seen.has(id)) { tile.remove(); this.tiles.delete(id); }
    for (const [key, head] of this.heads) if (!heads.has(key)) { head.remove(); this.heads.delete(key); }
  }

  refresh() {
    for (const [id, tile] of this.tiles) this.options.update(tile, id);
  }

  reveal(id) {
    const place = this.where && this.where.get(id);
    if (!place) return;
    const row = this.rows[place.row];
    const { scrollTop, clientHeight } = this.root;
    if (row.top < scrollTop) this.root.scrollTop = Math.max(0, row.top - 34);
    else if (row.top + row.height > scrollTop + clientHeight) this.root.scrollTop = row.top + row.height - clientHeight + 6;
    this.render();
  }

  /** The id that lies `dx` tiles or `dy` rows from this one, or null. */
  beside(id, dx, dy) {
    const order = this.order;
    if (!order.length) return null;
    const place = this.where.get(id);
    if (!place) return order[0];
    if (dx) return order[order.indexOf(id) + dx] ?? null;
    let at = place.row + dy;
    while (this.rows[at] && !this.rows[at].items) at += dy;
    const row = this.rows[at];
    return row ? row.items[Math.min(place.column, row.items.length - 1)] : null;
  }
}
