import test from 'ava';
import { FEATURES, variantCycle } from './variants.ts';

for (const [name, variant] of Object.entries(FEATURES)) test.serial(name, variantCycle, variant);
