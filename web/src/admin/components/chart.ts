/** Time charts, by uPlot. A sentence below states the same for screen readers. */

import uPlot from "uplot";
import { part } from "./element";

export interface Line {
  label: string;
  /** The custom property that holds its colour. */
  colour: string;
  /** Distinguishes lines without colour. */
  dash?: number[];
}

const HEIGHT = 190;
const FONT = "12px system-ui, sans-serif";

function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** Hours and minutes, and seconds where the steps are small. */
function times(_: uPlot, splits: number[], __: number, ___: number, step: number): string[] {
  const options: Intl.DateTimeFormatOptions = { hour: "2-digit", minute: "2-digit", ...(step < 60 && { second: "2-digit" }) };
  return splits.map((at) => new Date(at * 1000).toLocaleTimeString("en-GB", options));
}

export class Chart {
  readonly #lines: Line[];
  readonly #frame: HTMLElement;
  readonly #summary: HTMLElement;
  readonly #sizes: ResizeObserver;
  readonly #dark = matchMedia("(prefers-color-scheme: dark)");
  readonly #redraw = (): void => { this.#draw(); };
  #plot: uPlot | undefined;
  #data: uPlot.AlignedData = [[]];

  constructor(root: HTMLElement, lines: Line[]) {
    this.#lines = lines;
    this.#frame = part(root, ".chart", HTMLElement);
    this.#summary = part(root, "p", HTMLElement);
    this.#sizes = new ResizeObserver(() => { this.#fit(); });
    this.#sizes.observe(this.#frame);
    this.#dark.addEventListener("change", this.#redraw);
  }

  show(at: number[], data: (number | null)[][], summary: string): void {
    this.#data = [at, ...data] as uPlot.AlignedData;
    if (this.#plot) this.#plot.setData(this.#data);
    else if (at.length > 1) this.#draw();
    this.#summary.textContent = summary;
  }

  leave(): void {
    this.#sizes.disconnect();
    this.#dark.removeEventListener("change", this.#redraw);
    this.#plot?.destroy();
  }

  #fit(): void {
    const width = this.#frame.clientWidth;
    if (width > 0 && this.#plot && this.#plot.width !== width) this.#plot.setSize({ width, height: HEIGHT });
  }

  #draw(): void {
    if (this.#data[0].length < 2) return;
    // Measured first: the frame collapses while it is empty.
    const width = Math.max(200, this.#frame.clientWidth);
    this.#plot?.destroy();
    const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--edge"), width: 1 }, ticks: { show: false }, font: FONT };
    const series = this.#lines.map(({ label, colour: name, dash }) => ({
      label, stroke: colour(name), width: 2, points: { show: false }, ...(dash && { dash }),
    }));
    this.#plot = new uPlot(
      {
        width,
        height: HEIGHT,
        cursor: { show: false },
        legend: { show: true, live: false },
        scales: { y: { range: (_, __, high) => [0, Math.max(1, high * 1.1)] } },
        axes: [{ ...axis, values: times }, { ...axis, size: 44 }],
        series: [{}, ...series],
      },
      this.#data,
      this.#frame,
    );
  }
}
