/** Numbers in one page, where the numbers that are met lie far apart: 512 bytes of bits. */
const SPARSE_PAGE = 4096;

/** Numbers that were met, one bit each, in pages made on demand. */
export class NumberSet {
  readonly #pageLength: number;
  readonly #pages = new Map<number, Uint8Array>();
  /** Neighbours mostly come one after the other. */
  #latest: { readonly index: number; readonly page: Uint8Array } | undefined;

  /** `pageLength`: numbers in one page, a multiple of 8. */
  constructor(pageLength = SPARSE_PAGE) {
    this.#pageLength = pageLength;
  }

  #pageAt(index: number): Uint8Array | undefined {
    if (this.#latest?.index === index) return this.#latest.page;
    const page = this.#pages.get(index);
    if (page !== undefined) this.#latest = { index, page };
    return page;
  }

  /** False if it was in already. */
  add(number: number): boolean {
    const index = Math.floor(number / this.#pageLength);
    let page = this.#pageAt(index);
    if (page === undefined) {
      page = new Uint8Array(this.#pageLength / 8);
      this.#pages.set(index, page);
    }
    const mask = 1 << (number % 8);
    const byte = (number % this.#pageLength) >>> 3;
    if ((page[byte]! & mask) !== 0) return false;
    page[byte]! |= mask;
    return true;
  }

  has(number: number): boolean {
    const page = this.#pageAt(Math.floor(number / this.#pageLength));
    return page !== undefined && (page[(number % this.#pageLength) >>> 3]! & (1 << (number % 8))) !== 0;
  }
}
