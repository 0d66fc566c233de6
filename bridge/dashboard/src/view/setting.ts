import type { Answer } from '../core/commands.ts';
import type { Body } from '../core/protocol.ts';
import { el, setData, setHidden, setText } from './dom.ts';

/** A control, and beneath it what the board says to what it was asked for. */
export class Setting {
  readonly element: HTMLElement;
  readonly #answer = el('p', { class: 'answer', role: 'status' });
  #newest: Promise<Answer> | null = null;

  constructor(kind: string, ...controls: readonly (Node | string)[]) {
    this.element = el('div', { class: 'setting' }, el('div', { class: 'control' }, ...controls), this.#answer);
    this.element.dataset['setting'] = kind;
  }

  get busy(): boolean {
    return this.#newest !== null;
  }

  /** Waits for an answer. Null where it is a refusal, which is then said, or where something newer was asked for meanwhile. */
  async ask(asked: Promise<Answer>, meanwhile = ''): Promise<Body | null> {
    this.#newest = asked;
    this.say(meanwhile);
    const answer = await asked;
    if (this.#newest !== asked) return null;
    this.#newest = null;
    this.say(answer.ok ? '' : answer.message, answer.ok ? '' : 'bad');
    return answer.ok ? answer.data : null;
  }

  say(words: string, tone: '' | 'good' | 'bad' = ''): void {
    setText(this.#answer, words);
    setData(this.#answer, 'tone', tone);
  }
}

/**
 * A value that the board has and the page can change. What the board has is shown when it changes, but neither while an
 * answer is awaited nor over what somebody is typing.
 */
export class Follower<T> {
  #known: T | undefined;
  readonly #show: (value: T) => void;
  readonly #occupied: () => boolean;

  constructor(show: (value: T) => void, occupied: () => boolean) {
    this.#show = show;
    this.#occupied = occupied;
  }

  follow(value: T): void {
    if (value === this.#known || this.#occupied()) return;
    this.#known = value;
    this.#show(value);
  }

  /** Takes the value that an answer states, or after a refusal goes back to what the board has. */
  settle(value: T | undefined = this.#known): void {
    if (value === undefined) return;
    this.#known = value;
    this.#show(value);
  }
}

export function button(label: string, click: () => void, title = ''): HTMLButtonElement {
  const element = el('button', { type: 'button' }, label);
  if (title !== '') element.title = title;
  element.addEventListener('click', click);
  return element;
}

let disclosures = 0;

/** A button that shows and hides `content`. */
export function disclosure(label: string, name: string, content: HTMLElement, toggled: (open: boolean) => void): HTMLButtonElement {
  content.id = `settings-${++disclosures}`;
  content.hidden = true;
  const toggle = button(label, () => {
    const open = toggle.getAttribute('aria-expanded') === 'false';
    setHidden(content, !open);
    toggle.setAttribute('aria-expanded', String(open));
    toggled(open);
  });
  toggle.className = 'disclosure';
  toggle.setAttribute('aria-label', name);
  toggle.setAttribute('aria-expanded', 'false');
  toggle.setAttribute('aria-controls', content.id);
  return toggle;
}
