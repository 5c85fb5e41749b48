import { readFileSync, writeFileSync } from 'node:fs';

/**
 * Node's program is linked with libatomic, a library that a bare Debian 12 does not have, for one function:
 * `__atomic_compare_exchange`, which V8 calls for words of 8 bytes. On x86-64 that is one instruction. This puts the
 * function into the program itself and takes the library off the list of what it needs. The executable is ELF-64 (System V
 * gABI, chapters 4 and 5; x86-64 psABI, 4.4; versions: LSB Core, 10.7).
 */

const LIBRARY = 'libatomic.so.1';
const FUNCTION = '__atomic_compare_exchange';

/**
 * bool (size_t size, uint64_t *object, uint64_t *expected, uint64_t *desired, int, int), as GCC's libatomic has it, for size
 * 8 only; sequentially consistent, which is stronger than any order asked for.
 */
const CODE = Uint8Array.of(
  ...[0x48, 0x83, 0xff, 0x08], //       cmp    $8,%rdi
  ...[0x75, 0x12], //                   jne    to ud2
  ...[0x48, 0x8b, 0x02], //             mov    (%rdx),%rax
  ...[0x48, 0x8b, 0x09], //             mov    (%rcx),%rcx
  ...[0xf0, 0x48, 0x0f, 0xb1, 0x0e], // lock cmpxchg %rcx,(%rsi)
  ...[0x48, 0x89, 0x02], //             mov    %rax,(%rdx)      (the same value, if they were equal)
  ...[0x0f, 0x94, 0xc0], //             sete   %al
  0xc3, //                              ret
  ...[0x0f, 0x0b], //                   ud2: any other size stops the program instead of doing something else
);

const PROGRAM_HEADER = { tableAt: 32, sizeAt: 54, countAt: 56, load: 1, dynamic: 2, executable: 1 };
const TAG = {
  needed: 1n,
  strings: 5n,
  symbols: 6n,
  jumpRelocations: 23n,
  jumpSize: 2n,
  versions: 0x6ffffffen,
  count: 0x6fffffffn,
};
const SYMBOL_SIZE = 24;
const RELOCATION_SIZE = 24;
const R_X86_64_RELATIVE = 8n;

interface Segment {
  /** Where its header stands in the file. */
  readonly header: number;
  readonly type: number;
  readonly flags: number;
  readonly offset: number;
  readonly address: number;
  readonly size: number;
}

/** Only what the change needs of an ELF file, read and set in place. */
class Program {
  readonly bytes: Buffer;
  readonly segments: readonly Segment[];
  /** Tag to place in the file of the entry's value, for tags that occur once. */
  readonly #dynamic = new Map<bigint, number>();
  /** Places of the values of DT_NEEDED. */
  readonly needed: number[] = [];

  constructor(bytes: Buffer) {
    this.bytes = bytes;
    if (bytes.readUInt32BE(0) !== 0x7f454c46 || bytes[4] !== 2 || bytes.readUInt16LE(18) !== 62)
      throw new Error('Node’s program is no ELF-64 file for x86-64');
    const { tableAt, sizeAt, countAt } = PROGRAM_HEADER;
    const table = Number(bytes.readBigUInt64LE(tableAt));
    const size = bytes.readUInt16LE(sizeAt);
    this.segments = Array.from({ length: bytes.readUInt16LE(countAt) }, (_, index) => {
      const header = table + index * size;
      const word = (at: number): number => Number(bytes.readBigUInt64LE(header + at));
      const [type, flags] = [bytes.readUInt32LE(header), bytes.readUInt32LE(header + 4)];
      return { header, type, flags, offset: word(8), address: word(16), size: word(32) };
    });
    const dynamic = this.segments.find(({ type }) => type === PROGRAM_HEADER.dynamic);
    if (dynamic === undefined) throw new Error('Node’s program is linked with no library at all');
    for (let at = dynamic.offset; at < dynamic.offset + dynamic.size; at += 16) {
      const tag = bytes.readBigUInt64LE(at);
      if (tag === TAG.needed) this.needed.push(at + 8);
      else this.#dynamic.set(tag, at + 8);
    }
  }

  /** Place in the file of the value of a dynamic entry. */
  valueAt(tag: bigint): number {
    const at = this.#dynamic.get(tag);
    if (at === undefined) throw new Error(`Node’s program has no dynamic entry ${tag}`);
    return at;
  }

