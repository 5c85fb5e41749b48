/** The log of this session, kept in memory until somebody wants it. */
export class SessionLog {
  readonly #wallClock: () => number;
  readonly #pass: (text: string) => void;
  readonly #entries: string[] = [];
  /** Entries beyond this are dropped from the middle: beginnings and ends are what tells. */
  static readonly most = 5000;

  constructor(wallClock: () => number, pass: (text: string) => void = () => {}) {
    this.#wallClock = wallClock;
    this.#pass = pass;
  }

  write(text: string): void {
    this.#pass(text);
    const entry = text.replace(/\n+$/, '').replaceAll('\n', '\n    ');
    this.#entries.push(`${new Date(this.#wallClock()).toISOString()} ${entry}`);
    if (this.#entries.length > SessionLog.most) this.#entries.splice(SessionLog.most / 2, 1);
  }

  lines(): string[] {
    return this.#entries.flatMap((entry) => entry.split('\n'));
  }

  text(): string {
    return this.#entries.map((entry) => `${entry}\n`).join('');
  }
}
