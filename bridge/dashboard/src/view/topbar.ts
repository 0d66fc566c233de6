import type { ConnectionState } from '../core/connection.ts';
import type { DeviceModel } from '../core/store.ts';
import { el, setData, setHidden, setText } from './dom.ts';
import { WINDOWS_S, type Preferences } from './preferences.ts';

export interface TopBarEvents {
  preferences(): void;
  togglePause(): void;
  toggleFullScreen(): void;
  signOut(): void;
  retry(): void;
  select(device: string | null): void;
}

/** Connection state and the controls. */
export class TopBar {
  readonly element: HTMLElement;
  readonly banner: HTMLElement;
  readonly #status = el('span', { class: 'status-text', role: 'status', 'aria-live': 'polite' });
  readonly #countdown = el('span', { class: 'countdown' });
  readonly #role = el('span', { class: 'role' });
  readonly #signOut: HTMLButtonElement;
  readonly #connection: HTMLElement;
  readonly #pause: HTMLButtonElement;
  readonly #pauseLabel = el('span', {}, 'Pause');
  readonly #devices = el('div', { class: 'devices', role: 'group', 'aria-label': 'Boards shown' });
  readonly #bannerText = el('span', { role: 'alert' });
  readonly #events: TopBarEvents;
  #devicesShown = '';

  constructor(preferences: Preferences, events: TopBarEvents) {
    this.#events = events;
    this.#signOut = button('sign-out', 'Forget the token of this tab', () => events.signOut());
    this.#signOut.append('Sign out');
    this.#role.hidden = this.#signOut.hidden = true;
    const dot = el('span', { class: 'dot', 'aria-hidden': 'true' });
    this.#connection = el('div', { class: 'connection' }, dot, this.#status, this.#role, this.#signOut);
    this.#pause = button('pause', 'Freeze the view; samples go on coming in (Space)', () => events.togglePause());
    this.#pause.append(el('span', { class: 'pause-icon', 'aria-hidden': 'true' }), this.#pauseLabel);
    this.#pause.setAttribute('aria-pressed', 'false');
    const full = button('icon', 'Full screen (F)', () => events.toggleFullScreen());
    full.setAttribute('aria-label', 'Full screen');
    full.append(el('span', { class: 'full-icon', 'aria-hidden': 'true' }));
    const windows = choice('Window', WINDOWS_S.map((s) => [String(s), `${s} s`]), String(preferences.windowS), (value) => {
      preferences.windowS = Number(value);
      events.preferences();
    });
    const units = choice('Units', [['si', 'SI'], ['practical', 'g, °/s']], preferences.units, (value) => {
      preferences.units = value === 'practical' ? 'practical' : 'si';
      events.preferences();
    });
    const scale = choice('Y scale', [['auto', 'Auto'], ['fixed', 'Fixed']], preferences.yMode, (value) => {
      preferences.yMode = value === 'fixed' ? 'fixed' : 'auto';
      events.preferences();
    });
    const brand = el('h1', {}, el('span', { class: 'logo', 'aria-hidden': 'true' }), 'Telemetry Bridge');
    const controls = el('div', { class: 'controls' }, windows, units, scale, this.#pause, full);
    this.element = el('header', { class: 'topbar' }, brand, this.#connection, this.#devices, controls);
    const retry = button('retry', 'Try to reach the bridge now', () => events.retry());
    retry.append('Retry now');
    this.banner = el('div', { class: 'banner' }, this.#bannerText, this.#countdown, retry);
    this.banner.hidden = true;
  }

  /**
   * `wasOpen`: whether there was a connection before; only then is its loss worth a banner over the curves.
   * `signedIn`: whether a token is in use; without one everybody may do everything, and there is nothing to tell.
   */
  showConnection(state: ConnectionState, wasOpen: boolean, signedIn: boolean): void {
    setData(this.#connection, 'state', state.kind);
    setHidden(this.banner, !wasOpen || state.kind === 'open' || state.kind === 'denied');
    setHidden(this.#role, !signedIn || state.kind !== 'open');
    setHidden(this.#signOut, !signedIn || state.kind === 'denied');
    if (state.kind === 'open') {
      setText(this.#role, state.role === 'viewer' ? 'Viewer, read only' : 'Operator');
      this.#role.title = state.role === 'viewer' ? 'This token may watch; settings need an operator\'s' : 'This token may also change settings';
    }
    if (state.kind === 'denied') setText(this.#status, 'Not signed in');
    else if (state.kind === 'open') setText(this.#status, 'Connected');
    else if (wasOpen) setText(this.#status, 'Reconnecting');
    else setText(this.#status, 'Connecting');
    if (state.kind === 'waiting') setText(this.#bannerText, `${state.reason}. The curves stand still.`);
  }

  /** Seconds to the next attempt, outside the live regions: a screen reader need not hear it count. */
  showCountdown(state: ConnectionState): void {
    if (state.kind === 'waiting') {
      const seconds = Math.max(0, Math.ceil((state.retryAt - performance.now()) / 1000));
      setText(this.#countdown, `Next attempt in ${seconds} s`);
    } else if (state.kind === 'connecting') setText(this.#countdown, 'Connecting…');
  }

  /** `note`: for how long, or that the view is zoomed. */
  showPause(frozen: boolean, note: string): void {
    this.#pause.setAttribute('aria-pressed', String(frozen));
    setText(this.#pauseLabel, frozen ? `Resume · ${note}` : 'Pause');
  }

  showDevices(devices: readonly DeviceModel[], selected: string | null): void {
    setHidden(this.#devices, devices.length < 2);
    const shown = JSON.stringify([selected, devices.map(({ info }) => [info.id, info.board, info.state])]);
    if (shown === this.#devicesShown) return;
    this.#devicesShown = shown;
    const chips = devices.map((device) => {
      const chip = this.#chip(device.info.board || device.info.id.slice(0, 8), device.info.id, selected === device.info.id);
      chip.title = device.info.id;
      chip.dataset['state'] = device.info.state;
      return chip;
    });
    this.#devices.replaceChildren(this.#chip('All boards', null, selected === null), ...chips);
  }

  #chip(label: string, device: string | null, pressed: boolean): HTMLButtonElement {
    const chip = button('chip', '', () => this.#events.select(device));
    chip.append(label);
    chip.setAttribute('aria-pressed', String(pressed));
    return chip;
  }
}

function button(name: string, title: string, click: () => void): HTMLButtonElement {
  const element = el('button', { type: 'button', class: name });
  if (title !== '') element.title = title;
  element.addEventListener('click', click);
  return element;
}

/** Radio buttons that look like one segmented control. */
function choice(
  legend: string,
  options: readonly (readonly [value: string, label: string])[],
  selected: string,
  change: (value: string) => void,
): HTMLElement {
  const name = legend.toLowerCase().replaceAll(' ', '-');
  const labels = options.map(([value, label]) => {
    const input = el('input', { type: 'radio', name, value });
    input.checked = value === selected;
    input.addEventListener('change', () => change(value));
    return el('label', {}, input, el('span', {}, label));
  });
  return el('fieldset', { class: 'choice' }, el('legend', {}, legend), el('div', { class: 'segments' }, ...labels));
}
