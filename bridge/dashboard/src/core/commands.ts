import type { Body, ServerMessage } from './protocol.ts';

/** How a command ended: what the board says, or the sentence that says why not. */
export type Answer = { readonly ok: true; readonly data: Body } | { readonly ok: false; readonly message: string };

/** Sends a command to a device. Always resolves. */
export type Command = (device: string, name: string, args: Body) => Promise<Answer>;

const LOST = 'The connection to the bridge was lost before the answer came: it may or may not have been done.';

/** Commands on their way to a board, each answered exactly once. */
export class Commands {
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  readonly #send: (request: object) => boolean;
  readonly #nextId: () => number;

  /** `send`: whether the request left the page. `nextId`: shared with everyone who sends requests. */
  constructor(send: (request: object) => boolean, nextId: () => number) {
    this.#send = send;
    this.#nextId = nextId;
  }

  readonly run: Command = (device, name, args) => {
    const id = this.#nextId();
    return new Promise((resolve) => {
      if (this.#send({ op: 'command', id, device, name, args })) this.#waiting.set(id, resolve);
      else resolve({ ok: false, message: 'There is no connection to the bridge.' });
    });
  };

  react(message: ServerMessage): void {
    if (message.op === 'result' && message.ok) this.#end(message.id, { ok: true, data: message.data });
    else if ((message.op === 'result' || message.op === 'error') && message.id !== null) {
      this.#end(message.id, { ok: false, message: message.message || message.code || 'refused' });
    }
  }

  disconnected(): void {
    for (const id of [...this.#waiting.keys()]) this.#end(id, { ok: false, message: LOST });
  }

  #end(id: number, answer: Answer): void {
    this.#waiting.get(id)?.(answer);
    this.#waiting.delete(id);
  }
}

/** Numbers from 1 on. */
export function counter(): () => number {
  let last = 0;
  return () => ++last;
}
