/** What a shopper reads when a request failed. */

import type { Problem } from "../shared/api";
import type { Answer } from "../shared/http";

export const UNREACHABLE: Problem = { type: "about:blank", title: "The shop is busy or could not be reached. Please try again in a moment." };

export function problemOf(answer: Exclude<Answer<unknown>, { kind: "ok" }>): Problem {
  return answer.kind === "refused" ? answer.problem : UNREACHABLE;
}
