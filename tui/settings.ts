/** What the person chose for this session. */
export interface Settings {
  colour: boolean;
  unicode: boolean;
  /** Name of the keyboard layout that was loaded. */
  layout: string | undefined;
}
