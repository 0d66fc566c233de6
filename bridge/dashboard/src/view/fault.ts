import type { Command } from '../core/commands.ts';
import { text, type Body } from '../core/protocol.ts';
import type { DeviceModel } from '../core/store.ts';
import { el, setHidden, setText } from './dom.ts';
import { button, Setting } from './setting.ts';

/** The crash that a board keeps a record of, until somebody has taken note of it. */
export class FaultNotice {
  readonly element: HTMLElement;
  readonly #words = el('span', { role: 'status' });
  readonly #acknowledge: HTMLButtonElement;
  readonly #setting: Setting;
  readonly #device: DeviceModel;
  readonly #run: Command;
  #shown: Body | null = null;

  constructor(device: DeviceModel, run: Command) {
    this.#device = device;
    this.#run = run;
    this.#acknowledge = button('Acknowledge', () => void this.#send(), 'The board forgets the record of this crash');
    this.#setting = new Setting('fault', this.#words, this.#acknowledge);
    this.element = el('div', { class: 'fault' }, this.#setting.element);
  }

  update(enabled: boolean): void {
    const { fault } = this.#device;
    setHidden(this.element, fault === null);
    this.#acknowledge.disabled = !enabled;
    if (fault === null || fault === this.#shown) return;
    this.#shown = fault;
    setText(this.#words, sentence(fault));
    this.#setting.say('');
  }

  async #send(): Promise<void> {
    const fault = this.#device.fault;
    if (fault === null) return;
    const data = await this.#setting.ask(this.#run(this.#device.info.id, 'acknowledge_fault', { boot_id: fault['boot_id'] }));
    if (data !== null && this.#device.fault?.['boot_id'] === fault['boot_id']) this.#device.fault = null;
  }
}

function sentence(fault: Body): string {
  const cause = text(fault['cause']) || 'cause unknown';
  const place = text(fault['pc']) || 'an unknown place';
  return `The board crashed before its last start: ${cause} at ${place}; tools/decode_fault.py tells the line.`;
}
