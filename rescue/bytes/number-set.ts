/** Numbers in one page: 512 bytes of bits. */
const PAGE = 4096;

/** Numbers that were met, one bit each, in pages made on demand. */
export class NumberSet {
  readonly #pages = new Map<number, Uint8Array>();

  /** False if it was in already. */
  add(number: number): boolean {
    const index = Math.floor(number / PAGE);
    let page = this.#pages.get(index);
    if (page === undefined) {
      page = new Uint8Array(PAGE / 8);
      this.#pages.set(index, page);
    }
    const mask = 1 << (number % 8);
    const byte = (number % PAGE) >>> 3;
    if ((page[byte]! & mask) !== 0) return false;
    page[byte]! |= mask;
    return true;
  }

  has(number: number): boolean {
    const page = this.#pages.get(Math.floor(number / PAGE));
    return page !== undefined && (page[(number % PAGE) >>> 3]! & (1 << (number % 8))) !== 0;
  }
}
