import { EventEmitter } from 'node:events';
import { PassThrough, Writable } from 'node:stream';
import test from 'ava';
import { runTui } from '../../tui/app.ts';
import { Clock, madeUpJobs, type Scenario } from './made-up.ts';

/** Questions and answers: what a person types, and what they are told. */
const talk = async (
  scenario: Scenario,
  answers: readonly string[],
  atEach?: (said: string, signals: EventEmitter) => void,
) => {
  const clock = new Clock();
  const stdin = Object.assign(new PassThrough(), { isTTY: true });
  const signals = new EventEmitter();
  const left = [...answers];
  let said = '';
  const stdout = new Writable({
    decodeStrings: false,
    write: (chunk, _encoding, done) => {
      said += String(chunk);
      atEach?.(said, signals);
      if (/(back\)|stops here): ?$/.test(said)) {
        const answer = left.shift();
        if (answer === undefined) stdin.end();
        else stdin.write(`${answer}\n`);
      }
      done();
    },
  });
  const env = { TERM: 'dumb', LANG: 'C' };
  const outcome = await runTui({
    jobs: madeUpJobs(scenario, clock),
    stdin,
    stdout,
    env,
    signals,
    now: () => clock.now,
  });
  return { outcome, said };
};

test('finds an image and restores it', async (t) => {
  const { outcome, said } = await talk('all', ['7', '1', '1', 'sda', 'q']);
  t.deepEqual(outcome, { next: 'quit' });
  t.regex(said, /"7" is not one of them/);
  t.regex(said, /1\. \/dev\/sda: Kelp Forest SSD 870/);
  t.notRegex(said, /\/dev\/sdb/, 'the rescue medium is not offered');
  t.regex(said, /WILL BE LOST:/);
  t.regex(said, /Partition 2 of \/dev\/sda .* is restored from the user image 3f2a91c4/);
  t.regex(said, /holdfast restore \/dev\/sda --image 3f2a91c4/);
});

test('the wrong name writes nothing, and the end of the input is the end', async (t) => {
  const { said } = await talk('all', ['1', '1', 'sdb']);
  t.regex(said, /Nothing was written/);
  t.notRegex(said, /is restored/);
});

test('Ctrl-C stops a job at its next safe point', async (t) => {
  let sent = false;
  const { said } = await talk('writing', ['1', '1', 'sda', 'q'], (text, signals) => {
    if (sent || !/writing the partition/.test(text)) return;
    sent = true;
    setImmediate(() => signals.emit('SIGINT'));
  });
  t.regex(said, /stopping at the next safe point/);
  t.regex(said, /What to do next: .*Run the same command again/);
});

test('no disk, no image', async (t) => {
  t.regex((await talk('none', [])).said, /No disk was found/);
  t.regex((await talk('nothing', ['1', 'q'])).said, /No image found on \/dev\/sda/);
});
