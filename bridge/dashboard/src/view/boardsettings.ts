import type { Command } from '../core/commands.ts';
import { el, setHidden } from './dom.ts';
import { button, Setting } from './setting.ts';

/** What can be done with the settings of the whole board. */
export class BoardSettings {
  readonly element: HTMLElement;
  readonly #fields: HTMLFieldSetElement;
  readonly #device: string;
  readonly #run: Command;

  constructor(device: string, run: Command) {
    this.#device = device;
    this.#run = run;
    this.#fields = el('fieldset', { class: 'settings-row', 'aria-label': 'Settings of the board' }, this.#save(), this.#restore());
    this.element = el('div', { class: 'settings' }, this.#fields);
  }

  update(enabled: boolean): void {
    this.#fields.disabled = !enabled;
  }

  #save(): HTMLElement {
    const save = async (): Promise<void> => {
      const data = await setting.ask(this.#run(this.#device, 'save_configuration', {}), 'Saving');
      if (data !== null) setting.say('Saved: the board starts with these settings from now on.', 'good');
    };
    const title = 'Writes rates, ranges and what is on to the board\'s flash';
    const setting = new Setting('save', button('Save settings', () => void save(), title));
    return setting.element;
  }

  /** Restoring forgets what was saved, so it asks first, in place. */
  #restore(): HTMLElement {
    const ask = button('Restore defaults…', () => confirming(true));
    const cancel = button('Cancel', () => confirming(false));
    const restore = async (): Promise<void> => {
      confirming(false);
      const data = await setting.ask(this.#run(this.#device, 'restore_configuration', { source: 'defaults' }), 'Restoring');
      if (data !== null) setting.say('The defaults are in force.', 'good');
    };
    const sure = button('Restore', () => void restore());
    sure.className = 'danger';
    const question = el('div', { class: 'question', role: 'group' }, 'Restore the defaults, and forget what is saved?', sure, cancel);
    question.setAttribute('aria-label', 'Restore the defaults, and forget what is saved?');
    question.hidden = true;
    const setting = new Setting('restore', ask, question);
    const confirming = (on: boolean): void => {
      setHidden(ask, on);
      setHidden(question, !on);
      if (on) setting.say('');
      (on ? cancel : ask).focus();
    };
    question.addEventListener('keydown', (event) => {
      if (event.key === 'Escape') confirming(false);
    });
    return setting.element;
  }
}
