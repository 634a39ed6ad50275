// Uses the page as a reader would, and leaves what it found, as JSON, in a <pre>. Runs after the page's own script; in the
// narrow frame it only measures.
(() => {
  const overflow = () => document.documentElement.scrollWidth - document.documentElement.clientWidth;
  if (top !== self) {
    addEventListener('load', () => parent.postMessage({ overflow: overflow(), width: innerWidth, errors }, '*'));
    return;
  }
  const figure = (name) => document.getElementById(`${name}-figure`);
  const readout = (name) => [...figure(name).querySelectorAll('.readout > div')].map((row) => ({
    label: row.querySelector('span:not(.swatch)')?.textContent ?? row.textContent,
    value: row.querySelector('b')?.textContent ?? '',
    swatch: row.querySelector('.swatch')?.style.backgroundColor ?? '',
  }));
  const hover = (name, [x, y], kind = 'pointermove', pointerType = 'mouse') => {
    const svg = figure(name).querySelector('svg');
    const at = new DOMPoint(x, y).matrixTransform(svg.getScreenCTM());
    svg.dispatchEvent(new PointerEvent(kind, { clientX: at.x, clientY: at.y, bubbles: true, pointerType }));
    return readout(name);
  };
  const press = (target, key) => target.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }));
  const shown = (name, series) => [...figure(name).querySelectorAll('.panel polyline')]
    .filter((mark) => mark.closest('[data-series]')?.dataset.series === series && mark.getBoundingClientRect().width > 0).length;

  const explore = () => {
    const found = { lang: document.documentElement.lang, title: document.title, heading: document.querySelector('h1').textContent };
    const [scatter, lines] = ['optimizer-paths', 'init-comparison'];
    found.scatter = hover(scatter, PLACE_OF_POINT);
    found.touch = hover(scatter, PLACE_OF_POINT, 'pointerdown', 'touch');
    found.lines = hover(lines, PLACE_ON_LINE);
    found.crosses = figure(lines).querySelectorAll('.cross').length;
    figure(lines).querySelector('svg').dispatchEvent(new PointerEvent('pointerleave', { pointerType: 'mouse' }));
    found.left = readout(lines).length;

    const entry = figure(lines).querySelector('.legend[data-series="0"]');
    const state = () => ({ pressed: entry.getAttribute('aria-pressed'), shown: shown(lines, '0'), others: shown(lines, '1') });
    found.toggle = [state()];
    for (const act of [() => entry.dispatchEvent(new MouseEvent('click', { bubbles: true })), () => press(entry, 'Enter'), () => press(entry, ' ')]) {
      act();
      found.toggle.push(state());
    }
    found.withoutFirst = hover(lines, PLACE_ON_LINE);
    press(entry, ' ');

    const panel = figure(lines).querySelector('.panel');
    panel.focus();
    press(panel, 'Home');
    found.home = readout(lines);
    press(panel, 'ArrowRight');
    found.right = readout(lines);
    press(panel, 'End');
    found.end = readout(lines);
    press(panel, 'Escape');
    found.escaped = readout(lines).length;
    found.live = figure(lines).querySelector('.readout').getAttribute('aria-live');
    found.focusable = [panel.tabIndex, entry.tabIndex];

    const theme = document.getElementById('theme');
    const look = () => ({
      name: document.documentElement.dataset.theme ?? 'auto',
      paper: getComputedStyle(document.body).backgroundColor,
      figure: getComputedStyle(figure(lines).querySelector('.paper')).fill,
      says: theme.textContent,
    });
    found.themes = [look()];
    for (let i = 0; i < 3; i += 1) {
      theme.click();
      found.themes.push(look());
    }
    found.overflow = overflow();
    return found;
  };

  addEventListener('load', () => {
    const found = explore();
    const frame = document.createElement('iframe');
    frame.style.cssText = 'width:360px;height:800px;border:0';
    addEventListener('message', ({ data }) => {
      const pre = document.createElement('pre');
      pre.id = 'findings';
      pre.textContent = JSON.stringify({ ...found, narrow: data, errors });
      document.body.append(pre);
    });
    frame.src = location.href;
    document.body.append(frame);
  });
})();
