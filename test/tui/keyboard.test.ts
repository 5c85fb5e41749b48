import { setTimeout as pause } from 'node:timers/promises';
import test from 'ava';
import fc from 'fast-check';
import { decodeKeys, Keyboard } from '../../tui/keyboard.ts';

const names = (input: string): string[] => decodeKeys(input).presses.map(({ name }) => name);

test('keys of the terminals that we know', (t) => {
  t.deepEqual(names('a\r\x7f\x03\t'), ['a', 'enter', 'backspace', 'C-c', 'tab']);
  t.deepEqual(names('\x1b[A\x1bOB\x1b[Z\x1bOP\x1b[11~\x1b[[A\x1b[5~'), [
    'up',
    'down',
    'S-tab',
    'f1',
    'f1',
    'f1',
    'pageup',
  ]);
  t.deepEqual(names('\x1bx'), ['escape', 'x']);
  t.deepEqual(names('\x1b[1;5C\x1b[200~é'), ['é'], 'what is not known does nothing');
  t.deepEqual(decodeKeys('b\x1b['), { presses: [{ name: 'b', text: 'b' }], rest: '\x1b[' });
});

test('any input is taken apart to its end, whatever pieces it comes in', (t) => {
  const piece = fc.oneof(fc.constantFrom('\x1b', '[', 'O', 'A', '1', '~', ';', '\r'), fc.string());
  fc.assert(
    fc.property(fc.array(piece), (pieces) => {
      const whole = decodeKeys(pieces.join(''));
      let rest = '';
      const presses = pieces.flatMap((each) => {
        const decoded = decodeKeys(rest + each);
        rest = decoded.rest;
        return decoded.presses;
      });
      // A pair of surrogates that is torn apart comes as bytes, and those are put together before.
      fc.pre(pieces.every((each) => each.isWellFormed()));
      t.deepEqual({ presses, rest }, whole);
    }),
  );
});

test('a sequence that a slow line tears apart is one key; an escape alone is Esc', async (t) => {
  const pressed: string[] = [];
  const keyboard = new Keyboard(({ name }) => pressed.push(name));
  const send = (text: string): void => keyboard.take(Buffer.from(text));
  send('\x1b');
  send('[');
  send('A');
  t.deepEqual(pressed, ['up']);
  send('\x1b');
  while (pressed.length < 2) await pause(10);
  t.deepEqual(pressed, ['up', 'escape']);
  const euro = Buffer.from('€');
  keyboard.take(euro.subarray(0, 1));
  keyboard.take(euro.subarray(1));
  t.is(pressed.at(-1), '€');
  keyboard.stop();
});
