/** A text as a QR code. */

import { encode } from "uqr";

const SVG = "http://www.w3.org/2000/svg";
/** The quiet zone that readers require, in modules. */
const BORDER = 4;

/** Dark on light, also where the page is dark: readers expect it. */
export function qrCode(text: string, label: string): SVGSVGElement {
  const { data, size } = encode(text, { ecc: "M", border: BORDER });
  const dark = data.flatMap((row, y) => row.flatMap((is, x) => (is ? [`M${x} ${y}h1v1h-1z`] : [])));
  const drawn = (name: "svg" | "rect" | "path", attributes: Record<string, string>): SVGElement => {
    const made = document.createElementNS(SVG, name);
    for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
    return made;
  };
  const made = drawn("svg", { viewBox: `0 0 ${size} ${size}`, role: "img", "aria-label": label, class: "qr", "shape-rendering": "crispEdges" });
  made.append(drawn("rect", { width: "100%", height: "100%", fill: "#fff" }), drawn("path", { d: dark.join(""), fill: "#000" }));
  return made as SVGSVGElement;
}
