/** A unit quaternion `w, x, y, z` that turns the sensor's axes into the Earth's, whose z points up. */
export type Quaternion = readonly [w: number, x: number, y: number, z: number];

const FIELDS = ['q_w', 'q_x', 'q_y', 'q_z'];

/** Whether a stream's fields are an orientation. */
export function isOrientation(fields: readonly { readonly name: string }[]): boolean {
  return fields.length === FIELDS.length && FIELDS.every((name, i) => fields[i]!.name === name);
}

/** Roll, pitch and yaw in degrees: turns about z, then the new y, then the new x (REP-103). */
export function eulerDegrees([w, x, y, z]: Quaternion): readonly [roll: number, pitch: number, yaw: number] {
  const degrees = 180 / Math.PI;
  const pitch = Math.asin(Math.max(-1, Math.min(1, 2 * (w * y - z * x))));
  return [
    Math.atan2(2 * (w * x + y * z), 1 - 2 * (x * x + y * y)) * degrees,
    pitch * degrees,
    Math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z)) * degrees,
  ];
}

/**
 * The turn as a CSS `matrix3d`, seen from behind: the sensor's x points away from the viewer, y to the left, z up.
 * In CSS x points to the right, y down and z to the viewer.
 */
export function cssMatrix([w, x, y, z]: Quaternion): string {
  const r = [
    [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
    [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
    [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
  ] as const;
  // css = (-y, -z, -x): the signs cancel, what is left is a change of order
  const order = [1, 2, 0] as const;
  const columns = order.map((j) => [...order.map((i) => r[i]![j]!), 0].map((one) => one.toFixed(6)).join());
  return `matrix3d(${columns.join()},0,0,0,1)`;
}
