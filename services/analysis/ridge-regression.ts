/**
 * Linear regression with a penalty on large weights, over standardised columns: with few rows and many columns it
 * falls back towards the mean instead of following chance.
 *
 * Example: rows [0], [1], [2], [3] with values 1, 3, 5, 7 and no penalty give 1 + 2x.
 */
export interface RidgeModel {
  names: readonly string[];
  means: number[];
  scales: number[];
  weights: number[];
  level: number;
}

export function fitRidge(
  names: readonly string[],
  rows: readonly (readonly number[])[],
  values: readonly number[],
  penalty: number,
): RidgeModel {
  const n = rows.length;
  const means = names.map((_, column) => rows.reduce((sum, row) => sum + row[column], 0) / n);
  const scales = names.map((_, column) => {
    const variance = rows.reduce((sum, row) => sum + (row[column] - means[column]) ** 2, 0) / n;
    return variance < 1e-12 ? 1 : Math.sqrt(variance);
  });
  const level = values.reduce((sum, value) => sum + value, 0) / n;
  const scaled = rows.map((row) => row.map((value, column) => (value - means[column]) / scales[column]));
  const matrix = names.map((_, row) =>
    names.map((__, column) => {
      let sum = row === column ? penalty : 0;
      for (const entry of scaled) sum += entry[row] * entry[column];
      return sum;
    }),
  );
  const right = names.map((_, row) =>
    scaled.reduce((sum, entry, index) => sum + entry[row] * (values[index] - level), 0),
  );
  return { names, means, scales, weights: solve(matrix, right), level };
}

export const predictRidge = (model: RidgeModel, row: readonly number[]): number =>
  row.reduce((sum, value, column) => sum + partOf(model, column, value), model.level);

/** What one column adds to the prediction. */
export const partOf = ({ means, scales, weights }: RidgeModel, column: number, value: number): number =>
  (weights[column] * (value - means[column])) / scales[column];

/** Cholesky; the penalty keeps the matrix positive. */
function solve(matrix: readonly (readonly number[])[], right: readonly number[]): number[] {
  const n = right.length;
  const lower = matrix.map((row) => row.map(() => 0));
  for (let row = 0; row < n; row++) {
    for (let column = 0; column <= row; column++) {
      let sum = matrix[row][column];
      for (let k = 0; k < column; k++) sum -= lower[row][k] * lower[column][k];
      lower[row][column] = row === column ? Math.sqrt(Math.max(sum, 1e-12)) : sum / lower[column][column];
    }
  }
  const middle: number[] = [];
  for (let row = 0; row < n; row++) {
    let sum = right[row];
    for (let k = 0; k < row; k++) sum -= lower[row][k] * middle[k];
    middle.push(sum / lower[row][row]);
  }
  const weights = new Array<number>(n).fill(0);
  for (let row = n - 1; row >= 0; row--) {
    let sum = middle[row];
    for (let k = row + 1; k < n; k++) sum -= lower[k][row] * weights[k];
    weights[row] = sum / lower[row][row];
  }
  return weights;
}
