/** Shown in place of a screen that the operator's role does not include. */

import { cloneTemplate } from "../components/element";
import type { Screen } from "../screen";

export class AccessDeniedScreen implements Screen {
  readonly element = cloneTemplate("access-denied");
  readonly title = "Access denied";
}
