import { createConnection } from 'node:net';

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
    const take = (line: string): void => {
      const message = JSON.parse(line) as Record<string, unknown>;
      if ('QMP' in message) say({ execute: 'qmp_capabilities' });
      if ('error' in message) failed(JSON.stringify(message['error']));
      if (!('return' in message)) return;
      answers += 1;
      if (answers === 1) {
        say({ execute, arguments: parameters });
      } else {
        connection.destroy();
        resolve(message['return']);
      }
    };
    let rest = '';
    connection.on('data', (chunk) => {
      const lines = (rest + chunk.toString()).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) take(line);
    });
  });
