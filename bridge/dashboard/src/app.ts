import { Access } from './core/access.ts';
import { Commands, counter } from './core/commands.ts';
import { Connection, type ConnectionState } from './core/connection.ts';
import { duration } from './core/format.ts';
import { Store, type DeviceModel } from './core/store.ts';
import { Subscriber } from './core/subscriber.ts';
import { Board, freeze, totalRate, type Frozen } from './view/board.ts';
import { el, setHidden } from './view/dom.ts';
import { EmptyState } from './view/empty.ts';
import { FrameClock } from './view/frames.ts';
import type { PanelContext } from './view/panel.ts';
import { loadPreferences, savePreferences } from './view/preferences.ts';
import { SignIn } from './view/signin.ts';
import { readTheme } from './view/theme.ts';
import type { Tile } from './view/tile.ts';
import { TopBar } from './view/topbar.ts';

const TEXT_INTERVAL_S = 0.125;

/** A view that stands still: since when, and which part of the time axis it shows, relative to its right edge. */
interface Hold {
  readonly since: number;
  readonly zoom: { readonly from: number; readonly to: number } | null;
  readonly frozen: ReadonlyMap<string, Frozen>;
}

/** Puts the parts together: connection → store → boards, and the loop that draws. */
export class App {
  readonly store: Store;
  readonly frames = new FrameClock();
  readonly preferences = loadPreferences();
  readonly #root: HTMLElement;
  readonly #boardsElement = el('main', { class: 'boards' });
  readonly #empty = new EmptyState();
  readonly #signIn = new SignIn((token) => this.#connection.signIn(token));
  readonly #topbar: TopBar;
  readonly #connection: Connection;
  readonly #subscriber: Subscriber;
  readonly #commands: Commands;
  readonly #context: PanelContext;
  #boards: Board[] = [];
  #builtRevision = -1;
  #selected: string | null = null;
  #hold: Hold | null = null;
  #wasOpen = false;
  #nextText = 0;
  #stale = true;
  #edges = '';

