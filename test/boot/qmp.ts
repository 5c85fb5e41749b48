import { createConnection } from 'node:net';
import { createInterface } from 'node:readline';

/**
 * One command over QEMU's machine protocol (QMP): JSON lines on a socket, on which QEMU speaks first. Rejects with what
 * QEMU says against it, or if it does not answer within a minute.
 */
export const askQemu = (
  socket: string,
  execute: string,
  parameters: Readonly<Record<string, unknown>> = {},
): Promise<unknown> =>
  new Promise((resolve, reject) => {
    const connection = createConnection(socket);
    const failed = (why: string): void => {
      connection.destroy();
      reject(new Error(`QEMU: ${execute}: ${why}`));
    };
    connection.setTimeout(60_000, () => failed('no answer'));
    connection.once('error', (error) => failed(error.message));
    const say = (message: object): void => {
      connection.write(`${JSON.stringify(message)}\n`);
    };
    let answers = 0;
    createInterface({ input: connection }).on('line', (line) => {
      const message = JSON.parse(line) as Record<string, unknown>;
      if ('QMP' in message) say({ execute: 'qmp_capabilities' });
      if ('error' in message) failed(JSON.stringify(message['error']));
      if (!('return' in message)) return;
      answers += 1;
      if (answers === 1) {
        say({ execute, arguments: parameters });
      } else {
        connection.end();
        resolve(message['return']);
      }
    });
  });
