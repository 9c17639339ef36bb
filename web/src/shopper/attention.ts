/**
 * Alerts a shopper whose page is hidden: by sound, title and, where permitted, notification. A
 * script of its own, loaded only while waiting.
 */

const FLASH_MS = 1_000;
/** Two notes, each this long. */
const NOTE_S = 0.22;
const NOTES_HZ = [660, 880];

export class Attention {
  readonly #tag: string;
  #sound: AudioContext | undefined;
  #timers: ReturnType<typeof setTimeout>[] = [];
  #notification: Notification | undefined;
  #title = "";

  /** `tag`: of several tabs with the same one, a shopper sees one notification. */
  constructor(tag: string) {
    this.#tag = tag;
  }

  /** Browsers allow sound only after a user gesture: call this in one. */
  prepare(): void {
    this.#sound ??= new AudioContext();
  }

  /** Alerts that it is the shopper's turn, which has to be claimed within `forMs`. */
  call(name: string, forMs: number): void {
    this.stop();
    if (document.visibilityState === "visible" && document.hasFocus()) return;
    const title = `Your turn! · ${name}`;
    this.#ring();
    this.#notify(title);
    this.#title = document.title;
    const flash = (shown: string, next: string): void => {
      document.title = shown;
      this.#timers[0] = setTimeout(() => { flash(next, shown); }, FLASH_MS);
    };
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) document.title = title;
    else flash(title, this.#title);
    this.#timers[1] = setTimeout(() => {
      clearTimeout(this.#timers[0]);
      document.title = `Return to this page: you are next · ${name}`;
    }, forMs);
  }

  /** Ends the alert: the page is visible. */
  stop(): void {
    this.#timers.forEach((timer) => { clearTimeout(timer); });
    this.#timers = [];
    this.#notification?.close();
    this.#notification = undefined;
    if (this.#title !== "") document.title = this.#title;
    this.#title = "";
  }

  #ring(): void {
    const sound = this.#sound;
    if (!sound) return;
    void sound.resume().then(() => {
      NOTES_HZ.forEach((frequency, index) => {
        const [from, until] = [sound.currentTime + index * NOTE_S, sound.currentTime + (index + 1) * NOTE_S];
        const [note, volume] = [new OscillatorNode(sound, { frequency }), new GainNode(sound, { gain: 0.2 })];
        volume.gain.setTargetAtTime(0, until - NOTE_S / 3, NOTE_S / 10);
        note.connect(volume).connect(sound.destination);
        note.start(from);
        note.stop(until);
      });
    });
  }

  #notify(title: string): void {
    if (!("Notification" in window) || Notification.permission !== "granted") return;
    try {
      this.#notification = new Notification(title, { body: "Open the page to go to checkout.", tag: this.#tag, requireInteraction: true });
      this.#notification.onclick = () => { window.focus(); };
    } catch {
      // Phones only show notifications of service workers.
    }
  }
}