  word(at: number): number {
    return Number(this.bytes.readBigUInt64LE(at));
  }

  setWord(at: number, value: number): void {
    this.bytes.writeBigUInt64LE(BigInt(value), at);
  }

  /** Place in the file of what is loaded at an address. */
  placeOf(address: number): number {
    const segment = this.segments.find(
      (each) =>
        each.type === PROGRAM_HEADER.load && address >= each.address && address < each.address + each.size,
    );
    if (segment === undefined) throw new Error(`nothing of the file is loaded at ${address}`);
    return segment.offset + (address - segment.address);
  }

  text(offset: number): string {
    const at = this.placeOf(this.word(this.valueAt(TAG.strings))) + offset;
    return this.bytes.toString('latin1', at, this.bytes.indexOf(0, at));
  }
}

/** Puts the function behind the code, into what is left of its last page, and gives its address. */
const addFunction = (program: Program): number => {
  const { bytes, segments } = program;
  const code = segments.find(
    ({ type, flags }) => type === PROGRAM_HEADER.load && (flags & PROGRAM_HEADER.executable) !== 0,
  );
  if (code === undefined) throw new Error('Node’s program has no code');
  const size = Math.ceil(code.size / 16) * 16;
  const at = code.offset + size;
  const room = bytes.subarray(at, at + CODE.length);
  if ((at % 4096) + CODE.length > 4096 || at % 4096 === 0 || room.some((byte) => byte !== 0))
    throw new Error('there is no room behind the code of Node’s program');
  bytes.set(CODE, at);
  // p_filesz and p_memsz.
  program.setWord(code.header + 32, size + CODE.length);
  program.setWord(code.header + 40, size + CODE.length);
  return code.address + size;
};

/** The library's record of versions goes out of the list, and with it the need for them. */
const dropVersions = (program: Program): void => {
  const { bytes } = program;
  const first = program.valueAt(TAG.versions);
  let before: number | undefined;
  for (let at = program.placeOf(program.word(first)); ; ) {
    const next = bytes.readUInt32LE(at + 12);
    if (program.text(bytes.readUInt32LE(at + 4)) === LIBRARY) {
      if (bytes.readUInt16LE(at + 2) !== 1) throw new Error(`${LIBRARY} is needed in several versions`);
      if (before === undefined) program.setWord(first, program.word(first) + next);
      else bytes.writeUInt32LE(next === 0 ? 0 : bytes.readUInt32LE(before + 12) + next, before + 12);
      const count = program.valueAt(TAG.count);
      program.setWord(count, program.word(count) - 1);
      return;
    }
    if (next === 0) throw new Error(`no version of ${LIBRARY} is recorded`);
    before = at;
    at += next;
  }
};

/** Lets the slot through which the function is called hold its address from the start. */
const bind = (program: Program, address: number): void => {
  const { bytes } = program;
  const symbols = program.placeOf(program.word(program.valueAt(TAG.symbols)));
  const relocations = program.placeOf(program.word(program.valueAt(TAG.jumpRelocations)));
  const end = relocations + program.word(program.valueAt(TAG.jumpSize));
  for (let at = relocations; at < end; at += RELOCATION_SIZE) {
    const symbol = symbols + bytes.readUInt32LE(at + 12) * SYMBOL_SIZE;
    if (program.text(bytes.readUInt32LE(symbol)) !== FUNCTION) continue;
    bytes.writeBigUInt64LE(R_X86_64_RELATIVE, at + 8);
    program.setWord(at + 16, address);
    // Undefined and of no version: the version that it had is gone. Weak, so that nobody minds.
    bytes[symbol + 4] = (2 << 4) | (bytes[symbol + 4]! & 15);
    return;
  }
  throw new Error(`nothing calls ${FUNCTION}`);
};

/** Frees a copy of Node's program from libatomic. Changes nothing if it does not need it; throws if it cannot. */
export const freeFromLibatomic = (path: string): void => {
  const program = new Program(readFileSync(path));
  const entry = program.needed.find((at) => program.text(program.word(at)) === LIBRARY);
  if (entry === undefined) return;
  // Needing another library twice is needing it once.
  const other = program.needed.find((at) => at !== entry)!;
  program.setWord(entry, program.word(other));
  bind(program, addFunction(program));
  dropVersions(program);
  writeFileSync(path, program.bytes);
};
