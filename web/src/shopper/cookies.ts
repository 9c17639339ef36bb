/** Whether this browser keeps our cookies: a place in the line is kept in one. */

import type { Problem } from "../shared/api";

const PROBE = "fairline_probe=1";

/** What to say to a shopper whose browser keeps none, before there is a place to lose. `secure`: whether ours travel over HTTPS only. */
export function cookieProblem(secure: boolean): Problem | undefined {
  if (keepsCookies(secure)) return undefined;
  const detail = secure && location.protocol === "http:"
    ? "Your place in the line is kept in a cookie that travels over HTTPS only, and this page came over HTTP. Open its https:// address."
    : "Your place in the line is kept in one. Allow cookies for this site, and join again. You have no place yet.";
  return { type: "about:blank", title: "Your browser keeps no cookies of this site", detail };
}

function keepsCookies(secure: boolean): boolean {
  const with_ = `; Path=/; SameSite=Lax${secure ? "; Secure" : ""}`;
  try {
    document.cookie = PROBE + with_;
    const kept = document.cookie.split("; ").includes(PROBE);
    document.cookie = `${PROBE}${with_}; Max-Age=0`;
    return kept;
  } catch {
    // A frame without an origin of its own.
    return false;
  }
}
