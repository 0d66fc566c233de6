import { setData, el, setText } from './dom.ts';

function step(text: string, command?: string): HTMLElement {
  return command === undefined ? el('li', {}, text) : el('li', {}, text, ' ', el('code', {}, command));
}

/** What the page shows while there is no board: what to do. */
export class EmptyState {
  readonly element: HTMLElement;
  readonly #title = el('h2');
  readonly #steps = el('ol');
  #shown = '';

  constructor() {
    const trace = el('div', { class: 'flatline', 'aria-hidden': 'true' });
    this.element = el('main', { class: 'empty' }, trace, this.#title, this.#steps);
  }

  show(connected: boolean): void {
    const kind = connected ? 'no-board' : 'no-bridge';
    if (kind === this.#shown) return;
    this.#shown = kind;
    setData(this.element, 'kind', kind);
    if (connected) {
      setText(this.#title, 'No board yet');
      this.#steps.replaceChildren(
        step('Plug the board into USB. The page fills itself as soon as it answers.'),
        step('Nothing happens? See which ports there are:', 'telemetry-bridge ports'),
        step('Name the port to the bridge:', 'telemetry-bridge run --port serial:/dev/ttyACM0'),
        step('No board at hand? Watch a simulated one:', 'telemetry-bridge demo'),
      );
    } else {
      setText(this.#title, 'The bridge does not answer');
      this.#steps.replaceChildren(
        step('Start it again on this computer:', 'telemetry-bridge run --port auto'),
        step('The page goes on trying and connects by itself.'),
      );
    }
  }
}
