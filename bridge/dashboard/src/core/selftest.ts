import { numberOrNull, objects, text, type Body } from './protocol.ts';

/** What the self-test of one field gave, in the unit in which its datasheet states the limits. */
export interface SelfTestField {
  readonly name: string;
  readonly response: number;
  readonly low: number;
  readonly high: number;
  readonly passed: boolean;
}

export interface SelfTest {
  readonly passed: boolean;
  readonly fields: readonly SelfTestField[];
}

/** The result of `self_test`. */
export function readSelfTest(data: Body): SelfTest {
  const fields = objects(data['fields']).map((field) => ({
    name: text(field['name']),
    response: numberOrNull(field['response']) ?? Number.NaN,
    low: numberOrNull(field['low']) ?? Number.NaN,
    high: numberOrNull(field['high']) ?? Number.NaN,
    passed: field['passed'] === true,
  }));
  return { passed: data['passed'] === true, fields };
}