  constructor(root: HTMLElement, url: string, unixMs: number) {
    this.#root = root;
    // a whole minute, so that round times are round numbers on the axis
    const originS = Math.floor(unixMs / 60_000) * 60;
    this.store = new Store(BigInt(originS) * 1_000_000_000n);
    const nextId = counter();
    this.#commands = new Commands((request) => this.#connection.send(request), nextId);
    this.#context = {
      preferences: this.preferences,
      originS,
      theme: readTheme(),
      events: {
        zoom: (from, to) => this.#zoom(from, to),
        reset: () => this.#resume(),
        hover: (device, time) => this.#hover(device, time),
        command: this.#commands.run,
      },
    };
    this.#topbar = new TopBar(this.preferences, {
      preferences: () => this.#preferencesChanged(),
      togglePause: () => this.togglePause(),
      toggleFullScreen: () => void this.#toggleFullScreen(),
      signOut: () => this.#connection.signIn(null),
      retry: () => this.#connection.retryNow(),
      select: (device) => this.#select(device),
    });
    this.#connection = new Connection(url, new Access(sessionStorage), {
      state: (state) => this.#connectionChanged(state),
      message: (message) => {
        this.store.apply(message);
        if (message.op === 'welcome') this.#subscriber.opened();
        this.#subscriber.react(message);
        this.#commands.react(message);
      },
      batch: (batch) => this.store.applyBatch(batch, clock()),
    });
    this.#subscriber = new Subscriber(this.store, (request) => this.#connection.send(request), nextId);
  }

  get connection(): ConnectionState {
    return this.#connection.state;
  }

  get paused(): boolean {
    return this.#hold !== null;
  }

  get panels(): readonly Tile[] {
    return this.#boards.flatMap((board) => board.panels);
  }

  start(): void {
    this.#root.append(this.#topbar.element, this.#topbar.banner, this.#signIn.element, this.#empty.element, this.#boardsElement);
    document.addEventListener('keydown', (event) => this.#key(event));
    document.addEventListener('visibilitychange', () => this.#refresh());
    window.addEventListener('online', () => this.#connection.retryNow());
    window.addEventListener('resize', () => this.#refresh());
    matchMedia('(prefers-color-scheme: light)').addEventListener('change', () => {
      const theme = readTheme();
      Object.assign(this.#context, { theme });
      for (const board of this.#boards) board.setTheme(theme);
    });
    this.#connection.open();
    const loop = (): void => {
      this.#frame(clock());
      requestAnimationFrame(loop);
    };
    requestAnimationFrame(loop);
  }

  togglePause(): void {
    if (this.#hold === null) this.#freeze(null);
    else this.#resume();
  }

  #connectionChanged(state: ConnectionState): void {
    if (state.kind === 'waiting' || state.kind === 'denied') {
      this.store.disconnected();
      this.#commands.disconnected();
    }
    if (state.kind === 'open') this.#wasOpen = true;
    if (state.kind === 'denied') this.#signIn.show(state.reason);
    else if (state.kind !== 'connecting') this.#signIn.hide();
    this.#topbar.showConnection(state, this.#wasOpen && this.store.devices.size > 0, this.#connection.signedIn);
    this.#nextText = 0;
  }

  #frame(now: number): void {
    if (this.#builtRevision !== this.store.revision) this.#rebuild();
    const text = now >= this.#nextText;
    if (text) {
      this.#nextText = now + TEXT_INTERVAL_S;
      this.#updateText(now);
    }
    // a view that stands still is drawn when something changed, and four times a second for the slow rest
    if (!this.#stale && !text && (this.#hold !== null || !this.#moved(now))) return;
    this.#stale = false;
    this.frames.measure(now, () => {
      for (const board of this.#boards) this.#draw(board, now);
    });
    if (text) for (const board of this.#boards) this.#updatePanels(board, now);
  }

  /** Whether the curves have moved far enough, or at all, since the last frame. */
  #moved(now: number): boolean {
    if (!this.frames.due(now, this.#pixelTime())) return false;
    const edges = this.#boards.map((board) => board.device.playhead.at(now)).join();
    if (edges === this.#edges) return false;
    this.#edges = edges;
    return true;
  }

  #draw(board: Board, now: number): void {
    for (const panel of board.panels) {
      const view = this.#view(board, panel, now);
      if (panel.visible && view !== null) panel.draw(view, now);
    }
  }

  #updatePanels(board: Board, now: number): void {
    for (const panel of board.panels) {
      panel.updateText(this.#view(board, panel, now) ?? { from: 0, to: this.preferences.windowS, frozen: undefined }, now);
    }
  }

  #view(board: Board, panel: Tile, now: number): ReturnType<Board['view']> | null {
    const frozen = this.#hold?.frozen.get(board.device.info.id);
    const edge = frozen?.edge ?? board.device.playhead.at(now);
    if (Number.isNaN(edge)) return null;
    const zoom = frozen === undefined ? null : (this.#hold?.zoom ?? null);
    if (zoom !== null) return board.view(panel, edge + zoom.from, edge + zoom.to, frozen);
    return board.view(panel, edge - this.preferences.windowS, edge, frozen);
  }

  /** Seconds that one device pixel of the widest plot stands for. */
  #pixelTime(): number {
    const pixels = this.panels.reduce((most, panel) => Math.max(most, panel.pixels), 1);
    return this.preferences.windowS / pixels;
  }

  #updateText(now: number): void {
    const { devices } = this.store;
    this.#empty.show(this.#connection.state.kind === 'open');
    const asking = !this.#signIn.element.hidden;
    setHidden(this.#empty.element, asking || devices.size > 0);
    setHidden(this.#boardsElement, asking || devices.size === 0);
    this.#topbar.showCountdown(this.#connection.state);
    if (this.#hold !== null) {
      this.#topbar.showPause(true, this.#hold.zoom === null ? duration(now - this.#hold.since) : 'zoomed');
    }
    this.#topbar.showDevices([...devices.values()], this.#selected);
    for (const board of this.#boards) board.updateText(now, this.#connection.state);
    document.title = this.#title(now);
  }

  #title(now: number): string {
    if (this.#connection.state.kind === 'denied') return 'Sign in · Telemetry Bridge';
    if (this.#connection.state.kind !== 'open') return 'Disconnected · Telemetry Bridge';
    if (this.store.devices.size === 0) return 'Telemetry Bridge';
    return `${this.#hold === null ? '' : 'Paused · '}${totalRate(this.store.devices.values(), now)} /s · Telemetry Bridge`;
  }

  /** Brings the boards in line with the store; one whose streams are what they were stays as it is. */
  #rebuild(): void {
    this.#builtRevision = this.store.revision;
    const devices = [...this.store.devices.values()];
    if (this.#selected !== null && !this.store.devices.has(this.#selected)) this.#selected = null;
    const shown = devices.filter((device) => this.#selected === null || device.info.id === this.#selected);
    const old = this.#boards;
    this.#boards = shown.map((device) => old.find((board) => board.shows(device)) ?? this.#newBoard(device));
    for (const board of old) if (!this.#boards.includes(board)) board.destroy();
    this.#boardsElement.append(...this.#boards.map((board) => board.element));
    this.#refresh();
  }

  #newBoard(device: DeviceModel): Board {
    const board = new Board(device, this.#context);
    for (const panel of board.panels) panel.applyPreferences();
    return board;
  }

  #select(device: string | null): void {
    this.#selected = device;
    this.#builtRevision = -1;
  }

  #preferencesChanged(): void {
    savePreferences(this.preferences);
    for (const panel of this.panels) panel.applyPreferences();
    this.#refresh();
  }

  #refresh(): void {
    this.#nextText = 0;
    this.#stale = true;
  }

  #freeze(zoom: Hold['zoom']): void {
    const now = clock();
    const frozen = new Map<string, Frozen>();
    for (const device of this.store.devices.values()) {
      const edge = device.playhead.at(now);
      if (!Number.isNaN(edge)) frozen.set(device.info.id, freeze(device, edge));
    }
    this.#hold = { since: now, zoom, frozen };
    this.#root.dataset['paused'] = 'true';
    this.#nextText = 0;
  }

  #resume(): void {
    if (this.#hold === null) return;
    this.#hold = null;
    delete this.#root.dataset['paused'];
    this.#topbar.showPause(false, '');
    this.#nextText = 0;
  }

  /** Relative to the right edge, so that boards whose clocks differ show the same part. */
  #zoom(from: number, to: number): void {
    if (this.#hold === null) this.#freeze(null);
    const hold = this.#hold!;
    const edges = [...hold.frozen.values()].map((frozen) => frozen.edge);
    const edge = edges.reduce((best, one) => (Math.abs(one - to) < Math.abs(best - to) ? one : best), edges[0] ?? to);
    this.#hold = { ...hold, zoom: { from: from - edge, to: to - edge } };
    this.#refresh();
  }

  #hover(device: string, time: number): void {
    for (const board of this.#boards) {
      if (board.device.info.id !== device) continue;
      for (const panel of board.panels) panel.setHover(time);
    }
    this.#nextText = 0;
  }

  #key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    const target = event.target instanceof HTMLElement ? event.target : null;
    if (target?.matches('input[type=number], input[type=password], .settings select, .settings input')) return;
    // a button that was reached by keyboard keeps its own space bar
    if (event.key === ' ' && !target?.matches('button:focus-visible')) {
      event.preventDefault();
      this.togglePause();
    } else if (event.key === 'f' || event.key === 'F') void this.#toggleFullScreen();
  }

  async #toggleFullScreen(): Promise<void> {
    try {
      if (document.fullscreenElement === null) await document.documentElement.requestFullscreen();
      else await document.exitFullscreen();
    } catch {
      // the browser refuses where the page is embedded or the key was not the user's: nothing to do about it
    }
  }
}

/** The page's clock in seconds. */
function clock(): number {
  return performance.now() / 1000;
}
