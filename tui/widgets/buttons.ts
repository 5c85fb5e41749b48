import type { Row } from '../cells.ts';
import { row, span } from '../cells.ts';

export interface Button {
  readonly label: string;
  readonly disabled?: boolean;
}

/** `[ Cancel ]   [ Restore ]`, one of them with the focus. Brackets tell it without colours: `> Cancel <`. */
export const buttonRow = (buttons: readonly Button[], focused: number | undefined): Row =>
  row(
    ...buttons.flatMap(({ label, disabled }, index) => {
      const at = index === focused;
      const text = at ? `> ${label} <` : `[ ${label} ]`;
      const style = disabled === true ? 'disabled' : at ? 'focused' : 'button';
      return [...(index === 0 ? [] : ['   ']), span(text, style)];
    }),
  );
