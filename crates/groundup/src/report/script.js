// Lets a reader read values off the figures, hide series and choose a theme. Without it the page is complete, only still.
(() => {
  'use strict';
  const say = document.currentScript.dataset;

  // The theme: what the system says, unless the reader says otherwise. Storage may be closed to a local file.
  const themes = ['auto', 'light', 'dark'];
  const root = document.documentElement;
  const button = document.getElementById('theme');
  const kept = (value) => {
    try {
      if (value) localStorage.setItem('theme', value);
      return localStorage.getItem('theme');
    } catch {
      return null;
    }
  };
  let theme = 'auto';
  const apply = (name) => {
    theme = themes.includes(name) ? name : 'auto';
    if (theme === 'auto') delete root.dataset.theme;
    else root.dataset.theme = theme;
    button.textContent = say[theme];
  };
  apply(kept());
  button.hidden = false;
  button.addEventListener('click', () => {
    apply(themes[(themes.indexOf(theme) + 1) % themes.length]);
    kept(theme);
  });
  // Paper is white.
  addEventListener('beforeprint', () => { root.dataset.theme = 'light'; });
  addEventListener('afterprint', () => apply(theme));

  const element = (name, className, text) => {
    const made = document.createElement(name);
    made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  };

  // A number to so many digits, and no finer than the figure's own pixels tell it.
  const format = (value, digits, step) => {
    const rounded = step ? Math.round(value / step) * step : value;
    const size = Math.abs(rounded);
    const text = size !== 0 && (size < 1e-3 || size >= 1e6)
      ? rounded.toExponential(digits - 1)
      : String(Number(rounded.toPrecision(size >= 10 ** digits ? Math.ceil(Math.log10(size + 1)) : digits)));
    return text.replace('-', '−');
  };

  // From a share of an axis, 0 to 1, to the value there. `finest` is a hundredth of a pixel.
  const axis = (words, pixels) => {
    const [low, high, kind] = words.trim().split(/\s+/);
    const log = kind === 'log';
    const [from, to] = [low, high].map((end) => (log ? Math.log10(Number(end)) : Number(end)));
    const finest = log ? 0 : 10 ** Math.ceil(Math.log10(Math.abs(to - from) / pixels / 100));
    return (share, digits) => {
      const value = from + share * (to - from);
      return log ? format(10 ** value, digits) : format(value, digits, finest);
    };
  };

  // What a panel shows: for each series its points, in the figure's pixels. A line is read at an x, loose points (and paths
  // that turn back) one by one.
  const read = (panel) => {
    const [left, top, width, height] = panel.dataset.plot.trim().split(/[\s,]+/).map(Number);
    const lines = new Map();
    const dots = new Map();
    let turns = false;
    const add = (to, mark, points) => {
      const series = mark.closest('[data-series]').dataset.series;
      if (!to.has(series)) to.set(series, { points: [], mark });
      to.get(series).points.push(...points);
    };
    for (const mark of panel.querySelectorAll('[data-series] polyline, polyline[data-series]')) {
      const numbers = mark.getAttribute('points').trim().split(/[\s,]+/).map(Number);
      const points = [];
      for (let i = 0; i + 1 < numbers.length; i += 2) points.push([numbers[i], numbers[i + 1]]);
      turns ||= points.some(([x], i) => i > 0 && x < points[i - 1][0]);
      add(lines, mark, points);
    }
    for (const mark of panel.querySelectorAll('[data-series] rect, rect[data-series]')) {
      const [x, y, w] = ['x', 'y', 'width'].map((name) => Number(mark.getAttribute(name)));
      add(lines, mark, [[x + w / 2, y]]);
    }
    for (const mark of panel.querySelectorAll('[data-series] circle, circle[data-series]')) {
      add(dots, mark, [['cx', 'cy'].map((name) => Number(mark.getAttribute(name)))]);
    }
    const loose = turns || lines.size === 0;
    const series = loose && dots.size > 0 ? dots : lines;
    if (!loose) for (const { points } of series.values()) points.sort((a, b) => a[0] - b[0]);
    const [x, y] = [axis(panel.dataset.x, width), axis(panel.dataset.y, height)];
    return {
      panel, left, top, width, height, loose, series, at: null,
      x: (pixel) => x((pixel - left) / width, 4),
      y: (pixel) => y(1 - (pixel - top) / height, 3),
    };
  };

  const nearest = (points, distance) => {
    let best = points[0];
    for (const point of points) if (distance(point) < distance(best)) best = point;
    return best;
  };

  const enliven = (plot) => {
    const svg = plot.querySelector('svg');
    const paper = plot.querySelector('.paper-scroll');
    const panels = [...svg.querySelectorAll('.panel[data-plot][data-x][data-y]')].map(read).filter((it) => it.series.size > 0);
    const legend = [...svg.querySelectorAll('.legend[data-series]')];
    if (panels.length === 0) return false;
    // A picture's parts are hidden from a screen reader; a group's are not.
    svg.setAttribute('role', 'group');
    svg.setAttribute('aria-label', svg.querySelector('title')?.textContent ?? '');
    const names = new Map(legend.map((entry) => [entry.dataset.series, entry.dataset.name]));
    const off = new Set();
    const readout = element('div', 'readout');
    readout.setAttribute('role', 'status');
    readout.setAttribute('aria-live', 'polite');
    readout.setAttribute('aria-label', say.readout);
    plot.append(readout);
    const drawn = [];
    let shown = null;

    const draw = (name, className, attributes) => {
      const made = document.createElementNS(svg.namespaceURI, name);
      made.setAttribute('class', className);
      for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
      svg.append(made);
      drawn.push(made);
    };
    const hide = () => {
      shown = null;
      readout.replaceChildren();
      for (const mark of drawn.splice(0)) mark.remove();
    };
    const visible = (it) => [...it.series].filter(([series]) => !off.has(series));

    // Puts the read-out beside the cross-hair, on the side where there is room.
    const place = (it, x) => {
      const matrix = svg.getScreenCTM();
      if (!matrix) return;
      const box = plot.getBoundingClientRect();
      const at = new DOMPoint(x, it.top).matrixTransform(matrix);
      const [width, gap] = [readout.offsetWidth, 12];
      const right = at.x - box.left + gap;
      const fits = right + width <= box.width;
      readout.style.left = `${Math.max(0, Math.min(fits ? right : at.x - box.left - gap - width, box.width - width))}px`;
      readout.style.top = `${at.y - box.top + gap}px`;
    };

    const line = (label, value, mark) => {
      const row = element('div', '');
      if (mark) {
        const swatch = element('span', 'swatch');
        const style = getComputedStyle(mark);
        swatch.style.backgroundColor = mark.tagName === 'polyline' ? style.stroke : style.fill;
        row.append(swatch);
      }
      row.append(element('span', '', label), ' ', element('b', '', value));
      readout.append(row);
    };

    // Reads a panel near a place.
    const show = (it, [x, y]) => {
      hide();
      shown = it;
      const seen = visible(it);
      const all = seen.flatMap(([series, { points }]) => points.map((point) => [...point, series]));
      if (all.length === 0) {
        readout.append(element('div', '', say.none));
        place(it, x);
        return;
      }
      const found = nearest(all, it.loose ? (point) => Math.hypot(point[0] - x, point[1] - y) : (point) => Math.abs(point[0] - x));
      it.at = found;
      draw('line', 'cross', { x1: found[0], x2: found[0], y1: it.top, y2: it.top + it.height });
      line(it.panel.dataset.xlabel || 'x', it.x(found[0]));
      for (const [series, { points, mark }] of seen) {
        if (it.loose && series !== found[2]) continue;
        const point = it.loose ? found : nearest(points, (candidate) => Math.abs(candidate[0] - found[0]));
        draw('circle', 'spot', { cx: point[0], cy: point[1], r: 4 });
        line(names.get(series) || it.panel.dataset.ylabel || 'y', it.y(point[1]), mark);
      }
      place(it, found[0]);
    };

    // The places the arrow keys stop at: every x of a line, or every point.
    const stops = (it) => {
      const points = visible(it).flatMap((entry) => entry[1].points);
      if (it.loose) return points;
      const byX = new Map(points.map((point) => [point[0], point]));
      return [...byX.values()].sort((a, b) => a[0] - b[0]);
    };
    const step = (it, by) => {
      const places = stops(it);
      if (places.length === 0) return show(it, [it.left, it.top]);
      const now = it.at && nearest(places, (point) => Math.hypot(point[0] - it.at[0], it.loose ? point[1] - it.at[1] : 0));
      const index = now ? places.indexOf(now) + by : 0;
      return show(it, places[Math.max(0, Math.min(index, places.length - 1))]);
    };

    const focus = (it) => {
      for (const other of panels) other.panel.setAttribute('tabindex', other === it ? '0' : '-1');
      it.panel.focus();
      // A wide figure on a small screen is moved so that the panel can be seen.
      it.panel.scrollIntoView({ block: 'nearest', inline: 'nearest' });
    };
    panels.forEach((it, index) => {
      const { panel } = it;
      panel.setAttribute('tabindex', index === 0 ? '0' : '-1');
      panel.setAttribute('role', 'group');
      const title = panel.querySelector('.title')?.textContent || panel.dataset.ylabel || '';
      panel.setAttribute('aria-label', `${title} (${say.panel})`);
      panel.addEventListener('focus', () => { if (panel.matches(':focus-visible')) step(it, 0); });
      panel.addEventListener('blur', hide);
      panel.addEventListener('keydown', (event) => {
        const far = event.shiftKey ? 10 : 1;
        const go = {
          ArrowLeft: () => step(it, -far), ArrowRight: () => step(it, far),
          Home: () => step(it, -Infinity), End: () => step(it, Infinity),
          ArrowUp: () => index > 0 && focus(panels[index - 1]),
          ArrowDown: () => index + 1 < panels.length && focus(panels[index + 1]),
          Escape: hide,
        }[event.key];
        if (!go || event.altKey || event.ctrlKey || event.metaKey) return;
        event.preventDefault();
        go();
      });
    });

    const point = (event) => {
      const matrix = svg.getScreenCTM();
      if (!matrix) return;
      const { x, y } = new DOMPoint(event.clientX, event.clientY).matrixTransform(matrix.inverse());
      const it = panels.find(({ left, top, width, height }) => x >= left && x <= left + width && y >= top && y <= top + height);
      if (it) show(it, [x, y]);
      else if (shown) hide();
    };
    svg.addEventListener('pointermove', point);
    svg.addEventListener('pointerdown', point);
    svg.addEventListener('pointerleave', (event) => { if (event.pointerType === 'mouse') hide(); });
    document.addEventListener('pointerdown', (event) => { if (shown && !svg.contains(event.target)) hide(); });
    paper.addEventListener('scroll', () => { if (shown?.at) place(shown, shown.at[0]); });

    for (const entry of legend) {
      const { series, name } = entry.dataset;
      entry.setAttribute('role', 'button');
      entry.setAttribute('tabindex', '0');
      entry.setAttribute('aria-pressed', 'true');
      entry.setAttribute('aria-label', `${say.toggle}: ${name}`);
      const { x, y, width, height } = entry.getBBox();
      const hit = document.createElementNS(svg.namespaceURI, 'rect');
      for (const [key, value] of Object.entries({ class: 'hit', x: x - 5, y: y - 6, width: width + 10, height: height + 12, rx: 4 })) {
        hit.setAttribute(key, value);
      }
      entry.prepend(hit);
      const toggle = () => {
        const hidden = !off.delete(series);
        if (hidden) off.add(series);
        entry.setAttribute('aria-pressed', String(!hidden));
        for (const { panel } of panels) {
          for (const mark of panel.querySelectorAll('[data-series]')) {
            if (mark.dataset.series === series) mark.classList.toggle('off', hidden);
          }
        }
        hide();
      };
      entry.addEventListener('click', toggle);
      entry.addEventListener('keydown', (event) => {
        if (event.key !== 'Enter' && event.key !== ' ') return;
        event.preventDefault();
        toggle();
      });
    }
    return true;
  };

  const alive = [...document.querySelectorAll('figure.plot')].filter(enliven);
  if (alive.length > 0) document.getElementById('experiments').prepend(element('p', 'hint', say.hint));
})();
