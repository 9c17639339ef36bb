/** Keeps the page in touch with the line, over whatever the network allows and for as long as there is something to hear. */

import type { LineMessage, PageMessage, Problem } from "../api";
import { ask } from "../http";
import { TRACEPARENT } from "../trace";
import { parseLineMessage } from "./messages";
import { isUnexplained, Ladder, retryDelayMs, waitAfter, type Transport, type Wait } from "./retry";
import { openLink, type End, type Link, type Listener, type Loss } from "./transports";

export interface LineListener {
  heard(message: LineMessage): void;
  /** The line cannot be heard just now; the connection goes on trying. `busy`: it was asked to come again later. */
  lost(busy: boolean): void;
  /** The line will not have this page. It tries no more. */
  refused(problem: Problem): void;
}

/** How the page comes to the line: with the ticket it has, with that or a new one, or with a new one in any case. */
export type Entry = "resume" | "join" | "rejoin";

const QUERY: Record<Entry, Record<string, string>> = { resume: { join: "false" }, join: {}, rejoin: { rejoin: "true" } };

/** The first message comes at once; a link that is silent for so long is blocked on the way. */
const FIRST_WORD_MS = 8_000;
/**
 * After so long a silence a page that was not looked at no longer trusts its link. The line may be silent for about as
 * long; and it has closed the link by then if the machine was asleep and answered no pings.
 */
const TRUST_MS = 60_000;
/** Over how long the questions of a crowd are spread that was refused at the same moment. */
const INQUIRY_SPREAD_MS = 2_000;

/** What tests replace. */
export interface World {
  openLink: typeof openLink;
  /** From [0, 1). */
  random: () => number;
}

export class LineConnection {
  readonly #path: string;
  readonly #papers: Record<string, string>;
  readonly #listener: LineListener;
  readonly #world: World;
  readonly #ladder = new Ladder();
  #entry: Entry = "resume";
  #wanted = false;
  #failures = 0;
  #heardAt = 0;
  #notBefore = 0;
  #link: Link | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** `papers`: what the shopper shows at the door, by name. */
  constructor(saleId: string, papers: Record<string, string>, listener: LineListener, world: World = { openLink, random: Math.random }) {
    this.#path = `/api/flash-sales/${saleId}/line`;
    this.#papers = papers;
    this.#listener = listener;
    this.#world = world;
  }

  open(entry: Entry): void {
    this.#entry = entry;
    this.#wanted = true;
    this.#failures = 0;
    this.#connect();
  }

  /** Says that the turn has arrived; by plain HTTP where there is no open socket. */
  claim(): void {
    const message: PageMessage = { type: "claim" };
    if (!this.#link?.send(JSON.stringify(message))) void ask(`${this.#path}/claim`, { method: "POST" });
  }

  /** Gives the place up. By HTTP in any case: it outlives the page. */
  leave(): void {
    this.close();
    void ask(this.#path, { method: "DELETE", keepalive: true });
  }

  close(): void {
    this.#wanted = false;
    this.#drop();
  }

  /**
   * The page is looked at again, or the network is back: whatever was waited for, or has fallen silent, is tried afresh.
   * Only a time that the server named is still waited for.
   */
  wake(): void {
    const now = Date.now();
    if (!this.#wanted || now < this.#notBefore || (this.#link && now - this.#heardAt < TRUST_MS)) return;
    this.#failures = 0;
    this.#ladder.startOver();
    this.#connect();
  }

  /** The browser says that the network has gone. It may be wrong, so the next try comes all the same. */
  networkGone(): void {
    if (this.#wanted && this.#link) this.#lose({ kind: "failed", atLeastMs: undefined });
  }

  #connect(): void {
    const { transport } = this.#ladder;
    let silent = true;
    this.#listen(transport, {
      heard: (json) => {
        if (silent) this.#ladder.worked();
        silent = false;
        this.#hear(json);
      },
      ended: (end) => {
        if (silent && transport !== "polling" && isUnexplained(end)) this.#inquireSoon();
        else this.#end(end);
      },
    });
  }

  /** Not at once: if the node has just died, everybody who was connecting to it has this to ask. */
  #inquireSoon(): void {
    this.#drop();
    this.#timer = setTimeout(() => { this.#inquire(); }, this.#world.random() * INQUIRY_SPREAD_MS);
  }

  /**
   * Asks by plain HTTP why a link came to nothing. A browser doesn't tell what a refused WebSocket was answered: it may be
   * that the server is too busy, and says for how long; that it won't have this page; that something on the way blocks
   * WebSockets; or that nothing can be reached at all. A good answer brings the messages that the link would have.
   */
  #inquire(): void {
    this.#listen("polling", {
      heard: (json) => { this.#hear(json); },
      ended: (end) => {
        if (end.kind !== "asked") this.#end(end);
        else if (this.#ladder.blocked()) this.#connect();
        else this.#retryAfter({ kind: "failed", atLeastMs: undefined });
      },
    });
  }

  #listen(transport: Transport, listener: Listener): void {
    this.#drop();
    this.#heardAt = Date.now();
    // In the query, since a page can give a WebSocket no headers.
    const query = new URLSearchParams({ ...QUERY[this.#entry], ...this.#papers, traceparent: TRACEPARENT });
    this.#link = this.#world.openLink(transport, `${this.#path}?${String(query)}`, listener);
    this.#timer = setTimeout(() => {
      this.#drop();
      listener.ended({ kind: "failed", atLeastMs: undefined });
    }, FIRST_WORD_MS);
  }

  #drop(): void {
    clearTimeout(this.#timer);
    this.#link?.close();
    this.#link = undefined;
  }

  #hear(json: string): void {
    clearTimeout(this.#timer);
    this.#heardAt = Date.now();
    this.#failures = 0;
    // The ticket has arrived with the answer: from here on the page only ever comes back with it.
    this.#entry = "resume";
    const message = parseLineMessage(json);
    if (!message) return;
    if (message.type === "over") this.close();
    this.#listener.heard(message);
  }

  #end(end: End): void {
    if (end.kind === "refused") {
      this.close();
      this.#listener.refused(end.problem);
    } else if (end.kind === "asked") {
      this.#drop();
      if (this.#wanted) this.#timer = setTimeout(() => { this.#connect(); }, end.nextInMs);
    } else {
      this.#lose(end);
    }
  }

  #lose(end: Loss): void {
    const { atLeastMs } = this.#retryAfter(end);
    // A server that answers, or a network that is gone, says nothing against the best way to it.
    if (atLeastMs !== undefined || this.#ladder.transport === "polling") this.#ladder.startOver();
    this.#listener.lost(atLeastMs !== undefined);
  }

  #retryAfter(end: Loss): Wait {
    this.#drop();
    const wait = waitAfter(end, this.#failures);
    this.#failures += 1;
    this.#notBefore = Date.now() + (wait.atLeastMs ?? 0);
    this.#timer = setTimeout(() => { this.#connect(); }, retryDelayMs(wait, this.#world.random()));
    return wait;
  }
}
