import type { Cluster } from '../../units.ts';

/** Clusters of a page: one bit each, 4 KiB. */
const PAGE = 32768;

/**
 * A set of clusters, one bit each, in pages made on demand. The number of a FAT entry has 28 bits, so all pages together
 * never take more than 32 MiB, and for a volume of 64 GiB with clusters of 32 KiB they take 256 KiB.
 */
export class ClusterSet {
  readonly #pages = new Map<number, Uint8Array>();
  #latest: { readonly index: number; readonly page: Uint8Array } | undefined;

  #page(cluster: Cluster): Uint8Array {
    const index = Math.floor(cluster / PAGE);
    if (this.#latest?.index === index) return this.#latest.page;
    let page = this.#pages.get(index);
    if (page === undefined) {
      page = new Uint8Array(PAGE / 8);
      this.#pages.set(index, page);
    }
    this.#latest = { index, page };
    return page;
  }

  has(cluster: Cluster): boolean {
    return (this.#page(cluster)[(cluster % PAGE) >>> 3]! & (1 << (cluster & 7))) !== 0;
  }

  /** False if it was in already. */
  add(cluster: Cluster): boolean {
    const page = this.#page(cluster);
    const at = (cluster % PAGE) >>> 3;
    const mask = 1 << (cluster & 7);
    if ((page[at]! & mask) !== 0) return false;
    page[at]! |= mask;
    return true;
  }
}
