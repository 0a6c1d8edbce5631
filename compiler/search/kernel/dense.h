/* ---- dense linear algebra, four numbers at a time: in the same order, however many a machine computes at once ---- */

#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
#define WIDE __attribute__((target_clones("avx2", "default"), flatten))
#else
#define WIDE
#endif

enum { LANES = 4, MAXX = 200, MAXH = 64 }; /* columns; rows before those of a matrix, see below */

/* So many, and those that are computed with the last of them. */
static int padded(int n) { return (n + LANES - 1) / LANES * LANES; }

static double inner_product(const double *x, const double *y, int n) {
    double sum[LANES] = {0};
    int i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int k = 0; k < LANES; k++) sum[k] += x[i + k] * y[i + k];
    for (; i < n; i++) sum[0] += x[i] * y[i];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

/* The largest of some numbers and `most`. */
static double largest_of(const double *x, int n, double most) {
    double of[LANES] = {most, most, most, most};
    int i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int k = 0; k < LANES; k++) of[k] = larger(of[k], x[i + k]);
    for (; i < n; i++) of[0] = larger(of[0], x[i]);
    return larger(larger(of[0], of[1]), larger(of[2], of[3]));
}

/* The inner products of x and four rows. */
static void inner_products(double (*row)[MAXX], const double *x, int first, int end, double *product) {
    double sum[LANES][LANES] = {{0}};
    for (int i = first; i < end; i += LANES)
        for (int r = 0; r < LANES; r++)
            for (int k = 0; k < LANES; k++) sum[r][k] += row[r][i + k] * x[i + k];
    for (int r = 0; r < LANES; r++) product[r] = (sum[r][0] + sum[r][1]) + (sum[r][2] + sum[r][3]);
}

/* Subtracts four rows, each times its c. */
static void subtract_rows(double *to, const double *c, double (*row)[MAXX], int first, int end) {
    for (int i = first; i < end; i += LANES) {
        double x[LANES];
        for (int k = 0; k < LANES; k++) x[k] = to[i + k];
        for (int r = 0; r < LANES; r++)
            for (int k = 0; k < LANES; k++) x[k] -= c[r] * row[r][i + k];
        for (int k = 0; k < LANES; k++) to[i + k] = x[k];
    }
}

/* Subtracts the rows from the first to the n-th from four others, each times its c of each of these, in the columns from `at` on. */
static void subtract_block(double (*to)[MAXX], double (*c)[MAXH + MAXX], double (*row)[MAXX], int first, int n, int at) {
    double x[LANES][LANES];
    for (int r = 0; r < LANES; r++)
        for (int k = 0; k < LANES; k++) x[r][k] = to[r][at + k];
    for (int j = first; j < n; j++)
        for (int r = 0; r < LANES; r++)
            for (int k = 0; k < LANES; k++) x[r][k] -= c[r][j] * row[j][at + k];
    for (int r = 0; r < LANES; r++)
        for (int k = 0; k < LANES; k++) to[r][at + k] = x[r][k];
}

/* Eliminates the variables of four rows from each other; `i`: the first one. */
static void eliminate_four(double (*h)[MAXX], int i, int end, double *one) {
    double c[LANES][LANES];
    for (int j = 0; j < LANES; j++) {
        one[j] = 1 / larger(h[j][i + j], 1e-10);
        for (int r = j + 1; r < LANES; r++) {
            c[j][r] = h[j][i + r] * one[j];
            for (int k = r; k < LANES; k++) h[r][i + k] -= c[j][r] * h[j][i + k];
        }
    }
    for (int at = i + LANES; at < end; at += LANES) {
        double x[LANES][LANES];
        for (int r = 0; r < LANES; r++) {
            for (int k = 0; k < LANES; k++) x[r][k] = h[r][at + k];
            for (int j = 0; j < r; j++)
                for (int k = 0; k < LANES; k++) x[r][k] -= c[j][r] * x[j][k];
            for (int k = 0; k < LANES; k++) h[r][at + k] = x[r][k];
        }
    }
}

/* Eliminates n variables from a symmetric matrix, given on and above its diagonal in the rows after the first m, and less
 * one[r] h[r] h[r]^T for each of these. What is left of each row, on and above the diagonal, is its pivot times a row of the factor; `one`
 * becomes one by the pivots.
 */
static void factorise(double (*h)[MAXX], int m, int n, double *one) {
    int end = padded(n);
    double c[LANES][MAXH + MAXX];
    for (int i = n; i < end; i++) h[m + i][i] = 1;
    for (int i = 0; i < end; i += LANES) {
        for (int j = 0; j < m + i; j++)
            for (int r = 0; r < LANES; r++) c[r][j] = h[j][i + r] * one[j];
        for (int at = i; at < end; at += LANES) subtract_block(h + m + i, c, h, 0, m + i, at);
        eliminate_four(h + m + i, i, end, one + m + i);
    }
}

/* Solves a system that is factorised; the result in b, which has zeros after the n-th number. */
static void solve_factorised(double (*h)[MAXX], int n, const double *one, double *b) {
    int end = padded(n);
    double y[LANES];
    for (int i = 0; i < end; i += LANES) {
        for (int j = 0; j < LANES; j++) {
            y[j] = b[i + j] * one[i + j];
            for (int k = j + 1; k < LANES; k++) b[i + k] -= h[i + j][i + k] * y[j];
        }
        subtract_rows(b, y, h + i, i + LANES, end);
    }
    for (int i = end - LANES; i >= 0; i -= LANES) {
        inner_products(h + i, b, i + LANES, end, y);
        for (int j = LANES - 1; j >= 0; j--) {
            double x = b[i + j] - y[j];
            for (int k = j + 1; k < LANES; k++) x -= h[i + j][i + k] * b[i + k];
            b[i + j] = x * one[i + j];
        }
    }
}

/* The diagonal of the inverse of a matrix that is factorised; y: room for the inverse of the factor. */
static void invert_diagonal(double (*h)[MAXX], int n, const double *one, double (*y)[MAXX], double *diagonal) {
    int end = padded(n);
    double c[LANES][MAXH + MAXX];
    memset(diagonal, 0, sizeof(double) * end);
    for (int i = 0; i < end; i += LANES) {
        int last = i + LANES;
        for (int j = 0; j < last; j++)
            for (int r = 0; r < LANES; r++) c[r][j] = h[j][i + r] * one[j], y[i + r][j] = j == i + r;
        for (int at = 0; at < i; at += LANES) subtract_block(y + i, c, y, at, i, at);
        for (int r = 0; r < LANES; r++) {
            for (int j = 0; j < r; j++)
                for (int k = 0; k < last; k++) y[i + r][k] -= c[r][i + j] * y[i + j][k];
            for (int k = 0; k < last; k++) diagonal[k] += y[i + r][k] * y[i + r][k] * one[i + r];
        }
    }
}
