import type { Machine } from './machine.ts';

/** What the medium says on a serial console that is not its main one, when it was started with a shell. */
const OFFER = /Press Enter for a shell here\./;
/** The prompt that `iso/profile` sets. */
const PROMPT = /holdfast:\S*# /;

/** A shell of the medium on the serial console. */
export class Shell {
  readonly #machine: Machine;

  private constructor(machine: Machine) {
    this.#machine = machine;
  }

  /** Waits for a prompt on a machine whose main console is the serial one. */
  static async on(machine: Machine, seconds = 300): Promise<Shell> {
    await machine.expect(PROMPT, seconds);
    const shell = new Shell(machine);
    // Or long commands would be shown wrapped.
    await shell.run('stty cols 1000');
    return shell;
  }

  /** On a machine that has its shell on the screen: takes up the offer of another one. */
  static async offered(machine: Machine, seconds = 300): Promise<Shell> {
    await machine.expect(OFFER, seconds);
    machine.send('\r');
    return Shell.on(machine, 60);
  }

  /** Runs a command; gives what it said, and its exit code. Rejects if it does not end within that time. */
  async try(command: string, seconds = 120): Promise<{ said: string; exit: number }> {
    // What is typed comes back; it must not look like the end of the answer.
    this.#machine.send(`${command}; printf '<%s>\\n' $?\r`);
    const [, said = '', exit] = await this.#machine.expect(/([\s\S]*?)<(\d+)>\n/, seconds);
    return { said: said.replace(/^[\s\S]*; printf '<%s>.*\n/, ''), exit: Number(exit) };
  }

  /** Like `try`, and rejects unless the command ends with 0. */
  async run(command: string, seconds?: number): Promise<string> {
    const { said, exit } = await this.try(command, seconds);
    if (exit !== 0) throw new Error(`${command}: exit code ${exit}\n${said}`);
    return said;
  }
}
