import { el, setHidden, setText } from './dom.ts';

/** Asks for a token where the bridge wants one. */
export class SignIn {
  readonly element: HTMLElement;
  readonly #input = el('input', { type: 'password', autocomplete: 'off', spellcheck: 'false', required: '' });
  readonly #answer = el('p', { class: 'answer', role: 'alert', 'data-tone': 'bad' });

  constructor(signIn: (token: string) => void) {
    const submit = el('button', { type: 'submit' }, 'Sign in');
    const form = el('form', {}, el('label', {}, 'Token ', this.#input), submit, this.#answer);
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      // what else is pasted along with it; a header takes no such characters
      const token = this.#input.value.replace(/[^\x21-\x7e]/g, '');
      this.#input.value = '';
      if (token !== '') signIn(token);
    });
    const hint = el('p', {}, 'Ask whoever runs the bridge for a token: a viewer\'s to watch, an operator\'s to change settings too. It is kept until this tab is closed.');
    this.element = el('main', { class: 'signin' }, el('h2', {}, 'This bridge wants to know who you are'), hint, form);
    this.element.hidden = true;
  }

  /** `reason`: why the last token did not do. */
  show(reason: string): void {
    setText(this.#answer, reason);
    if (!this.element.hidden) return;
    setHidden(this.element, false);
    this.#input.focus();
  }

  hide(): void {
    setHidden(this.element, true);
  }
}
