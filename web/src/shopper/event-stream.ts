/** Reads Server-Sent Events from text that arrives in pieces of any size. */
export class EventStream {
  #line = "";
  #data: string[] = [];

  /** The data of every event that `piece` completes. */
  push(piece: string): string[] {
    const lines = (this.#line + piece).split("\n");
    this.#line = lines.pop() ?? "";
    return lines.flatMap((line) => this.#read(line.replace(/\r$/, "")));
  }

  #read(line: string): string[] {
    if (line.startsWith("data:")) {
      this.#data.push(line.slice(5).replace(/^ /, ""));
      return [];
    }
    if (line !== "" || this.#data.length === 0) return [];
    const data = this.#data.join("\n");
    this.#data = [];
    return [data];
  }
}
