/** The interface of a screen of the console, and the parts of the console that it can use. */

import type { Role } from "../shared/api";
import type { Answer } from "../shared/http";
import type { AdminClient } from "./client";

export interface Screen {
  readonly element: HTMLElement;
  /** The title of the browser's tab. */
  readonly title: string;
  leave?(): void;
}

export interface ConsoleContext {
  readonly client: AdminClient;
  readonly name: string;
  may(role: Role): boolean;
  /** Shows a notice; an empty text hides it. */
  notify(text: string): void;
  /** The body of a successful response; otherwise shows the problem and returns undefined. */
  unwrap<T>(answer: Answer<T>): T | undefined;
  /** Shows that data may be out of date since a moment; undefined: up to date. */
  readonly staleSince: (moment: Date | undefined) => void;
  readonly ended: () => void;
}
