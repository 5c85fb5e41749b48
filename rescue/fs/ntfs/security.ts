import {
  ACCESS_ENTRY,
  ACCESS_LIST,
  SECURITY_DACL_PRESENT,
  SECURITY_DACL_PROTECTED,
  SECURITY_DESCRIPTOR,
  SECURITY_ID,
  SECURITY_SELF_RELATIVE,
} from './layout.ts';

/** Well-known identifiers (MS-DTYP 2.4.2.4): `S-1-5-` and what follows. */
const SYSTEM = [18];
const ADMINISTRATORS = [32, 544];
/** MS-DTYP 2.4.3, as Windows composes them for files. */
const FULL_ACCESS = 0x001f_01ff;
const READ_AND_EXECUTE = 0x0012_00a9;

const NT_AUTHORITY = Uint8Array.of(0, 0, 0, 0, 0, 5);

const identifier = (parts: readonly number[]): Uint8Array => {
  const numbers = Buffer.alloc(4 * parts.length);
  for (const [index, part] of parts.entries()) numbers.writeUInt32LE(part, 4 * index);
  const head = SECURITY_ID.encode({
    revision: 1,
    sub_authority_count: parts.length,
    identifier_authority: NT_AUTHORITY,
  });
  return Buffer.concat([head, numbers]);
};

const allow = (who: readonly number[], mask: number): Uint8Array => {
  const whom = identifier(who);
  return Buffer.concat([ACCESS_ENTRY.encode({ ace_size: ACCESS_ENTRY.size + whom.length, mask }), whom]);
};

/**
 * The descriptor of what a claim makes: owned by the Administrators, SYSTEM may do all, Administrators may read; rights that are given to others in the root
 * do not come down to it: a container holds everybody's files. It stands in each
 * record: a number into $Secure would have to be found or made there, and its two indexes be trusted.
 */
export const containerSecurity = (): Uint8Array => {
  const entries = [allow(SYSTEM, FULL_ACCESS), allow(ADMINISTRATORS, READ_AND_EXECUTE)];
  const size = entries.reduce((sum, entry) => sum + entry.length, ACCESS_LIST.size);
  const list = ACCESS_LIST.encode({ acl_revision: 2, acl_size: size, ace_count: entries.length });
  const owner = identifier(ADMINISTRATORS);
  const offsetDacl = SECURITY_DESCRIPTOR.size;
  const offsetOwner = offsetDacl + size;
  const head = SECURITY_DESCRIPTOR.encode({
    revision: 1,
    control: SECURITY_SELF_RELATIVE | SECURITY_DACL_PRESENT | SECURITY_DACL_PROTECTED,
    offset_owner: offsetOwner,
    offset_group: offsetOwner + owner.length,
    offset_dacl: offsetDacl,
  });
  return Buffer.concat([head, list, ...entries, owner, owner]);
};
