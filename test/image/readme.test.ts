import { existsSync, readdirSync, readFileSync } from 'node:fs';
import test from 'ava';

const root = new URL('../../', import.meta.url);
const README = readFileSync(new URL('rescue/README.md', root), 'utf8');

const sources = readdirSync(new URL('rescue/', root), { recursive: true, encoding: 'utf8' });
const tests = readdirSync(new URL('test/', root), { recursive: true, encoding: 'utf8' }).map(
  (path) => `test/${path}`,
);

/** `path` as the text names it: whole, or its end; `*` stands for anything. */
const isThere = (path: string): boolean => {
  const pattern = new RegExp(`(^|/)${path.replaceAll('.', '\\.').replaceAll('*', '[^/]*')}$`);
  return [...sources, ...tests].some((each) => pattern.test(each));
};

test('every file that the page names is there', (t) => {
  const named = [...README.matchAll(/`([\w./*-]+\.(?:ts|md))`/g)].map((match) => match[1]!);
  t.true(named.length > 60);
  t.deepEqual(
    named.filter((path) => !isThere(path.replace(/^rescue\//, ''))),
    [],
  );
  t.false(isThere('job/no-such-file.ts'));
});

test('every link leads somewhere', (t) => {
  const links = [...README.matchAll(/\]\(([^)#]+)\)/g)].map((match) => match[1]!);
  t.true(links.length >= 6);
  t.deepEqual(
    links.filter((link) => !existsSync(new URL(`rescue/${link}`, root))),
    [],
  );
});

test('every folder of the engine is in the map of layers', (t) => {
  for (const entry of readdirSync(new URL('rescue/', root), { withFileTypes: true })) {
    if (entry.isDirectory()) t.true(README.includes(`| \`${entry.name}/\` |`), entry.name);
  }
});
