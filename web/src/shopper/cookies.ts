/** Whether this browser keeps cookies: a place in line is stored in one. */

import type { Problem } from "../shared/api";

const PROBE = "fairline_probe=1";

/** The problem of a browser without cookies, before it joins. `secure`: cookies require HTTPS. */
export function cookieProblem(secure: boolean): Problem | undefined {
  if (keepsCookies(secure)) return undefined;
  const detail = secure && location.protocol === "http:"
    ? "Your place in line is stored in a cookie that requires HTTPS, and this page was loaded over HTTP. Open its https:// address."
    : "Your place in line is stored in a cookie. Allow cookies for this site, then join again. You have no place yet.";
  return { type: "about:blank", title: "Cookies are blocked", detail };
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
