import { formatClock } from '../../rescue/cli/text.ts';
import { PHASES, type Phase } from '../../rescue/job/context.ts';
import { formatBytes } from '../../rescue/units.ts';
import { BLANK, cut, type Look, paragraph, type Row, row, shown, span } from '../cells.ts';
import type { JobRun } from '../job-run.ts';
import type { Key } from '../keymap.ts';
import type { Screen, Ui } from '../screen.ts';
import { cellMap, legend, type Marks } from '../widgets/cell-map.ts';
import { progressBar } from '../widgets/progress-bar.ts';
import { questionScreen } from './question.ts';

export interface ProgressView {
  readonly title: string;
  readonly noun: string;
  readonly marks: Marks;
  readonly sentences: Readonly<Partial<Record<Phase, string>>>;
}

/** Phases in which the target is written: only there does stopping leave something to be done again. */
const WRITING: ReadonlySet<Phase> = new Set(['write', 'read-back', 'relocate', 'claim', 'release', 'wipe']);

const sentenceOf = (run: JobRun, view: ProgressView): string => {
  if (run.stopping) return 'Stopping at the next safe point...';
  const { progress } = run;
  if (progress === undefined) return 'Starting...';
  return view.sentences[progress.phase] ?? `Now: ${PHASES[progress.phase]}.`;
};

/** `1.2 GiB of 4.0 GiB, 83.1 MiB/s, 0:34 left`. */
export const numbersOf = (run: JobRun): string => {
  const { progress, bytesPerSecond, measured } = run;
  const parts: string[] = [];
  if (progress !== undefined && measured) {
    const { done, total } = progress;
    parts.push(total > 0 ? `${formatBytes(done)} of ${formatBytes(total)}` : formatBytes(done));
    if (bytesPerSecond !== undefined && bytesPerSecond > 0) {
      parts.push(`${formatBytes(bytesPerSecond)}/s`);
      if (total > done) parts.push(`${formatClock((total - done) / bytesPerSecond)} left`);
    }
  }
  return [...parts, `${formatClock(run.seconds)} since the start`].join(', ');
};

/** The rows that all running jobs share: sentence, picture, legend, bar, numbers, notes. */
export const progressRows = (
  run: JobRun,
  view: ProgressView,
  size: { readonly columns: number; readonly rows: number },
  look: Look,
): Row[] => {
  const { columns, rows } = size;
  const sentence = paragraph(shown(sentenceOf(run, view), look), columns, {
    style: run.stopping ? 'warning' : 'strong',
  });
  const notes = run.recent.slice(-2).map(({ note, severity }) => {
    const text = cut(shown(note, look), columns, look);
    return row(span(text, severity === 'warning' ? 'warning' : 'dim'));
  });
  const { done = 0, total = 0 } = run.progress ?? {};
  const below = [
    run.measured && total > 0 ? progressBar(done, total, columns, look) : BLANK,
    row(numbersOf(run)),
    ...notes,
  ];
  const room = rows - sentence.length - below.length - 4;
  const picture =
    run.map === undefined || room < 1
      ? []
      : [
          ...cellMap(run.map, { columns, rows: room, marks: view.marks, look }),
          legend(view.marks, look),
          BLANK,
        ];
  return [...sentence, BLANK, ...picture, ...below];
};

export const progressScreen = (ui: Ui, run: JobRun, view: ProgressView): Screen => {
  const ask = (): void => {
    if (run.stopping) {
      ui.say('It stops as soon as it can; switching the machine off now is not safe.');
      return;
    }
    const { phase } = run.progress ?? {};
    const writing = phase !== undefined && WRITING.has(phase);
    ui.open(
      questionScreen(ui, {
        title: 'Stop?',
        text: [
          `Stop ${view.noun}?`,
          writing
            ? 'It stops at the next safe point. What was begun stays unfinished until the same job is run again: the image is not harmed, and can be used again at once.'
            : 'Nothing on the disk has been changed that anybody would miss; it can be started again at any time.',
          'The job goes on while you think about it.',
        ],
        choices: [
          { label: 'Go on', hint: 'The job is not disturbed.', action: () => {} },
          {
            label: 'Stop it',
            hint: 'Stops the job at its next safe point.',
            action: () => {
              ui.log.write('asked to stop');
              run.stop();
            },
          },
        ],
      }),
    );
  };
  const clock = setInterval(() => ui.changed(true), 1000);
  return {
    title: view.title,
    rows: (size, look) => progressRows(run, view, size, look),
    keys: (): Key[] => [],
    escape: {
      names: ['escape'],
      title: 'Stop',
      hint: 'Asks whether to stop; the job goes on meanwhile.',
      action: ask,
    },
    interrupt: ask,
    closed: () => clearInterval(clock),
  };
};
