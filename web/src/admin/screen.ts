/** What a screen of the console is, and what it may ask of the console. */

import type { Role } from "../shared/api";
import type { Answer } from "../shared/http";
import type { AdminClient } from "./client";

export interface Screen {
  readonly element: HTMLElement;
  /** What the browser's tab is called. */
  readonly title: string;
  leave?(): void;
}

export interface ConsoleContext {
  readonly client: AdminClient;
  readonly name: string;
  may(role: Role): boolean;
  /** Says how something went; nothing where it went well and is to be seen anyway. */
  notify(text: string): void;
  /** The body of a good answer; otherwise the operator is told why there is none. */
  unwrap<T>(answer: Answer<T>): T | undefined;
  /** Since when what is shown may be old; nothing: it is as it is now. */
  readonly staleSince: (moment: Date | undefined) => void;
  readonly ended: () => void;
}
