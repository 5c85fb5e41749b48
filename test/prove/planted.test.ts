import test from 'ava';
import type { PlantedFault } from './planted/faults.ts';
import { FAULTS } from './planted/faults.ts';
import { faultsOf, plant, planted } from './planted/planted.ts';
import { prove } from './runner.ts';

test('the proof sees a guard with a hole', async (t) => {
  const proof = await prove(planted, { depth: 'sample', seed: 1, jobs: 1 });
  t.deepEqual(proof.failures, []);
  t.is(proof.report.figures[1]!.value, 1);
});

test('each mistake can be planted: what it replaces stands there once', (t) => {
  for (const fault of FAULTS) t.notThrows(() => plant(t, fault), fault.name);
  t.throws(() => plant(t, { ...FAULTS[0]!, text: 'nobody wrote this' }), { message: /exactly once/ });
});

test('a mistake that changes nothing is not taken for one that was seen', (t) => {
  const [first] = FAULTS;
  const harmless: PlantedFault = { ...first!, instead: `${first!.text} // still the same` };
  t.regex(faultsOf(t, harmless)[0] ?? '', /ended with exit code 0, not 1/);
});
