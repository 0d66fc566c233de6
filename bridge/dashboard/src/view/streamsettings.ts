import type { Answer, Command } from '../core/commands.ts';
import { rate } from '../core/format.ts';
import { groupByUnit, type FieldGroup } from '../core/groups.ts';
import { numberOrNull, type Body } from '../core/protocol.ts';
import { rangeLabel, rangeSteps, sameRange } from '../core/ranges.ts';
import { readSelfTest } from '../core/selftest.ts';
import type { StreamModel } from '../core/stream.ts';
import { el, setHidden, setText } from './dom.ts';
import { selfTestTable } from './selftest.ts';
import { button, Follower, Setting } from './setting.ts';

/** Relative difference of two rates that is only rounding: the wire has mHz. */
const SAME_RATE = 1e-3;

/** One setting as the whole strip sees it. */
interface Part {
  readonly element: HTMLElement;
  update(): void;
}

/** What can be set of one stream: on or off, rate, ranges, and its sensor's self-test. */
export class StreamSettings {
  readonly element: HTMLElement;
  readonly #stream: StreamModel;
  readonly #run: Command;
  readonly #parts: readonly Part[];
  readonly #fields = el('fieldset', { class: 'settings-row' });

  constructor(stream: StreamModel, run: Command) {
    this.#stream = stream;
    this.#run = run;
    this.#parts = [this.#power(), this.#rate(), ...groupByUnit(stream.fields).map((group) => this.#range(group)), this.#selfTest()];
    this.#fields.append(...this.#parts.map((part) => part.element));
    this.#fields.setAttribute('aria-label', `Settings of ${stream.info.name}`);
    this.element = el('div', { class: 'settings' }, this.#fields);
  }

  /** `enabled`: whether there is a board that could be asked, and this page may. */
  update(enabled: boolean): void {
    this.#fields.disabled = !enabled;
    for (const part of this.#parts) part.update();
  }

  #ask(name: string, args: Body): Promise<Answer> {
    return this.#run(this.#stream.device, name, { stream: this.#stream.info.name, ...args });
  }

  #power(): Part {
    const input = el('input', { type: 'checkbox', role: 'switch' });
    const setting = new Setting('enabled', el('label', { class: 'switch' }, input, 'On'));
    const follower = new Follower<boolean>((on) => (input.checked = on), () => setting.busy);
    input.addEventListener('change', async () => {
      const wanted = input.checked;
      const data = await setting.ask(this.#ask('enable_stream', { enabled: wanted }));
      if (!setting.busy) follower.settle(data === null ? undefined : wanted);
    });
    return {
      element: setting.element,
      update: () => {
        const { enabled } = this.#stream.info;
        setHidden(setting.element, enabled === null);
        if (enabled !== null) follower.follow(enabled);
      },
    };
  }

  #rate(): Part {
    const input = el('input', { type: 'number', min: '0', step: 'any', 'aria-label': 'Rate in Hz' });
    const set = el('button', { type: 'submit' }, 'Set');
    const measured = el('span', { class: 'aside' });
    const form = el('form', {}, el('label', {}, 'Rate ', input, ' Hz'), set, measured);
    const setting = new Setting('rate', form);
    const typing = (): boolean => document.activeElement === input || document.activeElement === set;
    const show = (value: number): void => {
      input.value = String(Number(value.toPrecision(7)));
    };
    const follower = new Follower<number>(show, () => setting.busy || typing());
    form.addEventListener('submit', async (event) => {
      event.preventDefault();
      const wanted = input.valueAsNumber;
      const data = await setting.ask(this.#ask('set_rate', { rate_hz: wanted }));
      const taken = numberOrNull(data?.['rate_hz']);
      if (taken === null) return; // what was refused stays, to be corrected
      follower.settle(taken);
      if (Math.abs(taken - wanted) > SAME_RATE * wanted) setting.say(`${rate(taken)} Hz is the sensor's nearest.`);
    });
    input.addEventListener('keydown', (event) => {
      if (event.key !== 'Escape') return;
      follower.settle();
      setting.say('');
    });
    form.noValidate = true; // the bridge says what is wrong with a number, as for every other refusal
    return {
      element: setting.element,
      update: () => {
        const { rateHz, measuredRateHz } = this.#stream.info;
        follower.follow(rateHz);
        setText(measured, measuredRateHz === null || measuredRateHz === 0 ? '' : `measured ${rate(measuredRateHz)} Hz`);
      },
    };
  }

  #range(group: FieldGroup): Part {
    const select = el('select', { 'aria-label': `${group.title} range` });
    const setting = new Setting('range', el('label', {}, `${group.title} `, select));
    const first = group.fields[0]!;
    const show = (fullScale: number): void => {
      const steps = rangeSteps(group.unit, fullScale);
      select.replaceChildren(
        ...steps.map((step) => {
          const option = el('option', { value: String(step.fullScale) }, step.label);
          option.selected = sameRange(step.fullScale, fullScale);
          return option;
        }),
      );
    };
    const follower = new Follower<number>(show, () => setting.busy);
    select.addEventListener('change', async () => {
      const wanted = Number(select.value);
      const data = await setting.ask(this.#ask('set_range', { field: this.#stream.info.fields[first]?.name ?? '', full_scale: wanted }));
      if (setting.busy) return;
      const taken = data === null ? undefined : (numberOrNull(data['full_scale']) ?? wanted);
      follower.settle(taken);
      if (taken !== undefined && !sameRange(taken, wanted)) setting.say(`${rangeLabel(group.unit, taken)} is the sensor's nearest.`);
    });
    return {
      element: setting.element,
      update: () => {
        const fullScale = this.#stream.info.fields[first]?.fullScale ?? null;
        setHidden(setting.element, fullScale === null || rangeSteps(group.unit).length === 0);
        if (fullScale !== null) follower.follow(fullScale);
      },
    };
  }

  #selfTest(): Part {
    const result = el('div', { class: 'self-test' });
    const start = async (): Promise<void> => {
      if (setting.busy) return;
      clear();
      const data = await setting.ask(this.#ask('self_test', {}), 'Testing. Keep the board still.');
      if (data === null) return;
      const test = readSelfTest(data);
      setting.say(test.passed ? 'Passed' : 'Failed', test.passed ? 'good' : 'bad');
      result.replaceChildren(selfTestTable(test));
      setHidden(close, false);
    };
    const clear = (): void => {
      result.replaceChildren();
      setting.say('');
      setHidden(close, true);
    };
    const trigger = button('Self-test', () => void start(), 'The sensor tests itself; its stream pauses for it');
    const close = button('Close', () => {
      clear();
      trigger.focus();
    });
    close.hidden = true;
    const setting = new Setting('self-test', trigger, close);
    setting.element.append(result);
    return { element: setting.element, update: () => undefined };
  }
}
