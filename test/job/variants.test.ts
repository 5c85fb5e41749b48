import test from 'ava';
import { LAYOUTS, variantCycle } from './variants.ts';

for (const [name, variant] of Object.entries(LAYOUTS)) test.serial(name, variantCycle, variant);
